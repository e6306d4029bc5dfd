"""The wrapper of statmorph on galaxies whose shape is known."""

import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import statmorph
from astropy.modeling.models import Sersic2D
from scipy.ndimage import gaussian_filter
from scipy.signal import fftconvolve
from scipy.stats import ks_2samp, wasserstein_distance
from skimage.transform import rotate

from galtools.fidelity import fast_statmorph, intervals, morphology
from galtools.surveys import SDSS

SCALE, SIGMA, FWHM = SDSS.pixel_scale, 0.01, 1.3


def galaxy(n=1.0, radius=5.0, ellipticity=0.3, seed=0, shift=0.0, blur=True, fine=5):
    """A Sersic galaxy seen through the PSF, with noise, centred as stamps are; lengths in pixels.

    A pixel holds the mean of fine x fine points. statmorph samples its model at one point a pixel
    (fine = 1); for n = 3 that alone moves the Sersic index by -25 to +7 %, with the position of
    the centre on the grid.
    """
    y, x = (np.indices((64 * fine, 64 * fine)) + 0.5) / fine - 0.5
    model = Sersic2D(1.0, radius, n, 31.5 + shift, 31.5, ellipticity, 0.6)
    image = model(x, y).reshape(64, fine, 64, fine).mean((1, 3))
    if blur:
        image = fftconvolve(image, morphology.psf_stamp(FWHM, SCALE), mode="same")
    return image + np.random.default_rng(seed).normal(0, SIGMA, (64, 64))


def measured(image, psf=FWHM):
    own, others = morphology.segment(image, SIGMA)
    stamp = morphology.psf_stamp(psf, SCALE)
    return morphology.measure_one(image, own, others, SIGMA, stamp, SCALE)


def test_psf_has_its_width():
    """At half of the FWHM, here six pixels from the middle, it has fallen to a half."""
    stamp = morphology.psf_stamp(1.2, 0.1)
    middle = stamp.shape[0] // 2
    assert stamp.sum() == pytest.approx(1)
    assert stamp[middle, middle + 6] / stamp.max() == pytest.approx(0.5, rel=1e-9)
    assert stamp[middle + 6, middle] == stamp[middle, middle - 6]


@pytest.mark.parametrize("n", [1.0, 3.0])
def test_a_sersic_galaxy_is_recovered(n):
    found = measured(galaxy(n, fine=1))
    assert found["flag"] == morphology.GOOD
    assert found["sersic_index"] == pytest.approx(n, rel=0.05)
    assert found["asymmetry"] == pytest.approx(0, abs=0.05)


def test_a_round_exponential_disc_has_its_textbook_numbers():
    """In scale lengths: Petrosian radius 3.63, r80 = 2.87 and r20 = .807 of the light in 1.5 of it.

    That makes C = 5 log10(r80 / r20) = 2.755.
    """
    found = measured(galaxy(1, radius=8, ellipticity=0, blur=False))
    assert found["concentration"] == pytest.approx(2.755, abs=0.05)
    assert found["petrosian_radius"] == pytest.approx(3.63 / 1.678 * 8 * SCALE, rel=0.03)
    assert found["half_light_radius"] == pytest.approx(8 * SCALE, rel=0.05)
    assert found["ellipticity"] == pytest.approx(0, abs=0.03)


def test_forgetting_the_psf_lowers_the_sersic_index():
    assert measured(galaxy(3.0), psf=0.2)["sersic_index"] < 2.5


def test_the_central_galaxy_is_chosen_and_the_neighbour_masked():
    image = galaxy()
    alone = measured(image)
    image[4:10, 4:10] += 5.0  # brighter, and first in the list of sources
    own, others = morphology.segment(image, SIGMA)
    assert own[32, 32] and not own[6, 6] and others[6, 6]
    crowded = measured(image)
    for name in ("concentration", "gini", "half_light_radius"):
        assert crowded[name] == pytest.approx(alone[name], rel=0.03)


def bell(peak, variance, x=0, y=0):
    """Gaussian that has this peak and variance, in pixels^2, after smoothing with 1.5 pixels."""
    down, across = np.indices((64, 64)) - 32
    before = variance - 1.5**2
    square = (across - x) ** 2 + (down - y) ** 2
    return peak * variance / before * np.exp(-square / 2 / before)


# 1.5 standard deviations of white noise after a Gaussian of 1.5 pixels, whose squares sum to
# 1 / 4 pi 1.5^2
EDGE = 1.5 * SIGMA / (2 * np.sqrt(np.pi) * 1.5)


