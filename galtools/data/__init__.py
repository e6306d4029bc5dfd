"""Samples of matched galaxies: the container, the file format, splits, stretches and grids."""

from galtools.data.compression import SIDES, compress
from galtools.data.files import (
    BLOCK,
    FORMAT,
    SPLITS,
    UNIT,
    checksums,
    describe,
    for_task,
    image_info,
    inverse_variance,
    load,
    open_pairs,
    read_images,
    read_mask,
    read_rows,
    read_splits,
    row_indices,
    save,
    validate,
)
from galtools.data.pairs import Pairs

__all__ = [
    "BLOCK",
    "FORMAT",
    "SIDES",
    "SPLITS",
    "UNIT",
    "Pairs",
    "checksums",
    "compress",
    "describe",
    "for_task",
    "image_info",
    "inverse_variance",
    "load",
    "open_pairs",
    "read_images",
    "read_mask",
    "read_rows",
    "read_splits",
    "row_indices",
    "save",
    "validate",
]
