"""Estimators of the rows of a comparison: a lossless copy keeps all, a lossy one what it should."""

import numpy as np
import pandas as pd
import pytest
from astropy.table import Table
from blobs import blobs, make_pairs

from companion import paths, redshift_evaluation
from companion.redshift_evaluation import Recipe
from galtools import artefacts, data
from galtools.errors import GaltoolsError
from galtools.fidelity import intervals
from galtools.redshift import Grid

SCATTER = 0.04  # of redshifts about 0.2
NOISE = 0.4  # of the magnitude of a band, in units of the change by one SCATTER of redshift
RECIPE = Recipe(learn=1500, check=400, steps=500, batch=64, hidden=64, rate=0.005)


def known_world(n: int, seed: int):
    """Images in which each of two bands tells ln(F) = (z - 0.2) / SCATTER + noise, and no other.

    The target lacks the second of them. Both add up to a measurement of half the variance, so that
    normal redshifts are known to 1/2 log2(1 + 2 / NOISE^2) bits from the source and to
    1/2 log2(1 + 1 / NOISE^2) bits from the target.
    """
    rng = np.random.default_rng(seed)
    t = np.clip(rng.standard_normal(n), -4, 4)
    flux = np.full((n, 5), 1000.0)
    for band in (0, 4):
        flux[:, band] *= np.exp(0.3 * (t + NOISE * rng.standard_normal(n)))
    y, x = np.mgrid[:16, :16] - 7.5
    profile = np.exp(-(x**2 + y**2) / 8) / (8 * np.pi)
    source = flux[:, :, None, None] * profile
    source = (source + rng.normal(0, 0.01, source.shape)).astype(np.float32)
    target = source.copy()
    target[:, 4] = target[:, 2]
    noise = np.full((n, 2, 5), 0.01, np.float32)
    redshift = np.float32(0.2 + SCATTER * t)
    return make_pairs(source, target, redshift, Table({"row": np.arange(n)}), noise)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    store = paths.Results(str(tmp_path_factory.mktemp("world")), "tiny")
    for split, n in {"train": 1500, "valid": 400}.items():
        data.save(known_world(n, n), store.data(split), split=split)
    test = known_world(1500, 7)
    prior, images = redshift_evaluation.prior_of(store), {"truth": test.target}
    images |= dict.fromkeys(("source", "copy"), test.source)
    judged = {}
    for row, shown in images.items():
        ensemble = redshift_evaluation.train_on_row(store, "cross", row, RECIPE)
        judged[row] = redshift_evaluation.measure_members(ensemble, shown, test.redshift, prior)
    return store, judged


@pytest.mark.slow
def test_a_copy_keeps_all_and_a_lossy_one_what_it_should(world):
    judged = world[1]
    bits = {row: whole["bits"][:, 0] for row, (whole, *_) in judged.items()}
    error = redshift_evaluation.seed_error(judged)
    assert 0 < error < 0.05
    share = {
        row: redshift_evaluation.information_ratio(values, bits["source"], error)
        for row, values in bits.items()
    }
    assert share["copy"].low < 1 < share["copy"].high
    assert share["copy"].high - share["copy"].low < 0.1
    full, less = (0.5 * np.log2(1 + k / NOISE**2) for k in (2, 1))
    assert bits["source"].mean() == pytest.approx(full, rel=0.06)
    assert share["truth"].low - 0.01 < less / full < share["truth"].high + 0.01
    lost = redshift_evaluation.difference(bits["source"], bits["truth"], error)
    assert lost.low - 0.03 < full - less < lost.high + 0.03


@pytest.mark.slow
def test_training_is_done_once_and_from_galaxies_at_hand(world):
    store = world[0]
    file = redshift_evaluation.row_file(store, "cross", "truth")
    made = file.stat().st_mtime_ns
    redshift_evaluation.train_on_row(store, "cross", "truth", RECIPE)
    assert file.stat().st_mtime_ns == made
    assert redshift_evaluation.recipe_of(store) == RECIPE
    assert redshift_evaluation.load_row(store, "cross", "again").grid == Grid()
    with pytest.raises(GaltoolsError, match="run notebooks/24_redshift"):
        redshift_evaluation.load_row(store, "cross", "swin")


def test_rows_of_the_source_are_shared_between_tasks(tmp_path):
    store = paths.Results(str(tmp_path), "tiny")
    names = {
        (task, row): redshift_evaluation.row_file(store, task, row, 3, 4).parent.parent.name
        for task in ("cross", "intra")
        for row in ("source", "copy", "truth", "again", "swin")
    }
    assert (
        names["intra", "truth"] == names["intra", "again"] == names["cross", "source"] == "source"
    )
    assert names["cross", "again"] == names["cross", "truth"] == "cross_truth"
    assert names["intra", "swin"] == "intra_swin_seed4" and names["intra", "copy"] == "copy"


def test_rows_that_need_no_translator():
    pairs = blobs(n=3)
    assert redshift_evaluation.row_images("truth", pairs) is pairs.target
    assert redshift_evaluation.row_images("copy", pairs) is pairs.source
    assert redshift_evaluation.row_images("resample", pairs) is pairs.source


def test_pixels_alone_are_read_by_an_estimator_with_convolutions(tmp_path):
    store = paths.Results(str(tmp_path), "tiny")
    for k, split in enumerate(("train", "valid")):
        data.save(blobs(n=20, seed=k), store.data(split), split=split)
    recipe = Recipe(learn=20, check=20, steps=3, batch=4, width=4)
    found = redshift_evaluation.train_on_row(store, "cross", "truth", recipe)
    assert not redshift_evaluation.row_file(store, "cross", "truth").exists()
    images = blobs(n=3, seed=5).target
    assert found.extract_features(images).photometry.shape == (3, 0)
    assert found.predict(images).sum(axis=1) == pytest.approx(1)


