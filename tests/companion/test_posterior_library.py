"""The posterior over a library against dense algebra, quadrature and a Gaussian world."""

import numpy as np
import pytest
from scipy.stats import ks_2samp, multivariate_normal, norm

from companion import posterior_library
from galtools.errors import GaltoolsError
from galtools.simulate import population
from galtools.surveys import SDSS

RNG = np.random.default_rng(0)
FLAT = np.zeros(len(posterior_library.OFFSETS))
SCATTER = np.array([0.03, 0.02, 0.02, 0.02, 0.03])


def small(m=4, rings=2):
    """A few galaxies much alike, 50 nanomaggies bright; the slopes of brightness differ."""
    unlike = 0.03 * RNG.normal(size=(m, 5, 1)) + 0.006 * RNG.normal(size=(m, 5, rings))
    fluxes = 50 * np.exp(unlike)
    slopes = np.linspace(-1, 1, m)[:, None] * posterior_library.OFFSETS
    return posterior_library.TemplateLibrary(
        fluxes, slopes, np.array([20.0, 60][:rings]), np.full(5, 800.0)
    )


def covariance(known, entry, sky, at):
    """Dense covariance (5 rings, 5 rings) at brightness `at`."""
    m = known.fluxes[entry]
    noise = sky[:, None] ** 2 * known.pixels + at * m / known.gain[:, None]
    bands = [
        np.diag(v) + (at * s) ** 2 * np.outer(f, f)
        for v, s, f in zip(noise, SCATTER, m, strict=True)
    ]
    size = m.size
    whole = np.zeros((size, size))
    for b, block in enumerate(bands):
        rows = slice(b * len(block), (b + 1) * len(block))
        whole[rows, rows] = block
    return whole


def test_fit_is_that_of_dense_algebra():
    known, sky = small(), np.full(5, 0.05)
    y = 1.3 * known.fluxes[1] * (1 + 0.02 * RNG.normal(size=(5, 2)))
    at = np.array([[1.3, 1.2, 1.4, 1.1]])
    precision, best, cost = posterior_library.fit_flux(known, y[None], sky[None], SCATTER, at)
    for entry in range(4):
        m, c = known.fluxes[entry].ravel(), covariance(known, entry, sky, at[0, entry])
        solved = np.linalg.solve(c, m)
        np.testing.assert_allclose(precision[0, entry], m @ solved)
        np.testing.assert_allclose(best[0, entry], y.ravel() @ solved / (m @ solved))
        rest = y.ravel() - best[0, entry] * m
        exact = rest @ np.linalg.solve(c, rest) + np.linalg.slogdet(c)[1] + np.log(m @ solved)
        np.testing.assert_allclose(cost[0, entry], exact)


def test_evidence_is_the_integral_over_brightness():
    """Against quadrature with the covariance of every brightness, up to a common constant."""
    known, sky = small(), np.full(5, 0.05)
    y = 0.8 * known.fluxes[2] * (1 + SCATTER[:, None] * RNG.normal(size=(5, 1)))
    found, offset, sigma = posterior_library.log_evidence(known, y[None], sky[None], SCATTER)
    fine = np.linspace(-0.2, 0.6, 401)
    exact = []
    for entry in range(4):
        slope = np.interp(fine, posterior_library.OFFSETS, known.log_prior[entry])
        bright = 10 ** (-0.4 * fine)
        like = [
            multivariate_normal.pdf(
                y.ravel(), a * known.fluxes[entry].ravel(), covariance(known, entry, sky, a)
            )
            for a in bright
        ]
        density = np.array(like) * np.exp(slope)
        exact.append(np.log(np.trapezoid(density, fine)))
        mean = np.average(fine, weights=density)
        spread = np.sqrt(np.average((fine - mean) ** 2, weights=density))
        assert abs(offset[0, entry] - mean) < 0.1 * spread
        np.testing.assert_allclose(sigma[0, entry], spread, rtol=0.05)
    assert np.ptp(exact) > 1
    np.testing.assert_allclose(found[0] - found[0, 0], np.array(exact) - exact[0], atol=0.03)


def gaussian_world(n, tau=0.012):
    """Galaxies that differ by theta along one colour, brightness unknown: (library, theta, u)."""
    theta = tau * np.random.default_rng(1).normal(size=n)
    along = np.array([-2.0, -1, 0, 1, 2])
    fluxes = 1000 * (1 + theta[:, None] * along)[..., None]
    table = np.broadcast_to(FLAT, (n, len(FLAT)))
    return (
        posterior_library.TemplateLibrary(fluxes, table, np.array([1.0]), np.full(5, 1e12)),
        theta,
        along,
    )


