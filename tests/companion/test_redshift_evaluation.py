"""Judging redshift densities: calibrated by construction passes, a fifth too narrow does not."""

import numpy as np
import pytest
from astropy.table import Table
from blobs import blobs
from scipy.stats import norm

from companion import paths, redshift_evaluation
from galtools import data, redshift
from galtools.fidelity import information
from galtools.redshift import Grid
from galtools.training.loop import Settings

GRID = Grid()
N, SIGMA = 3000, 0.015
# mass in each bin of a uniform law from 0.1 to 0.3 plus a normal one
PRIOR = np.diff(norm.cdf(GRID.edges, np.linspace(0.1, 0.3, 801)[:, None], SIGMA).mean(axis=0))


def entropy(p):
    """In bits."""
    return -(p[p > 0] * np.log2(p[p > 0])).sum()


def sample(width=1.0, shift=0.0, seed=0):
    """Gaussian densities whose width is `width` times the true error; their judgement."""
    rng = np.random.default_rng(seed)
    centres = rng.uniform(0.1, 0.3, N)
    z = centres + SIGMA * rng.normal(size=N)
    density = np.diff(norm.cdf(GRID.edges, centres[:, None] + shift, width * SIGMA), axis=1)
    density = np.maximum(density, 1e-9)
    prior = np.maximum(PRIOR, 1e-12)
    return z, redshift_evaluation.redshift_quantities(
        density / density.sum(1, keepdims=True), z, GRID, prior, 0.05
    )


def values(table, column="value"):
    return table.set_index("metric")[column]


def test_scores_of_gaussian_densities():
    z, judged = sample()
    found = values(redshift_evaluation.summarise(judged, "frozen", n_boot=50))
    assert found["crps"] == pytest.approx(SIGMA / np.sqrt(np.pi), rel=0.03)
    dz = SIGMA / (1 + z)  # the scatter of galaxy k; their median deviation solves a mixture
    scatter = 1.4826 * np.median(np.abs(np.random.default_rng(9).normal(size=(400, 1)) * dz))
    assert found["sigma_mad"] == pytest.approx(scatter, rel=0.06)
    assert found["bias"] == pytest.approx(0, abs=4 * SIGMA / np.sqrt(N))
    assert found["outliers"] == pytest.approx(np.mean(2 * norm.sf(0.05 / dz)), abs=2e-3)


def test_bits_of_gaussian_densities():
    """Entropy of the prior, a smeared uniform law, less that of the errors."""
    _, judged = sample()
    expected = entropy(PRIOR) - np.log2(SIGMA * np.sqrt(2 * np.pi * np.e) / (GRID.z_max / 180))
    assert judged["bits"].mean() == pytest.approx(expected, abs=0.04)


def test_coverage_passes_when_calibrated_and_fails_a_fifth_too_narrow():
    held = {}
    for width in (1.0, 0.8):
        table = redshift_evaluation.summarise(sample(width)[1], "frozen", n_boot=200).set_index(
            "metric"
        )
        line = table.loc["coverage"]
        held[width] = line.low <= redshift.ONE_SIGMA <= line.high
        assert line.value == pytest.approx(1 - 2 * norm.sf(width), abs=0.03)
    assert held == {1.0: True, 0.8: False}


def test_coverage_is_told_apart_by_kind_of_galaxy():
    rng = np.random.default_rng(2)
    centres, red = rng.uniform(0.1, 0.3, N), np.arange(N) % 2 == 0
    z = centres + SIGMA * rng.normal(size=N)
    width = np.where(red, 1.0, 0.8)[:, None] * SIGMA
    density = np.diff(norm.cdf(GRID.edges, centres[:, None], width), axis=1)
    judged = redshift_evaluation.redshift_quantities(
        density, z, GRID, information.prior(z, GRID.edges), 0.05
    )
    catalogue = Table({"red": red, "source_r": rng.uniform(14, 17.8, N)})
    masks = redshift_evaluation.slices(centres, catalogue)
    table = redshift_evaluation.by_slice(judged, masks, ["coverage"], n_boot=200).set_index(
        "metric"
    )
    low, high = table.low, table.high
    assert low["red_coverage"] <= redshift.ONE_SIGMA <= high["red_coverage"]
    assert high["blue_coverage"] < redshift.ONE_SIGMA


def test_slices_share_out_all_galaxies():
    rng = np.random.default_rng(0)
    catalogue = Table({"red": rng.random(300) < 0.4, "source_r": rng.uniform(14, 17.8, 300)})
    estimates = rng.uniform(0, 0.3, 300)
    masks = redshift_evaluation.slices(estimates, catalogue)
    for names in (["near", "middle", "far"], ["bright", "medium", "faint"], ["red", "blue"]):
        assert (np.sum([masks[name] for name in names], axis=0) == 1).all()
    np.testing.assert_array_equal(masks["red"], catalogue["red"])
    for names, values in (
        (("near", "middle", "far"), estimates),
        (("bright", "medium", "faint"), catalogue["source_r"]),
    ):
        third = np.argsort(np.argsort(values)) // 100
        np.testing.assert_array_equal(np.stack([masks[k] for k in names]).argmax(0), third)
    assert set(redshift_evaluation.slices(np.arange(9.0), Table({"row": range(9)}))) == {
        *("near", "middle", "far")
    }


