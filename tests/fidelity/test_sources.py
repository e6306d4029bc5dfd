"""Small sources that were planted, lost and invented, against their numbers."""

import numpy as np
import pytest
from scipy.linalg import toeplitz
from scipy.ndimage import gaussian_filter1d

from galtools.fidelity import sources
from galtools.fidelity.metrics import tabulate
from galtools.surveys import CFHTLS, SDSS

SCALE = SDSS.pixel_scale
NOISE = np.random.default_rng(0).normal(size=(20, 2, 64, 64))
ONE = np.ones((20, 2))


def stars(*places, flux=2000.0, fwhm=1.3):
    """Gaussians (1, 1, 64, 64) at (x, y) arcsec from the centre of the stamp."""
    offset = (np.arange(64) - 31.5) * SCALE
    width = fwhm / np.sqrt(8 * np.log(2))
    image = sum(
        np.exp(-0.5 * ((offset - x)[None] ** 2 + (offset - y)[:, None] ** 2) / width**2)
        for x, y in places
    )
    return flux * image[None, None] * SCALE**2 / (2 * np.pi * width**2)


def found(truth, made):
    """Sum of each count over galaxies, for the first band."""
    measured = sources.measure(truth, made, ONE, SCALE)
    return [measured[name][:, 0].sum() for name in measured]


def test_noise_of_small_light_is_as_computed():
    """Everywhere, the mirrored edges included."""
    detail = sources.difference_of_gaussians(NOISE, SCALE) / sources.noise_gain((64, 64), SCALE)
    for part in (detail[..., 16:-16, 16:-16], detail[..., :2], detail[..., -1:, :]):
        assert part.std() == pytest.approx(1, rel=0.04)


