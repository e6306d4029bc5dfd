"""Many looks: the images are those of the simulation, the numbers what they are called."""

import numpy as np
import pytest
import torch

from galtools import simulate
from galtools.errors import GaltoolsError
from galtools.mapping import library, looks, nature
from galtools.redshift import Ensemble, RedshiftNetwork
from galtools.simulate import noise, sample
from galtools.stretch import Stretch
from galtools.surveys import CFHTLS, SDSS

SURVEYS = (SDSS, CFHTLS.on_grid_of(SDSS))


@pytest.fixture(scope="module")
def seen():
    with sample.one_thread():
        return list(looks.observe(5, 1, (0, 1), SURVEYS, 17.8))


@pytest.fixture(scope="module")
def ensembles():
    torch.manual_seed(0)
    networks = [RedshiftNetwork(hidden=16).eval() for _ in range(2)]
    for network, survey in zip(networks, SURVEYS, strict=True):
        network.measure.noise.copy_(torch.tensor(survey.sky_noise))
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
    masks = library.ring_masks(64, SDSS.pixel_scale)
    gain = np.array(SDSS.electrons_per_nanomaggy)[:, None]
    squares = []
    for found in seen:
        clean, noisy = (library.ring_fluxes(found[k], masks) for k in ("clean", "source"))
        seen_as = noise.observe(5, found["galaxy"], SDSS, int(found["number"][0]))
        clean = clean * seen_as.calibration[..., None]
        variance = found["sky"][..., None] ** 2 * masks.sum((1, 2)) + clean / gain
        squares.append((noisy - clean) ** 2 / variance)
    assert abs(np.mean(squares) - 1) < 3 * np.sqrt(2 / np.size(squares))


def test_a_fainter_galaxy_has_the_measures_that_the_library_takes_it_to_have(seen):
    images = seen[0]["clean"]
    dimmer = looks.measures(images * 10 ** (-0.4 * 0.7), SDSS.pixel_scale)
    change = dimmer - looks.measures(images, SDSS.pixel_scale)
    expected = np.broadcast_to(0.7 * np.array(list(looks.MEASURES.values())), change.shape)
    np.testing.assert_allclose(change, expected, atol=1e-5)


def test_measures_of_a_source_with_known_answers():
    y, x = np.mgrid[:64, :64] - 31.5
    image = np.exp(-0.5 * np.hypot(x, y) ** 2 / 3**2)
    images = image * np.array([1.0, 2, 4, 4, 4])[None, :, None, None]
    found = dict(zip(looks.MEASURES, looks.measures(images, 0.396)[0], strict=True))
    assert found["colour u − g"] == pytest.approx(2.5 * np.log10(2))
    assert found["colour of the peak, g − r"] == pytest.approx(2.5 * np.log10(2))
    assert found["peak, r"] == pytest.approx(22.5 - 2.5 * np.log10(images[0, 2].max()))
    whole = 4 * 2 * np.pi * 3**2  # of which exp(-r^2 / 2 sigma^2) lies beyond 5 arcsec
    inside = whole * (1 - np.exp(-0.5 * (5 / 0.396 / 3) ** 2))
    assert found["total light, r"] == pytest.approx(22.5 - 2.5 * np.log10(inside), abs=1e-3)
    shares = [1 - np.exp(-0.5 * (r / 0.396 / 3) ** 2) for r in (2, 4)]
    assert found["concentration, r"] == pytest.approx(shares[0] / shares[1], rel=0.02)
    assert abs(found["asymmetry, r"]) < 1e-9


def test_put_off_multiplies_each_band(seen):
    off = seen[0]["off"]
    ratio = looks.put_off(seen[0]["source"], off, 0.1) / seen[0]["source"]
    np.testing.assert_allclose(ratio[..., 5, 5], 1 + 0.1 * off, rtol=1e-5)
    np.testing.assert_array_equal(looks.put_off(off, off, 0.0), off)
    assert not np.array_equal(off, seen[1]["off"])


def test_latent_is_what_the_last_layer_sees(seen, ensembles):
    network = ensembles[0].networks[0]
    found = looks.latent(network, seen[0]["source"])
    with torch.no_grad():
        by_hand = network.head[:-1](network.numbers(torch.as_tensor(seen[0]["source"])))
    np.testing.assert_array_equal(found, by_hand.numpy())


def test_look_repeats_the_first_galaxies_and_parabolas_are_exact(ensembles):
    instruments = looks.Instruments(*ensembles, 0, SURVEYS, (0.0, 0.1))
    columns = looks.look(instruments, SURVEYS, 16, 8, 2, 5, 17.8)
    sample = nature.Sample(columns)
    assert (sample.n, sample.again) == (16, 8)
    assert np.isnan(sample.targets()[1, 8:]).all()
    assert np.isfinite(sample.targets()[:, :8]).all()
    np.testing.assert_array_equal(sample.first("galaxy"), np.arange(16))
    assert sample.columns["latent"].shape == (24, 2, 16)
    rows = sample.rows[0]
    known = looks.at_brightness(columns, rows, np.broadcast_to(looks.DIMMED[:, None], (3, 16)))
    np.testing.assert_allclose(known, columns["estimate"][rows].T, atol=1e-12)
    with pytest.raises(GaltoolsError, match="multiples of 8"):
        looks.look(instruments, SURVEYS, 12, 8, 2, 5, 17.8)
    with pytest.raises(GaltoolsError, match="no network 1"):
        looks.Instruments(*ensembles, 1, SURVEYS, (0.0,))
