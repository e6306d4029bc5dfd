"""Measurements of the validation against profiles, curves and constants known exactly."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from scipy.ndimage import binary_dilation, gaussian_filter
from scipy.special import gammainc

from companion import assumptions, structures, validation
from companion import sdss_statistics as facts
from galtools.data import photometry
from galtools.simulate import observation, scene
from galtools.surveys import CFHTLS, SDSS

REAL = os.environ.get("GALTOOLS_REAL_DATA")


def sersic_curves(n: float, b: float, half: float):
    """Radii, and the flux of a Sersic profile within them: a regularised gamma function."""
    radii = np.arange(0.1, 60, 0.1)
    return radii, gammainc(2 * n, b * (radii / half) ** (1 / n))[None]


@pytest.mark.parametrize(("n", "b", "published"), [(1, 1.67835, 2.3), (4, 7.66925, 3.3)])
def test_concentration_of_pure_profiles_is_the_published_one(n, b, published):
    """Exponential and de Vaucouleurs discs without seeing (Strateva et al. 2001)."""
    assert structures.concentration(*sersic_curves(n, b, 3.0)) == pytest.approx(published, abs=0.1)


def test_growth_curves_hold_the_flux_of_a_gaussian():
    sigma, scale, size = 1.5, 0.25, 128
    along = (np.arange(size) - (size - 1) / 2) * scale
    image = np.exp(-0.5 * (along**2 + along[:, None] ** 2) / sigma**2)
    image *= scale**2 / (2 * np.pi * sigma**2)
    radii, flux = structures.growth_curves(image[None], scale)
    np.testing.assert_allclose(flux[0], 1 - np.exp(-0.5 * (radii / sigma) ** 2), atol=0.003)
    half = structures.radius_of(0.5, radii, flux, np.ones(1))
    assert half == pytest.approx(sigma * np.sqrt(2 * np.log(2)), rel=0.01)


def test_noiseless_images_hold_the_galaxy_and_nothing_else():
    physics, truth, images = structures.noiseless_images(3, 12, SDSS)
    single = (truth["morphology"] != "merger") & (physics["half_light_radius"] < 3)
    total = images.sum((2, 3)) / truth["total"][:, 0]
    assert single.sum() > 3 and (total[single] < 1.001).all() and (total[single] > 0.85).all()


def test_published_sizes_of_a_luminous_galaxy():
    """At M = -20.52, 2^(beta - alpha) above the faint power law of late types."""
    early, late = facts.half_light_radius(np.array([True, False]), -20.52)
    assert early == pytest.approx(10 ** (0.24 * 20.52 - 4.63))
    assert late == pytest.approx(10 ** (0.084 * 20.52 - 1.31) * 2**0.32)


def test_reddening_is_the_slope_in_the_logarithm_of_the_axis_ratio():
    ratio = np.linspace(0.2, 1, 50)
    colour = 1.9 + 0.3 * np.log10(1 / ratio) / np.log10(5)
    assert validation.edge_on_reddening(ratio, colour) == pytest.approx(0.3)


def test_colour_terms_act_on_the_colour_that_they_name():
    sdss = np.array([18.0, 17.0, 16.5, 16.2, 16.0])
    found = [facts.colour_term(band, sdss) for band in "ugriz"]
    np.testing.assert_allclose(found, [-0.241, -0.0765, -0.012, -0.0255, 0.0148])


def test_margin_is_the_room_left_in_scatters():
    """Mean 0.34 of a share between 0.309 and 0.409, with a scatter of 0.01: 3.1 of them."""
    measured = pd.DataFrame({"blue fraction": [0.33, 0.34, 0.35]})
    assert validation.margins(measured)["margin"]["blue fraction"] == pytest.approx(3.1)


@pytest.mark.slow
def test_criteria_are_met_on_held_out_seeds():
    """Means of two catalogues of the real one's size, and of images of 80 galaxies."""
    table = validation.structures_of_seeds(40, seeds=validation.HELD_OUT[:2])
    measured = validation.measure_seeds(table, 11000)
    missed = validation.margins(measured)["margin"] < 0
    assert not missed.any(), measured.loc[:, missed]


@pytest.mark.skipif(not REAL, reason="GALTOOLS_REAL_DATA is not set: no real image")
@pytest.mark.parametrize(
    ("files", "kept", "tolerance"),
    [
        pytest.param("cfhtls_w3/*.fits", facts.CFHTLS_NOISE_CORRELATION, 0.002, id="CFHTLS, gri"),
        pytest.param("sdss_field/fpC*", (0, 0, 0), 0.015, id="SDSS, r"),
    ],
)
def test_noise_of_real_images_is_correlated_as_kept(files, kept, tolerance):
    """Pixels that smoothed images show to be free of sources; SDSS did not resample its images."""
    found = []
    for file in sorted(Path(REAL).glob(files)):
        image = fits.getdata(file).astype(float)
        smooth, sky = gaussian_filter(image, 2), np.ones(image.shape, bool)
        for _ in range(6):
            level, scatter = np.median(smooth[sky]), photometry.robust_scatter(smooth[sky])
            sky = ~binary_dilation(smooth - level > 2 * scatter, iterations=8)
        x = np.where(sky, image - image[sky].mean(), np.nan)
        lags = [(x[:, k:] * x[:, :-k], x[k:] * x[:-k]) for k in (1, 2, 3)]
        found.append([np.mean([np.nanmean(a) for a in pair]) / np.nanvar(x) for pair in lags])
    np.testing.assert_allclose(np.mean(found, axis=0), kept, atol=tolerance)