def test_galaxies_are_read_a_few_at_a_time(tmp_path, monkeypatch):
    files = [tmp_path / f"{name}.h5" for name in ("train", "valid")]
    for k, file in enumerate(files):
        data.save(blobs(n=12, seed=k), file)
    recipe, shown = Recipe(learn=11, check=7, steps=3, batch=4), blobs(n=4, seed=9).source
    whole = redshift_evaluation.train_estimator(files, "cross", "resample", recipe)
    monkeypatch.setattr(redshift_evaluation, "CHUNK", 12)
    same = redshift_evaluation.train_estimator(files, "cross", "resample", recipe)
    np.testing.assert_allclose(same.predict(shown), whole.predict(shown), rtol=1e-5)
    within = redshift_evaluation.train_estimator(files, "cross", "resample", recipe, core=99)
    target = redshift_evaluation.train_estimator(files, "cross", "truth", recipe)
    np.testing.assert_allclose(within.predict(shown), target.predict(shown), rtol=1e-5)
    monkeypatch.setattr(redshift_evaluation, "CHUNK", 5)  # the noise is that of the first five
    parts = redshift_evaluation.train_estimator(files, "cross", "resample", recipe)
    np.testing.assert_allclose(parts.predict(shown), whole.predict(shown), rtol=1e-3)


def test_the_error_of_seeds_is_pooled_over_rows():
    rng = np.random.default_rng(0)
    judged = {
        row: [None, *({"bits": np.full((9, 1), x)} for x in rng.normal(2, 0.1, 4))]
        for row in range(2000)
    }
    assert redshift_evaluation.seed_error(judged) == pytest.approx(0.1 / 2, rel=0.03)
    assert np.isnan(redshift_evaluation.seed_error({"a": [None, {"bits": np.ones(3)}]}))


def test_shares_and_scatters_of_scaled_quantities():
    known = np.random.default_rng(0).uniform(1, 3, 200)
    found = redshift_evaluation.information_ratio(0.75 * known, known, 0.0)
    assert (found.value, found.low, found.high) == pytest.approx((0.75, 0.75, 0.75))
    wide = redshift_evaluation.information_ratio(0.75 * known, known, 0.04)
    assert wide.high - 0.75 == pytest.approx(intervals.Z * 0.04 * 1.25 / known.mean())
    ratio = redshift_evaluation.scatter_ratio(1.2 * known, known, 50)
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((1.2, 1.2, 1.2))


def test_weights_that_learnt_from_other_galaxies_are_refused(tmp_path):
    store = paths.Results(str(tmp_path), "tiny")
    for k, split in enumerate(("train", "valid")):
        data.save(blobs(n=4, seed=k), store.data(split), split=split)
    weights = store.weights("cross", "swin")
    make = {"params": {}, "modules": ["galtools.errors"], "inputs": [store.data("valid")]}
    artefacts.make(weights, lambda new: new.write_text("x") and None, **make)
    with pytest.raises(GaltoolsError, match=r"train.h5.*run the notebook that trains it again"):
        redshift_evaluation.train_on_row(store, "cross", "swin", Recipe())


def test_two_judges_disagree_where_their_difference_leaves_out_zero(tmp_path, monkeypatch):
    monkeypatch.setattr(redshift_evaluation.paths, "REFERENCE", tmp_path)
    shares = {
        ("retrained", row): intervals.Estimate(0.8, 0.77, 0.83, 99) for row in ("swin", "copy")
    }
    assert redshift_evaluation.compare_judges(shares, "cross").empty
    rows = {"swin": 0.7, "copy": 0.82, "srgan": 0.5}
    table = pd.DataFrame(
        {"metric": "retained", "band": "retrained", "row": row, "value": x, "low": x - 0.04,
         "high": x + 0.04, "n": 99} for row, x in rows.items()
    )  # fmt: skip
    artefacts.make(
        redshift_evaluation.pixels_table("cross"),
        lambda new: table.to_csv(new, index=False),
        params={},
        modules=["galtools.errors"],
    )
    found = redshift_evaluation.compare_judges(shares, "cross")
    assert found.disagree.to_dict() == {"swin": True, "copy": False}


def test_shares_of_an_earlier_version_are_as_kept():
    found = redshift_evaluation.finetuned_shares()
    assert found.keys() == {"best", "worst", "floor"}
    assert float(found["worst"].split()[0]) < float(found["best"].split()[0])


@pytest.mark.slow
def test_the_mean_density_of_samples_has_at_least_their_mean_bits(world):
    store, judged = world
    test, prior = known_world(1500, 7), redshift_evaluation.prior_of(store)
    ensemble = redshift_evaluation.train_on_row(store, "cross", "source", RECIPE)
    other = test.source[:, :, ::-1].copy()  # another possible image of the same galaxy

    def bits(*samples):
        return redshift_evaluation.bits_of_samples(ensemble, samples, test.redshift, prior)

    alone, known = bits(test.source), judged["source"][0]["bits"][:, 0]
    np.testing.assert_allclose(alone, [known, known])
    np.testing.assert_allclose(bits(test.source, test.source), alone)
    one, mean = bits(test.source, other)
    np.testing.assert_allclose(one, (alone[0] + bits(other)[0]) / 2)
    assert (mean >= one - 1e-6).all() and (mean > one + 1e-6).any()
