"""What chapter 03 left behind in the tiny book."""

import h5py
import nbformat
import numpy as np
import pytest

from galtools import data, flags
from galtools.data import splits

pytestmark = pytest.mark.pipeline


def test_sample_of_the_chapter_is_valid_and_split(tiny):
    for part in splits.NAMES:
        path = tiny / "results" / "tiny" / "own" / "tiny" / "data" / f"{part}.h5"
        data.validate(path)
        pairs = data.load(path)
        assert flags.good(pairs.catalogue).all()
        with h5py.File(path) as file:
            assert set(file["split"].asstr()[:]) == {part}
        assert np.isfinite(pairs.source).all()
        assert np.isfinite(pairs.target).all()


def test_chapter_found_its_stamps_again(tiny):
    path = tiny / "results" / "tiny" / "notebooks" / "03_real_data.ipynb"
    notebook = nbformat.read(path, 4)
    outputs = [out for cell in notebook.cells for out in cell.get("outputs", [])]
    glued = {
        out.metadata["scrapbook"]["name"]: out.data["application/papermill.record/text/plain"]
        for out in outputs
        if "scrapbook" in out.get("metadata", {})
    }
    assert float(glued["real_cut_error"]) == 0
    assert int(glued["real_usable"]) < int(glued["real_rows"])
    # the fine stamp is wider by a strip, whose share of the light of a large galaxy is small
    assert 0 <= float(glued["real_kept"]) < 0.01
    assert 0.5 < float(glued["real_rounding"]) * 8 * np.sqrt(12) < 1.01
