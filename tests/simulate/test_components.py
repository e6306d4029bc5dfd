"""Components of galaxies: exact sums, their own spectra, dust by inclination, gradients."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import gamma
from scipy.stats import kstest, spearmanr

from galtools.data import photometry
from galtools.simulate import components, population, scene
from galtools.surveys import CFHTLS, SDSS

N = 4000


@pytest.fixture(scope="module")
def galaxies():
    """Physics, morphology and fluxes of the components of galaxies."""
    numbers = range(N)
    physics = population.sample_galaxies(21, numbers, 17.8)
    uniform = population.random_numbers(21, numbers, "shape", scene.GENERAL, 1)[0]
    shape = scene.sample_morphology(physics, uniform)
    return physics, shape, components.component_fluxes(physics, shape, (SDSS, CFHTLS))


def colour(flux, first, second):
    """Colours (n,) of SDSS fluxes (n, 5) in two bands, by their numbers."""
    return -2.5 * np.log10(flux[:, first] / flux[:, second])


def test_components_are_positive_and_add_up_to_the_total(galaxies):
    _, _, flux = galaxies
    own = [components.COMPONENTS.index(c) for c in ("bulge", "disc", "arms", "bar", "lane")]
    np.testing.assert_allclose(flux["components"][..., own].sum(-1), flux["total"], rtol=1e-12)
    assert (flux["components"][..., :-1] >= 0).all()
    assert (flux["components"][..., 2] + flux["components"][..., -1] > 0).all()  # disc and lane


def test_components_have_spectra_of_their_own(galaxies):
    """Given the total, bulges and young stars scatter independently of each other."""
    physics, shape, flux = galaxies
    spiral = (shape["morphology"] == "spiral") & (physics["bulge_fraction"] > 0.05)
    offsets = {}
    for scattered in (True, False):
        changed = physics if scattered else {k: physics[k] for k in physics}
        if not scattered:
            none = population.component_spectra(physics["early"], np.zeros((N, 7)))
            changed = {**physics, **none}
            flux = components.component_fluxes(changed, shape, (SDSS,))
        one = flux["components"][:, 0][spiral]
        offsets[scattered] = np.array(
            [colour(one[..., c], 1, 2) - colour(one[..., :7].sum(-1), 1, 2) for c in (0, 4)]
        )
    own = offsets[True] - offsets[False]
    scatter = photometry.robust_scatter(own, axis=1)
    assert (scatter > 0.03).all() and (scatter < 0.15).all()
    assert abs(spearmanr(*own)[0]) < 0.1
    assert np.median(offsets[True][0]) > 0.05 and np.median(offsets[True][1]) < -0.1


def test_attenuation_keeps_its_mean_over_inclinations():
    t = population.DISC_THICKNESS

    def at(cosine):
        return population.inclination_dust(np.sqrt(cosine**2 * (1 - t**2) + t**2))

    assert quad(at, 0, 1)[0] == pytest.approx(1, rel=1e-6)
    slope = (at(0.0) - at(1.0)) / np.log10(1 / t)
    assert slope == pytest.approx(population.INCLINATION_DUST * at(1.0))


def test_inclined_discs_are_as_red_as_published(galaxies):
    """Masters et al. 2010: 0.1 mag in g - r and 0.2 in u - r from face-on to edge-on spirals."""
    physics, _, flux = galaxies
    total, q = flux["total"][:, 0], physics["axis_ratio"]
    near = physics["redshift"] < 0.12
    for chosen, published in ((~physics["red"], (0.1, 0.2)), (physics["early"], (0, 0))):
        low, high = np.quantile(q[chosen & near], [0.15, 0.85])
        ends = [chosen & near & k for k in (q < low, q > high)]
        for bands, value in zip(((1, 2), (0, 2)), published, strict=True):
            edge_on, face_on = (np.median(colour(total[k], *bands)) for k in ends)
            assert edge_on - face_on == pytest.approx(value, abs=0.05 if bands[0] else 0.09)


def gradients(physics, shape, components_):
    """Slope of g - r in log10 R between 0.2 and 1.2 half-light radii, without arms and bars."""
    bulges, discs = scene._main_ellipses(physics, shape)
    radius = np.geomspace(0.2, 1.2, 7)[:, None] * physics["half_light_radius"]
    bulge, disc = bulges[2][:, 0], discs[2][:, 0]
    b, h = 7.66925, disc / 1.67834699
    de_vaucouleurs = (
        b**8 / (8 * np.pi * gamma(8)) * np.exp(-b * (radius / bulge) ** 0.25) / bulge**2
    )
    exponential = np.exp(-radius / h) / (2 * np.pi * h**2)
    young = components_[..., 2] + components_[..., 4]
    light = de_vaucouleurs[..., None] * components_[..., 0] + exponential[..., None] * young
    x = np.log10(radius / physics["half_light_radius"])
    x = x - x.mean(axis=0)
    return (x * -2.5 * np.log10(light[..., 1] / light[..., 2])).sum(0) / (x**2).sum(0)


def test_colour_gradients_are_those_of_real_galaxies(galaxies):
    """Early types redden inwards, by an assumed 0.07 mag a dex in g - r, spirals by more.

    The signs are those of La Barbera and de Carvalho (2009) and Gonzalez-Perez et al. (2011).
    """
    physics, shape, flux = galaxies
    slope = gradients(physics, shape, flux["components"][:, 0])
    early, spiral = (shape["morphology"] == kind for kind in ("elliptical", "spiral"))
    assert np.median(slope[early]) == pytest.approx(-0.07, abs=0.025)
    assert photometry.robust_scatter(slope[early]) == pytest.approx(0.05, abs=0.02)
    assert -0.35 < np.median(slope[spiral]) < np.median(slope[early]) - 0.02


def test_axis_ratios_have_the_density_that_is_said():
    u = np.random.default_rng(0).random(4000)
    for early in (True, False):
        q = population.axis_ratio(np.full(4000, early), u)
        low = 0.5 if early else population.DISC_THICKNESS
        grid = np.linspace(low, 1, 20001)[1:]
        density = np.exp(population.log_axis_ratio_density(np.full(20000, early), grid))
        cumulative = np.cumsum(density) * (grid[1] - grid[0])
        assert cumulative[-1] == pytest.approx(1, abs=0.02)
        assert kstest(np.interp(q, grid, cumulative / cumulative[-1]), "uniform").pvalue > 0.001


def test_sizes_scatter_as_published():
    """Shen et al. 2003: sigma(ln R) falls from 0.48 to 0.25 about M = -20.52."""
    found = population.size_scatter(np.array([-15.0, -20.52, -25.0]))
    np.testing.assert_allclose(found, [0.48, 0.365, 0.25], atol=0.002)
