"""Fidelity of translated images: pixels, morphology, peak fluxes, redshift; the card."""

from importlib import import_module


def __getattr__(name):
    """Load `card` and `Card` on first use: measuring pixels must not pay for statmorph."""
    if name in ("card", "Card"):
        return getattr(import_module(f"{__name__}.scorecard"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