def test_scatter_over_estimator_seeds():
    members = [sample(shift=shift)[1] for shift in (-0.01, 0.0, 0.01)]
    z, judged = sample()
    table = values(
        redshift_evaluation.summarise(judged, "frozen", members, n_boot=20), "seed_scatter"
    )
    assert table["bias"] == pytest.approx(0.01 * np.mean(1 / (1 + z)), rel=0.01)
    alone = values(redshift_evaluation.summarise(judged, "frozen", n_boot=20), "seed_scatter")
    assert alone.isna().all()


def test_share_retained():
    bits = sample()[1]["bits"]
    (line,) = redshift_evaluation.retained_table(
        0.5 * bits, bits, "retrained", n_boot=50
    ).itertuples()
    assert (line.value, line.low, line.high) == pytest.approx((0.5, 0.5, 0.5))
    assert (line.band, line.metric) == ("retrained", "retained")


def test_rows_that_need_no_translator():
    pairs = blobs(n=3)
    assert redshift_evaluation.row_images("truth", pairs, None) is pairs.target
    assert redshift_evaluation.row_images("resample", pairs, None) is pairs.source


def test_retraining_is_done_once_and_helps(tmp_path):
    """The estimator learnt from the source's blurred blobs and goes on with the sharper ones."""
    store = paths.Results(str(tmp_path), "tiny")
    splits = {"train": blobs(n=150, seed=1), "valid": blobs(n=60, seed=2)}
    for split, pairs in splits.items():
        data.save(pairs, store.data(split), split=split)
    short = Settings(steps=150, batch=32, rate=5e-3, ema=0.9, checks=1)
    learn, check = ((s.source, s.redshift) for s in splits.values())
    recipe = {"hidden": 16, "grid": Grid(bins=20), "blur": 1.0}
    start = redshift.train_ensemble(*learn, [0.03] * 5, *check, short, 1, **recipe)
    start.save(store.model("redshift", "CFHTLS") / "weights.safetensors")
    tuned = redshift_evaluation.retrain(store, "cross", "truth", short, 100, 40)
    file = store.model("redshift", "cross_truth") / "weights.safetensors"
    made = file.stat().st_mtime_ns
    redshift_evaluation.retrain(store, "cross", "truth", short, 100, 40)
    assert file.stat().st_mtime_ns == made
    test = blobs(n=80, seed=3)
    crps = [
        redshift.crps(e.predict(test.target), test.redshift, e.grid).mean() for e in (start, tuned)
    ]
    assert crps[1] < crps[0]
    told = redshift_evaluation.ensemble_densities(
        {"frozen": start, "retrained": tuned}, test.target
    )
    for name, ensemble in {"frozen": start, "retrained": tuned}.items():
        for together, alone in zip(told[name], ensemble.densities(test.target), strict=True):
            np.testing.assert_array_equal(together, alone)


def test_groups_are_read_by_heads_of_their_own():
    """Blobs whose flux alone tells the redshift: light and peak know it, the shape does not."""
    pairs, test = blobs(n=200, seed=1), blobs(n=100, seed=2)
    short = Settings(steps=150, batch=32, rate=5e-3, ema=0.9, checks=1)
    sets = [(s.target, s.redshift) for s in (pairs, test, test)]
    bits = redshift_evaluation.bits_by_feature_group(
        *sets, pairs.noise[0, 1], short, hidden=16, grid=Grid(bins=40)
    )
    assert list(bits) == information.subsets(redshift.GROUPS)
    mean = {groups: float(values.mean()) for groups, values in bits.items()}
    assert mean["light",] > 1
    assert mean["shape",] < 0.3


def test_measuring_once_changes_no_network():
    """The ensemble of each choice is, number by number, the one that is trained on it alone."""
    learn, check, test = (
        (s.target, s.redshift) for s in (blobs(n=k, seed=k) for k in (80, 40, 30))
    )
    short = Settings(steps=5, batch=16, checks=1)
    recipe = {"hidden": 8, "grid": Grid(bins=20), "width": 2}
    choices = information.subsets(redshift.GROUPS)
    found, grid = redshift.densities_by_feature_group(
        choices, learn, check, test[0], [0.03] * 5, short, 2, **recipe
    )
    for groups in (("peak",), ("light", "shape")):
        alone = redshift.train_ensemble(
            *learn, [0.03] * 5, *check, short, 2, groups=groups, **recipe
        )
        np.testing.assert_allclose(found[groups], alone.predict(test[0]), rtol=1e-5)
    assert grid == alone.grid
