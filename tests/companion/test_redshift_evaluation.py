"""Estimators finetuned on the rows of a comparison."""

import numpy as np
import pytest
from blobs import blobs

from companion import paths, redshift_evaluation
from galtools import artefacts, data, redshift
from galtools.errors import GaltoolsError
from galtools.redshift import Grid
from galtools.training.loop import Settings


def test_rows_that_need_no_translator():
    pairs = blobs(n=3)
    assert redshift_evaluation.row_images("truth", pairs, None) is pairs.target
    assert redshift_evaluation.row_images("resample", pairs, None) is pairs.source


def saved(store, ensemble):
    """Keep an estimator as its chapter does."""
    file, inputs = store.weights("redshift", "CFHTLS"), [store.data("train"), store.data("valid")]
    artefacts.make(file, ensemble.save, params={}, modules=["galtools.redshift"], inputs=inputs)


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
    saved(store, start)
    tuned = redshift_evaluation.finetune_on_row(store, "cross", "truth", short, 100, 40)
    file = store.model("redshift", "cross_truth") / "weights.safetensors"
    made = file.stat().st_mtime_ns
    redshift_evaluation.finetune_on_row(store, "cross", "truth", short, 100, 40)
    assert file.stat().st_mtime_ns == made
    test = blobs(n=80, seed=3)
    crps = [
        redshift.crps(e.predict(test.target), test.redshift, e.grid).mean() for e in (start, tuned)
    ]
    assert crps[1] < crps[0]
    data.save(splits["valid"], store.data("train"), split="train")  # other galaxies
    with pytest.raises(GaltoolsError, match=r"another train.h5: run notebooks/16_redshift_estim"):
        redshift_evaluation.finetune_on_row(store, "cross", "truth", short, 50, 40)


def test_a_part_of_the_galaxies_is_taken_and_read_a_few_at_a_time(tmp_path, monkeypatch):
    store = paths.Results(str(tmp_path), "tiny")
    splits = {"train": blobs(n=12, seed=1), "valid": blobs(n=8, seed=2)}
    for split, pairs in splits.items():
        data.save(pairs, store.data(split), split=split)
    short = Settings(steps=3, batch=4, checks=1)
    learn, check = ((s.target, s.redshift) for s in splits.values())
    start = redshift.train_ensemble(*learn, [0.01] * 5, *check, short, 1, hidden=8, blur=1.0)
    saved(store, start)
    monkeypatch.setattr(redshift_evaluation, "CHUNK", 5)
    files = {number: tmp_path / f"{number}.safetensors" for number in (4, 11)}
    found = redshift_evaluation.finetune_cached(store, "cross", "resample", None, files, 7, short)
    sets = [
        redshift_evaluation.row_features(start, store.data(k), n, "cross", "resample")
        for k, n in (("train", 11), ("valid", 7))
    ]
    at_once = start.extract_features(splits["train"].source[:11])
    np.testing.assert_allclose(sets[0][0].photometry, at_once.photometry, atol=1e-3)
    for number, ensemble in found.items():
        some = redshift.Features(*(column[:number] for column in sets[0][0]))
        alone = start.finetune(some, sets[0][1][:number], *sets[1], short)
        np.testing.assert_allclose(ensemble.predict(check[0]), alone.predict(check[0]), rtol=1e-6)
