"""The card: what it holds, what it refuses, what it says is missing."""

import warnings
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from astropy.table import Table
from threadpoolctl import threadpool_info, threadpool_limits

import galtools
from galtools import artefacts, data
from galtools.data import ImageSet, image_files
from galtools.data.resampling import lanczos_resample
from galtools.errors import GaltoolsError
from galtools.fidelity import inputs, morphology, scorecard
from galtools.surveys import BANDS, SDSS

N = 60


@pytest.fixture(scope="module")
def sample():
    """Galaxies whose colours follow the redshift, and a translation 5 % too bright."""
    rng = np.random.default_rng(0)
    z = rng.uniform(0.02, 0.3, N)
    y, x = np.indices((32, 32)) - 15.5
    shape = np.exp(-0.5 * (x**2 + y**2) / 9) / (18 * np.pi)
    flux = rng.uniform(100, 300, (N, 1)) * 10 ** np.outer(z, [-2, -1, 0, 0.3, 0.5])
    truth = flux[..., None, None] * shape + rng.normal(0, 0.02, (N, 5, 32, 32))
    return truth, 1.05 * truth, z


def short(truth, translated, **options):
    options = {"pixel_scale": 0.396, "morphology": 0, "n_boot": 20} | options
    return scorecard.card(truth, translated, **options)


def test_a_card_measures_what_was_done(sample):
    truth, translated, z = sample
    card = short(truth, translated, redshift=z, source=truth)
    assert list(card.table.columns) == scorecard.COLUMNS
    for metric in ("flux_bias", "aperture_bias", "peak_bias", "box_bias"):
        assert card.get(metric, "r").value == pytest.approx(0.05)
    assert card.get("noise_ratio", "g").value == pytest.approx(1.05)
    assert card.get("psnr_gain", "r").value == -np.inf  # the source was perfect
    assert card.get("sigma_mad", "knn, truth").value < 0.05
    assert list(card.missing) == ["morphology"]


def test_a_card_uses_one_thread_and_leaves_those_of_its_caller(sample, monkeypatch):
    inside, measure = [], scorecard._measure

    def count(*args):
        inside.extend(each["num_threads"] for each in threadpool_info())
        return measure(*args)

    monkeypatch.setattr(scorecard, "_measure", count)
    with threadpool_limits(2):
        before = threadpool_info()
        short(sample[0], sample[1])
        assert threadpool_info() == before and set(inside) == {1}


def test_gains_over_the_source_are_those_of_the_translation(sample):
    """The source is off by a fifth, the translation by a twentieth: 20 log10(4) dB."""
    truth, translated, _ = sample
    card = short(truth, translated, source=1.2 * truth)
    for band in "ugriz":
        gain = card.get("psnr_gain", band)
        assert (gain.value, gain.low, gain.high) == pytest.approx((20 * np.log10(4),) * 3, abs=1e-3)
        assert card.get("correlation_gain", band).value == pytest.approx(0, abs=1e-9)


def test_a_partial_card_says_what_is_missing_and_why(sample):
    truth, translated, z = sample
    card = short(truth, translated)
    assert card.missing["against source"] == "no source images were given"
    assert card.missing["peak redshift"] == "no redshifts were given"
    single = short(truth, translated, redshift=np.full(N, 0.1))
    assert "not all the same" in single.missing["peak redshift"]
    few = short(truth[:20], translated[:20], redshift=z[:20], source=truth[:20, :, :16])
    assert "too few" in few.missing["peak redshift"]
    assert "resample" in few.missing["against source"]
    assert any("only 20 galaxies" in note for note in few.notes)


