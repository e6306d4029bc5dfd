"""The rows of every comparison: what is read, what is refused, the grid of the floor."""

import numpy as np
import pytest
from astropy.table import Table
from blobs import make_pairs

from companion import comparison, paths, redshift_evaluation
from galtools import artefacts, data, simulate
from galtools.errors import GaltoolsError
from galtools.surveys import CFHTLS, SDSS, TASKS
from galtools.training import translate


@pytest.fixture
def folder(tmp_path):
    """Test galaxies of two surveys, and one model's translations of them."""
    found = paths.Results(str(tmp_path), "tiny")
    images = simulated(found, 0)
    for task in TASKS:
        translated(found, task, images[0])
    return found


def simulated(found, seed):
    """Galaxies of another seed in the same two files; their images (2, 6, 5, 64, 64)."""
    rng = np.random.default_rng(seed)
    redshift, noise = np.linspace(0.1, 0.3, 6), np.ones((6, 2, 5), np.float32) * [[[0.1], [0.2]]]
    for split in ("test", "again"):
        images = rng.normal(size=(2, 6, 5, 64, 64)).astype(np.float32)
        pairs = make_pairs(*images, redshift + seed, Table({"k": range(6)}), noise)
        data.save(pairs, found.data(split))
    return images


def translated(found, task, images):
    """Translations whose manifest names the test galaxies, as those of a chapter."""
    artefacts.make(
        found.translations(task, "swin"),
        lambda new: translate.save_translations(new, images),
        params={},
        modules=[],
        inputs=[found.data("test")],
    )


def test_rows_of_both_tasks(folder):
    cross, intra = (
        comparison.load_comparison(folder, task, ["swin"]) for task in ("cross", "intra")
    )
    assert list(cross.images) == ["truth", "again", "resample", "swin"]
    np.testing.assert_array_equal(cross.images["resample"], cross.pairs.source)
    np.testing.assert_array_equal(intra.truth, cross.pairs.source)
    assert list(intra.images) == list(intra.psf_fwhm) == ["truth", "again", "swin"]
    again = data.load(folder.data("again"))  # of the survey that each task ends in
    np.testing.assert_array_equal(intra.images["again"], again.source)
    np.testing.assert_array_equal(cross.images["again"], again.target)
    assert np.allclose(cross.sigma, 0.2) and np.allclose(intra.sigma, 0.1)
    assert cross.psf_fwhm["swin"][0, 2] < cross.psf_fwhm["resample"][0, 2]


def gaussian(survey):
    """A round galaxy of 100 nanomaggies and a scatter of 1.5 arcsec on the pixels of a survey."""
    place = (np.arange(survey.stamp) - (survey.stamp - 1) / 2) * survey.pixel_scale
    one = np.exp(-(place**2) / 2 / 1.5**2) * survey.pixel_scale / np.sqrt(2 * np.pi) / 1.5
    return np.float32(100 * np.outer(one, one)) * np.ones((3, 5, 1, 1), np.float32)


def test_the_floor_on_finer_pixels_is_the_same_sky(tmp_path):
    store = paths.Results(str(tmp_path), "tiny")
    noise, catalogue = np.full((3, 2, 5), 1e-4, np.float32), Table({"k": range(3)})
    pairs = make_pairs(gaussian(SDSS), gaussian(CFHTLS), np.full(3, 0.1), catalogue, noise)
    for split in ("test", "again"):
        data.save(pairs, store.data(split))
    found = comparison.load_comparison(store, "cross", []).images
    atol = 0.004 * pairs.target.max()
    np.testing.assert_allclose(found["resample"], found["truth"], rtol=0, atol=atol)
    again = redshift_evaluation.row_images("resample", pairs, None)
    np.testing.assert_allclose(found["resample"], again, rtol=0, atol=1e-4)


def test_the_first_galaxies_alone(folder):
    few = comparison.load_comparison(folder, "cross", ["swin"], count=2)
    assert {len(images) for images in few.images.values()} == {len(few.pairs)} == {2}
    assert {len(fwhm) for fwhm in few.psf_fwhm.values()} == {2}


