"""Simulate, train and judge translators of galaxy images from one survey to another.

Data flows one way, and nothing imports back up::

    surveys -> simulate | ingest -> data -> models -> training -> redshift -> fidelity

>>> import galtools
>>> pairs = galtools.simulate.pairs(48, grid="sdss")                   # doctest: +SKIP
>>> network = galtools.models.build("residual", "cross", "quick")      # doctest: +SKIP

Packages are loaded when they are first used. The library's own code imports a function from the
module that defines it, since the key of an artefact follows imports.
"""

from importlib import import_module

__version__ = "0.1.0"
PACKAGES = ("data", "fidelity", "ingest", "models", "pretrained", "redshift", "simulate", "surveys",
            "training")  # fmt: skip
FUNCTIONS = {"card": "fidelity.scorecard", "train": "training.train", "Settings": "training.loop",
             "translate": "training.translate"}  # fmt: skip
__all__ = [*PACKAGES, *FUNCTIONS]


def __getattr__(name: str):
    """Load a package, or a function from its module, on first use."""
    if name in PACKAGES:
        return import_module(f"{__name__}.{name}")
    if name in FUNCTIONS:
        return getattr(import_module(f"{__name__}.{FUNCTIONS[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
