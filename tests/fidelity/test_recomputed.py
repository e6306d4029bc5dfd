"""Lines of one card, computed again by libraries that the field trusts."""

import numpy as np
import pytest
import statmorph
from astropy.stats import mad_std
from blobs import blobs
from photutils.aperture import CircularAperture, aperture_photometry
from scipy.stats import ks_2samp, pearsonr
from skimage.metrics import mean_squared_error, peak_signal_noise_ratio

from galtools.fidelity import morphology, scorecard, structure
from galtools.fidelity.pixels import full_scale

pytestmark = pytest.mark.slow
SCALE, K = 0.396, 2
PSF = morphology.psf_stamp(1.2, SCALE)


@pytest.fixture(scope="module")
def sample():
    pairs = blobs(n=12, size=64)
    options = {"pixel_scale": SCALE, "noise": pairs.noise[:, 1], "psf": PSF, "morphology": 4}
    card = scorecard.card(pairs.target, pairs.source, jobs=1, n_boot=40, **options)
    x, y = (np.float64(images[:, K]) for images in (pairs.target, pairs.source))
    return x, y, pairs.noise[0, 1, K], lambda metric: card.get(metric, "r").value


def mean(function, x, y, **options):
    return np.mean([function(a, b, **options) for a, b in zip(x, y, strict=True)])


def apertures(images):
    circle = CircularAperture((31.5, 31.5), 3 / SCALE)
    return np.array([aperture_photometry(x, circle)["aperture_sum"][0] for x in images])


def test_pixels(sample):
    x, y, sigma, line = sample
    size = full_scale(SCALE)
    assert line("rmse") == pytest.approx(mean(mean_squared_error, x, y) ** 0.5)
    assert line("psnr") == pytest.approx(mean(peak_signal_noise_ratio, x, y, data_range=size))
    correlation = mean(lambda a, b: pearsonr(a.ravel(), b.ravel())[0], x, y)
    assert line("correlation") == pytest.approx(correlation)
    assert line("residual_mean") == pytest.approx(np.mean(y - x) / sigma)
    scatter = np.sqrt(np.var((y - x) / sigma, axis=(1, 2)).mean())
    assert line("residual_scatter") == pytest.approx(scatter)


def test_fluxes(sample):
    x, y, _, line = sample
    error = apertures(y) / apertures(x) - 1
    assert line("aperture_bias") == pytest.approx(np.median(error))
    assert line("aperture_scatter") == pytest.approx(mad_std(error))
    whole = y.sum((1, 2)) / x.sum((1, 2)) - 1
    assert line("flux_scatter") == pytest.approx(mad_std(whole))


def test_shapes(sample):
    x, y, sigma, line = sample
    both = []
    for truth, made in zip(x[:4], y[:4], strict=True):
        own, others = morphology.segment(truth, sigma)
        for image in (truth, made):
            level = max(sigma, structure.sky_level_and_noise(image[None, None])[1][0, 0])
            options = {"weightmap": np.full(image.shape, level), "mask": others, "psf": PSF}
            both += statmorph.source_morphology(image, own.astype(int), **options)
    for name in ("gini", "concentration"):
        true, made = np.array([getattr(one, name) for one in both]).reshape(-1, 2).T
        assert line(f"{name}_bias") == pytest.approx(np.median(made - true), abs=1e-6)
        assert line(f"{name}_ks") == pytest.approx(ks_2samp(true, made).statistic)
