"""Gaussian galaxies seen twice: data for tests that must not wait for the simulator."""

import numpy as np
from astropy.table import Table

from galtools.data import ImageSet, Pairs
from galtools.surveys import CFHTLS, SDSS


def make_pairs(source, target, redshift, catalogue, noise, masks=(None, None)) -> Pairs:
    """Pairs of SDSS and CFHTLS; stamps of equal size are both on the pixels of SDSS."""
    deep = CFHTLS.on_grid_of(SDSS) if source.shape == target.shape else CFHTLS
    shown = zip((SDSS, deep), (source, target), np.swapaxes(noise, 0, 1), masks, strict=True)
    sets = (
        ImageSet.of(survey.in_bands(survey.bands[: sky.shape[1]]), images, sky, None, mask)
        for survey, images, sky, mask in shown
    )
    return Pairs(*sets, np.asarray(redshift, np.float32), catalogue)


def blobs(n: int = 12, size: int = 16, bands: int = 5, seed: int = 0) -> Pairs:
    """Round galaxies, blurred more on the source's side, with little noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    flux = rng.uniform(20, 80, (n, bands, 1, 1))
    width = rng.uniform(1.2, 1.8, (n, 1, 1, 1))

    def see(extra, sigma):
        s2 = width**2 + extra**2
        images = flux * np.exp(-(x**2 + y**2) / 2 / s2) / (2 * np.pi * s2)
        return (images + rng.normal(0, sigma, images.shape)).astype(np.float32)

    noise = np.tile(np.float32([[0.03], [0.01]]), (n, 1, bands))
    redshift = (flux[:, 0, 0, 0] / 250).astype(np.float32)
    return make_pairs(see(1.2, 0.03), see(0.6, 0.01), redshift, Table({"row": np.arange(n)}), noise)
