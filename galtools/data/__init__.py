"""Samples of matched galaxies: the container, the file format, splits, stretches and grids."""

from galtools.data.files import describe, load, pixel_scales, save, validate
from galtools.data.pairs import ImageSet, Pairs, for_task, join

__all__ = [
    "ImageSet",
    "Pairs",
    "describe",
    "for_task",
    "join",
    "load",
    "pixel_scales",
    "save",
    "validate",
]
