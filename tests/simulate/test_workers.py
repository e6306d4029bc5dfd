"""Several processes that work in order for one reader."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pytest

from galtools.errors import GaltoolsError
from galtools.simulate import workers
from galtools.simulate.workers import in_order

pytestmark = pytest.mark.pipeline


@dataclass
class Mixture:
    """Arrays that come through the pipe, and some that go through a file."""

    large: np.ndarray
    turned: np.ndarray
    small: np.ndarray
    name: str


def mixture(number):
    """Arrays of sizes that change from job to job."""
    side = 100 + 17 * (number % 5)
    large = np.full((side, side, 5), number, np.float32) + np.arange(5, dtype=np.float32)
    return Mixture(large, large.T, np.arange(number), str(number))


def test_every_result_arrives_whole_and_in_order():
    for number, got in enumerate(in_order(mixture, range(30), workers=2)):
        wanted = mixture(number)
        assert got.name == wanted.name
        for name in ("large", "turned", "small"):
            np.testing.assert_array_equal(getattr(got, name), getattr(wanted, name))
        got.large += 1  # belongs to the reader, and to him alone
    assert number == 29
    assert list(in_order(mixture, [], workers=2)) == []


def test_results_that_are_kept_do_not_change():
    kept = list(in_order(mixture, range(30), workers=2))
    assert [each.large.min() for each in kept] == list(range(30))


@pytest.mark.parametrize(
    "thing", [3, (1, 2), ["a"], np.ones((200, 200)), None, (Mixture, {})], ids=str
)
def test_what_is_no_dataclass_comes_as_it_is(thing):
    [got] = in_order(same, [thing], workers=2)
    assert type(got) is type(thing)
    np.testing.assert_equal(got, thing)


def same(thing):
    return thing


def test_workers_wait_for_a_slow_reader():
    asked = []

    def jobs():
        for number in range(40):
            asked.append(number)
            yield number

    most = workers.AHEAD * 2 + 1
    ahead = [len(asked) - done for done, _ in enumerate(in_order(mixture, jobs(), workers=2))]
    assert max(ahead) == most
    assert ahead == [min(most, 40 - done) for done in range(40)]


def test_a_reader_who_leaves_early_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    results = in_order(mixture, range(30), workers=2)
    next(results)
    assert len(list(tmp_path.glob("galtools*/*"))) == workers.AHEAD * 2
    results.close()
    assert list(tmp_path.iterdir()) == []


STREAMING = """
import sys
sys.path.insert(0, {tests!r})
from test_simulate_workers import in_order, mixture, workers
workers.IDLE = 1
for got in in_order(mixture, range(10**6), workers=1):
    print(got.name, flush=True)
    sys.stdin.read()
"""


def test_a_killed_reader_leaves_no_files_behind(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", STREAMING.format(tests=os.path.dirname(os.path.dirname(__file__)))],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    with process:
        assert process.stdout.readline() == b"0\n"
        assert len(list(tmp_path.glob("galtools*/*"))) == workers.AHEAD
        process.terminate()
        assert process.stdout.read() == b""  # until the last of its processes has ended
    assert process.returncode == -signal.SIGTERM
    assert list(tmp_path.glob("galtools*")) == []


def refuse(number):
    if number == 3:
        raise GaltoolsError("three is refused")
    return number


def test_an_error_of_the_work_is_raised_where_it_happened():
    results = in_order(refuse, range(10), workers=2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(GaltoolsError, match="three is refused"):
        next(results)


def die(number):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_process_is_told_and_the_next_work_has_new_ones():
    with pytest.raises(GaltoolsError, match="fewer workers"):
        list(in_order(die, range(4), workers=2))
    assert list(in_order(refuse, range(2), workers=2)) == [0, 1]
