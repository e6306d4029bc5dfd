"""Spectra against GalSim's photometry; the population against its own distributions."""

import galsim
import numpy as np
import pytest
from scipy.stats import norm
from sedpy.attenuation import calzetti
from sedpy.observate import load_filters

from galtools.simulate import population, scene, spectra
from galtools.surveys import CFHTLS, SDSS


def plain(n=1, **values):
    return {name: np.full(n, values.get(name, 0.0)) for name in spectra.PARAMETERS}


def of_galsim(name):
    """One of the template files as GalSim reads it; called, it counts photons a nanometre."""
    return galsim.SED(f"CWW_{name}_ext.sed", "Ang", "flambda")


def colour_differences(spectrum, ours, redshift=0.23):
    """Our colours less those of GalSim's spectra and bandpasses, in both surveys, magnitudes."""
    filters = SDSS.filters + CFHTLS.filters
    ours = -2.5 * np.log10(spectra.band_fluxes(filters, ours, np.array([redshift]))[0])
    theirs = []
    for curve in load_filters(list(filters)):
        table = galsim.LookupTable(curve.wavelength, curve.transmission, interpolant="linear")
        band = galsim.Bandpass(table, "Ang").withZeropoint("AB")
        theirs.append(spectrum.atRedshift(redshift).calculateMagnitude(band))
    difference = ours - theirs
    return difference - difference[2]


@pytest.mark.parametrize("kind", range(4))
def test_colours_of_redshifted_templates_agree_with_galsim(kind):
    differences = colour_differences(of_galsim(spectra.TEMPLATES[kind]), plain(kind=kind))
    np.testing.assert_allclose(differences, 0, atol=0.01)


@pytest.mark.parametrize("redshift", [0.0, 0.23])
def test_colours_of_all_that_changes_a_spectrum_agree_with_galsim(redshift):
    """Two parts of E and three of Sbc, and every part of a spectrum as its words say."""
    w = np.arange(1250.0, 11900.0, 2.0)  # Å
    shape = sum(
        share * template(w / 10) / template(550) * (5500 / w)
        for share, template in ((0.4, of_galsim("E")), (0.6, of_galsim("Sbc")))
    )
    bands = 0.3 * np.interp(w, (6500, 8500), (0, 1))
    lines = sum(
        width * norm.pdf(w, place, 15) for place, width in ((3727, 400), (5007, 240), (6563, 800))
    )
    steps = 10 ** (-0.4 * (0.5 * (w < 4000) + 0.4 * (w < 3300)))
    light = shape * (steps + bands + lines) * (w / 5500) ** 0.25 * 10 ** (-0.4 * calzetti(w))
    spectrum = galsim.SED(galsim.LookupTable(w, light, interpolant="linear"), "Ang", "flambda")
    changes = {"break_step": 0.5, "uv_step": 0.4, "red_step": 0.3, "emission": 800.0}
    ours = plain(kind=0.6, dust=1.0, tilt=0.25, **changes)
    np.testing.assert_allclose(colour_differences(spectrum, ours, redshift), 0, atol=0.01)


def test_interpolation_between_redshifts_and_dust_is_fine_enough():
    """Halfway between the nodes of the table against a table made there."""
    rng = np.random.default_rng(0)
    spectrum = {
        **plain(50),
        "kind": rng.uniform(0, 3, 50),
        "dust": rng.uniform(0, 1, 50),
        "tilt": rng.uniform(-0.2, 0.2, 50),
    }
    redshift = rng.uniform(0.01, 0.35, 50)
    coarse = spectra.band_fluxes(SDSS.filters, spectrum, redshift)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spectra, "REDSHIFT", np.linspace(0.0, 0.4, 401))
        patch.setattr(spectra, "DUST", np.linspace(0.0, 1.0, 21))
        spectra.table.cache_clear()
        fine = spectra.band_fluxes(SDSS.filters, spectrum, redshift)
    spectra.table.cache_clear()
    np.testing.assert_allclose(coarse / fine, 1, atol=0.01)


