"""Both set-ups side by side: every line of the paper has one of the run, read from its files."""

import pytest

from companion import paths, redshift_evaluation, setups
from galtools import data

SIDES = {"source": "SDSS, g r, 64 x 64 pixels of 0.396 arcsec",
         "target": "CFHTLS, g r, 136 x 136 pixels of 0.187 arcsec"}  # fmt: skip


@pytest.mark.parametrize(("kept", "galaxies"), [(None, "training 24,"), (30000, "training 30,000")])
def test_lines_of_a_run(monkeypatch, kept, galaxies):
    found = {"parameters": 1234, "seconds": 40.2, "galaxies": kept}
    seconds = {"residual": 40.2, "swin": 51.0}
    monkeypatch.setattr(
        setups, "training", lambda store, model, seed: found | {"seconds": seconds[model]}
    )
    monkeypatch.setattr(data, "describe", lambda path: SIDES | {"galaxies": 24})
    monkeypatch.setattr(
        redshift_evaluation, "recipe_of", lambda *_: redshift_evaluation.Recipe(width=8)
    )
    ours = setups.this_run(paths.Results("nowhere", "tiny"), list(seconds))
    assert list(setups.PAPER) == list(ours) and all(ours.values())
    assert ours["images"] == "simulated galaxies in SDSS and CFHTLS"
    assert galaxies in ours["galaxies"] and "test 24" in ours["galaxies"]
    assert ours["stamps"] == "64 × 64 pixels of 0.396 arcsec; 136 × 136 pixels of 0.187 arcsec"
    assert ours["translators"] == "Residual CNN, Swin (parameters: 1,234, 1,234)"
    assert ours["training"] == "40 to 51 s for each translator"
    assert "reading pixels" in ours["redshift estimator"]