def test_residuals_are_in_units_of_the_noise_of_every_pixel(sample):
    """Recomputed from the definition, with masked pixels whose sigma is nonsense."""
    truth, translated, _ = sample
    sigma = np.random.default_rng(3).uniform(0.02, 0.06, truth.shape)
    weights = np.ones(truth.shape)
    weights[:, :, 4:9, 20:], sigma[:, :, 4:9, 20:] = 0, np.nan
    chi = np.where(weights > 0, (translated - truth) / sigma, np.nan)
    card = short(truth, translated, sigma_map=sigma, weights=weights)
    for k, band in enumerate(BANDS):
        mean, scatter = np.nanmean(chi[:, k]), np.sqrt(np.mean(np.nanvar(chi[:, k], axis=(1, 2))))
        assert card.get("residual_mean", band).value == pytest.approx(mean)
        assert card.get("residual_scatter", band).value == pytest.approx(scatter)
    known = np.nanmedian(np.where(weights > 0, sigma, np.nan)[..., [*range(4), *range(28, 32)], :])
    assert np.nanmedian(card.galaxies.sky_noise_r) == pytest.approx(known, rel=0.02)
    assert "sigma map" in card.about["noise of residuals"]
    assert not any("noise: not given" in note for note in card.notes)
    flat = short(truth, translated, sigma_map=np.full(truth.shape, 0.02)).table
    pd.testing.assert_frame_equal(flat, short(truth, translated, noise=0.02).table)
    with pytest.raises(GaltoolsError, match="must be positive: give weights"):
        short(truth, translated, sigma_map=sigma)


@pytest.mark.slow
def test_the_card_takes_images_of_the_psf(sample):
    """Of the Moffat profile, they give the card that its width gives; of another, another."""
    truth, translated, _ = sample
    options = {"morphology": 4, "jobs": 1}
    narrow, wide = (morphology.psf_stamp(fwhm, 0.396) for fwhm in (0.8, 1.4))
    of_each = np.tile(2 * wide, (N, 5, 1, 1))
    by_width = short(truth, translated, psf_fwhm=1.4, **options)
    for psf in (wide, of_each):
        card = short(truth, translated, psf=psf, **options)
        pd.testing.assert_frame_equal(card.table, by_width.table, rtol=1e-3)
        assert not any("PSF" in note for note in card.notes)
    assert card.about["PSF of the truth"] == "images, {} x {} pixels".format(*wide.shape)
    other = short(truth, translated, psf=narrow, **options)
    assert other.galaxies is not None and not other.table.equals(card.table)
    with pytest.raises(GaltoolsError, match="odd h and w"):
        short(truth, translated, psf=wide[1:], **options)


def test_given_noise_and_seeing_override_the_maps_that_the_truth_states(sample):
    truth, translated, _ = sample
    maps = {"sigma_map": np.full(truth.shape, 0.02), "psf": morphology.psf_stamp(0.8, 0.396)}
    stated = ImageSet.of(SDSS, truth, np.full((N, 5), 0.02), **maps)
    kept = inputs.check_inputs(stated, translated)
    assert kept.sigma_map is not None and kept.psf is not None
    given = inputs.check_inputs(stated, translated, noise=0.04, psf_fwhm=1.4)
    assert given.sigma_map is None and given.psf is None
    assert (given.sigma == 0.04).all() and (given.psf_fwhm == 1.4).all()
    both = inputs.check_inputs(stated, translated, noise=0.04, sigma_map=maps["sigma_map"])
    assert both.sigma_map is maps["sigma_map"]


@pytest.mark.parametrize("bands", ["", "gr"])
def test_morphology_in_the_bands_that_are_asked_for(sample, bands):
    truth, translated, _ = sample
    card = short(truth, translated, morphology=3, morphology_bands=tuple(bands), jobs=1)
    lines = card.table.query("metric == 'gini_bias'")
    assert list(lines.band) == list(bands or "r")
    np.testing.assert_allclose(lines.value, 0, atol=1e-3)  # blind to a gain
    assert (lines.n == 3).all()


def test_source_and_repeat_stand_beside_the_translation(sample):
    """Measured exactly as a translation would be."""
    truth, translated, _ = sample
    card = short(truth, translated, source=1.2 * truth, repeat=1.01 * truth)
    for row, gain in (("source", 1.2), ("repeat", 1.01)):
        part = card.beside[card.beside.row == row].drop(columns="row").reset_index(drop=True)
        alone = short(truth, gain * truth).table.query("level != 'input'").reset_index(drop=True)
        pd.testing.assert_frame_equal(part, alone)
    lost = short(truth, translated, repeat=truth[..., :16])
    assert "resample" in lost.missing["repeat"] and lost.beside is None


