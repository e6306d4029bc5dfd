"""A kept redshift estimator answers as the one that was trained, or is refused."""

import numpy as np
import pytest

from galtools import artefacts, data, redshift, simulate
from galtools.errors import GaltoolsError
from galtools.redshift import kept
from galtools.training.loop import Settings


@pytest.fixture
def trained(tmp_path):
    """Weights and files of a training on simulated pairs."""
    files = []
    for name, options in {"train": {"n": 6, "start": 0}, "valid": {"n": 4, "start": 6}}.items():
        about = {"simulation": {**options, "grid": "sdss"}, "seed": 5}
        stream = simulate.stream(**options, grid="sdss", seed=5)
        data.save(stream, tmp_path / f"{name}.h5", split=name, provenance=about)
        files.append(tmp_path / f"{name}.h5")
    weights = tmp_path / "models" / "redshift" / "SDSS" / "seed1" / "weights.safetensors"

    def maker(new):
        learn, check = ((pairs.source, pairs.redshift) for pairs in map(data.load, files))
        settings = Settings(steps=3, batch=4, checks=1, seed=1)
        noise = data.load(files[0]).noise[0, 0]
        redshift.train_ensemble(*learn, noise, *check, settings, members=1, hidden=8).save(new)

    artefacts.make(weights, maker, params={}, modules=["galtools.redshift"], inputs=files, seed=1)
    return weights, *files


def test_a_kept_estimator_predicts_as_the_trained_one(trained, tmp_path, monkeypatch):
    weights, *files = trained
    file = kept.keep(*trained, tmp_path / "kept")
    assert file == tmp_path / "kept" / "redshift" / "SDSS" / "seed1" / "weights.safetensors"
    images = data.load(files[1]).source
    found = redshift.pretrained("SDSS", 1, tmp_path / "kept").predict(images)
    assert np.array_equal(found, redshift.Ensemble.load(weights).predict(images))
    with pytest.raises(GaltoolsError, match="there: redshift SDSS seed1"):
        redshift.pretrained("CFHTLS", 1, tmp_path / "kept")
    predict = redshift.Ensemble.predict
    monkeypatch.setattr(redshift.Ensemble, "predict", lambda self, x: predict(self, x)[:, ::-1])
    with pytest.raises(GaltoolsError, match="its density of the fixed galaxy is not the one"):
        redshift.pretrained("SDSS", 1, tmp_path / "kept")
