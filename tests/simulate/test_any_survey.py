"""Pairs of surveys other than SDSS and CFHTLS: fluxes, seeing and noise are those described."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from companion import galsim_reference
from galtools import simulate
from galtools.errors import GaltoolsError
from galtools.simulate import components, population, scene, spectra
from galtools.surveys import SDSS, SURVEYS, filter_curves, log_pivots

ALL = pytest.mark.parametrize("survey", SURVEYS.values(), ids=lambda s: s.name.replace(" ", "_"))
VIS = SURVEYS["Euclid VIS"]


@ALL
@pytest.mark.parametrize("redshift", [0.0, 0.25])
def test_a_known_component_has_the_flux_of_the_integral(survey, redshift):
    """Bars of one template, and galaxies as a whole, as astro-sedpy integrates its spectrum."""
    n = 12
    physics = population.sample_galaxies(1, range(n), 17.8)
    plain = dict.fromkeys(spectra.PARAMETERS, 0.0) | {"kind": 1.0, "redshift": redshift}
    plain |= {name: 0.0 for name in physics if name.startswith(("old_", "young_"))}
    physics |= {name: np.full(n, value) for name, value in plain.items()}
    uniform = population.random_numbers(1, range(n), "shape", scene.GENERAL, 1)[0]
    shape = scene.sample_morphology(physics, uniform) | {"bar": np.ones(n, bool)}
    shape["arm_fraction"] = np.zeros(n)
    flux = components.component_fluxes(physics, shape, (survey,))
    light = (1 + redshift) * spectra.WAVELENGTH, spectra.template("Sbc")
    magnitude = [c.ab_mag(*light) for c in filter_curves(("sdss_r0", *survey.filters))]
    relative = 10 ** (0.4 * (magnitude[0] - np.array(magnitude[1:])))
    total = 10 ** (0.4 * (22.5 - physics["r_magnitude"]))[:, None] * relative
    np.testing.assert_allclose(flux["total"][:, 0], total, rtol=4e-3)
    bar = flux["components"][:, 0, :, components.COMPONENTS.index("bar")]
    below = physics["bulge_fraction"] + shape["bar_fraction"] < components.LARGEST_PART
    assert below.any()
    expected = shape["bar_fraction"][:, None] * total
    np.testing.assert_allclose(bar[below], expected[below], rtol=4e-3)


@pytest.mark.parametrize(
    ("first", "second"), [*pairwise(SURVEYS.values()), (VIS, SDSS)], ids=lambda s: s.name[:4]
)
def test_stamps_have_the_seeing_and_the_noise_of_the_description(first, second):
    """The noiseless stamp against GalSim at the median seeing; the noise against the sky's."""
    galaxies = np.arange(8)
    _, sky, _ = simulate.sample_scene(2, galaxies, (first, second))
    assert not sky.flux[:, 1, len(second.bands) :].any()
    still = replace(second, common_seeing=0, band_seeing=(0,) * len(second.bands))
    seen = simulate.observing_conditions(2, galaxies, still)
    np.testing.assert_array_equal(seen.fwhm, np.tile(second.psf_fwhm, (8, 1)))
    images, noiseless = simulate.observe(sky, still, 1, seen)
    ours = noiseless[3, -1]
    theirs = galsim_reference.galsim_image(
        sky, second, 1, 3, len(second.bands) - 1, second.psf_fwhm[-1], seen.shift[3]
    )
    np.testing.assert_allclose(ours, theirs, atol=2e-4 * theirs.max())
    flux = noiseless * seen.calibration[..., None, None]
    gain = np.array(second.electrons_per_nanomaggy)[:, None, None]
    expected = seen.sky_noise[..., None, None] ** 2 + np.maximum(flux, 0) / gain
    chi2 = np.mean((images - flux) ** 2 / expected, axis=(2, 3))
    np.testing.assert_allclose(chi2, 1, atol=5 * np.sqrt(2) / second.stamp)
    median = np.median(simulate.observing_conditions(2, range(400), second).sky_noise, axis=0)
    np.testing.assert_allclose(median, second.sky_noise, rtol=0.02)


@pytest.mark.parametrize(
    ("first", "second"),
    [(SDSS, SURVEYS["KiDS"]), (SURVEYS["Legacy"], SURVEYS["PS1"]), (SURVEYS["DES"], VIS)],
    ids=["SDSS-KiDS", "Legacy-PS1", "DES-VIS"],
)  # fmt: skip
def test_pairs_of_any_two_surveys(first, second):
    pairs = simulate.pairs(3, seed=5, survey_from=first, survey_to=second)
    assert pairs.source_set.instrument == first and pairs.target_set.instrument == second
    assert pairs.source.shape == (3, len(first.bands), first.stamp, first.stamp)
    assert pairs.target.shape == (3, len(second.bands), second.stamp, second.stamp)
    for side, survey in (("source", first), ("target", second)):
        assert np.isfinite([pairs.catalogue[f"{side}_{band}"] for band in survey.bands]).all()
    again = simulate.pairs(2, seed=5, start=1, survey_from=first, survey_to=second)
    np.testing.assert_array_equal(again.target, pairs.target[1:])


def test_a_galaxy_is_the_same_in_any_company():
    """Its truth in r does not depend on the survey that is paired with SDSS."""
    first, second = (
        simulate.pairs(8, seed=6, survey_from=SDSS.in_bands("r"), survey_to=survey).catalogue
        for survey in (VIS, SURVEYS["KiDS"])
    )
    for column in ("redshift", "morphology", "bulge_fraction", "neighbours"):
        assert (first[column] == second[column]).all()
    np.testing.assert_allclose(first["source_r"], second["source_r"], atol=1e-6)


@pytest.mark.parametrize(
    ("filters", "reason"),
    [((), "names no filter curves"), (("nonsense",), "'nonsense': give"),
     (("9000-5500",), "'9000-5500': give"), (("14000-18000",), "from 2160 to 12000")],
    ids=["none", "unknown", "reversed", "infrared"],
)  # fmt: skip
def test_bands_that_cannot_be_placed_are_refused(filters, reason):
    with pytest.raises(GaltoolsError, match=reason):
        simulate.pairs(1, survey_to=replace(VIS, filters=filters))


def test_a_top_hat_has_its_pivot_wavelength():
    """sqrt(int dlambda lambda / int dlambda / lambda) of 5500 to 9000 Å."""
    pivot = np.sqrt((9000**2 - 5500**2) / 2 / np.log(9000 / 5500))
    assert np.exp(log_pivots(VIS))[0] == pytest.approx(pivot, rel=1e-4)
