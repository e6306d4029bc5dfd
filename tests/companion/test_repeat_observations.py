"""Repeat observations: images are those of the simulation, measurements what they are called."""

import numpy as np
import pytest
import torch

from companion import repeat_observations
from galtools import redshift, simulate
from galtools.data.stretch import Stretch
from galtools.redshift import Ensemble, RedshiftNetwork
from galtools.surveys import CFHTLS, SDSS

SURVEYS = (SDSS, CFHTLS.on_grid_of(SDSS))


@pytest.fixture(scope="module")
def ensembles():
    torch.manual_seed(0)
    networks = [RedshiftNetwork(hidden=16).eval() for _ in range(2)]
    for network, survey in zip(networks, SURVEYS, strict=True):
        network.photometry.noise.copy_(torch.tensor(survey.sky_noise))
        network.stretch = Stretch("sqrt", (0.1,) * 5, (1.0,) * 5)
    return [Ensemble([network]) for network in networks]


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


def test_the_first_galaxies_are_observed_again(ensembles):
    """Galaxies 0 ... 15 once, the first eight twice; each observation is that of the simulation."""
    options = {"seed": 5, "limit": 17.8, "grid": "sdss"}
    columns = repeat_observations.observe_repeatedly(ensembles, 16, 8, 2, **options)
    sample = repeat_observations.by_observation(columns)
    targets = repeat_observations.targets(sample)
    assert np.isnan(targets[1, 8:]).all() and np.isfinite(targets[:, :8]).all()
    np.testing.assert_array_equal(sample["galaxy"][0], np.arange(16))
    again = simulate.pairs(8, observation=1, **options)
    network, source = ensembles[0].networks[0], again.source
    with torch.no_grad():
        measured = network.photometry(torch.as_tensor(source))
        latent = network.head[:-1]((measured - network.mean) / network.std)
    np.testing.assert_allclose(sample["latent"][1, :8], latent, rtol=1e-3, atol=1e-4)
    shown = redshift.point_estimate(ensembles[1].predict(again.target), ensembles[1].grid)
    np.testing.assert_allclose(sample["estimate"][1, :8], shown, rtol=1e-6)
    y, x = 0.396 * (np.mgrid[:64, :64] - 31.5)
    core = source[..., np.hypot(x, y) < 1].sum(-1)
    np.testing.assert_allclose(sample["rings"][1, :8, :, 0], core, rtol=1e-5)
    np.testing.assert_allclose(sample["redshift"][1, :8], again.redshift, rtol=1e-6)