def test_parts_of_a_spectrum_do_what_they_say():
    base = spectra.band_fluxes(SDSS.filters, plain(), np.array([0.0]))
    dimmed = spectra.band_fluxes(SDSS.filters, plain(break_step=0.5), np.array([0.0]))
    assert 2.5 * np.log10(base / dimmed)[0, 0] == pytest.approx(0.5, abs=0.02)  # u is all below
    np.testing.assert_allclose(dimmed[0, 2:], base[0, 2:], rtol=1e-3)
    grey = population.normalised_fluxes(
        SDSS.filters, plain(dust=1.0), np.array([0.1]), np.array([17.0])
    )
    assert -2.5 * np.log10(grey[0, 2]) + 22.5 == pytest.approx(17.0)
    law = spectra.calzetti(np.array([5500.0, 6299.9, 6300.1]))
    assert law[0] == pytest.approx(1, abs=0.01) and law[1] == pytest.approx(law[2], abs=0.01)


@pytest.mark.parametrize(("kind", "nearest"), [(-0.3, 0.0), (3.4, 3.0), (9.0, 3.0)])
def test_kinds_end_with_the_first_and_the_last_template(kind, nearest):
    beyond, end = (
        spectra.band_fluxes(SDSS.filters, plain(kind=k), np.array([0.1])) for k in (kind, nearest)
    )
    np.testing.assert_array_equal(beyond, end)


def test_dust_is_that_of_sedpy():
    """Which counts in optical depths where ours is one at 5500 Å, within 0.3 %."""
    theirs = calzetti(spectra.WAVELENGTH)
    ours = spectra.calzetti(spectra.WAVELENGTH)
    np.testing.assert_allclose(ours / np.interp(5500, spectra.WAVELENGTH, ours), theirs, rtol=1e-4)
    assert ours[-1] > 0 and np.interp(5500, spectra.WAVELENGTH, ours) == pytest.approx(1, abs=3e-3)


def test_sampling_follows_the_luminosity_function():
    """Magnitudes of red galaxies at one redshift against the Schechter function itself."""
    uniform = np.random.default_rng(2).random((100_000, 2))
    red, redshift, magnitude = population.sample_redshifts(17.8, uniform)
    near = red & (np.abs(redshift - 0.1) < 0.004)
    edges = np.linspace(15.5, 17.8, 9)
    counts = np.histogram(magnitude[near], edges)[0]
    middle = (edges[1:] + edges[:-1]) / 2
    absolute = middle - population.distance_modulus(0.1) - population.RED.correction * 0.1
    light = 10 ** (-0.4 * (absolute - population.RED.magnitude))
    density = light ** (population.RED.slope + 1) * np.exp(-light)
    expected = density / density.sum() * counts.sum()
    assert np.all(np.abs(counts - expected) < 5 * np.sqrt(expected) + 0.04 * expected)


def test_redshifts_are_spread_evenly_over_their_cell():
    """Numbers f of the way through the share of cell 300 give z = z_300 + (f - 1/2) dz."""
    over_all, share = population._cumulative(17.8)[1], np.array([0.1, 0.5, 0.9])
    uniform = over_all[299] + share * (over_all[300] - over_all[299])
    red, z, _ = population.sample_redshifts(17.8, np.column_stack([uniform, np.full(3, 0.5)]))
    step = (0.7 - 0.003) / 1399
    np.testing.assert_allclose(z, population.REDSHIFT[300] + (share - 0.5) * step, rtol=1e-9)
    assert red.all()


def test_abundance_is_what_galaxies_are_sampled_from():
    magnitude, _, over_magnitude = population._cumulative(17.8)
    cell = 200
    z = population.REDSHIFT[cell]
    density = np.exp(population.log_abundance(True, magnitude - population.distance_modulus(z), z))
    np.testing.assert_allclose(np.cumsum(density) / density.sum(), over_magnitude[0, cell])


