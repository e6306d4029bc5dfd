"""The translators and their registry: a new model is one new file in this folder.

    @register("name", tiny={...}, quick={...}, paper={...})
    class Name(Translator): ...

makes `build("name", task, profile)` know it. Every network maps stretched source images on the
target's grid, (n, bands, H, W), to stretched target images; `galtools.data.stretch` does the rest.
"""

import importlib
import pkgutil
from dataclasses import dataclass

from galtools.errors import GaltoolsError, check_choice
from galtools.surveys import check_task


@dataclass(frozen=True)
class Entry:
    """One registered model: its class and its sizes in each profile."""

    network: type
    sizes: dict[str, dict]


PROFILES = ("tiny", "quick", "paper")
REGISTRY: dict[str, Entry] = {}


def check_profile(profile: str) -> str:
    """Return the name of a known profile, or refuse with the list of them."""
    return check_choice("profile", profile, PROFILES)


def register(name: str, *, tiny: dict, quick: dict, paper: dict):
    """Make a class known to `build`; each profile gives the keyword arguments of the class."""

    def remember(network):
        REGISTRY[name] = Entry(network, {"tiny": tiny, "quick": quick, "paper": paper})
        return network

    return remember


def names() -> list[str]:
    """List the models, in the order of their names."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return sorted(REGISTRY)


def entry(name: str) -> Entry:
    """Return a registered model."""
    if name not in REGISTRY and name not in names():
        raise GaltoolsError(f"unknown model {name!r}: choose one of {', '.join(names())}")
    return REGISTRY[name]


def build(name: str, task: str, profile: str, bands: tuple[int, int] = (5, 5), **changes):
    """Make an untrained network; `bands` are those of source and target.

    `changes` replace single sizes of the profile. The recipe is kept as ``network.recipe``, so
    that weights can be read back without it being known.
    """
    check_task(task)
    known = entry(name)
    sizes = {**known.sizes[check_profile(profile)], **changes}
    try:
        network = known.network(*bands, **sizes)
    except TypeError as error:
        raise GaltoolsError(f"{name} cannot be built with {changes}: {error}") from None
    network.recipe = {
        "model": name,
        "task": task,
        "profile": profile,
        "bands": list(bands),
        "sizes": sizes,
    }
    return network


def rebuild(recipe: dict):
    """Make the network of a recipe: the inverse of ``network.recipe``."""
    bands = tuple(recipe["bands"])
    return build(recipe["model"], recipe["task"], recipe["profile"], bands, **recipe["sizes"])


def modules(name: str) -> tuple[str, ...]:
    """Name the modules whose code decides what a training of this model gives."""
    return ("galtools.training.train", entry(name).network.__module__)