@pytest.mark.parametrize(("bands", "told"), [("ugriz", "r"), ("ABCDE", "C")])
def test_a_source_that_is_not_there_is_noticed_in_one_band(sample, bands, told):
    truth, translated, _ = sample
    y, x = np.indices(truth.shape[-2:]) - 15.5
    star = 10 * np.exp(-0.5 * ((x - 9) ** 2 + y**2) / 1.5**2)
    with_star = translated.copy()
    with_star[: N // 2] += star
    plain = short(truth, translated, bands=tuple(bands))
    assert np.isnan(plain.get("purity", told).value)  # nothing to be found, nothing found
    card = short(truth, with_star, bands=tuple(bands))
    assert card.get("purity", told).value == 0
    assert np.isnan(card.get("completeness", told).value)
    assert set(card.table[card.table.level == "sources"].band) == {told}


def test_factor_1000_is_recognised_and_named(sample):
    truth, translated, _ = sample
    with pytest.raises(GaltoolsError, match=r"factor 1000.*divide it by 1000"):
        short(truth, 1000 * translated)
    with pytest.raises(GaltoolsError, match=r"factor 1000.*multiply it by 1000"):
        short(truth, translated / 1000)
    with pytest.raises(GaltoolsError, match=r"maggies in nanomaggies: multiply it by 1e\+09"):
        short(truth, 1e-9 * translated)
    with pytest.raises(GaltoolsError, match="bring both to nanomaggies"):
        short(truth, 50 * translated)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x[:-1], "give the same galaxies"),
        (lambda x: x[..., :-2], "on the same pixel grid"),
        (lambda x: np.moveaxis(x, 1, -1), "bands last"),
        (lambda x: x[0], "same galaxies and bands"),
    ],
)
def test_images_of_another_layout_are_refused(sample, change, message):
    with pytest.raises(GaltoolsError, match=message):
        short(sample[0], change(sample[1]))


def test_other_bad_arguments_are_refused(sample):
    truth, translated, z = sample
    cases = [
        ({"bands": "ugr"}, "do not name"),
        ({"pixel_scale": None}, "give pixel_scale"),
        ({"noise": np.ones(3)}, "one per band or galaxy"),
        ({"noise": 0}, "must be positive"),
        ({"noise": np.array([1, np.inf, 1, 1, 1])}, "in nanomaggies per pixel, not inf"),
        ({"redshift": z[:5]}, "one per galaxy"),
        ({"weights": np.ones(4)}, "weights have shape"),
    ]
    for options, message in cases:
        with pytest.raises(GaltoolsError, match=message):
            short(truth, translated, **options)
    with pytest.raises(GaltoolsError, match="do not name the 3 bands"):
        short(truth[:, :3], translated[:, :3])
    with pytest.raises(GaltoolsError, match="too small: give at least 16 x 16"):
        short(truth[..., 8:16, 8:16], translated[..., 8:16, 8:16])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"redshift": ["far"] * N}, "redshifts must be numbers"),
        ({"pixel_scale": 0.0}, "pixel_scale must be positive, in arcsec per pixel, not 0"),
        ({"pixel_scale": -1}, "pixel_scale must be positive"),
        ({"pixel_scale": "fine"}, "pixel_scale must be positive"),
        ({"morphology": -3}, "0 for none, not -3"),
        ({"morphology": 2, "psf_fwhm": -1.0}, "psf_fwhm must be positive, in arcsec"),
        ({"psf_fwhm": np.ones(7)}, "one per band or galaxy"),
        ({"pixel_scale": 262}, "give arcsec per pixel"),
        ({"morphology": 2, "psf_fwhm": np.arange(60) - 50}, "in arcsec, not -50"),
        ({"morphology_bands": "rx"}, "unknown band 'x'"),
    ],
)
def test_arguments_without_sense_are_one_line(sample, options, message):
    with pytest.raises(GaltoolsError, match=message) as error:
        short(*sample[:2], **options)
    assert "\n" not in str(error.value)


