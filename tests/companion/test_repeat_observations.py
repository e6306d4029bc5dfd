"""Repeat observations: images are those of the simulation, measurements what they are called."""

import numpy as np
import pytest
import torch

from companion import repeat_observations
from galtools import data, redshift, simulate
from galtools.data.stretch import Stretch
from galtools.errors import GaltoolsError
from galtools.redshift import Ensemble, RedshiftNetwork
from galtools.surveys import CFHTLS, SDSS


@pytest.fixture(scope="module")
def ensemble():
    torch.manual_seed(0)
    network = RedshiftNetwork(hidden=16).eval()
    network.photometry.noise.copy_(torch.tensor(CFHTLS.on_grid_of(SDSS).sky_noise))
    network.stretch = Stretch("sqrt", (0.1,) * 5, (1.0,) * 5)
    return Ensemble([network])


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


def sources(centre=(0.0, 0.0), radius=1.0, size=97):
    """A uniform disc in r, off the centre of the image, both in arcsec; pixels of 0.25 arcsec."""
    y, x = 0.25 * (np.mgrid[:size, :size] - (size - 1) / 2)
    return 1.0 * (np.hypot(y - centre[0], x - centre[1]) < radius)[None]


def test_asymmetry_is_none_two_or_that_of_noise_alone():
    """What lies on one side alone has sum |I - I_180| = 2 sum I; noise is subtracted."""
    assert repeat_observations.asymmetry(sources(), 0.25) == pytest.approx(0)
    assert repeat_observations.asymmetry(sources((0, 4)), 0.25) == pytest.approx(2)
    noise = np.random.default_rng(0).normal(0, 0.3, (40, 97, 97))
    noisy = repeat_observations.asymmetry(2 * sources(radius=6) + noise, 0.25)
    assert abs(noisy.mean()) < 0.01


def test_only_simulated_galaxies_can_be_observed_again(tmp_path):
    fine = simulate.pairs(1, seed=5)
    data.save(fine, tmp_path / "fine.h5")
    assert repeat_observations.simulation_grid(tmp_path / "fine.h5") == "native"
    fine.catalogue.remove_column("seed")
    data.save(fine, tmp_path / "real.h5")
    with pytest.raises(GaltoolsError, match="not a simulation"):
        repeat_observations.simulation_grid(tmp_path / "real.h5")


def test_the_first_galaxies_are_observed_again(ensemble):
    """Galaxies 0 ... 15 once, the first eight twice; each observation is that of the simulation."""
    options = {"seed": 5, "limit": 17.8, "grid": "sdss"}
    columns = repeat_observations.observe_repeatedly(ensemble, 16, 8, 2, **options)
    sample = repeat_observations.by_observation(columns)
    targets = repeat_observations.targets(sample)
    assert np.isnan(targets[1, 8:]).all() and np.isfinite(targets[:, :8]).all()
    np.testing.assert_array_equal(sample["galaxy"][0], np.arange(16))
    again = simulate.pairs(8, observation=1, **options)
    shown = redshift.point_estimate(ensemble.predict(again.target), ensemble.grid)
    np.testing.assert_allclose(sample["estimate"][1, :8], shown, rtol=1e-6)
    y, x = 0.396 * (np.mgrid[:64, :64] - 31.5)
    core = again.source[..., np.hypot(x, y) < 1].sum(-1)
    np.testing.assert_allclose(sample["rings"][1, :8, :, 0], core, rtol=1e-5)
    np.testing.assert_allclose(sample["redshift"][1, :8], again.redshift, rtol=1e-6)