def test_the_edge_of_a_galaxy_is_where_it_leaves_the_noise():
    """A Gaussian of peak p and variance v is above t within r^2 = 2 v ln(p / t)."""
    own, others = morphology.segment(bell(100 * EDGE, 20), SIGMA)
    radius = np.sqrt(2 * 20 * np.log(100))
    down, across = np.indices((64, 64)) - 32
    np.testing.assert_array_equal(own, np.hypot(down, across) < radius)
    assert not others.any()


@pytest.mark.parametrize("times", [1, 2, 3, 4, 6, 8])
def test_the_edge_is_raised_until_eight_pixels_of_sky_are_seen(times):
    """Those of the farthest corner: (25, 25) from the middle, light is just below the threshold.

    One pixel nearer, (24, 24) from it, it is above.
    """
    variance, corner = 400, 0.97 * times * EDGE
    own, _ = morphology.segment(bell(corner * np.exp(25**2 / variance), variance), SIGMA)
    assert own[8, 8] and not own[:8, :8].any()


def test_sources_have_eight_pixels_and_those_that_touch_are_parted():
    """A point of smoothed peak p is above t within r^2 = 2 1.5^2 ln(p / t), here 1.7 and 2.5.

    Those are 5 and 9 pixels. Of two galaxies that touch, the fainter has a twelfth of the light.
    """
    galaxy = bell(100 * EDGE, 20)
    for ratio, counts in ((1.45, False), (1.75, True)):
        point = np.zeros((64, 64))
        point[8, 8] = ratio * EDGE * 2 * np.pi * 1.5**2
        own, others = morphology.segment(galaxy + point, SIGMA)
        assert own[32, 32] and others.any() == counts
    own, others = morphology.segment(galaxy + bell(40 * EDGE, 4.2, 12), SIGMA)
    assert own[32, 32] and others[32, 44] and not own[32, 44]


def test_without_a_galaxy_in_the_middle_there_are_only_others():
    own, others = morphology.segment(bell(100 * EDGE, 20, 18, 10), SIGMA)
    assert not own.any() and others[42, 50]
    dark = morphology.segment(np.zeros((64, 64)), SIGMA)
    assert not np.any(dark)


def test_what_failed_is_no_number():
    """statmorph writes -99; its flag 2 is bad, 1 is only suspect."""
    good = dict.fromkeys(morphology.QUANTITIES, 0.5) | {"flag": 1, "flag_sersic": 1}
    assert morphology._hide_failures(good) == good
    for change, lost in (
        ({"flag_sersic": 2}, {"sersic_index"}),
        ({"flag": 2}, {*morphology.QUANTITIES}),
        ({"m20": -99.0, "gini": np.inf, "asymmetry": -98.0}, {"m20", "gini"}),
    ):
        found = morphology._hide_failures(good | change)
        assert {name for name in found if np.isnan(found[name])} == lost


def test_what_cannot_be_measured_is_flagged_and_kept():
    for image in (np.zeros((64, 64)), np.full((64, 64), np.nan), np.full((64, 64), -1.0)):
        found = measured(image)
        assert found["flag"] == morphology.HOPELESS and np.isnan(found["gini"])


def test_rows_are_compared_galaxy_by_galaxy():
    truth = np.stack([galaxy(1, seed=k, radius=4 + k) for k in range(3)])
    again = np.stack([galaxy(1, seed=9 + k, radius=4 + k, shift=0.3) for k in range(3)])
    rows = {"truth": truth, "again": again, "lost": 0 * truth}
    fwhm = {row: np.full(3, FWHM) for row in rows}
    table = morphology.measure(rows, truth, np.full(3, SIGMA), fwhm, SCALE, 1, progress=False)
    parts = {row: part.reset_index(drop=True) for row, part in table.groupby("row")}
    assert {row: len(part) for row, part in parts.items()} == dict.fromkeys(rows, 3)
    same = morphology.compare(parts["truth"], parts["truth"], "r").set_index("metric").value
    assert same["gini_bias"] == same["gini_ks"] == same["m20_wasserstein"] == 0
    near = morphology.compare(parts["truth"], parts["again"], "r").set_index("metric").value
    assert abs(near["half_light_radius_bias"]) < 0.1 and near["unmeasured"] == 0
    lost = morphology.compare(parts["truth"], parts["lost"], "r").set_index("metric")
    assert lost.value["unmeasured"] == 1 and lost.n["gini_bias"] == 0


