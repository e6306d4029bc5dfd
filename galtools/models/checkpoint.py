"""Files of weights and of half-finished trainings, as safetensors: no code can hide in them."""

import hashlib
import json
from contextlib import contextmanager
from dataclasses import asdict
from functools import reduce
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch.nn.modules import module

from galtools.artefacts import atomic
from galtools.data.stretch import Normalization
from galtools.errors import GaltoolsError, reading
from galtools.models import rebuild

REGISTRATIONS = (  # of what a network consists of, by which its parts are counted
    module.register_module_module_registration_hook,
    module.register_module_parameter_registration_hook,
)


def save(path: Path, tensors: dict, about: dict) -> None:
    """Write (nested) tensors and a dictionary about them, whole or not at all."""
    flat = flatten(tensors).items()
    tensors = {name: value.detach().cpu().contiguous() for name, value in flat}
    header = {"about": about, "sha256": checksum(tensors, about)}
    with atomic(path) as new:  # one entry only: safetensors writes several in any order
        save_file(tensors, new, {"galtools": json.dumps(header, sort_keys=True)})


def checksum(tensors: dict, about: dict) -> str:
    """Hash of all contents: safetensors itself would not notice a flipped bit."""
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def load(path: Path) -> tuple[dict, dict]:
    """Read what `save` wrote: the tensors and the dictionary about them."""
    with reading(path, "damaged or not ours; train the model again"):
        with safe_open(path, "pt") as file:
            header = json.loads(file.metadata()["galtools"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if header["sha256"] != checksum(tensors, header["about"]):
            raise ValueError("other bytes than were written")
        return nest(tensors), header["about"]


def load_finite(path: Path) -> tuple[dict, dict]:
    """Read the weights of a trained network; NaN and infinite ones are refused."""
    tensors, about = load(path)
    for name, values in flatten(tensors).items():
        if not values.isfinite().all():
            raise GaltoolsError(f"{path} has weights that are not finite ({name}): train it again")
    return tensors, about


def save_weights(path: Path, network) -> None:
    """Write a trained network with all that is needed to use it: recipe and scaling."""
    about = {"recipe": network.recipe, "scaling": asdict(network.scaling)}
    save(path, network.state_dict(), about)


def load_weights(path: Path):
    """Read a trained network."""
    tensors, about = load_finite(path)
    with fitting(path):
        network = build_for(tensors, rebuild, about["recipe"])
        network.scaling = Normalization.from_dict(about["scaling"])
    return network.eval()


@contextmanager
def fitting(path: Path):
    """Refuse in one line a recipe that cannot be built, or that does not match its tensors."""
    try:
        yield
    except Exception as error:  # an untrusted recipe can break a constructor anywhere
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise GaltoolsError(f"{path} does not fit the code ({reason}): train it again") from None


def build_for(tensors: dict, build, *args, **kwargs) -> torch.nn.Module:
    """Build a network and give it its tensors, if these are all that it needs.

    A recipe could name any number of blocks of any width. So it is first built without memory, on
    the meta device, and given up when it has more parts than the tensors could belong to.
    """
    left = 100 + 10 * len(tensors)

    def count(*_):
        nonlocal left
        left -= 1
        if left < 0:
            raise GaltoolsError("its recipe has more parts than its tensors")

    hooks = [register(count) for register in REGISTRATIONS]
    try:
        with torch.device("meta"):
            empty = build(*args, **kwargs).state_dict()
    finally:
        for hook in hooks:
            hook.remove()
    shapes = [{(k, tuple(v.shape)) for k, v in those.items()} for those in (empty, tensors)]
    if differ := shapes[0] ^ shapes[1]:
        raise GaltoolsError(f"its recipe and its tensors differ in {min(differ)[0]}")
    network = build(*args, **kwargs)
    network.load_state_dict(tensors)
    return network


def flatten(tree: dict, prefix: str = "") -> dict[str, torch.Tensor]:
    """Tensors of nested dictionaries by their path: {"a": {"b": x}} becomes {"a/b": x}."""
    flat = {}
    for name, value in tree.items():
        inside = isinstance(value, dict)
        flat |= flatten(value, f"{prefix}{name}/") if inside else {f"{prefix}{name}": value}
    return flat


def nest(flat: dict[str, torch.Tensor]) -> dict:
    """Undo `flatten`; numbers that were keys are strings now."""
    tree = {}
    for path, value in flat.items():
        *parents, name = path.split("/")
        reduce(lambda inner, key: inner.setdefault(key, {}), parents, tree)[name] = value
    return tree
