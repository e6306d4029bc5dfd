"""The loop resumes exactly, refuses what is wrong and keeps what is good."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from blobs import blobs

from galtools import data, models
from galtools.data import photometry
from galtools.errors import GaltoolsError
from galtools.models import checkpoint
from galtools.models.base import Batch, OptimizerGroup
from galtools.training import loop, train
from galtools.training.crops import Crops, normalization_of
from galtools.training.train import Settings

SHORT = Settings(steps=6, batch=4, crop=8, checks=2)


def fresh(name="residual", seed=0, **changes):
    torch.manual_seed(seed)
    return models.build(name, "cross", "tiny", **changes)


def same(one, two):
    other = two.state_dict()
    return all(torch.equal(value, other[name]) for name, value in one.state_dict().items())


def test_same_seed_same_bits_and_other_seed_other_bits():
    pairs = blobs()
    networks = [fresh() for _ in range(3)]
    for network, seed in zip(networks, (0, 0, 1), strict=True):
        train.train(network, pairs, pairs, Settings(**{**vars(SHORT), "seed": seed}))
    assert same(networks[0], networks[1])
    assert not same(networks[0], networks[2])


STOPS = [("residual", 2), ("residual", 3), *((name, 5) for name in models.names())]


@pytest.mark.parametrize(("name", "stop"), STOPS)
def test_resume_equals_uninterrupted(tmp_path, name, stop, monkeypatch):
    monkeypatch.setattr(loop, "SAVE_SECONDS", 0.0)
    pairs, straight = blobs(), fresh(name)
    history = train.train(straight, pairs, pairs, SHORT)
    training_step = loop.Trainer.training_step

    def killed(self, make_batch):
        if self.step == stop:
            raise KeyboardInterrupt
        return training_step(self, make_batch)

    monkeypatch.setattr(loop.Trainer, "training_step", killed)
    with pytest.raises(KeyboardInterrupt):
        train.train(fresh(name), pairs, pairs, SHORT, folder=tmp_path, key="a")
    monkeypatch.setattr(loop.Trainer, "training_step", training_step)
    about = checkpoint.load(tmp_path / "checkpoint.safetensors")[1]
    assert about["step"] == stop
    again = fresh(name, seed=99)  # its own weights must not matter
    resumed = train.train(again, pairs, pairs, SHORT, folder=tmp_path, key="a")
    assert same(straight, again)
    clock = {"seconds": 0}
    assert [row | clock for row in history] == [row | clock for row in resumed]
    assert resumed[-1]["seconds"] >= round(about["seconds"], 2)  # those before are not forgotten


def test_snapshots_are_the_averaged_weights_at_every_validation(tmp_path):
    pairs, network = blobs(), fresh()
    settings = replace(SHORT, snapshots=True)
    history = train.train(network, pairs, pairs, settings, folder=tmp_path)
    files = [tmp_path / f"snapshot{row['step']}.safetensors" for row in history]
    assert sorted(tmp_path.glob("snapshot*")) == sorted(files)
    kept = [checkpoint.load(file) for file in files]
    assert [about for _, about in kept] == history
    assert all(torch.equal(kept[-1][0][k], v) for k, v in network.state_dict().items())
    assert any(not torch.equal(kept[0][0][k], v) for k, v in network.state_dict().items())


def test_a_checkpoint_of_another_training_is_not_taken_up(tmp_path):
    pairs, straight, again = blobs(), fresh(), fresh()
    train.train(fresh(seed=5), pairs, pairs, SHORT, folder=tmp_path, key="a")
    train.train(straight, pairs, pairs, SHORT)
    train.train(again, pairs, pairs, SHORT, folder=tmp_path, key="b")
    assert same(straight, again)


def test_the_key_of_a_checkpoint_holds_the_code_and_both_files(tmp_path, monkeypatch):
    keys, files = [], [tmp_path / f"{name}.h5" for name in "abc"]
    for file, seed in zip(files, (0, 0, 1), strict=True):
        data.save(blobs(seed=seed), file)

    def interrupted(*what):
        keys.append(what[-1])
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "train_and_save", interrupted)
    build = {"name": "residual", "task": "cross", "profile": "tiny"}

    def key(training, validation):
        with pytest.raises(KeyboardInterrupt):
            train.train_cached(tmp_path / "model", build, SHORT, training, validation)
        return keys[-1]

    a, b, c = files
    assert key(a, a) == key(b, b)
    assert len({key(a, a), key(a, c), key(c, a)}) == 3
    first = key(a, a)
    monkeypatch.setattr(train, "module_digests", lambda names: {name: "edited" for name in names})
    assert key(a, a) != first


def test_divergence_is_caught_and_the_last_good_weights_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "SAVE_SECONDS", 0.0)
    network = fresh()
    sampler = Crops(blobs(), normalization_of(blobs()), 4, 8)

    def draw(generator, progress):
        batch = sampler(generator, progress)
        if progress > 0.5:
            batch.target = batch.target * math.nan
        return batch

    with pytest.raises(GaltoolsError, match=r"diverged at step 5 .*nan.*learning rate"):
        loop.fit(network, draw, SHORT, folder=tmp_path)
    tensors, about = checkpoint.load(tmp_path / "checkpoint.safetensors")
    assert about["step"] == 4
    assert all(torch.isfinite(v).all() for v in checkpoint.flatten(tensors).values())


def test_learning_rate_rises_then_falls_to_zero():
    settings = Settings(steps=100, rate=1.0, warmup=0.1)
    rates = [settings.learning_rate(step / 100) for step in range(101)]
    assert rates[0] == pytest.approx(0.01)
    assert rates[4] == pytest.approx(0.41)
    assert rates[10] == 1.0
    assert rates[55] == pytest.approx(0.5)
    assert rates[100] == pytest.approx(0, abs=1e-12)


def test_a_group_has_its_own_learning_rate():
    network = fresh("srgan", start=0.0, critic_lr_scale=0.25)
    settings = Settings(steps=10, batch=2, crop=8)
    trainer = loop.Trainer(network, settings, "cpu")
    trainer.training_step(Crops(blobs(), normalization_of(blobs()), 2, 8))
    rates = {name: o.param_groups[0]["lr"] for name, o in trainer.optimizers.items()}
    assert rates["generator"] == settings.learning_rate(0)
    assert rates["critic"] == 0.25 * settings.learning_rate(0)


class Relay(torch.nn.Module):
    """Two numbers, of which one learns early and the other late; notes when."""

    def __init__(self):
        super().__init__()
        self.first, self.last = (torch.nn.Parameter(torch.ones(1)) for _ in range(2))

    def optimizer_groups(self):
        return {
            "early": OptimizerGroup(
                [self.first], lambda batch: {"size": self.first.abs().sum()}, 0.0, 0.4
            ),
            "late": OptimizerGroup(
                [self.last], lambda batch: {"size": self.last.abs().sum()}, 0.6, 1.0
            ),
        }


def test_groups_begin_and_end_and_have_a_schedule_each():
    """Of 20 steps the first eight and the last eight; a rate that rises and falls in between."""
    settings = Settings(steps=20, warmup=0.2)
    trainer = loop.Trainer(Relay(), settings, "cpu")
    rates = {"early": {}, "late": {}}
    for step in range(20):
        before = {name: g.parameters[0].item() for name, g in trainer.groups.items()}
        trainer.training_step(
            lambda generator, progress: Batch(*[torch.ones(2)] * 2, abs, abs, progress, generator)
        )
        for name, group in trainer.groups.items():
            if group.parameters[0].item() != before[name]:
                rates[name][step] = trainer.optimizers[name].param_groups[0]["lr"]
    assert list(rates["early"]) == list(range(8))
    assert list(rates["late"]) == list(range(12, 20))
    for name in rates:
        found = list(rates[name].values())
        assert found == pytest.approx([settings.learning_rate(k / 8) for k in range(8)])


@pytest.mark.parametrize("name", ["steps", "batch", "checks", "rate", "crop"])
def test_settings_that_could_not_train_are_refused(name):
    with pytest.raises(GaltoolsError, match="must be positive"):
        Settings(**{name: -1})


def test_validations_are_spread_evenly_and_end_at_the_end():
    settings = Settings(steps=10, checks=3)
    assert [k + 1 for k in range(10) if settings.is_check(k)] == [4, 7, 10]


def test_moving_average_of_weights_by_hand():
    network, average = (torch.nn.Linear(1, 1, bias=False) for _ in range(2))
    network.weight.data.fill_(3.0)
    average.weight.data.fill_(1.0)
    loop.update_average(average, network, 0.5, 0)  # decay min(.5, 1/10): 1 + .9 (3 - 1)
    assert average.weight.item() == pytest.approx(2.8)
    loop.update_average(average, network, 0.5, 1000)  # decay .5
    assert average.weight.item() == pytest.approx(2.9)
    assert network.weight.item() == 3.0


def test_averaged_weights_are_validated_and_left():
    network, seen = fresh(), []

    def check(averaged):
        seen.append((averaged.training, averaged.head.bias.clone()))
        return {}

    crops = Crops(blobs(), normalization_of(blobs()), 4, 8)
    loop.fit(network, crops, Settings(steps=3, checks=1), check=check)
    assert not seen[0][0] and torch.equal(network.head.bias, seen[0][1])


def test_crops_are_the_same_window_of_both_images_in_all_orientations():
    pairs = blobs(n=2, size=8, bands=1)
    grid = np.arange(64, dtype=np.float32).reshape(8, 8)
    pairs.source[:, 0], pairs.target[:, 0] = grid, grid + 1000
    scaling = normalization_of(pairs, kind="linear")
    sampler = Crops(pairs, scaling, 256, 4)
    batch = sampler(loop.step_rng(0, 0, "cpu"), 0.0)
    source = scaling.source.inverse(batch.source).round().int()[:, 0]
    target = batch.flux(batch.target).round().int()[:, 0]
    assert torch.equal(target, source + 1000)
    slopes = {(int(s[0, 1] - s[0, 0]), int(s[1, 0] - s[0, 0])) for s in source}
    assert slopes == {(a, b) for p, q in ((1, 8), (8, 1)) for a in (p, -p) for b in (q, -q)}
    assert {int(s.min()) for s in source} == {8 * r + c for r in range(5) for c in range(5)}


def test_judge_finds_a_known_bias_scatter_and_noise():
    rng = np.random.default_rng(0)
    target = np.zeros((4001, 2, 8, 8), np.float32)
    target[:, :, 4, 4] = 1.0
    factor = 1 + rng.normal(0.1, 0.05, (4001, 1, 1, 1)).astype(np.float32)
    numbers = train.validation_metrics(target * factor, target, np.ones((4001, 2), np.float32))
    assert numbers["bias_0"] == pytest.approx(0.1, abs=0.003)
    assert numbers["scatter_1"] == pytest.approx(0.05, rel=0.05)
    assert numbers["chi"] == pytest.approx(np.sqrt((0.1**2 + 0.05**2) / 64), rel=0.02)


def test_a_common_error_of_all_fluxes_is_no_error_of_colour():
    rng = np.random.default_rng(0)
    target = np.ones((4001, 3, 4, 4), np.float32)
    common = 1 + rng.normal(0, 0.1, (4001, 1, 1, 1)).astype(np.float32)
    own = 1 + 0.02 * rng.normal(0, 1, (4001, 3, 1, 1)).astype(np.float32)
    numbers = train.validation_metrics(target * common * own, target, np.ones((4001, 3)))
    assert numbers["scatter"] == pytest.approx(np.hypot(0.1, 0.02), rel=0.05)
    assert numbers["colour"] == pytest.approx(0.02 * np.sqrt(2), rel=0.05)


@pytest.mark.parametrize("name", ["residual", "swin", "srgan", "capsule"])
def test_networks_in_bfloat16_have_losses_in_float32_and_nearly_the_same(name):
    torch.manual_seed(0)
    network = fresh(name)
    batch = Crops(blobs(), normalization_of(blobs()), 8, 16)(loop.step_rng(0, 0, "cpu"), 0.9)
    for group in network.optimizer_groups().values():
        exact = group.losses(batch)
        with torch.autocast("cpu", torch.bfloat16):
            rough = group.losses(batch)
        assert all(value.dtype == torch.float32 for value in rough.values())
        for term in exact:
            assert rough[term].item() == pytest.approx(exact[term].item(), rel=0.03, abs=0.003)


def test_precision_is_that_of_the_settings_or_what_the_device_is_fast_in(monkeypatch):
    used = [loop.used_precision(name, "cpu") for name in ("float32", "bfloat16")]
    assert used == ["float32", "bfloat16"]
    for features, expected in (
        ({"avx512_bf16": True}, "bfloat16"), ({"amx_bf16": True}, "bfloat16"), ({}, "float32"),
    ):  # fmt: skip
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda found=features: found)
        assert loop.used_precision("auto", "cpu") == expected
    with pytest.raises(GaltoolsError, match="unknown precision 'half'"):
        Settings(precision="half")


def test_fluxes_are_judged_in_the_central_box_alone():
    """Of 16 pixels along a side, the box holds the 8 in the middle."""
    target = np.ones((3, 2, 16, 16), np.float32)
    assert (photometry.central_flux(target) == 64).all()
    outside = target.copy()
    outside[:, :, :4], outside[:, :, 12:] = 5, 5
    outside[..., :4], outside[..., 12:] = 5, 5
    numbers = train.validation_metrics(outside, target, np.full((3, 2), 2.0, np.float32))
    assert (numbers["bias"], numbers["scatter"]) == (0, 0)
    assert numbers["chi"] == pytest.approx(np.sqrt(192 / 256 * (4 / 2) ** 2))
    inside = target.copy()
    inside[1:, :, 4, 4], inside[:, 1, 11, 11] = 33, 17  # half as much again, a quarter
    numbers = train.validation_metrics(inside, target, np.ones((3, 2), np.float32))
    assert (numbers["bias_0"], numbers["bias_1"]) == pytest.approx((0.5, 0.75))
    assert numbers["bias"] == pytest.approx(0.625)


def test_bad_data_are_refused_in_one_line():
    def attempt(message, source=None, target=None):
        pairs = blobs()
        vars(pairs.source_set).update(source or {})
        vars(pairs.target_set).update(target or {})
        with pytest.raises(GaltoolsError, match=message) as caught:
            train.train(fresh(), pairs, blobs(), SHORT)
        assert "\n" not in str(caught.value)

    good = blobs()
    holed = good.source.copy()
    holed[3, 0, 0, 0] = np.nan
    attempt("NaN or infinite pixels, first in image 3", {"images": holed})
    attempt("must be float32", {"images": good.source.astype(np.float64)})
    attempt(r"data have bands \(3, 5\)", {"images": good.source[:, :3]})
    attempt("source has 12 galaxies", target={"images": good.target[:5]})
    for wrong in (0, -1, np.nan, np.inf):
        noise = good.target_set.noise.copy()
        noise[-1, 2] = wrong
        attempt("noise must be positive", target={"noise": noise})
    small = {"images": good.source[..., :4, :4]}
    attempt("crop 8 is larger", small, small)


def test_once_trains_once_and_reports_beside_the_weights(tmp_path):
    files = [tmp_path / "train.h5", tmp_path / "valid.h5"]
    for file in files:
        data.save(blobs(), file)
    build = {"name": "residual", "task": "cross", "profile": "tiny"}
    arguments = (tmp_path / "seed0", build, SHORT, *files)
    made = train.train_cached(*arguments)
    assert train.train_cached(*arguments) == made
    metrics = json.loads((tmp_path / "seed0" / "metrics.json").read_text())
    assert metrics["step"] == 6 and metrics["parameters"] > 1000
    assert made["extra"]["precision"] == loop.used_precision("auto", loop.best_device())
    rows = (tmp_path / "seed0" / "history.csv").read_text().splitlines()
    assert rows[0].startswith("step,seconds,translator_pixel") and len(rows) == 3
    assert not (tmp_path / "seed0" / "checkpoint.safetensors").exists()
    (tmp_path / "seed0" / "history.csv").unlink()
    train.train_cached(*arguments)
    assert (tmp_path / "seed0" / "history.csv").exists()


def test_only_the_code_of_the_training_and_of_the_model_counts():
    from galtools.artefacts import module_digests

    modules = set(module_digests(models.modules("residual")))
    assert {"galtools.training.train", "galtools.training.loop", "galtools.data.stretch"} <= modules
    assert "galtools.models.residual" in modules
    assert not modules & {"companion.plotting", "galtools.models.swin"}
