"""Many looks: the images are those of the simulation, the numbers what they are called."""

from functools import partial

import numpy as np
import pytest
import torch

from companion import degeneracy, posterior_library, repeat_observations
from galtools import simulate
from galtools.data.stretch import Stretch
from galtools.errors import GaltoolsError
from galtools.redshift import Ensemble, RedshiftNetwork
from galtools.simulate import noise, sample
from galtools.surveys import CFHTLS, SDSS

SURVEYS = (SDSS, CFHTLS.on_grid_of(SDSS))


@pytest.fixture(scope="module")
def seen():
    with sample.one_thread():
        return list(repeat_observations.observe_block(5, 1, (0, 1), SURVEYS, 17.8))


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
    masks = posterior_library.ring_masks(64, SDSS.pixel_scale)
    gain = np.array(SDSS.electrons_per_nanomaggy)[:, None]
    squares = []
    for found in seen:
        clean, noisy = (posterior_library.ring_fluxes(found[k], masks) for k in ("clean", "source"))
        seen_as = noise.observing_conditions(5, found["galaxy"], SDSS, int(found["number"][0]))
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
    assert found["total light, r"] == pytest.approx(22.5 - 2.5 * np.log10(inside), abs=1e-3)
    shares = [1 - np.exp(-0.5 * (r / 0.396 / 3) ** 2) for r in (2, 4)]
    assert found["concentration, r"] == pytest.approx(shares[0] / shares[1], rel=0.02)
    assert abs(found["asymmetry, r"]) < 1e-9


def test_put_off_multiplies_each_band(seen):
    off = seen[0]["off"]
    ratio = repeat_observations.perturb_zero_points(seen[0]["source"], off, 0.1) / seen[0]["source"]
    np.testing.assert_allclose(ratio[..., 5, 5], 1 + 0.1 * off, rtol=1e-5)
    np.testing.assert_array_equal(repeat_observations.perturb_zero_points(off, off, 0.0), off)
    assert not np.array_equal(off, seen[1]["off"])


def test_latent_is_what_the_last_layer_sees(seen, ensembles):
    network = ensembles[0].networks[0]
    found = repeat_observations.latent_features(network, seen[0]["source"])
    with torch.no_grad():
        by_hand = network.head[:-1](network.numbers(torch.as_tensor(seen[0]["source"])))
    np.testing.assert_array_equal(found, by_hand.numpy())


def test_look_repeats_the_first_galaxies_and_parabolas_are_exact(ensembles):
    instruments = repeat_observations.FeatureExtractor(*ensembles, 0, SURVEYS, (0.0, 0.1))
    columns = repeat_observations.observe_repeatedly(instruments, SURVEYS, 16, 8, 2, 5, 17.8)
    sample = degeneracy.RepeatSample(columns)
    assert (sample.n, sample.again) == (16, 8)
    assert np.isnan(sample.targets()[1, 8:]).all()
    assert np.isfinite(sample.targets()[:, :8]).all()
    np.testing.assert_array_equal(sample.first("galaxy"), np.arange(16))
    assert sample.columns["latent"].shape == (24, 2, 16)
    rows = sample.rows[0]
    known = repeat_observations.estimate_at_magnitude(
        columns, rows, np.broadcast_to(repeat_observations.DIMMED[:, None], (3, 16))
    )
    np.testing.assert_allclose(known, columns["estimate"][rows].T, atol=1e-12)
    with pytest.raises(GaltoolsError, match="multiples of 8"):
        repeat_observations.observe_repeatedly(instruments, SURVEYS, 12, 8, 2, 5, 17.8)
    with pytest.raises(GaltoolsError, match="no network 1"):
        repeat_observations.FeatureExtractor(*ensembles, 1, SURVEYS, (0.0,))