def test_images_that_are_no_real_numbers_are_refused(sample):
    truth, translated, _ = sample
    for bad, message in (
        (truth.astype(complex), "translated holds complex128: hand in real numbers"),
        (truth.astype(object), "translated holds object"),
        ([["galaxy"]], "translated is no array of numbers"),
    ):
        with pytest.raises(GaltoolsError, match=message):
            short(truth, bad)
    some = slice(0, 3)
    assert short(truth[some].tolist(), translated[some]).get("flux_bias", "r").n == 3


def test_units_of_the_source_and_of_everything(sample):
    truth, translated, _ = sample
    with pytest.raises(GaltoolsError, match=r"the source is .* factor 1000.*divide it by 1000"):
        short(truth, translated, source=1000 * truth)
    notes = short(1e4 * truth, 1e4 * translated).notes
    assert any("would have magnitude 6" in note and "other units?" in note for note in notes)
    notes = short(1e-9 * truth, 1e-9 * translated).notes
    assert any("other units, maggies?" in note for note in notes)
    assert not any("other units" in note for note in short(truth, translated).notes)


def test_bands_in_another_order_are_noticed(sample):
    truth, translated, _ = sample
    notes = short(truth, translated[:, [4, 1, 2, 3, 0]]).notes
    assert any("fit better as z, g, r, i, u: another order of the bands?" in note for note in notes)
    assert not any("order of the bands" in note for note in short(truth, 1.5 * translated).notes)


def test_a_pedestal_is_noticed_in_its_band(sample):
    truth, translated, _ = sample
    raised = translated.copy()
    raised[:, 1] += 8 * 0.02
    notes = [note for note in short(truth, raised, noise=0.02).notes if "pedestal" in note]
    assert len(notes) == 1 and "lies +8.0 sky sigma from that of the truth in g" in notes[0]
    assert not any("pedestal" in note for note in short(truth, translated).notes)


@pytest.mark.parametrize("turn", list(inputs.TURNS))
def test_another_orientation_is_noticed_and_named(sample, turn):
    """Sources off the centre, at random, tell every orientation from every other."""
    truth, rng = sample[0].copy(), np.random.default_rng(1)
    rows, columns = rng.integers(0, 32, (2, N))
    truth[np.arange(N), :, rows, columns] += 5
    notes = short(truth, inputs.TURNS[turn](truth)).notes
    inverse = {"turned by 90 degrees": "turned by -90 degrees"}
    inverse |= {name: turned for turned, name in inverse.items()}
    expected = f"the translation fits the truth better {inverse.get(turn, turn)}: another"
    assert any(note.startswith(expected) for note in notes)
    few = truth[:17]
    assert any("orientation" in note for note in short(few, inputs.TURNS[turn](few)).notes)
    assert not any("orientation" in note for note in short(truth, 1.05 * truth).notes)
    assert not any("orientation" in note for note in short(truth[..., 8:], truth[..., 8:]).notes)


def test_what_the_file_states_is_used(sample, tmp_path):
    """Scale, noise, seeing and mask in the file of the truth; another scale is refused."""
    truth, translated, _ = sample
    spoilt, weights = translated.copy(), np.ones(truth.shape, np.uint8)
    spoilt[..., :3], weights[..., :3] = 50, 0
    facts = {"pixel_scale": 0.2, "noise": np.full(5, 0.03), "psf_fwhm": 0.7, "weights": weights}
    np.savez(tmp_path / "truth.npz", truth=truth, **facts)
    stated = image_files.open_images(tmp_path / "truth.npz")
    card = short(stated, spoilt, pixel_scale=None)
    told = short(truth, spoilt, **facts)
    assert card.table.equals(told.table) and card.notes == told.notes
    assert card.get("residual_scatter", "r").value < 10
    np.savez(tmp_path / "coarse.npz", translated=spoilt, pixel_scale=0.4)
    coarse = image_files.open_images(tmp_path / "coarse.npz")
    with pytest.raises(GaltoolsError, match=r"0\.2 arcsec per pixel, the file .* says 0\.4"):
        short(stated, coarse, pixel_scale=None)


