"""A survey in shards: every galaxy once, each shard idempotent, a dead worker costs nothing."""

import os
import signal
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from astropy.table import Table
from blobs import blobs
from hypothesis import given
from hypothesis import strategies as st

from companion import shards
from companion.shards import Shard
from galtools import artefacts, data, models, redshift
from galtools.errors import GaltoolsError
from galtools.fidelity import morphology
from galtools.models import checkpoint
from galtools.surveys import CFHTLS
from galtools.training import translate
from galtools.training.crops import normalization_of
from galtools.training.loop import Settings

SIZES = (7, 4, 9)


@pytest.fixture(scope="module")
def survey(tmp_path_factory):
    """Three files of pairs, weights of an untrained diffusion model, and a redshift network."""
    folder = tmp_path_factory.mktemp("survey")
    whole, files, start = blobs(n=sum(SIZES), size=16), [], 0
    for k, size in enumerate(SIZES):
        rows = slice(start, start + size)
        part = replace(whole[rows], catalogue=Table({"id": range(start, start + size)}))
        files.append(folder / f"part{k}.h5")
        data.save(part, files[-1])
        start += size
    torch.manual_seed(0)
    network = models.build("diffusion", "cross", "tiny")
    network.scaling = normalization_of(whole)
    checkpoint.save_weights(folder / "weights.safetensors", network)
    quick, learn = Settings(steps=2, batch=4, checks=1), (whole.target, whole.redshift)
    estimator = redshift.train_ensemble(*learn, np.full(5, 0.02), *learn, quick, 1, hidden=8)
    estimator.save(folder / "redshift.safetensors")
    return folder, tuple(files), whole


@given(st.lists(st.integers(0, 9), min_size=1, max_size=5), st.integers(1, 12))
def test_every_galaxy_is_in_exactly_one_shard(lengths, count):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "describe", lambda file: {"galaxies": lengths[file]})
        files = tuple(range(len(lengths)))
        found = [
            (file, row)
            for number in range(count)
            for file, rows in Shard(files, number, count).pieces()
            for row in range(rows.start, rows.stop)
        ]
        assert found == [(file, row) for file, n in enumerate(lengths) for row in range(n)]
        sizes = [np.diff(Shard(files, k, count).bounds())[0] for k in range(count)]
        assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("count", [1, 3, 5])
def test_shards_together_are_the_whole(survey, count):
    _, files, whole = survey
    parts = [Shard(files, number, count).load() for number in range(count)]
    together = shards.join(parts)
    np.testing.assert_array_equal(together.catalogue["id"], np.arange(sum(SIZES)))
    np.testing.assert_allclose(together.source, whole.source, atol=0.01)


def test_measures_of_shards_are_those_of_the_whole_and_are_made_once(survey, tmp_path):
    folder, files, _ = survey
    weights, networks = folder / "weights.safetensors", folder / "redshift.safetensors"

    def measure(count, place):
        images, tables = [], []
        for number in range(count):
            shard = Shard(files, number, count)
            stem = place / f"{number}of{count}"
            shards.translations(stem.with_suffix(".h5"), shard, weights)
            shards.redshifts(stem.with_suffix(".z.csv"), shard, stem.with_suffix(".h5"), networks)
            images.append(translate.load_translations(stem.with_suffix(".h5")))
            tables.append(pd.read_csv(stem.with_suffix(".z.csv")))
        return np.concatenate(images), pd.concat(tables, ignore_index=True)

    one, several = measure(1, tmp_path), measure(3, tmp_path)
    np.testing.assert_allclose(several[0], one[0], rtol=1e-3, atol=1e-3)  # sums of other batches
    assert list(several[1].galaxy) == list(range(sum(SIZES)))
    np.testing.assert_allclose(several[1], one[1], rtol=1e-2, atol=1e-4)
    assert (several[1].z_low < several[1].z).all() and (several[1].z < several[1].z_high).all()
    made = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    (tmp_path / "1of3.h5").unlink()  # a shard that was lost
    measure(3, tmp_path)
    again = {path.name for path in tmp_path.iterdir() if path.stat().st_mtime_ns != made[path]}
    assert again == {"1of3.h5", "1of3.h5.manifest.json"}  # the table's input came back the same
    assert artefacts.is_whole(tmp_path / "1of3.h5")


def test_shapes_of_a_shard_carry_the_numbers_of_its_galaxies(tmp_path):
    whole, images, table = blobs(n=4, size=40), tmp_path / "1of2.h5", tmp_path / "1of2.csv"
    data.save(whole, tmp_path / "pairs.h5")
    translate.save_translations(images, 10 * whole.target[2:])
    shard = Shard((tmp_path / "pairs.h5",), 1, 2)
    with shards.workers():
        shards.shapes(table, shard, images, most=1)
    found = pd.read_csv(table)
    assert found.galaxy.tolist() == [2]
    r = 10 * whole.target[2:3, 2]
    growth = whole.target_set.pixel_scale / CFHTLS.pixel_scale
    alone = morphology.measure(
        {"row": r}, r, [growth * CFHTLS.sky_noise[2]], {"row": [CFHTLS.psf_fwhm[2]]},
        CFHTLS.pixel_scale * growth, progress=False,
    )  # fmt: skip
    np.testing.assert_allclose(found.half_light_radius, alone.half_light_radius, rtol=1e-6)
    assert found.half_light_radius.iloc[0] > 0


def test_wrong_shards_are_refused(survey):
    _, files, _ = survey
    for wrong in (Shard(files, 3, 3), Shard(files, -1, 3), Shard((), 0, 1), Shard(files, 0, 99)):
        with pytest.raises(GaltoolsError, match="is empty: count from 0"):
            wrong.load()


def test_no_scheduler_is_one_line():
    pytest.importorskip("distributed")
    with (
        pytest.raises(GaltoolsError, match="no Dask scheduler answers"),
        shards.workers("tcp:/nonsense"),
    ):
        pass


@pytest.mark.pipeline
def test_a_worker_killed_in_the_middle_costs_nothing():
    """statmorph through joblib on a Dask cluster of three processes, one of which is killed."""
    distributed = pytest.importorskip("distributed")
    images = blobs(n=10, size=40).target[:, 2] * 10
    sky, fwhm = np.full(len(images), 0.1), {"row": np.full(len(images), 0.8)}

    def measure():
        return morphology.measure({"row": images}, images, sky, fwhm, 0.396, None, progress=False)

    with shards.workers():
        alone = measure()
    killed = []

    class KillOneAtWork(distributed.SchedulerPlugin):
        """When the first piece of work is done, kill a worker that has another in hand."""

        def transition(self, key, start, finish, *args, **kwargs):
            busy = [w.address for w in cluster.scheduler.workers.values() if w.processing]
            if (start, finish) == ("processing", "memory") and busy and not killed:
                pids = {nanny.worker_address: nanny.pid for nanny in cluster.workers.values()}
                killed.append(pids[busy[0]])
                os.kill(pids[busy[0]], signal.SIGKILL)

    with distributed.LocalCluster(
        n_workers=3, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        cluster.scheduler.add_plugin(KillOneAtWork())
        with shards.workers(cluster.scheduler_address):
            together = measure()
    assert len(killed) == 1
    pd.testing.assert_frame_equal(together, alone)
    assert (alone.flag < morphology.BAD).mean() > 0.5  # and there was something to measure
