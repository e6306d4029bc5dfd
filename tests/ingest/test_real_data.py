"""Real survey files against what was measured on them independently."""

import os
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table

from galtools import flags
from galtools.flags import Flag
from galtools.ingest.arrays import read_arrays
from galtools.ingest.catalogue import tidy
from galtools.ingest.cutouts import cut
from galtools.ingest.fits_images import read_fits, read_plane, read_psf_fwhm
from galtools.surveys import CFHTLS, SDSS

REAL = Path(os.environ.get("GALTOOLS_REAL_DATA", "unset"))
pytestmark = pytest.mark.skipif(not REAL.is_dir(), reason="GALTOOLS_REAL_DATA is not set")


@pytest.fixture(scope="module")
def field():
    folder = REAL / "sdss_field"
    return read_plane(
        folder / "fpC-005754-r3-0280.fit.gz",
        SDSS,
        ts_field=folder / "tsField-005754-3-40-0280.fit",
        ps_field=folder / "psField-005754-3-0280.fit",
    )


@pytest.fixture(scope="module")
def tiles():
    return [read_plane(REAL / "cfhtls_w3" / f"CFHTLS-test_{band}.fits", CFHTLS) for band in "gri"]


def test_sdss_field(field):
    assert field.band == "r"
    assert field.noise == pytest.approx(0.046, rel=0.03)
    assert field.pixel_scale == pytest.approx(0.396, rel=1e-3)
    assert abs(np.median(field.image)) < 0.05 * field.noise
    seeing = read_psf_fwhm(REAL / "sdss_field" / "psField-005754-3-0280.fit")
    np.testing.assert_allclose(seeing, [2.07, 1.81, 1.77, 1.53, 1.68], atol=0.005)
    assert field.psf_fwhm == pytest.approx(1.77, abs=0.005)


def test_sdss_field_counts_are_worth_what_was_measured(field):
    """One count is 0.005005 nanomaggies: the gaps between pixel values tell, sky or not."""
    row = np.unique(np.diff(np.float64(field.image[700, :200])))
    steps = row / 0.005005
    slope = 0.05  # the sky's own slope from pixel to pixel, far below a count
    assert np.abs(steps - np.rint(steps)).max() < slope


def test_sdss_cut_is_upright(field):
    """Right ascension runs along the second axis of the file; it must not in the stamp."""
    sky = field.wcs.pixel_to_world([900, 1200], [700, 650])
    table = tidy(Table({"ra": sky.ra.deg, "dec": sky.dec.deg, "z": [0.1, 0.1]}))
    nearest = cut([field], table, SDSS, align=False)
    aligned = cut([field], table, SDSS)
    assert np.abs(nearest.catalogue["rotation"]).max() < 0.01
    for k in range(2):
        a, b = nearest.images[k, 2], aligned.images[k, 2]
        # a mirrored or turned stamp would not correlate; the shift is half a pixel at most
        assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.5
        assert np.nansum(b) == pytest.approx(a.sum(), abs=5 * 64 * float(nearest.noise[k, 2]))


def test_cfhtls_tiles(tiles):
    assert [tile.band for tile in tiles] == ["g", "r", "i"]
    noise = [tile.noise for tile in tiles]
    np.testing.assert_allclose(noise, [0.00064, 0.00139, 0.00189], rtol=0.03)
    assert [tile.psf_fwhm for tile in tiles] == [0.816, 0.879, 0.732]
    np.testing.assert_allclose([tile.pixel_scale for tile in tiles], 0.186, rtol=1e-6)


def test_cfhtls_cut_conserves_flux_and_flags_what_is_missing(tiles):
    sky = tiles[0].wcs.pixel_to_world([220, 10, 900], [220, 200, 200])
    table = tidy(Table({"ra": sky.ra.deg, "dec": sky.dec.deg, "z": [0.1] * 3}))
    stamps = cut(tiles, table, CFHTLS)
    words = [flags.names(flag) for flag in stamps.catalogue["flag"]]
    assert all("MISSING_BAND" in word for word in words)
    assert ["OFF_IMAGE" in word for word in words] == [False, False, True]
    # the flux under a smooth window does not depend on the grid it is summed on
    y, x = np.indices(tiles[0].image.shape) - 220
    direct = np.sum(tiles[0].image * np.exp(-0.5 * (x**2 + y**2) * (0.186 / 3) ** 2))
    y, x = np.indices(stamps.images.shape[2:]) - 67.5
    found = np.sum(stamps.images[0, 1] * np.exp(-0.5 * (x**2 + y**2) * (0.187 / 3) ** 2))
    assert found == pytest.approx(direct, rel=0.003)


def test_real_luptitudes():
    path = REAL / "sdss_cutouts" / "sdss_test_images.npy"
    stamps = read_arrays(path, SDSS, unit="luptitudes")
    assert len(stamps) == 20
    assert np.median(stamps.noise[:, 2]) == pytest.approx(0.030, rel=0.05)
    assert ((stamps.catalogue["flag"] & ~int(Flag.NO_REDSHIFT)) == 0).all()


@pytest.mark.parametrize("survey", ["SDSS", "KiDS"])
def test_images_of_pairs_are_read_with_their_maps(survey):
    """GAMA's cutouts: no coordinates, no extension names; maps lie in files of their own."""
    images = sorted((REAL / "sdss_kids_pairs" / survey).glob("*fitim.fits"))
    assert len(images) == 10
    for path in images:
        image = read_fits(path)[0]

        def beside(kind, path=path):
            return read_fits(path.with_name(path.name.replace("fitim", kind)))[0]

        assert {beside(kind).shape for kind in ("sigma", "mskim", "segim")} == {image.shape}
        psf = beside("psfim")
        middle = np.unravel_index(psf.argmax(), psf.shape) - np.array(psf.shape) / 2
        assert (np.abs(middle) < 2).all()