def test_missing_and_misfitting_translations(folder):
    with pytest.raises(GaltoolsError, match="notebooks/13_srgan"):
        comparison.load_comparison(folder, "cross", ["srgan"])
    with pytest.raises(GaltoolsError, match="notebooks/36_keeping_redshift"):
        comparison.load_comparison(
            folder, "cross", ["flux_corrected"]
        )  # made by no chapter of its name
    with pytest.raises(GaltoolsError, match="no chapter trains 'swim'"):
        comparison.load_comparison(folder, "cross", ["swim"])
    folder.translations("cross", "swin").unlink()
    translated(folder, "cross", np.zeros((3, 5, 64, 64)))
    with pytest.raises(GaltoolsError, match="translate them again"):
        comparison.load_comparison(folder, "cross", ["swin"])


def test_translations_of_other_galaxies_are_refused(folder):
    """The test galaxies were simulated anew from another seed, and nothing was translated since."""
    simulated(folder, 1)
    made = r"seed0.h5 was made from another test.h5: run notebooks/12_swin.py again"
    with pytest.raises(GaltoolsError, match=made):
        comparison.load_comparison(folder, "cross", ["swin"])
    simulated(folder, 0)
    assert len(comparison.load_comparison(folder, "cross", ["swin"]).images) == 4


def test_translations_by_other_weights_are_refused(folder):
    weights = folder.weights("cross", "swin")
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"trained since")
    with pytest.raises(GaltoolsError, match=r"made from another weights.safetensors"):
        comparison.load_comparison(folder, "cross", ["swin"])


def test_translations_that_were_edited_are_refused(folder):
    translate.save_translations(folder.translations("cross", "swin"), np.zeros((6, 5, 64, 64)))
    with pytest.raises(GaltoolsError, match=r"changed or damaged: run notebooks/12_swin.py again"):
        comparison.load_comparison(folder, "cross", ["swin"])


def test_a_repeat_observation_of_other_galaxies_is_refused(folder):
    kept = folder.data("test").read_bytes()
    simulated(folder, 1)
    folder.data("test").write_bytes(kept)  # as if the notebook had been interrupted
    with pytest.raises(GaltoolsError, match=r"again.h5 shows other galaxies than test.h5"):
        comparison.load_comparison(folder, "cross", ["swin"])


def test_a_third_observation_is_as_far_from_the_truth_as_the_repeat_observation(tmp_path):
    """Same galaxies, other noise and seeing; blurring changes images and leaves their fluxes."""
    found = paths.Results(str(tmp_path), "tiny")
    for name, observation in (("test", 0), ("again", 1)):
        made = simulate.pairs(24, 3, 5, grid="sdss", observation=observation)
        data.save(made, found.data(name))
    for task in TASKS:
        sample = comparison.load_comparison(found, task, [])
        third = comparison.third_observation(sample, task, 20)
        truth, again = (sample.images[row][:20] for row in ("truth", "again"))
        far = [np.median((a - b).std((2, 3))) for a, b in
               ((again, truth), (third.images, truth), (third.images, again))]  # fmt: skip
        np.testing.assert_allclose(far, far[0], rtol=0.2)
        assert third.psf_fwhm.shape == (20, 5)


def test_a_degraded_repeat_observation_keeps_the_flux_and_has_the_seeing_and_noise_of_the_source(
    tmp_path,
):
    found = paths.Results(str(tmp_path), "tiny")
    for name, observation in (("test", 0), ("again", 1)):
        made = simulate.pairs(24, 3, 5, grid="sdss", observation=observation)
        data.save(made, found.data(name))
    sample = comparison.load_comparison(found, "cross", [])
    lossy, again = comparison.degraded_repeat(sample)[:, 2], sample.images["again"][:, 2]
    np.testing.assert_allclose(lossy.sum((1, 2)), again.sum((1, 2)), rtol=0.05)
    corner = lossy[:, :10, :10].std((1, 2)) / sample.pairs.noise[:, 0, 2]
    assert np.median(corner) == pytest.approx(1, abs=0.1)
    peaks = lossy.max((1, 2)) / sample.images["resample"][:, 2].max((1, 2))
    assert np.median(peaks) == pytest.approx(1, abs=0.2)  # one night's seeing scatters by 9 %


def test_galaxies_that_are_not_simulated_have_no_third_observation(folder):
    sample = comparison.load_comparison(folder, "cross", ["swin"])
    with pytest.raises(GaltoolsError, match="only simulated"):
        comparison.third_observation(sample, "cross", 3)
