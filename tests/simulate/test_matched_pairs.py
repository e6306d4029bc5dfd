"""Galaxies own their random numbers; observations are independent; the noise is what it says."""

import os
import signal
import subprocess
import sys
from multiprocessing import Value

import numpy as np
import pytest

from galtools import simulate
from galtools.errors import GaltoolsError
from galtools.simulate import matched_pairs, population
from galtools.surveys import CFHTLS, SDSS


@pytest.fixture(scope="module")
def sample():
    return simulate.pairs(24, seed=4)


def same(a, b):
    names = ("source", "target", "redshift", "noise")
    tables = all(np.array_equal(a.catalogue[c], b.catalogue[c]) for c in b.catalogue.colnames)
    return tables and all(np.array_equal(getattr(a, n), getattr(b, n)) for n in names)


@pytest.mark.parametrize(("start", "n"), [(0, 1), (3, 7), (8, 8), (15, 9)])
def test_a_galaxy_is_the_same_whatever_else_is_drawn(sample, start, n):
    assert same(simulate.pairs(n, seed=4, start=start), sample[start : start + n])


@pytest.mark.pipeline
def test_a_galaxy_is_the_same_with_two_workers(sample):
    assert same(simulate.pairs(15, seed=4, start=5, workers=2), sample[5:20])


def test_stream_is_in_order_and_complete(sample):
    parts = list(simulate.stream(13, seed=4, start=6))
    assert [len(part) for part in parts] == [2, 8, 3]
    assert same(matched_pairs.join(parts), sample[6:19])
    assert list(simulate.stream(0)) == []


def test_native_shapes_and_units(sample):
    assert sample.source.shape == (24, 5, 64, 64)
    assert sample.target.shape == (24, 5, 136, 136)
    assert sample.source.dtype == sample.target.dtype == sample.redshift.dtype == np.float32
    assert np.isfinite(sample.source).all() and np.isfinite(sample.target).all()


def test_both_surveys_hold_the_light_that_the_catalogue_tells(sample):
    """Flux within 4 arcsec of small galaxies against their true magnitudes: what is missing lies
    in the wings, what is too much in neighbours."""
    small = sample.catalogue["half_light_radius"] < 2
    for side, images, survey in (
        ("source", sample.source, SDSS),
        ("target", sample.target, CFHTLS),
    ):
        place = (np.arange(survey.stamp) - (survey.stamp - 1) / 2) * survey.pixel_scale
        inside = np.hypot(place[:, None], place) < 5
        flux = np.sum(images[small, 2] * inside, axis=(1, 2))
        true = 10 ** (0.4 * (22.5 - sample.catalogue[f"{side}_r"][small]))
        assert 0.8 < np.median(flux / true) < 1.02


def test_observations_share_the_galaxy_and_nothing_else(sample):
    again = simulate.pairs(8, seed=4, observation=1)
    once = sample[:8]
    for name in ("redshift", "half_light_radius", "morphology", "source_r", "target_u"):
        assert np.array_equal(again.catalogue[name], once.catalogue[name])
    for name in ("source_fwhm_r", "target_shift_x", "source_calibration_g"):
        assert not np.any(again.catalogue[name] == once.catalogue[name])
    corner = (slice(None), slice(None), slice(0, 12), slice(0, 12))
    noises = [p.source[corner] / p.noise[:, 0, :, None, None] for p in (again, once)]
    blank = np.abs(noises).max(axis=0) < 2  # no neighbour
    assert abs(np.corrcoef(noises[0][blank], noises[1][blank])[0, 1]) < 0.1


def test_the_galaxy_does_not_depend_on_the_surveys_that_look_at_it(sample):
    swapped = simulate.pairs(3, seed=4, survey_from=CFHTLS, survey_to=SDSS)
    assert np.array_equal(swapped.target, sample.source[:3])
    assert np.array_equal(swapped.source, sample.target[:3])


def test_grid_of_sdss(sample):
    coarse = simulate.pairs(4, seed=4, grid="sdss")
    assert np.array_equal(coarse.source, sample.source[:4])
    assert coarse.target.shape == (4, 5, 64, 64)
    growth = np.divide(CFHTLS.on_grid_of(SDSS).sky_noise, CFHTLS.sky_noise)
    np.testing.assert_allclose(coarse.noise[:, 1], sample.noise[:4, 1] * growth, rtol=1e-5)


@pytest.mark.parametrize(
    "wrong",
    [
        {"n": 0},
        {"grid": "hst"},
        {"limit": 25.0},
        {"start": -1},
        {"workers": 0},
        {"observation": -2},
    ],
)
def test_wrong_options_say_what_to_do(wrong):
    with pytest.raises(GaltoolsError) as error:
        simulate.pairs(**{"n": 1, **wrong})
    assert "\n" not in str(error.value)


def test_deeper_sample():
    deep = simulate.pairs(24, seed=4, limit=19.0, grid="sdss")
    magnitude = deep.catalogue["r_magnitude"]
    assert magnitude.max() < 19 and np.median(magnitude) > 17.8


def test_streams_are_independent_and_repeat():
    draws = {
        (seed, galaxy, purpose): tuple(population.galaxy_rng(seed, galaxy, purpose, 0).random(2))
        for seed in range(3)
        for galaxy in range(3)
        for purpose in ("physics", "shape")
    }
    assert len(set(draws.values())) == len(draws)
    assert tuple(population.galaxy_rng(2, 1, "shape", 0).random(2)) == draws[2, 1, "shape"]


def number_of(job):
    return job


@pytest.mark.pipeline
def test_processes_wait_for_a_slow_reader():
    made = Value("i", 0)

    def count(number):
        with made.get_lock():
            made.value += 1
        return number

    for number, got in enumerate(matched_pairs.in_order(count, range(60), workers=2)):
        assert got == number
        assert made.value - got <= 2 * matched_pairs.AHEAD + 1
    assert made.value == 60


STREAMING = """
import sys
from galtools import simulate
for pairs in simulate.stream(10**6, workers=2):
    print(len(pairs), flush=True)
    sys.stdin.read()
"""


@pytest.mark.pipeline
def test_a_killed_reader_leaves_no_files_behind(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", STREAMING],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    with process:
        assert process.stdout.readline() == b"8\n"
        process.kill()
        assert process.stdout.read() == b""  # until the last of its processes has ended
    assert list(tmp_path.iterdir()) == []


def refuse(number):
    if number == 3:
        raise GaltoolsError("three is refused")
    return number


@pytest.mark.pipeline
def test_an_error_in_a_process_is_raised_where_it_happened():
    results = matched_pairs.in_order(refuse, range(10), workers=2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(GaltoolsError, match="three is refused"):
        next(results)


def die(number):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.pipeline
def test_a_killed_process_is_reported_and_the_next_work_has_new_ones():
    with pytest.raises(GaltoolsError, match="fewer workers"):
        list(matched_pairs.in_order(die, range(4), workers=2))
    assert list(matched_pairs.in_order(number_of, range(2), workers=2)) == [0, 1]