def test_posterior_of_a_gaussian_world_has_known_mean_variance_and_size():
    """With P = D^-1 less the part along the unknown brightness, theta has precision u'Pu, and for
    a likelihood of width s about t:  ESS / N = E[L]^2 / E[L^2]  over the prior."""
    n, tau = 6000, 0.012
    known, theta, along = gaussian_world(n, tau)
    inverse = np.diag(1 / SCATTER**2)
    ones = inverse.sum(1)
    projected = inverse - np.outer(ones, ones) / ones.sum()
    s = 1 / np.sqrt(along @ projected @ along)
    errors = SCATTER * np.random.default_rng(2).normal(size=(20, 5))
    data = 0.01 * along + errors
    observed = 1300 * (1 + data)[..., None]
    sky = np.full((20, 5), 1e-3)
    found = posterior_library.posterior(known, observed, sky, np.full(20, -1), SCATTER)
    t = s**2 * (data @ projected @ along)
    var = 1 / (1 / tau**2 + 1 / s**2)
    np.testing.assert_allclose(found.mean(theta), var * t / s**2, atol=0.25 * np.sqrt(var))
    np.testing.assert_allclose(found.variance(theta).mean(), var, rtol=0.05)
    first = norm.pdf(t, 0, np.hypot(tau, s))
    second = norm.pdf(t, 0, np.sqrt(tau**2 + s**2 / 2)) / (2 * np.sqrt(np.pi) * s)
    np.testing.assert_allclose(np.median(found.size / (n * first**2 / second)), 1, atol=0.05)


def test_chunks_change_no_bit_and_a_galaxy_is_not_in_its_own_posterior():
    known = small(m=30)
    observed = known.fluxes[:20] * 1.1
    sky, own = np.full((20, 5), 0.05), np.arange(20)
    at_once = posterior_library.posterior(known, observed, sky, own, SCATTER)
    for k in range(20):
        alone = posterior_library.posterior(known, observed[[k]], sky[[k]], own[[k]], SCATTER)
        np.testing.assert_array_equal(alone.weights[0], at_once.weights[k])
    np.testing.assert_allclose(at_once.weights.sum(1), 1)
    assert (at_once.weights[own, own] == 0).all()


def test_the_scatter_of_the_magnitude_is_part_of_the_variance():
    weights = np.array([[0.5, 0.5]])
    found = posterior_library.Posterior(weights, np.zeros((1, 2)), np.full((1, 2), 0.3))
    np.testing.assert_allclose(found.variance(np.array([1.0, 3.0])), 2)  # as np.var(ddof=1)
    np.testing.assert_allclose(found.variance(np.array([1.0, 3.0]), slope=2.0), 2 + 0.36)


def test_where_nothing_fits_the_effective_sample_size_is_zero():
    known = small(m=5)
    observed = np.stack([known.fluxes[0], 1e9 * known.fluxes[0]])
    sky, own = np.full((2, 5), 0.05), np.array([-1, -1])
    found = posterior_library.posterior(known, observed, sky, own, SCATTER)
    assert found.size[1] == 0
    assert 0 < found.size[0] <= 5
    with pytest.raises(GaltoolsError, match="not finite"):
        posterior_library.posterior(known, observed * np.nan, sky, own, SCATTER)


def test_drawing_magnitudes_anew_leaves_the_population_what_it_is():
    """A Gibbs step with the right conditional density changes no distribution; a flat one does."""
    physics = population.sample_galaxies(3, np.arange(1200), 17.8)
    uniform = np.random.default_rng(4).random(1200)

    def redrawn(table):
        chance = np.exp(table - table.max(1, keepdims=True)).cumsum(1)
        steps = (chance < uniform[:, None] * chance[:, -1:]).sum(1)
        return physics["r_magnitude"] + posterior_library.OFFSETS[steps]

    table = posterior_library.log_magnitude_prior(physics, 17.8)
    np.testing.assert_allclose(np.exp(table).sum(1) * posterior_library.STEP, 1)
    anew, flat = redrawn(table), redrawn(np.where(np.isfinite(table), 0.0, -np.inf))
    before = physics["r_magnitude"]
    size = np.log10(physics["half_light_radius"])
    assert ks_2samp(before, anew).pvalue > 0.01
    assert ks_2samp(before, flat).pvalue < 1e-6
    slopes = [np.polyfit(x, size, 1)[0] for x in (before, anew)]
    np.testing.assert_allclose(*slopes, atol=0.03)
    assert np.std(anew - before) > 0.3


def test_rings_are_disjoint_and_hold_their_pixels():
    masks = posterior_library.ring_masks(SDSS)
    assert masks.sum(0).max() == 1
    np.testing.assert_allclose(masks.sum(), np.pi * (4 / 0.396) ** 2, rtol=0.02)
    assert masks[0, 31, 31] == masks[1, 31, 35] == masks[2, 31, 40] == 1


def test_the_prior_is_linear_between_the_offsets_and_nothing_outside():
    table = np.array(
        [
            2 * posterior_library.OFFSETS,
            np.where(posterior_library.OFFSETS < 0, -np.inf, 1.0),
        ]
    )
    found = posterior_library.prior_at(table, np.array([[0.123, 0.5], [4.5, -0.5]]))
    np.testing.assert_allclose(found, [[0.246, 1], [-np.inf, -np.inf]])