def test_an_image_set_states_what_it_knows(sample):
    truth, translated, _ = sample
    facts = {"noise": np.full((N, 5), 0.03), "psf_fwhm": np.full((N, 5), 0.7)}
    mask = np.zeros(truth.shape, np.uint8)
    mask[..., :3] = 1
    images = data.ImageSet(truth, facts["noise"], "SDSS", BANDS, 0.396, facts["psf_fwhm"], mask)
    card = short(images, translated, pixel_scale=None)
    told = short(truth, translated, weights=mask == 0, **facts)
    assert card.table.equals(told.table) and card.notes == told.notes


def test_masked_pixels_change_no_shape(sample):
    """A bright blemish under the mask leaves statmorph's numbers as if it were not there."""
    truth, translated, _ = sample
    some, weights = slice(0, 3), np.ones((3, *truth.shape[1:]))
    weights[:, :, 10:13, 20:23] = 0
    spoilt = translated[some].copy()
    spoilt[:, :, 10:13, 20:23] = 30
    options = {"weights": weights, "morphology": 3, "jobs": 1, "psf_fwhm": 1.0}
    cards = [short(truth[some], images, **options) for images in (translated[some], spoilt)]
    gini, marred = (card.get("gini_bias", "r").value for card in cards)
    assert marred == gini
    bare = short(truth[some], spoilt, **options | {"weights": None}).get("gini_bias", "r").value
    assert not abs(bare - gini) < 0.01  # without the mask it is off, or cannot be measured


