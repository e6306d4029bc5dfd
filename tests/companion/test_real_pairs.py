"""Real pairs: what is read of their files, and metrics of translations against known errors."""

import os
from dataclasses import replace
from pathlib import Path

import galsim
import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from astropy.table import Table

from companion import real_pairs
from companion.real_pairs import KIDS_GAMA, SDSS_GAMA
from galtools import artefacts, data, simulate
from galtools.data import ImageSet, Pairs, image_files
from galtools.fidelity import scorecard
from galtools.surveys import SURVEYS

REAL = Path(os.environ.get("GALTOOLS_REAL_DATA", "unset")) / "sdss_kids_pairs"
real = pytest.mark.skipif(not REAL.is_dir(), reason="GALTOOLS_REAL_DATA is not set")
needs = {survey.name[:4]: survey for survey in (SDSS_GAMA, KIDS_GAMA)}


@pytest.fixture(autouse=True)
def known(monkeypatch):
    monkeypatch.setattr("galtools.surveys.SURVEYS", dict(SURVEYS))
    real_pairs.register()


@pytest.fixture
def root(tmp_path):
    """Files of one galaxy of 50 nanomaggies, off centre, and a brighter star at the edge."""
    for name, survey in needs.items():
        scale, (height, width) = survey.pixel_scale, (180, 150)
        psf = galsim.Kolmogorov(fwhm=0.9)
        galaxy = galsim.Convolve(galsim.Exponential(half_light_radius=1.5, flux=50), psf)
        star = psf.withFlux(80).shift(-0.45 * width * scale, 0)
        drawn = galsim.Add(galaxy.shift(3 * scale, -2.2 * scale), star)
        image = drawn.drawImage(nx=width, ny=height, scale=scale).array
        segments = np.ones((height, width))
        segments[:, :20] = 2
        segments[:30] = 0
        mask = np.zeros((height, width))
        mask[110:114, 80:90] = 1
        content = {
            "fitim": image / 1e9,
            "sigma": np.full((height, width), 3e-12),
            "mskim": mask,
            "segim": segments,
            "psfim": 1.3 * psf.drawImage(nx=25, ny=25, scale=scale).array,
        }
        (tmp_path / name).mkdir()
        for kind, pixels in content.items():
            fits.PrimaryHDU(pixels).writeto(tmp_path / name / f"G1{kind}.fits")
    return tmp_path


