"""Graded quality flags: a row with a problem is flagged and stays in the table.

The column ``flag`` of a catalogue is a sum of the bits below; 0 is a clean row.
"""

from enum import IntFlag

import numpy as np
from astropy.table import Column, Table

FLAG = "flag"
MEANING = "sum of the bits of galtools.flags.Flag"  # distinguishes our column from others
MAX_REDSHIFT = 1.5  # beyond it no galaxy of these surveys' spectroscopic samples is believable


class Flag(IntFlag):
    """Bits of the column `flag`."""

    OFF_IMAGE = 1  # the position is on no image
    INCOMPLETE = 2  # part of the stamp lies beyond the edge, or has no data
    INFINITE = 4  # pixels that are not numbers; NaN means no data, and is INCOMPLETE
    SATURATED = 8  # pixels at the detector's limit
    BLANK = 16  # every pixel of a band has one value
    NEGATIVE = 32  # the flux at the centre of the stamp is not positive in r
    NO_REDSHIFT = 64
    ABSURD_REDSHIFT = 128  # zero or negative, or beyond MAX_REDSHIFT
    DUPLICATE = 256  # an earlier row has the same identifier or position
    AMBIGUOUS = 512  # more than one counterpart within the matching radius
    LOST = 1024  # no counterpart
    MISSING_BAND = 2048
    UNREADABLE = 4096  # a file of this object is damaged
    NO_POSITION = 8192
    NO_REDDENING = 16384  # E(B-V) is unknown: the dimming by dust was not undone
    UNCALIBRATED = 32768  # a file's unit or zero point is missing or impossible
    ODD_NOISE = 65536  # sky noise that is impossible for the survey: wrong unit or zero point
    ODD_WCS = 131072  # coordinates broken, or at odds with the other bands, files or catalogue
    ABSURD_PIXEL = 262144  # pixels no sky can have, now without data


def names(flag: int) -> str:
    """Spell a flag out: 'SATURATED, DUPLICATE'."""
    return ", ".join(bit.name for bit in Flag if int(flag) & bit)


def raise_flag(catalogue: Table, rows, bits) -> None:
    """Set bits (a `Flag`, or one per row) in some rows, in place; a missing column is made."""
    if FLAG not in catalogue.colnames:
        catalogue[FLAG] = Column(np.zeros(len(catalogue), np.int32), description=MEANING)
    catalogue[FLAG][rows] |= np.asarray(bits, np.int32)


def good(catalogue: Table, allow: int = 0) -> np.ndarray:
    """Mask of the rows without a flag, or with none but those in `allow`."""
    if FLAG not in catalogue.colnames:
        return np.ones(len(catalogue), bool)
    return (np.asarray(catalogue[FLAG]) & ~int(allow)) == 0


def count(catalogue: Table) -> Table:
    """Count the rows with each flag, those without any, and all."""
    column = np.asarray(catalogue[FLAG]) if FLAG in catalogue.colnames else np.zeros(0, int)
    bits = [(bit.name, int(np.sum(column & bit > 0))) for bit in Flag]
    rows = [*(row for row in bits if row[1]), ("none", int(good(catalogue).sum()))]
    return Table(rows=[*rows, ("all rows", len(catalogue))], names=("flag", "rows"))