@pytest.mark.parametrize("scale", [0.03, 0.1])
def test_noise_of_small_light_on_fine_pixels(scale):
    """Gaussians of a and b pixels overlap by 1 / (2 pi (a^2 + b^2)), with themselves as well."""
    a, b = sources.SMALL / scale, sources.LARGE / scale
    square = 1 / (4 * np.pi * a**2) + 1 / (4 * np.pi * b**2) - 1 / (np.pi * (a**2 + b**2))
    size = int(12 * b)
    found = sources.noise_gain((size, size), scale)[size // 2, size // 2]
    assert found == pytest.approx(np.sqrt(square), rel=2e-3)


def test_the_noise_of_a_stack_is_larger_by_what_the_card_states():
    """Its correlation along each axis, between the lines of g_1 and g_2."""
    scale, side = CFHTLS.pixel_scale, 128
    lags = np.pad(CFHTLS.noise_correlation, (0, side - len(CFHTLS.noise_correlation)))
    eye = np.zeros(side)
    eye[side // 2] = 1
    small, large = (gaussian_filter1d(eye, s / scale) for s in (sources.SMALL, sources.LARGE))
    pairs = ((small, small, 1), (small, large, -2), (large, large, 1))
    variance = sum(sign * (a @ toeplitz(lags) @ b) ** 2 for a, b, sign in pairs)
    larger = variance**0.5 / sources.noise_gain((side, side), scale)[side // 2, side // 2]
    assert f"{sources.DETECTION / larger:.1f} σ" in sources.METRICS["completeness"].meaning


def test_noise_alone_has_no_sources():
    assert found(NOISE, NOISE[::-1]) == [0, 0, 0, 0]


def test_sources_kept_lost_and_invented():
    kept, lost, invented = (6.0, 0.0), (-6.0, 3.0), (0.0, -7.0)
    truth = NOISE + stars(kept, lost, (0, 0))  # the one at the centre is the galaxy itself
    made = NOISE[::-1] + stars((6.3, 0.2), invented, (0, 0))
    assert found(truth, made) == [40, 20, 40, 20]
    table = tabulate(sources.measure(truth, made, ONE, SCALE), sources.METRICS, ("a", "b"))
    assert dict(zip(table.metric, table.value, strict=True)) == {"completeness": 0.5, "purity": 0.5}


def test_a_smooth_galaxy_has_no_small_sources():
    y, x = np.indices((64, 64)) - 31.5
    disc = 100 * np.exp(-np.hypot(x, 2 * y) / 6)
    assert found(NOISE + disc, NOISE + disc) == [0, 0, 0, 0]


def test_a_perfect_copy_and_what_is_no_number():
    truth = NOISE + stars((6.0, 0.0))
    made = truth.copy()
    made[3, 0, 0, 0] = np.nan
    table = tabulate(sources.measure(truth, made, ONE, SCALE), sources.METRICS, ("a", "b"))
    table = table.set_index(["metric", "band"])
    assert (table.value == 1).all()
    assert all(metric.perfect == 1 for metric in sources.METRICS.values())
    assert table.n["purity", "a"] == 19 and table.n["purity", "b"] == 20


def sharp(certainty, *pixels):
    """Stars (n, 1, 64, 64), one at each (x, y) pixels from the centre, without noise.

    In a Gaussian of s pixels, a star of width w and flux F has the peak F / 2 pi (w^2 + s^2). F is
    such that the difference of those of 0.4 and 1.2 arcsec is `certainty` times what white noise
    of 2 has there.
    """
    a, b, star = (0.4 / SCALE) ** 2, (1.2 / SCALE) ** 2, (1.3 / SCALE) ** 2 / np.log(256)
    peak = (1 / (star + a) - 1 / (star + b)) / (2 * np.pi)
    noise = 2 * np.sqrt((1 / a + 1 / b - 4 / (a + b)) / (4 * np.pi))
    places = [(SCALE * x, SCALE * y) for x, y in pixels]
    return np.concatenate([stars(place, flux=certainty * noise / peak) for place in places])


def alike(truth, made):
    """Counts in each galaxy of (sources, found again, made, confirmed) under a noise of 2."""
    counted = sources.measure(truth, made, np.full((len(truth), 1), 2.0), SCALE)
    return [list(number[:, 0]) for number in counted.values()]


def test_a_source_is_certain_from_ten_noises_and_found_again_from_five():
    place, none = (15.5, -8.5), [0]
    for truth, made, wanted in (
        (10.2, 5.1, [[1], [1], none, none]),
        (10.2, 4.9, [[1], none, none, none]),
        (9.8, 10.2, [none, none, [1], [1]]),
    ):
        assert alike(sharp(truth, place), sharp(made, place)) == wanted


def test_every_galaxy_and_band_is_counted_on_its_own():
    """A source that is brighter in the next band, or in the next galaxy, is one all the same."""
    image = sharp(20, (15.5, -8.5)) * np.array([[1, 3], [2, 5]])[..., None, None]
    counted = sources.measure(image, image, np.full((2, 2), 2.0), SCALE)
    assert all((number == 1).all() for number in counted.values())


def test_the_centre_left_out_is_round_and_in_the_middle():
    """Pixels 4.5 and 1.5 from the centre are 1.88 arcsec from it, those 4.5 and 2.5 are 2.04."""
    signs = [(x, y) for x in (-1, 1) for y in (-1, 1)]
    for side, counted in ((1.5, 0), (2.5, 1)):
        places = [(4.5 * x, side * y) for x, y in signs] + [(side * y, 4.5 * x) for x, y in signs]
        image = sharp(20, *places)
        assert alike(image, image) == [[counted] * 8] * 4


def test_an_arcsecond_is_one_in_every_direction():
    """Two pixels and one are 0.89 arcsec, two and two are 1.12, three are 1.19."""
    steps = [(2, 1, 1), (-2, 1, 1), (1, -2, 1), (-1, -2, 1), (2, 2, 0), (-2, 2, 0), (3, 0, 0),
             (0, -3, 0)]  # fmt: skip
    truth = sharp(20, *[(12.5, 12.5)] * len(steps))
    made = sharp(20, *[(12.5 + x, 12.5 + y) for x, y, _ in steps])
    again = [same for *_, same in steps]
    assert alike(truth, made) == [[1] * 8, again, [1] * 8, again]