def test_nothing_measurable_is_no_warning(sample):
    truth, translated, z = sample
    nowhere = np.full_like(truth, np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        card = short(nowhere, translated, redshift=z, source=truth, morphology=2, jobs=1)
        short(truth, truth, source=truth)  # nothing can be gained over a perfect copy
    assert card.get("rmse", "r").n == card.get("gini_bias", "r").n == 0
    assert card.get("broken", "r").value == 1


def test_odd_galaxies_are_flagged_counted_and_never_divide_by_zero(sample):
    truth, translated, _ = sample
    truth, translated = truth.copy(), translated.copy()
    translated[:4, :, :, -2:] = np.nan
    translated[4, 1] = 0.0
    translated[5, 0] = -1.0 - np.abs(translated[5, 0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        card = short(truth, translated)
    assert card.get("broken", "r").value == pytest.approx(4 / N)
    assert card.get("constant", "g").value == pytest.approx(1 / N)
    assert card.get("no_flux", "u").value == pytest.approx(1 / N)
    assert card.get("rmse", "r").n == N - 4 and card.get("correlation", "g").n == N - 5
    text = " ".join(card.notes)
    assert "NaN borders" in text and "constant image" in text and "no positive flux" in text
    assert not short(truth[..., 2:-2, 2:-2], translated[..., 2:-2, 2:-2]).get("broken", "r").value


def test_constant_and_empty_samples_do_not_crash():
    flat = np.ones((40, 5, 32, 32))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        card = short(flat, flat)
    assert card.get("correlation", "r").n == 0 and np.isnan(card.get("correlation", "r").value)
    assert card.get("mae", "r").value == 0


def test_another_order_is_noticed(sample):
    truth, translated, _ = sample
    shuffled = np.random.default_rng(1).permutation(translated)
    assert any("another order" in note for note in short(truth, shuffled).notes)
    assert not any("another order" in note for note in short(truth, translated).notes)


def test_saving_loading_and_merging(sample, tmp_path):
    truth, translated, _ = sample
    card = short(truth, truth, name="copy")
    again = scorecard.load(card.save(tmp_path / "card.json"))
    assert again.table.equals(card.table) and again.missing == card.missing
    page = card.save(tmp_path / "card.html").read_text("utf-8")
    assert "∞" in page and page.startswith('<!doctype html><html lang="en"><meta charset="utf-8">')
    assert f"<p>{datetime.now(UTC):%Y-%m-}" in page
    assert page.count("<table") == 6  # input; pixels and peaks, with those of colours; sources
    assert "<script" not in page and "http" not in page.replace("data:image", "")
    other = short(truth, translated, name="bright")
    board = scorecard.merge([card, other])
    assert set(board.row) == {"copy", "bright"}
    with pytest.raises(GaltoolsError, match="different names"):
        scorecard.merge([card, card])
    with pytest.raises(GaltoolsError, match=r"names, not \['copy'\] beside \['copy', 'swin'\]"):
        scorecard.merge([card], ["swin", "copy", "copy"])
    with pytest.raises(GaltoolsError, match="choose one of"):
        card.save(tmp_path / "card.txt")
    (tmp_path / "bad.json").write_text('{"format": 1}')
    with pytest.raises(GaltoolsError, match="no card"):
        scorecard.load(tmp_path / "bad.json")


def test_a_card_can_be_read_alone(sample, tmp_path):
    """Version, files with checksums, geometry, and a definition of every metric that it shows."""
    truth, translated, z = sample
    np.savez(tmp_path / "truth.npz", truth=truth, pixel_scale=0.2, psf_fwhm=0.7)
    stated = image_files.open_images(tmp_path / "truth.npz")
    card = short(stated, translated, source=truth, redshift=z, pixel_scale=None)
    about = card.about
    assert about["truth"] == f"truth.npz, sha256 {artefacts.sha256(tmp_path / 'truth.npz')[:12]}"
    assert about["images"] == "60 galaxies, bands u, g, r, i, z, 32 x 32 pixels"
    assert about["pixel scale"] == "0.2 arcsec" and about["galtools"] == galtools.__version__
    assert about["seeing of the truth"] == "0.7, 0.7, 0.7, 0.7, 0.7 arcsec FWHM (medians)"
    page = card.to_html()
    assert all(f"<li>{metric}: " in page for metric in set(card.table.metric))
    again = scorecard.load(card.save(tmp_path / "card.json"))
    assert again.about == about
    with pytest.raises(GaltoolsError, match="no values of galaxies"):
        again.save(tmp_path / "values.ecsv")


def test_values_of_single_galaxies_are_kept(sample, tmp_path):
    truth, translated, _ = sample
    card = short(truth, translated)
    values = Table.read(card.save(tmp_path / "values.ecsv"))
    np.testing.assert_allclose(values["mae_r"], np.abs(translated - truth)[:, 2].mean((1, 2)))
    flux = truth[:, 1].sum((1, 2))
    np.testing.assert_allclose(values["flux_error_g"], translated[:, 1].sum((1, 2)) / flux - 1)
    assert {"colour_error_u-g", "colour_error_i-z", "true_sources_r"} <= set(values.colnames)
    noise = card.galaxies["sky_noise_g"] * np.sqrt(np.pi) * 3 / 0.396
    np.testing.assert_allclose(card.galaxies["snr_g"], card.galaxies["aperture_flux_g"] / noise)


@pytest.mark.parametrize("height", [32, 24])
def test_a_source_on_another_grid_is_resampled(sample, height, tmp_path):
    truth, translated = (images[..., :height, :] for images in sample[:2])
    coarse = lanczos_resample(truth, (height // 2, 16), 2.0)
    np.savez(tmp_path / "source.npz", source=coarse, pixel_scale=0.8)
    source = image_files.open_images(tmp_path / "source.npz", names=image_files.SOURCE)
    card = short(truth, translated, source=source, pixel_scale=0.4)
    told = short(
        truth, translated, source=lanczos_resample(coarse, (height, 32), 0.5), pixel_scale=0.4
    )
    assert card.get("psnr_gain", "r") == told.get("psnr_gain", "r")


def test_one_file_for_truth_and_translation_is_noticed(sample):
    truth, translated, _ = sample
    assert any("one file twice" in note for note in short(truth, truth).notes)
    assert not any("one file twice" in note for note in short(truth, translated).notes)
