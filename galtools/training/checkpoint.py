"""Files of weights and of half-finished trainings, as safetensors: no code can hide in them."""

import hashlib
import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from galtools.artefacts import atomic
from galtools.errors import GaltoolsError


def save(path: Path, tensors: dict, about: dict) -> None:
    """Write tensors and a dictionary about them, whole or not at all."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    told = {"about": about, "sha256": checksum(tensors, about)}
    with atomic(path) as new:  # one entry only: safetensors writes several in any order
        save_file(tensors, new, {"galtools": json.dumps(told, sort_keys=True)})


def checksum(tensors: dict, about: dict) -> str:
    """Hash what a file says and holds: safetensors itself would not notice a flipped bit."""
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def load(path: Path) -> tuple[dict, dict]:
    """Read what `save` wrote: the tensors and the dictionary about them."""
    if not Path(path).exists():
        raise GaltoolsError(f"{path} is missing: train the model first, or check the name")
    try:
        with safe_open(path, "pt") as file:
            told = json.loads(file.metadata()["galtools"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if told["sha256"] != checksum(tensors, told["about"]):
            raise ValueError("other bytes than were written")
        return tensors, told["about"]
    except (SafetensorError, KeyError, TypeError, ValueError):
        raise GaltoolsError(f"{path} is damaged or not ours: delete it and train again") from None


def flatten_optimiser(name: str, state: dict) -> dict[str, torch.Tensor]:
    """Name every tensor of an optimiser's state `optimiser/<name>/<parameter>/<moment>`."""
    return {
        f"optimiser/{name}/{index}/{moment}": value
        for index, moments in state.items()
        for moment, value in moments.items()
    }


def optimiser_state(name: str, tensors: dict, device) -> dict[int, dict[str, torch.Tensor]]:
    """Undo `flatten_optimiser`; counts of steps stay on the CPU."""
    state = {}
    for key, value in select(tensors, f"optimiser/{name}").items():
        index, moment = key.split("/")
        state.setdefault(int(index), {})[moment] = value.to(device if value.ndim else "cpu")
    return state


def select(tensors: dict, kind: str) -> dict[str, torch.Tensor]:
    """Return the tensors named `<kind>/...`, without that prefix."""
    prefix = f"{kind}/"
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
