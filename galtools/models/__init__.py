"""The translators and their registry: a new model is one new file in this folder.

    @register("name", tiny={...}, quick={...}, paper={...})
    class Name(Translator): ...

makes `build("name", task, profile)` know it. Every network maps stretched source images on the
target's grid, (n, bands, H, W), to stretched target images; `galtools.data.stretch` does the rest.
"""

import importlib
import os
import pkgutil
from pathlib import Path

from galtools.errors import GaltoolsError, check_choice
from galtools.surveys import check_task

PROFILES = ("tiny", "quick", "long", "paper")
REGISTRY: dict[str, tuple[type, dict]] = {}  # class, and its arguments in each profile


def check_profile(profile: str) -> str:
    """Return the name of a known profile, or refuse with the list of them."""
    return check_choice("profile", profile, PROFILES)


def register(name: str, **sizes: dict):
    """Register a class under a name; each profile gives the keyword arguments of the class.

    A profile that is not given takes those of quick: `long` trains the same networks longer.
    """

    def remember(network):
        REGISTRY[name] = network, {p: sizes.get(p, sizes["quick"]) for p in PROFILES}
        return network

    return remember


def names() -> list[str]:
    """Names of all translators, sorted."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return sorted(REGISTRY)


def build(name: str, task: str, profile: str, bands: tuple[int, int] = (5, 5), **changes):
    """Build an untrained network; `bands` are the numbers of bands of source and target.

    `changes` replace single sizes of the profile. The recipe is kept as ``network.recipe``, so
    that weights can be read back without it being known.
    """
    import torch  # takes seconds, and names and profiles do not need it

    network, profiles = REGISTRY[check_choice("model", name, names())]
    sizes = {**profiles[check_profile(profile)], **changes}
    try:
        network = network(*bands, **sizes)
    except TypeError as error:
        raise GaltoolsError(f"{name} cannot be built with {changes}: {error}") from None
    recipe = {"model": name, "task": check_task(task), "profile": profile}
    network.recipe = {**recipe, "bands": list(bands), "sizes": sizes}
    return network.to(memory_format=torch.channels_last)  # convolutions are faster


def rebuild(recipe: dict):
    """Build the network of a recipe, that is of ``network.recipe``."""
    names = [recipe[name] for name in ("model", "task", "profile", "bands")]
    return build(*names, **recipe["sizes"])


def weights_folder(folder=None) -> Path:
    """Folder of kept weights: the given one, that of GALTOOLS_WEIGHTS, or the repository's."""
    repository = Path(__file__).resolve().parents[2] / "book" / "reference" / "weights"
    return Path(folder or os.environ.get("GALTOOLS_WEIGHTS") or repository)


def modules(name: str) -> tuple[str, ...]:
    """Modules whose code determines what a training of this model gives."""
    return ("galtools.training.train", REGISTRY[check_choice("model", name, names())][0].__module__)
