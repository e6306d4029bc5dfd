"""Train, validation and test sets of real objects, cut by their position on the sky.

Stamps of neighbours share pixels, so neighbours must fall into the same set. Objects are first
joined into groups, friends of friends within `link`; a group then follows the sky cell (HEALPix)
of its southernmost member, and a hash of the cell and the seed decides which set the cell is in.
"""

import hashlib

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy_healpix import HEALPix
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from galtools.errors import GaltoolsError

NAMES = ("train", "valid", "test")


def groups(sky: SkyCoord, link: float) -> np.ndarray:
    """Number the groups of friends of friends within `link` arcsec of each other."""
    first, second, _, _ = sky.search_around_sky(sky, link * u.arcsec)
    graph = coo_array((np.ones(len(first)), (first, second)), shape=(len(sky), len(sky)))
    return connected_components(graph, directed=False)[1]


def by_sky(ra, dec, fractions=(0.8, 0.1, 0.1), link=60.0, nside=64, seed=0) -> np.ndarray:
    """Name the split of every object: 'train', 'valid' or 'test'.

    `ra` and `dec` in degrees, `link` in arcsec (a stamp is 25 arcsec wide), cells of
    58.6 / `nside` degrees. Fractions are reached on average over cells, not exactly.
    """
    ra, dec = np.asarray(ra, float), np.asarray(dec, float)
    placed = np.isfinite(ra) & (np.abs(dec) <= 90)
    if not placed.all():
        raise GaltoolsError(f"object in row {np.argmin(placed)} has no position: leave it out")
    if len(fractions) != 3 or min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6:
        raise GaltoolsError(f"fractions {fractions}: give three that sum to one")
    if not len(ra):
        return np.zeros(0, "U5")
    group = groups(SkyCoord(ra, dec, unit="deg"), link)
    order = np.lexsort((ra, dec))
    anchor = order[np.unique(group[order], return_index=True)[1]]  # southernmost of each group
    cells = HEALPix(nside).lonlat_to_healpix(ra[anchor] * u.deg, dec[anchor] * u.deg)
    hashes = [hashlib.sha256(f"{seed}:{int(cell)}".encode()).digest()[:8] for cell in cells]
    uniform = np.array([int.from_bytes(each, "big") / 2**64 for each in hashes])
    chosen = np.searchsorted(np.cumsum(fractions)[:2], uniform, side="right")
    return np.array(NAMES)[chosen][group]
