"""The same object in two surveys, found by position; matched, ambiguous and lost are counted."""

from dataclasses import replace

import numpy as np
from astropy import units as u
from astropy.table import Table

from galtools.data import ImageSet, Pairs
from galtools.data.pairs import NO_DATA
from galtools.errors import GaltoolsError
from galtools.flags import FLAG, Flag, raise_flag
from galtools.ingest.catalogue import positions_of


def counterparts(source: Table, target: Table, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Nearest target of each source within `radius` arcsec (-1: none), and whether it is in doubt.

    In doubt are sources with several targets within the radius, and those whose target has
    several sources.
    """
    if not 0 < radius < 60:
        raise GaltoolsError(f"a matching radius of {radius} arcsec: give one between 0 and 60")
    nearest = np.full(len(source), -1)
    doubtful = np.zeros(len(source), bool)
    (rows, sky), (others, other_sky) = positions_of(source), positions_of(target)
    if not len(rows) or not len(others):
        return nearest, doubtful
    matches, distance, _ = sky.match_to_catalog_sky(other_sky)
    nearest[rows] = np.where(distance.arcsec <= radius, others[matches], -1)
    a, b, _, _ = other_sky.search_around_sky(sky, radius * u.arcsec)
    crowded = np.bincount(a, minlength=len(rows)) > 1
    crowded[a[np.bincount(b, minlength=len(others))[b] > 1]] = True
    doubtful[rows] = crowded
    return nearest, doubtful


def match(source: ImageSet, target: ImageSet, radius: float = 1.0) -> tuple[Pairs, Table]:
    """Pair the images of two surveys, and count the outcomes.

    Every source row stays, in its order. A source without a counterpart keeps its row, with a
    target of NaN and the flag LOST; where there is a choice, the nearest is taken and the row is
    flagged AMBIGUOUS.
    """
    if not len(target):
        raise GaltoolsError("there is no target to match with: give at least one")
    nearest, doubtful = counterparts(source.catalogue, target.catalogue, radius)
    unmatched = nearest < 0
    counterpart = target[nearest]
    nothing = dict.fromkeys(("images", "noise", "psf"), np.nan)
    nothing |= {"mask": NO_DATA, "sigma_map": np.inf}
    for name in nothing.keys() & counterpart.arrays.keys():
        getattr(counterpart, name)[unmatched] = nothing[name]
    catalogue = source.catalogue.copy()
    raise_flag(catalogue, ~unmatched, np.asarray(counterpart.catalogue[FLAG])[~unmatched])
    raise_flag(catalogue, unmatched, Flag.LOST)
    raise_flag(catalogue, doubtful, Flag.AMBIGUOUS)
    redshift = np.asarray(catalogue["redshift"], np.float32)
    unused = len(target) - len(np.unique(nearest[~unmatched]))
    counts = {
        "matched": int((~unmatched & ~doubtful).sum()),
        "ambiguous": int((~unmatched & doubtful).sum()),
        "lost": int(unmatched.sum()),
        f"only in {target.survey}": unused,
    }
    sets = (replace(images, catalogue=None) for images in (source, counterpart))
    return (
        Pairs(*sets, redshift, catalogue),
        Table([list(counts), list(counts.values())], names=("outcome", "objects")),
    )