def test_distances_are_those_of_scipy():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=80), rng.normal(0.4, 1.3, size=80)
    b[:10] = a[:10]  # ties
    both = np.stack([a, b])
    assert intervals.wasserstein(both) == pytest.approx(wasserstein_distance(a, b))
    assert intervals.kolmogorov(both) == pytest.approx(ks_2samp(a, b).statistic)


def test_catastrophic_errors_are_those_beyond_the_population():
    values = np.linspace(0, 1, 101)
    found = values.copy()
    found[:20] += 5
    frame = [pd.DataFrame(dict.fromkeys(morphology.QUANTITIES, v)) for v in (values, found)]
    frame = [part.assign(flag=0) for part in frame]
    table = morphology.compare(*frame, "r", n_boot=20).set_index("metric").value
    assert table["gini_catastrophic"] == pytest.approx(20 / 101)


def test_a_copy_of_galaxies_that_are_all_alike_has_no_catastrophe():
    frame = pd.DataFrame(dict.fromkeys(morphology.QUANTITIES, np.ones(9))).assign(flag=0)
    table = morphology.compare(frame, frame, "r", n_boot=20).set_index("metric").value
    assert table["gini_catastrophic"] == 0


def test_unmeasured_are_counted_where_the_truth_could_be_measured():
    frame = pd.DataFrame(dict.fromkeys(morphology.QUANTITIES, np.arange(5.0)))
    truth, found = frame.assign(flag=[0, 1, 0, 2, 4]), frame.assign(flag=[1, 2, 4, 2, 0])
    table = morphology.compare(truth, found, "r", n_boot=20).set_index("metric")
    assert table.value["unmeasured"] == pytest.approx(2 / 3) and table.n["unmeasured"] == 3


def test_a_common_shift_moves_the_distribution_and_no_galaxy_in_it():
    values = np.linspace(0, 1, 101)
    frame = [pd.DataFrame(dict.fromkeys(morphology.QUANTITIES, v)) for v in (values, values + 0.1)]
    frame = [part.assign(flag=0) for part in frame]
    value = morphology.compare(*frame, "r", n_boot=20).set_index("metric").value
    spread = 1.482602 * 0.25
    assert value["gini_bias"] == pytest.approx(0.1)
    assert value["gini_scatter"] == pytest.approx(0, abs=1e-12)
    assert value["gini_correlation"] == pytest.approx(1)
    assert value["gini_catastrophic"] == 0
    assert value["gini_wasserstein"] == pytest.approx(0.1 / spread, rel=1e-6)
    assert value["gini_ks"] == pytest.approx(10 / 101, abs=1.5 / 101)


def several(n):
    truth = np.stack([galaxy(1, seed=k, radius=4 + k % 3) for k in range(n)])
    fwhm = {"truth": np.full(n, FWHM)}
    return {"truth": truth}, truth, np.full(n, SIGMA), fwhm, SCALE, 1, False


def crowded(image):
    """Put a neighbour beside the galaxy and a hot pixel on the sky."""
    image = image.copy()
    image[36:42, 43:49] += 2.0
    image[8, 50] += 5.0
    return image


