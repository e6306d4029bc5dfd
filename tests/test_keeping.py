"""What chapter 36 measures, on galaxies and estimates whose answer is known."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from blobs import blobs

from galtools import data, keeping, models, redshift, train
from galtools.errors import GaltoolsError
from galtools.fidelity import intervals
from galtools.translate import translate

RNG = np.random.default_rng(0)


def test_scatter_and_share_of_scaled_errors():
    dz = RNG.normal(size=200)
    ratio = keeping.scatter_ratio(1.2 * dz, dz, 50)
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((1.2, 1.2, 1.2))
    share = keeping.share(0.9 * dz**2, dz**2, 50)
    assert (share.value, share.low, share.high) == pytest.approx((0.9, 0.9, 0.9))


def test_the_price_of_a_known_change():
    """A tenth more light in a circle that was right, and residuals twice as large."""
    pairs = blobs(n=20, size=32)
    noise = RNG.normal(0, 0.01, pairs.target.shape).astype(np.float32)
    plain = pairs.target + noise
    same = keeping.price(pairs, plain, plain, 0.4, 20)
    assert [same[name].value for name in ("chi", "flux", "blur")] == [1, 0, 0]
    assert keeping.price(pairs, plain, pairs.target + 2 * noise, 0.4, 20)["chi"].value == (
        pytest.approx(2, rel=1e-4)
    )
    brighter = keeping.price(pairs, pairs.target, 1.1 * pairs.target, 0.4, 20)
    assert brighter["flux"].value == pytest.approx(0.1, rel=1e-3)
    assert np.isnan(brighter["chi"].value)  # against a perfect image nothing can be told


def test_shapes_of_a_copy_are_right_and_those_of_a_wider_image_larger():
    truth = blobs(n=10, size=32).target
    wider = blobs(n=10, size=32).source
    found = keeping.shape_table({"truth": truth, "copy": truth, "wider": wider}, [0.01] * 5, 20)
    keyed = found.set_index(["row", "metric"]).value
    assert (keyed["copy"] == 0).all()
    assert keyed["wider", "size_bias"] > 0.1


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A keeper around a network that copies its input, too faint in every band by a tenth."""
    pairs, path = blobs(n=40, size=32), tmp_path_factory.mktemp("keeper") / "weights.safetensors"
    torch.manual_seed(0)
    network = models.build("keeper", "cross", "tiny")
    network.scaling = train.scaling_of(pairs)
    network.prepare(pairs)
    train.save_weights(path, network)
    return SimpleNamespace(path=path, pairs=pairs)


def test_others_are_held_against_the_source_and_have_to_be_there(tmp_path):
    lines = [("swin", "retained", 0.8), ("swin", "sigma_mad", 0.3), ("srgan", "retained", 0.7)]
    table = pd.DataFrame(lines, columns=["row", "metric", "value"]).assign(low=0.0, high=1.0)
    table.to_csv(tmp_path / "redshift.csv", index=False)
    dz = np.array([-0.1, 0.0, 0.1])
    bench, sigma = SimpleNamespace(source={"dz": dz}), intervals.mad_scatter(dz)
    found = keeping.Bench.others(bench, tmp_path / "redshift.csv", ["swin"])
    assert list(found.metric) == ["retained", "ratio"]
    assert list(found.value) == pytest.approx([0.8, 0.3 / sigma])
    with pytest.raises(GaltoolsError, match="has no capsule: run its chapter with capsule, too"):
        keeping.Bench.others(bench, tmp_path / "redshift.csv", ["swin", "capsule"])


def test_the_rule_mends_what_others_drew(weights):
    pairs = weights.pairs
    put = keeping.ruled(weights.path, pairs.source, 0.9 * pairs.target)
    before, after = (abs(np.median(x.sum((2, 3)) / pairs.target.sum((2, 3))) - 1)
                     for x in (0.9 * pairs.target, put))  # fmt: skip
    assert before == pytest.approx(0.1, rel=1e-3)
    assert after < 0.02


def test_less_of_the_rule_mends_less(weights):
    pairs = weights.pairs
    plain = 0.9 * pairs.target
    changes = {
        "alone": {"rounds": 0},
        "one": {"circles": (0.2,)},
        "few": {"galaxies": 3},
        "all": {},
    }
    found = keeping.ablation(weights.path, pairs, pairs.source, plain, changes)
    assert np.array_equal(found["alone"], plain)
    assert np.allclose(found["all"], keeping.ruled(weights.path, pairs.source, plain))
    gain = found["one"][:, :, 16, 16] / plain[:, :, 16, 16]
    corner = found["one"][:, :, 2, 9] / plain[:, :, 2, 9]
    assert np.allclose(gain, corner, rtol=1e-4)  # one circle has one gain
    assert not np.allclose(found["few"], found["all"])


def test_translations_are_read_a_few_at_a_time(weights, tmp_path, monkeypatch):
    """What an estimator sees of them, put together, is what it sees of all at once."""
    monkeypatch.setattr(keeping, "FEW", 16)
    file, reader = tmp_path / "pairs.h5", redshift.Ensemble([redshift.RedshiftNetwork(5, hidden=8)])
    data.save(weights.pairs, file)
    parts = list(keeping.translated(weights.path, file, 36))
    assert [len(part) for part in parts] == [16, 16, 4]
    whole = reader.see(translate(weights.path, data.load(file, slice(36)).source))
    seen = [torch.cat(column) for column in zip(*map(reader.see, parts), strict=True)]
    for one, other in zip(seen, whole, strict=True):
        torch.testing.assert_close(one, other)
    untouched = np.concatenate(list(keeping.translated(None, file, 36)))
    np.testing.assert_array_equal(untouched, data.load(file, slice(36)).source)
