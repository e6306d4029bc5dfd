"""Repeat observations: images are those of the simulation, measurements what they are called."""

import numpy as np
import pytest
import torch

from companion import posterior_library, repeat_observations
from galtools import redshift, simulate
from galtools.data import photometry
from galtools.data.stretch import Stretch
from galtools.errors import GaltoolsError
from galtools.redshift import Ensemble, RedshiftNetwork
from galtools.simulate import matched_pairs
from galtools.surveys import CFHTLS, SDSS

SURVEYS = (SDSS, CFHTLS.on_grid_of(SDSS))


@pytest.fixture(scope="module")
def seen():
    with matched_pairs.one_thread():
        return list(repeat_observations.observe_block(5, 8, (0, 1), SURVEYS, 17.8))


@pytest.fixture(scope="module")
def ensembles():
    torch.manual_seed(0)
    networks = [RedshiftNetwork(hidden=16).eval() for _ in range(2)]
    for network, survey in zip(networks, SURVEYS, strict=True):
        network.photometry.noise.copy_(torch.tensor(survey.sky_noise))
        network.stretch = Stretch("sqrt", (0.1,) * 5, (1.0,) * 5)
    return [Ensemble([network]) for network in networks]


def test_images_are_those_of_the_simulation_bit_for_bit(seen):
    for number, found in enumerate(seen):
        pairs = simulate.pairs(8, seed=5, start=8, grid="sdss", observation=number)
        np.testing.assert_array_equal(found["source"], pairs.source)
        np.testing.assert_array_equal(found["target"], pairs.target)
        np.testing.assert_array_equal(found["redshift"].astype(np.float32), pairs.redshift)
        np.testing.assert_array_equal(found["sky"].astype(np.float32), pairs.noise[:, 0])


def test_fluxes_in_rings_scatter_about_the_clean_ones_as_the_likelihood_says(seen):
    masks = posterior_library.ring_masks(SDSS)
    gain = np.array(SDSS.electrons_per_nanomaggy)[:, None]
    squares = []
    for found in seen:
        clean, noisy = (photometry.annulus_flux(found[k], masks) for k in ("clean", "source"))
        seen_as = simulate.observing_conditions(5, found["galaxy"], SDSS, int(found["number"][0]))
        clean = clean * seen_as.calibration[..., None]
        variance = found["sky"][..., None] ** 2 * masks.sum((1, 2)) + clean / gain
        squares.append((noisy - clean) ** 2 / variance)
    assert abs(np.mean(squares) - 1) < 3 * np.sqrt(2 / np.size(squares))


def test_a_fainter_galaxy_has_the_measures_that_the_library_takes_it_to_have(seen):
    images = seen[0]["clean"]
    dimmer = repeat_observations.target_measurements(images * 10 ** (-0.4 * 0.7), SDSS.pixel_scale)
    change = dimmer - repeat_observations.target_measurements(images, SDSS.pixel_scale)
    expected = np.broadcast_to(
        0.7 * np.array(list(repeat_observations.MEASURES.values())), change.shape
    )
    np.testing.assert_allclose(change, expected, atol=1e-5)


def test_measures_of_a_source_with_known_answers():
    y, x = np.mgrid[:64, :64] - 31.5
    image = np.exp(-0.5 * np.hypot(x, y) ** 2 / 3**2)
    images = image * np.array([1.0, 2, 4, 4, 4])[None, :, None, None]
    found = dict(
        zip(
            repeat_observations.MEASURES,
            repeat_observations.target_measurements(images, 0.396)[0],
            strict=True,
        )
    )
    assert found["colour u − g"] == pytest.approx(2.5 * np.log10(2))
    assert found["colour of the peak, g − r"] == pytest.approx(2.5 * np.log10(2))
    assert found["peak, r"] == pytest.approx(22.5 - 2.5 * np.log10(images[0, 2].max()))
    whole = 4 * 2 * np.pi * 3**2  # of which exp(-r^2 / 2 sigma^2) lies beyond 5 arcsec
    inside = whole * (1 - np.exp(-0.5 * (5 / 0.396 / 3) ** 2))
    assert found["total flux, r"] == pytest.approx(22.5 - 2.5 * np.log10(inside), abs=1e-3)
    shares = [1 - np.exp(-0.5 * (r / 0.396 / 3) ** 2) for r in (2, 4)]
    assert found["concentration, r"] == pytest.approx(shares[0] / shares[1], rel=0.02)
    assert abs(found["asymmetry, r"]) < 1e-9


def test_the_first_galaxies_are_observed_again_and_parabolas_are_exact(ensembles):
    options = {"n_again": 8, "observations": 2, "seed": 5, "limit": 17.8}
    how = ensembles, SURVEYS, (0.0, 0.1)
    columns = repeat_observations.observe_repeatedly(*how, 16, **options)
    sample = repeat_observations.by_observation(columns)
    targets = repeat_observations.targets(sample)
    assert np.isnan(targets[1, 8:]).all() and np.isfinite(targets[:, :8]).all()
    np.testing.assert_array_equal(sample["galaxy"][0], np.arange(16))
    assert columns["latent"].shape == (24, 2, 16) and sample["latent"].shape == (2, 16, 2, 16)
    np.testing.assert_array_equal(sample["latent"][1, :8], columns["latent"][8:16])
    assert not np.array_equal(sample["zero_points"][0, :8], sample["zero_points"][1, :8])
    estimate, offset = sample["estimate"][0], repeat_observations.DIMMED[:, None]
    known = repeat_observations.estimate_at_magnitude(estimate, np.broadcast_to(offset, (3, 16)))
    np.testing.assert_allclose(known, estimate.T, atol=1e-12)
    with pytest.raises(GaltoolsError, match="multiples of 8"):
        repeat_observations.observe_repeatedly(*how, 12, **options)


def test_fainter_and_worse_images_are_measured_too(seen, ensembles):
    """Two magnitudes are a factor 10^0.8; a second observation is measured as it is only."""
    both = repeat_observations.join(seen)
    found = repeat_observations.measure(both, ensembles, SURVEYS, (0.0, 0.1))
    for column, factor in enumerate((10**0.8, 1, 10**-0.8)):
        density = ensembles[1].predict(both["target"] * np.float32(factor))
        shown = redshift.point_estimate(density, ensembles[1].grid)
        np.testing.assert_allclose(found["estimate"][:8, column], shown[:8], rtol=1e-6)
        again = shown[8:] if factor == 1 else np.full(8, np.nan)
        np.testing.assert_allclose(found["estimate"][8:, column], again, rtol=1e-6)
    worse = (both["source"] * (1 + 0.1 * both["zero_points"])[..., None, None]).astype(np.float32)
    network = ensembles[0].networks[0]
    for column, images in enumerate((both["source"], worse)):
        with torch.no_grad():
            measured = network.photometry(torch.as_tensor(images))
            latent = network.head[:-1]((measured - network.mean) / network.std)
        np.testing.assert_allclose(found["latent"][:, column], latent, rtol=1e-3, atol=1e-4)
