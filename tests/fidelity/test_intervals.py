"""Bootstrap intervals against theory; verdicts against their definition."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest, norm

from galtools.fidelity import intervals
from galtools.fidelity.intervals import Estimate, bootstrap


def test_interval_of_a_mean_has_the_width_of_the_standard_error():
    x = np.random.default_rng(2).normal(5, 2, 900)
    found = bootstrap(intervals.mean, x, n_boot=4000)
    assert found.value == pytest.approx(x.mean())
    assert found.high - found.low == pytest.approx(2 * 1.96 * x.std() / 30, rel=0.05)


@pytest.mark.parametrize(
    ("statistic", "truth"),
    [(intervals.mean, 0), (intervals.median, 0), (intervals.robust_scatter, 1)],
)
def test_interval_covers_the_truth_as_often_as_it_says(statistic, truth):
    """95 %, within three binomial errors of 400 trials."""
    draws = np.random.default_rng(3).normal(0, 1, (400, 100))
    found = [bootstrap(statistic, x, n_boot=200) for x in draws]
    covered = np.mean([e.low <= truth <= e.high for e in found])
    assert covered == pytest.approx(0.95, abs=3 * np.sqrt(0.95 * 0.05 / 400))


@pytest.mark.parametrize(("k", "n"), [(0, 30), (1, 30), (7, 50), (600, 600), (1, 2)])
def test_interval_of_a_share_is_wilsons(k, n):
    found = intervals.proportion(np.arange(n) < k)
    expected = binomtest(k, n).proportion_ci(0.95, "wilson")
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=1e-12)
    assert found.low <= found.value == k / n <= found.high


@pytest.mark.parametrize("proportion", [True, False])
def test_rare_failures_are_covered_by_the_interval_of_a_share_alone(proportion):
    """One galaxy in a hundred, of 100: exact coverage from the binomial law."""
    n, rare = 100, 0.01
    estimate = intervals.proportion if proportion else partial(bootstrap, intervals.mean)
    ways = [estimate(np.arange(n) < k) for k in range(8)]
    held = sum(
        binom.pmf(k, n, rare) for k, found in enumerate(ways) if found.low <= rare <= found.high
    )
    assert (held > 0.9) == proportion


def test_a_distance_in_units_of_a_spread_holds_the_error_of_both():
    """A shift by one spread: the ruler, of 100 galaxies, is the less certain of the two."""
    rng, held = np.random.default_rng(5), []
    for _ in range(200):
        first = rng.normal(0, 1, 100)
        both = np.stack([first, first + 1])
        found = bootstrap(intervals.scaled_wasserstein, both, 100, method="distance")
        held.append(found.low <= 1 <= found.high)
    assert np.mean(held) == pytest.approx(0.95, abs=3 * np.sqrt(0.95 * 0.05 / 200))


@pytest.mark.parametrize(
    ("statistic", "spread", "shift", "truth", "level"),
    [
        (intervals.scaled_wasserstein, 0.3, 0.0, (np.sqrt(1.09) - 1) * np.sqrt(2 / np.pi), 0.95),
        (intervals.scaled_wasserstein, 0.3, 0.4, 0.401, 0.95),
        (intervals.kolmogorov, None, 0.4, 2 * norm.cdf(0.2) - 1, 0.95),
        (intervals.kolmogorov, None, 0.1, 2 * norm.cdf(0.05) - 1, 0.9),
    ],
)
def test_small_distances_are_covered_although_chance_adds(statistic, spread, shift, truth, level):
    """100 galaxies, measured twice with an error of `spread`, or of two samples of their own.

    A normal law against a wider one: the mean of |1 - s| |z| with z normal is W. The largest of
    many small differences, that of Kolmogorov, is covered nine times in ten.
    """
    rng, held = np.random.default_rng(6), []
    for _ in range(200):
        first, second = rng.normal(0, 1, (2, 100))
        second = second + shift if spread is None else first + shift + spread * second
        found = bootstrap(statistic, np.stack([first, second]), 100, method="distance")
        held.append(found.low <= truth <= found.high)
    assert np.mean(held) >= level - 3 * np.sqrt(level * (1 - level) / 200)


def test_no_interval_from_the_resamples_that_happen_to_have_a_statistic():
    some = np.array([[1.0, 1, 1, 1, 2], [0, 1, 2, 3, 4]])  # a third of the resamples is constant
    found = bootstrap(intervals.correlation, some)
    assert np.isfinite(found.value) and np.isnan([found.low, found.high]).all()


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ((51.83, 51.21, 52.44), "51.8 (51.2, 52.4)"),
        ((0.99871, 0.99852, 0.99893), "0.99871 (0.99852, 0.99893)"),
        ((0.0031, -0.25, 0.26), "0.00 (-0.25, 0.26)"),
        ((-0.0012, -0.3, 0.3), "0.00 (-0.30, 0.30)"),
        ((1234.4, 1100, 1300), "1234 (1100, 1300)"),
        ((0.057, 0.0012, 0.113), "0.057 (0.001, 0.113)"),
        ((-0.057, -0.113, -0.0049), "-0.057 (-0.113, -0.005)"),
        ((0.057, 0.0051, 0.113), "0.06 (0.01, 0.11)"),
        ((0.02, 0.0, 0.113), "0.02 (0.00, 0.11)"),
        ((0.0, 0.0, 0.0), "0 (0, 0)"),
        ((0.25, 0.25, 0.25), "0.250 (0.250, 0.250)"),
        ((0.1234, np.nan, np.nan), "0.123"),
        ((np.inf, np.inf, np.inf), "∞"),
        ((np.nan, np.nan, np.nan), "–"),
    ],
)
def test_intervals_are_written_to_two_digits_of_their_width(numbers, text):
    assert intervals.format_interval(*numbers) == str(Estimate(*numbers, 9)) == text


@given(st.floats(-100, 100), st.floats(1e-4, 50), st.floats(0, 1))
def test_a_written_interval_never_collapses_nor_leaves_its_value_out(low, width, place):
    text = intervals.format_interval(low + place * width, low, low + width)
    value, *ends = (float(part.strip("(,)")) for part in text.split())
    assert ends[0] < ends[1] and ends[0] <= value <= ends[1]
    assert ends[1] - ends[0] == pytest.approx(width, rel=0.1)


def test_galaxies_that_could_not_be_measured_are_counted_out():
    found = bootstrap(intervals.mean, [1.0, np.nan, 3.0])
    assert (found.value, found.n) == (2, 2)
    assert bootstrap(intervals.mean, [np.nan, np.nan]).n == 0
    lonely = bootstrap(intervals.mean, [4.0])
    assert lonely.value == 4 and np.isnan(lonely.low)


def test_infinite_statistics_stay_infinite():
    found = bootstrap(intervals.mean, np.full(40, np.inf))
    assert found == Estimate(np.inf, np.inf, np.inf, 40)


def test_statistics_of_two_quantities():
    x = np.array([[2.0, 4, 6], [1, 2, 3]])
    assert intervals.ratio_of_means(x) == 2
    assert intervals.correlation(x) == pytest.approx(1)
    assert np.isnan(intervals.correlation(np.array([[0.1] * 7, np.arange(7.0)])))


def test_paired_difference_removes_the_common_scatter():
    rng = np.random.default_rng(4)
    common = rng.normal(0, 10, 500)
    first, second = common + 0.5 + rng.normal(0, 0.1, 500), common
    found = intervals.paired_difference(intervals.mean, first, second)
    assert found.value == pytest.approx(0.5, abs=0.02)
    assert found.high - found.low < 0.05 < bootstrap(intervals.mean, first).high


@pytest.mark.parametrize(
    ("low", "high", "n", "expected"),
    [
        (0.1, 0.2, 100, "supported"),
        (-0.2, -0.1, 100, "contradicted"),
        (1.1, 1.3, 100, "contradicted"),
        (-0.1, 0.1, 100, "inconclusive"),
        (0.9, 1.1, 100, "inconclusive"),
        (0.1, 0.2, 29, "inconclusive"),
        (np.nan, np.nan, 100, "inconclusive"),
    ],
)
def test_verdict(low, high, n, expected):
    assert intervals.verdict(Estimate(0.5 * (low + high), low, high, n), (0, 1)) == expected


numbers = st.floats(-3, 3)


@given(numbers, numbers, numbers, numbers, st.integers(0, 60))
def test_verdicts_leave_no_gap_and_never_overlap(a, b, c, d, n):
    """Inside, outside or astride: one of them, and too few galaxies never settle a claim."""
    (low, high), claim = sorted((a, b)), tuple(sorted((c, d)))
    said = intervals.verdict(Estimate(0.5 * (low + high), low, high, n), claim)
    inside = claim[0] <= low and high <= claim[1]
    outside = high < claim[0] or claim[1] < low
    wanted = "supported" if inside else "contradicted" if outside else "inconclusive"
    assert said == (wanted if n >= intervals.MIN_GALAXIES else "inconclusive")


@pytest.mark.parametrize("shape", [(0,), (2, 0), (3, 2, 0)])
def test_of_no_galaxies_there_is_no_value(shape):
    found = intervals.bootstrap(intervals.mean, np.zeros(shape), 50)
    assert found.n == 0 and np.isnan([found.value, found.low, found.high]).all()


def test_independent_errors_add_in_squares():
    found = intervals.Estimate(1.0, 0.7, 1.4, 99)
    wide = intervals.widen(found, 0.4 / intervals.Z)
    assert (wide.value, wide.low, wide.high, wide.n) == pytest.approx(
        (1, 0.5, 1 + 0.4 * 2**0.5, 99)
    )
    assert intervals.widen(found, np.nan) == found
    assert vars(intervals.scaled(found, 100)) == dict(value=100, low=70, high=140, n=99)