def test_instruments_read_what_each_network_says_of_fainter_and_worse_images(seen, ensembles):
    """Two magnitudes are a factor 10^0.8; a second look is read as it is, and no fainter."""
    instruments = repeat_observations.FeatureExtractor(*ensembles, 0, SURVEYS, (0.0, 0.1))
    both = repeat_observations.join(seen)
    found = instruments.read(both)
    network, target = ensembles[1].networks[0], both["target"]
    for column, factor in enumerate((10**0.8, 1, 10**-0.8)):
        shown = repeat_observations.mean_redshift(network, target * np.float32(factor), 1.0)
        np.testing.assert_allclose(found["estimate"][:8, column], shown[:8], rtol=1e-6)
        again = shown[8:] if factor == 1 else np.full(8, np.nan)
        np.testing.assert_allclose(found["estimate"][8:, column], again, rtol=1e-6)
    worse = (both["source"] * (1 + 0.1 * both["off"])[..., None, None]).astype(np.float32)
    for column, images in enumerate((both["source"], worse)):
        latent = repeat_observations.latent_features(ensembles[0].networks[0], images)
        np.testing.assert_allclose(found["latent"][:, column], latent, rtol=1e-3, atol=1e-4)


@pytest.fixture(scope="module")
def twins(seen):
    """24 galaxies, three of a kind, without noise but 0.3 mag brighter, zero points off by 2 %.

    The first 8 are seen twice. Their `peak, r` is linear in the second latent space, which has
    two dimensions, and the `concentration, r` in the logarithms of the fluxes.
    """
    first, rng = seen[0], np.random.default_rng(5)
    columns = {name: np.tile(first[name], 3) for name in posterior_library.PHYSICS}
    columns |= {name: np.tile(first[name], (3, 1)) for name in ("off", "sky")}
    tint = np.exp(0.3 * rng.normal(size=(8, 5, 1)))  # no two kinds are alike
    clean = tint * posterior_library.ring_fluxes(
        first["clean"], posterior_library.ring_masks(64, SDSS.pixel_scale)
    )
    columns |= {"clean": np.tile(clean, (3, 1, 1)), "estimate": rng.random((24, 3))}
    rings = 10 ** (0.4 * 0.3) * columns["clean"] / (1 + 0.02 * columns["off"][..., None])
    columns |= {"galaxy": np.arange(24), "number": np.zeros(24, int), "rings": rings}
    place, measures = rng.normal(size=(24, 2)), rng.normal(size=(24, 8))
    measures[:, 1], columns["measures"] = 5 + place @ [1.0, 2], measures
    columns["latent"] = np.stack([rng.normal(size=(24, 4)), place @ rng.normal(size=(2, 4))], 1)
    measures[:, 6] = np.log(columns["clean"].sum(2)) @ [1.0, -2, 3, 1, 1]
    again = {name: values[:8] for name, values in columns.items()}
    again["rings"] = again["rings"] * np.exp(0.01 * rng.normal(size=(8, 5, 1)))
    again["latent"] = again["latent"] + columns["latent"][8:16] / 9
    again["number"] = np.ones(8, int)
    return degeneracy.RepeatSample({k: np.concatenate([v, again[k]]) for k, v in columns.items()})


PAIR = np.arange(8)[:, None] + [8, 16]  # the twins of each galaxy


@pytest.mark.parametrize("use", [degeneracy.total_flux, degeneracy.core_and_rest])
def test_posterior_finds_the_twins_and_their_numbers_at_its_brightness(twins, use, monkeypatch):
    """Two galaxies are the same but fainter: half of the weight each, and none on the others."""
    found = degeneracy.library_posterior(twins, 0.02, 8, 17.8, use)
    np.testing.assert_allclose(np.take_along_axis(found.weights, PAIR, 1), 0.5, atol=1e-6)
    np.testing.assert_allclose(np.take_along_axis(found.fainter, PAIR, 1), -0.3, atol=1e-6)
    quantities = (
        "peak, r",
        "colour g − r",
        repeat_observations.ESTIMATE,
        repeat_observations.TRUTH,
    )
    refused = degeneracy.predict_by_posterior(
        twins, found, quantities
    )  # two look-alikes are too few
    assert all(np.isnan(values).all() for values in refused.values())
    monkeypatch.setattr(
        posterior_library,
        "mask_small_samples",
        partial(posterior_library.mask_small_samples, least=1.9),
    )
    told = degeneracy.predict_by_posterior(twins, found, quantities)
    columns, width = twins.columns, np.take_along_axis(found.width, PAIR, 1)
    low, middle, high = columns["estimate"][PAIR].transpose(2, 0, 1)
    bend, rise = (low + high) / 2 - middle, (high - low) / 2  # of a parabola in steps of 2 mag
    bright, slope = middle - 0.15 * rise + 0.15**2 * bend, rise / 2 - 0.15 * bend
    measures, true = columns["measures"][PAIR], columns["redshift"][PAIR]
    expected = [(measures[..., 1] - 0.3, 1), (measures[..., 4], 0), (bright, slope), (true, 0)]
    for k, (values, slopes) in enumerate(expected):
        np.testing.assert_allclose(told["mean"][0, :, k], values.mean(1), atol=1e-5)
        spread = np.var(values, axis=1, ddof=1) + ((slopes * width) ** 2).mean(1)
        np.testing.assert_allclose(told["variance"][:, k], spread, atol=1e-5)
    np.testing.assert_allclose(told["crowding"], [[0.5] * 8], atol=1e-5)