@pytest.mark.parametrize(
    "image",
    [galaxy(3.0), crowded(galaxy(1.0, shift=0.3)), galaxy(4.0, radius=7, ellipticity=0.6)],
    ids=["steep", "crowded", "large"],
)
def test_computing_faster_changes_no_number(image):
    """Beside statmorph itself, which computes everything: centres and fits stop within 1e-6."""
    own, others = morphology.segment(image, SIGMA)
    options = {"mask": others, "weightmap": np.full(image.shape, SIGMA)}
    options["psf"] = morphology.psf_stamp(FWHM, SCALE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of statmorph: the flags say the same
        ours, theirs = (
            kind(image, own.astype(int), 1, **options)
            for kind in (fast_statmorph.FastMorphology, statmorph.SourceMorphology)
        )
    for name in morphology.QUANTITIES.values():
        assert getattr(ours, name) == pytest.approx(getattr(theirs, name), rel=1e-6), name
    assert ours._slice_skybox == theirs._slice_skybox
    assert (ours.flag, ours.flag_sersic) == (theirs.flag, theirs.flag_sersic)


def test_numbers_do_not_depend_on_the_unit_of_light():
    image = galaxy(shift=0.3)
    own, others = morphology.segment(image, SIGMA)
    stamp = morphology.psf_stamp(FWHM, SCALE)
    for unit in (1e-3, 1e3):
        scaled = morphology.measure_one(unit * image, own, others, unit * SIGMA, stamp, SCALE)
        assert scaled == pytest.approx(measured(image), rel=1e-4)


@pytest.mark.parametrize("sky", [10, 22, 40])
def test_empty_sky_is_found_where_statmorph_finds_it(sky):
    """Sources everywhere but in two squares, of which the lower one may be masked."""
    labels = np.ones((70, 64), int)
    labels[20 : 20 + sky, 5 : 5 + sky] = labels[25 : 25 + sky // 2, 50 : 50 + sky // 2] = 0
    mask = np.zeros(labels.shape, bool)
    for mask[22, 7] in (False, True):
        image = SimpleNamespace(
            _segmap=SimpleNamespace(data=labels), _mask=mask, _skybox_size=32,
            _slice_stamp=np.s_[1:, 1:], _verbose=False,
        )  # fmt: skip
        ours, theirs = (
            kind._slice_skybox.fget(image)
            for kind in (fast_statmorph.FastMorphology, statmorph.SourceMorphology)
        )
        assert ours == theirs


def test_half_turns_are_those_of_skimage():
    image = np.random.default_rng(0).normal(size=(20, 23))
    edges = ((0.0, 0.2), (22.4, 19.4), (22.9, 19.9), (23.0, 20.0), (0.0, 0.0))
    for x, y in ((11.0, 9.5), (3.3, 17.9), *edges):
        wanted = rotate(image, 180, center=(x, y))
        np.testing.assert_allclose(fast_statmorph.half_turn(image, x, y), wanted, atol=1e-12)


def test_a_translation_without_noise_is_measured():
    """Its smooth sky, a fifth of the noise above zero, is no reason to call it bad."""
    noisy = galaxy()
    own, others = morphology.segment(noisy, SIGMA)
    clean = fftconvolve(np.where(own, noisy, 0), np.ones((3, 3)) / 9, mode="same") + 0.2 * SIGMA
    stamp = morphology.psf_stamp(FWHM, SCALE)
    found = morphology.measure_one(clean, own, others, SIGMA, stamp, SCALE)
    assert found["flag"] < morphology.BAD and np.isfinite(found["gini"])
    spoilt = morphology.measure_one(clean + 2 * SIGMA, own, others, SIGMA, stamp, SCALE)
    assert spoilt["flag"] == morphology.BAD


def test_a_galaxy_that_fills_its_stamp_gets_an_edge_with_sky_around_it():
    image = galaxy(4.0, radius=6, ellipticity=0)
    own, others = morphology.segment(image, SIGMA)
    assert own[32, 32] and morphology._shows_sky(own | others)
    above = gaussian_filter(image, 1.5) > 1.5 * SIGMA / (2 * np.sqrt(np.pi) * 1.5)
    assert not morphology._shows_sky(above)  # without raising the edge


def test_a_killed_measurement_continues(tmp_path, monkeypatch):
    checkpoint = tmp_path / "new" / "galaxies.part"
    whole = morphology.measure(*several(7))
    one, calls = morphology.measure_one, []

    def killed(*arguments):
        calls.append(1)
        if len(calls) > 5:
            raise KeyboardInterrupt
        return one(*arguments)

    monkeypatch.setattr(morphology, "measure_one", killed)
    with pytest.raises(KeyboardInterrupt):
        morphology.measure(*several(7), checkpoint)
    calls.clear()
    monkeypatch.setattr(morphology, "measure_one", lambda *a: calls.append(1) or one(*a))
    again = morphology.measure(*several(7), checkpoint)
    assert len(calls) == 7 - 5 and not checkpoint.exists()
    pd.testing.assert_frame_equal(again, whole)


def test_the_noise_of_a_row_is_its_own_and_not_below_the_truth_s(monkeypatch):
    levels = []
    monkeypatch.setattr(morphology, "measure_one", lambda *a: levels.append(a[3]) or {})
    truth, rng = galaxy(), np.random.default_rng(1)
    rows = {"quiet": gaussian_filter(truth, 3), "loud": truth + rng.normal(0, 3 * SIGMA, (64, 64))}
    morphology._measure_galaxy(
        (rows, truth, np.zeros((64, 64), bool), SIGMA, 1.0, dict.fromkeys(rows, FWHM), SCALE)
    )
    assert levels == [SIGMA, pytest.approx(10**0.5 * SIGMA, rel=0.1)]