def test_lengths_agree_with_astropy():
    redshift = np.array([0.02, 0.1, 0.3])
    exact = 1 / population.COSMOLOGY.arcsec_per_kpc_proper(redshift).value
    np.testing.assert_allclose(population.kpc_per_arcsec(redshift), exact, rtol=1e-3)


def test_sizes_follow_their_power_laws_with_a_bend_and_a_scatter():
    """In dex of kpc: early types rise by 0.60 a dex of light, late ones by 0.26, then by 0.5."""
    early, z = np.repeat([True, False], 5), np.tile([0.01, 0.01, 0.05, 0.2, 0.2], 2)
    absolute = np.tile([-15.0, -17.5, -21, -22.25, -24.75], 2)
    kpc = 10.0 ** np.array([0.41, 0.68])  # at M = -21

    def size(normal):
        arcsec = population.half_light_radius(early, absolute, z, np.full(10, normal))
        return np.log10(arcsec * population.kpc_per_arcsec(z) / np.repeat(kpc, 5)).reshape(2, 5)

    middle = size(0.0)
    faint, bright = 0.24 * np.log10((1 + 10.0 ** np.array([-1.4, 1.5])) / 2)
    np.testing.assert_allclose(middle[0, 1:], 0.60 * np.array([-1.4, 0, 0.5, 1.5]), atol=1e-9)
    expected = [-1.4 * 0.26 + faint, 0, 1.5 * 0.26 + bright]
    np.testing.assert_allclose(middle[1, [1, 2, 4]], expected, atol=1e-9)
    scatter = population.size_scatter(absolute[2:4]) / np.log(10)
    np.testing.assert_allclose((size(1.0) - middle)[:, 2:4], [scatter] * 2, atol=1e-9)
    limits = population.half_light_radius(early, absolute, z, np.full(10, 9.0) - 18 * early)
    np.testing.assert_allclose([limits[0], limits[9]], [0.3, 12.0])


def test_discs_are_thin_and_seen_from_anywhere():
    """For cos i even between 0 and 1, q^2 = cos^2 i (1 - 0.18^2) + 0.18^2."""
    u = np.linspace(0.01, 0.99, 99)
    disc = population.axis_ratio(np.full(99, False), u)
    np.testing.assert_allclose(np.sqrt((disc**2 - 0.18**2) / (1 - 0.18**2)), u)


def test_bars_and_rings_are_in_discs_and_late_types_are_irregular():
    n, rng = 40000, np.random.default_rng(4)
    kind, early, red = rng.uniform(0, 3, n), rng.random(n) < 0.3, rng.random(n) < 0.4
    physics = {"early": early, "kind": kind, "red": red, "axis_ratio": rng.random(n)}
    looks = scene.sample_morphology(physics, rng.random((n, scene.GENERAL)))
    elliptical, lenticular, spiral, irregular, merger = (
        looks["morphology"] == name for name in scene.MORPHOLOGIES
    )
    assert merger.mean() == pytest.approx(0.04, abs=0.004)
    np.testing.assert_array_equal(elliptical, early & ~merger)
    disc = ~early & ~merger
    for low, high, share in ((0, 1.8, 0), (1.9, 2.1, 0.16), (2.3, 2.5, 0.48), (2.75, 3, 0.7)):
        some = disc & (kind > low) & (kind < high)
        assert irregular[some].mean() == pytest.approx(share, abs=0.04)
    np.testing.assert_array_equal(spiral | lenticular, disc & ~irregular)
    assert not (spiral & red).any() and not (lenticular & ~red).any()
    flat = ~early & (physics["axis_ratio"] < 0.4)
    for name, where, share in (
        ("bar", spiral | lenticular, 0.4), ("ring", spiral | lenticular, 0.15),
        ("dust_lane", flat, 0.6),
    ):  # fmt: skip
        assert looks[name][where].mean() == pytest.approx(share, abs=0.02)
        assert not looks[name][~where].any()
    assert not looks["arm_fraction"][early].any()