@pytest.mark.parametrize(
    ("k", "galaxies", "directions", "message"),
    [
        (48, 48, 4, "simulate more"),
        (17, 48, 16, "16 dimensions: take more"),
        (16, 48, 4, "15 dimensions: take more"),  # five bands in three rings
    ],
)
def test_neighbours_that_cannot_be_used_are_refused_at_once(k, galaxies, directions, message):
    with pytest.raises(GaltoolsError, match=message):
        degeneracy.check_neighbours(k, galaxies, directions)


def test_neighbours_foresee_what_is_linear_and_know_how_close_they_are():
    """On a lattice the four nearest points are 1 away; two images are 2 away from one another."""
    lattice = np.stack(np.meshgrid(*[np.arange(9.0)] * 2), -1).reshape(1, -1, 2)
    places = np.concatenate([lattice, lattice + 0.1])
    places[1, 40:] = np.nan  # these were seen once
    values = np.column_stack([3 + lattice[0] @ [2, -1], lattice[0, :, 0]])
    few = degeneracy.predict_by_neighbours(places, values, k=4, asked=50)
    assert (few["mean"].shape, few["crowding"].shape) == ((2, 50, 2), (2, 50))
    found = degeneracy.predict_by_neighbours(places, values, k=4)
    inner = (np.abs(lattice[0] - 4) < 4).all(1)
    np.testing.assert_allclose(found["mean"][0], values, atol=1e-9)
    np.testing.assert_allclose(found["mean"][1, :40, 1], values[:40, 1] + 0.1, atol=1e-9)
    np.testing.assert_allclose(found["crowding"][0, inner], 1 / 4)
    np.testing.assert_allclose(found["closeness"][inner], 1 / 2)
    assert np.isnan(found["mean"][1, 40:]).all() and np.isnan(found["crowding"][1, 40:]).all()


def test_three_ways_know_what_they_are_told(twins, monkeypatch):
    """What is linear in a space is foreseen there; the posterior misses what tells twins apart."""
    names = ("peak, r", "concentration, r")
    exact = {(names[0], "latent space"), (names[1], "equal fluxes"), (names[1], "posterior")}
    options = dict(scatter=0.02, quantities=names, asked=8, k=12, keep=2, limit=17.8)
    size, rows, _ = degeneracy.compare_methods(twins, 1, **options)
    np.testing.assert_allclose(size, 2, atol=1e-4)
    assert all(np.isnan(x).all() for x in degeneracy.on_same_galaxies(rows).values())  # two are few
    monkeypatch.setattr(
        posterior_library,
        "mask_small_samples",
        partial(posterior_library.mask_small_samples, least=1.9),
    )
    _, rows, check = degeneracy.compare_methods(twins, 1, **options)
    for key, x in rows.items():
        assert (x[3] < 1e-12).all() if key in exact else (x[3] > 1e-6).all()
    peak = twins.columns["measures"][:24, 1]
    missed = (peak[:8] - (peak[PAIR].mean(1) - 0.3)) ** 2 / (1 + 1 / 2)
    np.testing.assert_allclose(check["peak, r"][1], missed, atol=1e-4)
    assert (check["peak, r"][0] > np.var(peak[PAIR], axis=1, ddof=1)).all()
    kept = degeneracy.on_same_galaxies(rows)
    assert all(np.array_equal(kept[key], rows[key]) for key in rows)
