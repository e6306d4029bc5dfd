"""Galaxies at other distances, and the small pictures that readers can touch."""

import base64
import io
import json
import re

import numpy as np
import pytest
from astropy import units as u
from astropy.cosmology import FlatLambdaCDM
from PIL import Image
from sedpy.observate import getSED, load_filters

from companion import artificial_redshift, interactive
from galtools import simulate
from galtools.errors import GaltoolsError
from galtools.simulate import spectra
from galtools.surveys import CFHTLS, SDSS


def test_a_galaxy_at_its_own_redshift_is_the_one_of_the_sample():
    pairs = simulate.pairs(3, seed=5, grid="sdss")
    z = float(pairs.catalogue["redshift"][2])
    for survey, side, images in ((SDSS, "source", pairs.source), (CFHTLS, "target", pairs.target)):
        found, magnitudes = artificial_redshift.redshifted_images(
            2, [z], survey.on_grid_of(SDSS), seed=5
        )
        np.testing.assert_allclose(found[0], images[2], atol=1e-4 * images[2].max())
        known = [pairs.catalogue[f"{side}_{band}"][2] for band in "ugriz"]
        np.testing.assert_allclose(magnitudes[0], known, atol=1e-6)


def test_dimming_is_that_of_the_redshifted_spectrum():
    """Against sedpy, which integrates the template itself, and astropy's distances."""
    near, far = 0.05, 0.3
    physics = {name: np.zeros(1) for name in spectra.PARAMETERS}
    physics |= {"redshift": np.array([near]), "r_magnitude": np.array([16.0])}
    physics |= {"half_light_radius": np.array([4.0])}
    physics = {**physics, "dust": np.zeros(1)}
    found = artificial_redshift.at_redshift(physics, [far])
    cosmology = FlatLambdaCDM(H0=70, Om0=0.3)
    magnitude = [
        getSED(
            spectra.WAVELENGTH * (1 + z), spectra.template("E") / (1 + z), load_filters(["sdss_r0"])
        )[0]
        + 5 * np.log10(cosmology.luminosity_distance(z).value)
        for z in (near, far)
    ]
    assert found["r_magnitude"][0] - 16.0 == pytest.approx(magnitude[1] - magnitude[0], abs=0.02)
    angle = [cosmology.kpc_proper_per_arcmin(z).to_value(u.kpc / u.arcsec) for z in (near, far)]
    assert found["half_light_radius"][0] == pytest.approx(4.0 * angle[0] / angle[1], rel=1e-4)


def cells(uri: str) -> np.ndarray:
    data = base64.b64decode(uri.removeprefix("data:image/webp;base64,"))
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def test_sheet_keeps_every_cell_in_its_place():
    shades = np.arange(6, dtype=np.uint8).reshape(2, 3, 1, 1, 1) * 40
    picture = cells(interactive.sheet(np.broadcast_to(shades, (2, 3, 16, 16, 3))))
    assert picture.shape == (32, 48, 3)
    centres = picture[8::16, 8::16].astype(int)
    assert np.abs(centres - shades.reshape(2, 3, 1)).max() <= 4
    with pytest.raises(GaltoolsError, match="sheet"):
        interactive.sheet(np.zeros((2, 3, 16, 16, 3)))


def test_pictures_have_north_on_top_and_one_scale():
    image = np.zeros((1, 8, 8))
    image[0, -1] = 5.0  # the last row of an image is its top
    painted = interactive.residual(image, 0.0, 1.0)[0].astype(int)
    assert painted[0, 0, 0] > painted[0, 0, 2] + 60  # red, on top
    assert painted[-1].min() > 240  # white where nothing differs
    assert interactive.grey(image, 1.0, 5.0)[0, 0].min() == 255
    assert interactive.grey(image, 1.0, 5.0)[0, -1].max() == 0
    five = np.zeros((2, 5, 8, 8))
    five[:, :, -1] = 1.0
    assert interactive.colour(five)[:, 0].min() > interactive.colour(five)[:, -1].max()


def test_filters_are_those_of_the_survey():
    assert interactive.pivots(CFHTLS)[0] == pytest.approx(3828, abs=3)
    for curve, pivot in zip(interactive.filters(SDSS), interactive.pivots(SDSS), strict=True):
        wavelength, height = np.transpose(curve)
        assert wavelength[0] < pivot < wavelength[-1]
        assert 0.9 < height.max() <= 1


def test_element_holds_its_data_and_cannot_be_broken_out_of():
    text = interactive.custom_element("galaxy-draws", {"a": "</script>"}, 'a "label"', "fig-x").data
    inside = re.search(r">(\{.*\})</script></galaxy-draws>$", text)[1]
    assert json.loads(inside) == {"a": "</script>"}
    assert text.count("</script>") == 1
    assert 'aria-label="a &quot;label&quot;"' in text
