"""Every pixel metric against a closed form, an independent library, or both."""

import numpy as np
import pytest

from galtools.errors import GaltoolsError
from galtools.fidelity import metrics, pixels
from galtools.fidelity.metrics import check, measure_images, tabulate
from galtools.surveys import SDSS

SCALE = SDSS.pixel_scale
SIGMA = np.array(SDSS.sky_noise)


def gaussians(n=40, size=64, flux=100.0, sigma=3.0, seed=0):
    """Round Gaussian galaxies of equal flux in five bands, (n, 5, size, size)."""
    y, x = np.indices((size, size)) - (size - 1) / 2
    image = np.exp(-0.5 * (x**2 + y**2) / sigma**2) / (2 * np.pi * sigma**2)
    fluxes = flux * np.random.default_rng(seed).uniform(0.5, 2, (n, 5))
    return fluxes[..., None, None] * image


def noise(shape, seed=1):
    return np.random.default_rng(seed).normal(size=shape) * SIGMA[:, None, None]


def table_of(truth, translated, **options):
    sigma = np.broadcast_to(SIGMA, truth.shape[:2])
    measured = measure_images([pixels.measure], truth, translated, sigma, SCALE)
    table = tabulate(measured, pixels.METRICS, n_boot=50, **options)
    return table.set_index(["band", "metric"])


def test_a_perfect_copy_is_perfect():
    truth = gaussians() + noise((40, 5, 64, 64))
    table = table_of(truth, truth)
    for (_band, metric), row in table.iterrows():
        perfect = pixels.METRICS[metric].perfect
        assert row.value == pytest.approx(perfect, abs=1e-12), metric
        assert row.n == 40


def test_added_noise_of_known_size():
    """Noise of k sky sigmas: chi = k, MAE = k sigma sqrt(2 / pi), RMSE = k sigma."""
    truth = gaussians()
    table = table_of(truth, truth + 2 * noise(truth.shape))
    for band, sigma in zip("ugriz", SIGMA, strict=True):
        value = table.loc[band].value
        assert value["residual_mean"] == pytest.approx(0, abs=0.02)
        assert value["residual_scatter"] == pytest.approx(2, rel=0.01)
        assert value["mae"] == pytest.approx(2 * sigma * np.sqrt(2 / np.pi), rel=0.01)
        assert value["rmse"] == pytest.approx(2 * sigma, rel=0.01)
        expected = 20 * np.log10(pixels.full_scale(SCALE) / (2 * sigma))
        assert value["psnr"] == pytest.approx(expected, abs=0.05)


def test_constant_offset():
    """An offset d moves the mean only: chi = d / sigma, scatter 0, flux by d x pixels."""
    truth = gaussians(flux=100)
    table = table_of(truth, truth + 0.001).value
    assert table["r", "residual_mean"] == pytest.approx(0.001 / SIGMA[2])
    assert table["r", "residual_scatter"] == pytest.approx(0, abs=1e-9)
    assert table["r", "correlation"] == pytest.approx(1)
    error = 0.001 * 64**2 / truth[:, 2].sum((1, 2))
    assert table["r", "flux_bias"] == pytest.approx(np.median(error))


def test_psnr_does_not_reward_brightness():
    """A translation three times too bright is worse than one twice too bright."""
    truth = gaussians()
    twice, thrice = table_of(truth, 2 * truth).value, table_of(truth, 3 * truth).value
    difference = twice["r", "psnr"] - thrice["r", "psnr"]
    assert difference == pytest.approx(20 * np.log10(2))
    assert twice["r", "correlation"] == pytest.approx(1)


def test_full_scale_is_18_magnitudes_per_square_arcsec():
    magnitude = 22.5 - 2.5 * np.log10(pixels.full_scale(SCALE) / SCALE**2)
    assert magnitude == pytest.approx(18)


def test_flux_bias_and_scatter_of_known_gains():
    truth = gaussians(n=4000, size=16, sigma=1)
    gain = 1.1 + 0.05 * np.random.default_rng(5).normal(size=(4000, 5, 1, 1))
    table = table_of(truth, gain * truth).value
    for band in "ugriz":
        for kind in ("flux", "aperture"):
            assert table[band, f"{kind}_bias"] == pytest.approx(0.1, abs=0.004)
            assert table[band, f"{kind}_scatter"] == pytest.approx(0.05, rel=0.06)


def test_colour_bias_of_a_known_gain():
    truth = gaussians()
    gain = np.array([1, 1.2, 1, 1, 1])[:, None, None]
    table = table_of(truth, gain * truth).value
    shift = 2.5 * np.log10(1.2)
    assert table["u-g", "colour_bias"] == pytest.approx(shift)
    assert table["g-r", "colour_bias"] == pytest.approx(-shift)
    assert table["r-i", "colour_scatter"] == pytest.approx(0, abs=1e-9)


def test_ssim_of_constant_images():
    """Two flat images have (2ab + c1) / (a^2 + b^2 + c1)."""
    a, b, scale = 2.0, 3.0, 10.0
    c1 = (0.01 * scale) ** 2
    found = pixels.ssim(np.full((1, 1, 32, 32), a), np.full((1, 1, 32, 32), b), scale)
    assert found[0, 0] == pytest.approx((2 * a * b + c1) / (a * a + b * b + c1))


def test_ssim_of_torchmetrics():
    torch = pytest.importorskip("torch")
    from torchmetrics.functional.image import structural_similarity_index_measure

    x = gaussians(n=6) + noise((6, 5, 64, 64))
    y = x + 3 * noise(x.shape, seed=2)
    ours = pixels.ssim(x, y, 9.9)
    for k in range(5):
        a, b = (torch.from_numpy(image[:, k : k + 1]) for image in (x, y))
        _, full = structural_similarity_index_measure(
            a, b, data_range=9.9, reduction="none", return_full_image=True
        )
        np.testing.assert_allclose(ours[:, k], full.mean((1, 2, 3)), rtol=1e-6)


def test_unmeasurable_galaxies_are_counted_out_not_averaged_in():
    truth = gaussians()
    broken = truth.copy()
    broken[3, 2, :, :4] = np.nan  # an image with a NaN border
    table = table_of(truth, broken)
    assert table.n["r", "rmse"] == 39 and table.n["g", "rmse"] == 40
    assert table.value["r", "rmse"] == 0
    dark = truth.copy()
    dark[5, 0] = -1.0  # a negative truth has no fractional flux error
    table = table_of(dark, truth)
    assert table.n["u", "flux_bias"] == 39 and table.n["u", "mae"] == 40
    assert table.n["u", "correlation"] == 39  # and a constant one no correlation
    assert table.n["u-g", "colour_bias"] == 39


def test_chunks_do_not_show(monkeypatch):
    truth = gaussians(n=23)
    translated = truth + noise(truth.shape)
    whole = table_of(truth, translated)
    monkeypatch.setattr(metrics, "CHUNK", 5)
    assert whole.equals(table_of(truth, translated))


def test_images_that_cannot_be_compared_are_refused():
    truth = gaussians(n=3)
    with pytest.raises(GaltoolsError, match="same galaxies and bands"):
        check(truth, truth[:2])
    with pytest.raises(GaltoolsError, match="galaxies, bands, height, width"):
        check(truth[0], truth[0])