@pytest.mark.skipif(not REAL, reason="GALTOOLS_REAL_DATA is not set: no real image")
def test_seeing_of_a_real_field_is_within_the_published_scatter():
    """In g, r and i of W3, within twice the scatter about the medians."""
    for k, band in enumerate("gri", start=1):
        header = fits.getheader(Path(REAL) / "cfhtls_w3" / f"CFHTLS-test_{band}.fits")
        off = np.log(header["IQIMAGE"] / CFHTLS.psf_fwhm[k]) / CFHTLS.band_seeing[k]
        assert abs(off) < 2


@pytest.mark.skipif(not REAL, reason="GALTOOLS_REAL_DATA is not set: no real catalogue")
def test_anchors_are_what_the_real_catalogue_says():
    files = [Path(REAL) / "sdss_catalogue" / f"sdss.ugriz.{s}" for s in ("train", "valid", "test")]
    rows = np.vstack([np.loadtxt(file) for file in files])
    rows = rows[((rows[:, :5] > 10) & (rows[:, :5] < 25)).all(axis=1)]
    main, faint = rows[rows[:, 2] < 17.8], rows[rows[:, 2] > 17.8]
    faint = faint[faint[:, 2] < facts.FAINT_LIMIT]
    for table, bins in ((main, facts.COLOURS), (faint, facts.FAINT_RED)):
        for bin in bins:
            chosen = table[(table[:, 10] >= bin.low) & (table[:, 10] < bin.high)]
            colours = chosen[:, :4] - chosen[:, 1:5]
            assert len(chosen) == bin.count
            np.testing.assert_allclose(np.median(colours, axis=0), bin.median, atol=0.001)
            np.testing.assert_allclose(
                photometry.robust_scatter(colours, axis=0), bin.scatter, atol=0.001
            )
    rows, redshift = main, main[:, 10]
    percentiles = facts.REDSHIFT_PERCENTILES
    np.testing.assert_allclose(
        np.percentile(redshift, list(percentiles)), list(percentiles.values()), rtol=0.01
    )
    quoted = rows[:, 5:10] / facts.magnitude_errors(rows[:, :5])
    np.testing.assert_allclose(np.median(quoted, axis=0), 1, atol=0.12)


def test_sky_noise_is_the_measured_one():
    assert SDSS.sky_noise[2] == pytest.approx(facts.SDSS_SKY_NOISE_R, rel=0.15)
    for sigma, real in zip(CFHTLS.sky_noise[1:4], facts.CFHTLS_SKY_NOISE_GRI, strict=True):
        assert sigma == pytest.approx(real, rel=0.15)


@pytest.mark.parametrize(
    ("constant", "part", "expected"),
    [
        (0.5, None, 1.0),
        ((1, 2), None, (2.0, 4.0)),
        ({"a": (1.0, 3.0), "b": 5.0}, "a", {"a": (2.0, 6.0), "b": 5.0}),
        ({"a": (1.0, 3.0)}, None, {"a": (1.0, 6.0)}),
        (3, None, 6),
    ],
)
def test_constants_are_multiplied(constant, part, expected):
    assert assumptions.scaled(constant, 2.0, part) == expected


@pytest.mark.parametrize("name", list(assumptions.ASSUMPTIONS))
def test_an_assumption_changes_what_is_simulated_and_comes_back(name):
    def seen(surveys):
        physics, sky, _ = scene.sample_scene(0, range(20), surveys)
        conditions = [observation.observing_conditions(0, range(20), s) for s in surveys]
        parts = [*physics.values(), *(v for c in conditions for v in vars(c).values())]
        gains = [s.electrons_per_nanomaggy for s in surveys]
        tensors = [sky.flux.numpy(), sky.textures[0].share.numpy()]
        return [np.asarray(p, float) for p in parts if not isinstance(p, list)] + gains + tensors

    def differ(a, b):
        return any(not np.array_equal(x, y) for x, y in zip(a, b, strict=True))

    before = seen((SDSS, CFHTLS))
    with assumptions.changed(assumptions.ASSUMPTIONS[name], 2.0) as surveys:
        assert differ(seen(surveys), before)
    assert not differ(seen((SDSS, CFHTLS)), before)


def test_a_change_is_that_on_the_same_galaxies():
    """Errors twice as large, a PSNR 1 dB higher; two errors that grow alike gain no information."""
    rng = np.random.default_rng(0)
    of_two = {name: 2 if "information" in name else 1 for name in assumptions.CONCLUSIONS}
    today = {name: rng.normal(size=(k, 300)).squeeze() for name, k in of_two.items()}
    psnr = "repeat PSNR, CFHTLS r"
    after = {name: x + 1 if name == psnr else 2 * x for name, x in today.items()}
    found = assumptions.changes(today, after, assumption="x", factor=2.0)
    for row in found:
        scatter = photometry.robust_scatter(today[row["conclusion"]])
        expected = {psnr: 1.0}.get(row["conclusion"], scatter if np.ndim(scatter) == 0 else 0.0)
        assert row["change"] == pytest.approx(expected, abs=1e-9)
        assert row["moves"] == (np.ndim(scatter) == 0)
    assert not any(row["moves"] for row in assumptions.changes(today, today))


def test_information_is_the_ratio_of_two_scatters():
    errors = np.array([4.0, 1.0])[:, None] * np.random.default_rng(0).normal(size=100)
    assert assumptions.information_gain(errors) == pytest.approx(2)