def test_stamps_are_centred_on_the_galaxy_in_nanomaggies(root):
    pairs = real_pairs.read_pairs(root, ["G1"])
    for stamps in (pairs.source_set, pairs.target_set):
        image = stamps.images[0, 0]
        peak = np.unravel_index(image.argmax(), image.shape)
        assert peak == (image.shape[0] // 2,) * 2
        assert stamps.psf_fwhm[0, 0] == pytest.approx(0.9, abs=0.005)
        assert stamps.noise[0, 0] == pytest.approx(0.003)
        assert stamps.mask.sum() == 40
        np.testing.assert_array_equal(image[stamps.mask[0, 0] > 0], 0)
    np.testing.assert_allclose(pairs.target_set.sigma_map, 0.003)
    assert pairs.source_set.psf.shape == (1, 1, 25, 25)
    flux = np.sum(pairs.target * real_pairs.circle(pairs, 6.0))
    assert flux == pytest.approx(50, rel=0.03)


def test_what_lies_off_the_image_is_masked():
    cut = real_pairs.cut_square(np.ones((10, 30)), (5, 15), 21, fill=7)
    assert cut.shape == (21, 21)
    np.testing.assert_array_equal(cut[[0, 4, 5, 14, 15, 20], 10], [7, 7, 1, 1, 7, 7])


def pairs_of(target, mask=None, sigma=0.01):
    n, side = len(target), target.shape[-1]
    survey = replace(KIDS_GAMA, stamp=side)
    maps = {"mask": mask, "sigma_map": np.full(target.shape, sigma)}
    images = ImageSet.of(survey, target, np.full((n, 1), 0.01), **maps)
    return Pairs(images, images, np.zeros(n, np.float32), Table({"id": np.arange(n)}))


def test_errors_of_known_translations():
    """A fainter copy, one with a known residual, one with masked damage, and pure noise."""
    rng = np.random.default_rng(0)
    y, x = np.indices((127, 127)) - 63
    truth = np.tile(np.exp(-np.hypot(x, y) / 8)[None, None], (4, 1, 1, 1)).astype(np.float32)
    mask = np.zeros(truth.shape, np.uint8)
    mask[2, 0, 60:70, 50:58] = 1
    made, pairs = truth.copy(), pairs_of(truth, mask)
    weights = real_pairs.circle(pairs, real_pairs.OUTER)
    made[0] *= 0.8
    board = np.where((x + y) % 2, 1, -1)  # of no flux
    made[1, 0] += 0.05 * board
    made[2, mask[2] > 0] += 3
    made[3] += 0.01 * rng.standard_normal(truth.shape[1:])
    found = real_pairs.measure(made, pairs)
    np.testing.assert_allclose(found["flux"][[0, 2]], [-0.2, 0], atol=1e-6)
    np.testing.assert_allclose(found["concentration"][[0, 2]], 0, atol=1e-6)
    power = np.sum(weights[1] * (truth[1, 0] ** 2 - 1e-4))
    expected = np.sqrt(weights[1].sum() * (0.05**2 - 0.01**2) / power)
    assert found["residual"][1] == pytest.approx(expected, rel=0.01)
    assert found["residual"][0] == found["residual"][2] == 0  # noise of zero is less than sigma
    assert found["residual"][3] < 0.25 * found["residual"][1]
    maps = real_pairs.residual_maps(made, pairs)
    np.testing.assert_allclose(maps[[0, 2]], 0, atol=1e-4)
    assert maps[3].std() == pytest.approx(1, rel=0.03)


def test_a_translation_beside_the_galaxy_is_shifted_onto_it():
    """By 0.4 pixels: what is left is second order in the shift."""
    y, x = (np.indices((127, 127)) - 63) * 0.2
    truth, made = (
        np.exp(-0.5 * ((x - dx) ** 2 + y**2))[None, None].astype(np.float32) for dx in (0, 0.08)
    )
    pairs = pairs_of(truth)
    left = [
        np.abs(stack - truth[:, 0]).max()
        for stack in (made[:, 0], real_pairs.registered(made, pairs))
    ]
    assert left[0] > 0.04 and left[1] < 0.08**2


def test_a_core_that_is_too_bright_is_found():
    truth = np.zeros((1, 1, 127, 127), np.float32)
    truth[..., 63, 63], truth[..., 63, 80] = 1, 1  # within 1 arcsec, and 3.4 arcsec off
    made = truth.copy()
    made[..., 63, 63], made[..., 63, 80] = 1.2, 0.8
    found = real_pairs.measure(made, pairs_of(truth))
    assert found["concentration"][0] == pytest.approx(0.2) and found["flux"][0] == pytest.approx(
        0, abs=1e-6
    )


def test_size_and_magnitude_of_a_gaussian():
    """Half the flux of a Gaussian of sigma 1 lies within 1.177 arcsec."""
    y, x = (np.indices((127, 127)) - 63) * 0.2
    image = np.exp(-0.5 * (x**2 + y**2))
    pairs = pairs_of(100 * (image / image.sum())[None, None].astype(np.float32))
    size, magnitude = real_pairs.size_and_magnitude(pairs)[0]
    assert np.exp(size) == pytest.approx(1.1774, rel=0.01)
    assert magnitude == pytest.approx(17.5, abs=0.001)


def test_real_galaxies_are_compared_with_their_like():
    """Of two groups of simulated galaxies, the nearer one counts."""
    near, far = np.zeros((30, 2)), np.full((30, 2), 5.0)
    traits = np.full((5, 2), 0.1)
    simulated = {"a": {"m": np.concatenate([np.arange(30.0), np.full(30, 99.0)])}}
    real_errors = {"a": {"m": np.arange(5.0)}}
    others = np.concatenate([near, far])
    others[0] = np.nan  # of a galaxy without flux
    table = real_pairs.compare(real_errors, simulated, traits, others)
    assert list(table.galaxy) == list(real_pairs.SEEN) and list(table.real) == [0, 1, 2, 3, 4]
    assert (
        (table.high < 30).all() and (table.low > 1).all() and (table.low <= table.simulated).all()
    )


@pytest.mark.slow
def test_simulated_pairs_are_consistent():
    """The PSF that is fitted to two images is near the one with which they were drawn.

    The fit of a shift is linear, which broadens it by some per cent.
    """
    pairs = simulate.pairs(16, 3, survey_from=SDSS_GAMA, survey_to=KIDS_GAMA)
    found = real_pairs.consistency(pairs)
    assert 0 < np.median(found["seeing"]) < 0.05 and abs(np.median(found["zero_point"])) < 0.03
    broader = replace(SDSS_GAMA, psf_fwhm=(1.2 * SDSS_GAMA.psf_fwhm[0],))
    blurred = simulate.pairs(16, 3, survey_from=broader, survey_to=KIDS_GAMA)
    ratio = real_pairs.matched_width(blurred) / real_pairs.matched_width(pairs)
    assert np.median(ratio) == pytest.approx(1.2, abs=0.04)


def test_the_kept_table_is_whole_and_holds_no_galaxy_that_is_to_stay_unseen():
    table = pd.read_csv(artefacts.check_inputs(real_pairs.KEPT))
    assert set(table.galaxy) == set(real_pairs.SEEN)
    assert set(table.row) == {"residual", "wiener", "resample", "pair"}
    assert np.isfinite(table[["real", "low", "simulated", "high"]]).all(axis=None)


@real
def test_the_card_takes_real_pairs_from_a_file_with_all_that_is_known_of_them(tmp_path):
    """Chi of a resampled source by the sigma map of KiDS, recomputed from its definition."""
    pairs = real_pairs.read_pairs(REAL)
    data.save(pairs, tmp_path / "real.h5")
    made = np.where(pairs.bad[1], 0, real_pairs.on_grid_of_target(pairs.source, pairs))
    truth = image_files.open_images(tmp_path / "real.h5")
    card = scorecard.card(truth, made, morphology=2, jobs=1, n_boot=40)
    target = pairs.target_set
    chi = np.where(target.bad, np.nan, (made - target.images) / target.sigma_map)
    expected = np.sqrt(np.nanvar(chi, axis=(2, 3)).mean())
    assert card.get("residual_scatter", "r").value == pytest.approx(expected, rel=0.01)
    assert card.about["PSF of the truth"] == "images, 25 x 25 pixels"
    assert np.isfinite(card.get("gini_bias", "r").value)


@real
def test_the_kept_table_is_that_of_the_files_and_of_this_code():
    """All but the trained translator, whose rows depend on a training."""
    pairs = real_pairs.read_pairs(REAL)
    table = pd.read_csv(real_pairs.KEPT).set_index(["row", "metric"])
    for row, errors in real_pairs.errors_by_row(pairs, pairs.target).items():
        for metric, values in errors.items():
            if row != "residual":
                kept = table.loc[[(row, metric)]].real
                np.testing.assert_allclose(kept, values, atol=1e-3)


@real
def test_the_description_is_that_of_the_files():
    """Noise, its correlation, electrons and PSF of the five cut-outs that may be looked at."""
    pairs = real_pairs.read_pairs(REAL)
    for stamps, survey in ((pairs.source_set, SDSS_GAMA), (pairs.target_set, KIDS_GAMA)):
        assert np.mean(stamps.noise) == pytest.approx(survey.sky_noise[0], rel=0.03)
    assert np.mean(pairs.target_set.psf_fwhm) == pytest.approx(KIDS_GAMA.psf_fwhm[0], rel=0.05)
    assert np.median(real_pairs.matched_width(pairs)) == pytest.approx(0.97, abs=0.04)
    bright = pairs.target > 0.2
    sky = pairs.target_set.noise[..., None, None]
    gain = pairs.target[bright] / (pairs.target_set.sigma_map**2 - sky**2)[bright]
    assert np.median(gain) == pytest.approx(15600, rel=0.1)
    for galaxy in real_pairs.SEEN[:1]:
        image, sigma, _, segments, _ = (
            fits.getdata(file) for file in real_pairs.files(REAL, "SDSS", galaxy)
        )
        z = np.where(segments == 0, image / sigma, np.nan)
        lag = np.nanmean(z[:, 1:] * z[:, :-1]) / np.nanvar(z)
        assert lag == pytest.approx(SDSS_GAMA.noise_correlation[1], abs=0.05)
