"""The rows of every comparison: what is read, what is refused, the grid of the floor."""

import numpy as np
import pytest
from astropy.table import Table

from galtools import data, paths, translate
from galtools.errors import GaltoolsError
from galtools.fidelity import rows
from galtools.pairs import Pairs


@pytest.fixture
def folder(tmp_path):
    """Test galaxies of two surveys, and one model's translations of them."""
    rng = np.random.default_rng(0)
    found = paths.Results(str(tmp_path), "tiny")
    for split in ("test", "again"):
        images = rng.normal(size=(2, 6, 5, 64, 64)).astype(np.float32)
        noise = np.ones((6, 2, 5), np.float32) * [[[0.1], [0.2]]]
        pairs = Pairs(*images, np.linspace(0.1, 0.3, 6), Table({"k": range(6)}), noise)
        data.save(pairs, found.data(split))
    for task in paths.TASKS:
        translate.save_translations(found.translations(task, "swin"), images[0], {})
    return found


def test_rows_of_both_tasks(folder):
    cross, intra = (rows.load(folder, task, ["swin"]) for task in ("cross", "intra"))
    assert list(cross.images) == ["truth", "again", "resample", "swin"]
    np.testing.assert_array_equal(cross.images["resample"], cross.pairs.source)
    np.testing.assert_array_equal(intra.truth, cross.pairs.source)
    assert list(intra.images) == list(intra.psf_fwhm) == ["truth", "again", "swin"]
    again = data.load(folder.data("again"))  # of the survey that each task ends in
    np.testing.assert_array_equal(intra.images["again"], again.source)
    np.testing.assert_array_equal(cross.images["again"], again.target)
    assert np.allclose(cross.sigma, 0.2) and np.allclose(intra.sigma, 0.1)
    assert cross.psf_fwhm["swin"][0, 2] < cross.psf_fwhm["resample"][0, 2]


def test_the_first_galaxies_alone(folder):
    few = rows.load(folder, "cross", ["swin"], count=2)
    assert {len(images) for images in few.images.values()} == {len(few.pairs)} == {2}
    assert {len(fwhm) for fwhm in few.psf_fwhm.values()} == {2}


def test_missing_and_misfitting_translations(folder):
    with pytest.raises(GaltoolsError, match="notebooks/13_srgan"):
        rows.load(folder, "cross", ["srgan"])
    with pytest.raises(GaltoolsError, match="notebooks/36_keeping_redshift"):
        rows.load(folder, "cross", ["keeper"])  # made by no chapter of its name
    with pytest.raises(GaltoolsError, match="no chapter trains 'swim'"):
        rows.load(folder, "cross", ["swim"])
    translate.save_translations(folder.translations("cross", "swin"), np.zeros((3, 5, 64, 64)))
    with pytest.raises(GaltoolsError, match="translate them again"):
        rows.load(folder, "cross", ["swin"])
