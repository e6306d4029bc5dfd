"""Surveys are data: what ships is consistent, and a reader's own is used like any other."""

import tomllib
from dataclasses import asdict, replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from galtools import data, models, provenance, surveys
from galtools.data.image_files import open_images
from galtools.errors import GaltoolsError
from galtools.ingest.arrays import read_arrays
from galtools.ingest.crossmatch import match
from galtools.ingest.folder import read_folder
from galtools.ingest.units import extinction_per_ebv
from galtools.surveys import (
    CFHTLS,
    SDSS,
    SURVEYS,
    Survey,
    add_survey,
    band_names,
    find_survey,
    load_surveys,
)
from galtools.training import train, translate
from galtools.training.loop import Settings

MINE = """
[Mine]
bands = ["g", "r", "VIS"]
pixel_scale = 0.3
zero_point = "MYZERO"
psf_fwhm = [1.0, 0.9, 0.2]
sky_noise = [0.01, 0.02, 0.03]
"""


@pytest.mark.parametrize("name", ["F1 W", "a,b", ""])
def test_bands_are_single_words(name):
    """Files and options list them in one line."""
    image = np.zeros((1, 1, 16, 16))
    for make in (
        lambda: Survey("Mine", (name,), 0.3, 22.5, (1.0,), (0.01,)),
        lambda: data.ImageSet(image, image[..., 0, 0], "Mine", (name,), 0.3, image[..., 0, 0]),
    ):
        with pytest.raises(GaltoolsError, match=f"Mine: '{name}' names no band"):
            make()


@pytest.fixture
def mine(tmp_path, monkeypatch):
    monkeypatch.setattr("galtools.surveys.SURVEYS", dict(SURVEYS))
    (tmp_path / "mine.toml").write_text(MINE)
    (survey,) = load_surveys(tmp_path / "mine.toml")
    return survey


@pytest.mark.parametrize(
    ("name", "depths", "ratio", "diameter"),
    [
        ("KiDS", (24.23, 25.12, 25.02, 23.68), 5, 2.0),
        ("DES", (24.7, 24.4, 23.8, 23.1, 21.7), 10, 1.95),
        ("PS1", (23.3, 23.2, 23.1, 22.3, 21.3), 5, None),
        ("HSC", (26.5, 26.5, 26.2, 25.2, 24.4), 5, None),
        ("Legacy", (24.95, 24.36, 23.26), 5, None),
        ("Euclid VIS", (24.5,), 10, 1.3),
    ],
)
def test_noise_of_every_survey_gives_its_published_depth(name, depths, ratio, diameter):
    """Magnitude at which the flux in an aperture, or of a point source, is `ratio` sigma."""
    survey = SURVEYS[name]
    width = np.array(survey.psf_fwhm) / np.sqrt(8 * np.log(2))
    area = np.pi * diameter**2 / 4 if diameter else 4 * np.pi * width**2
    sigma = np.array(survey.sky_noise) * np.sqrt(area) / survey.pixel_scale
    np.testing.assert_allclose(22.5 - 2.5 * np.log10(ratio * sigma), depths, atol=0.05)


def test_dust_dims_blue_light_more_in_every_survey():
    for survey in SURVEYS.values():
        assert (np.diff(extinction_per_ebv(survey)) < 0).all(), survey.name
    with pytest.raises(GaltoolsError, match="names no filter curves"):
        extinction_per_ebv(replace(SDSS, filters=()))
    # PS1 y, beyond z: 1.088 by Schlafly & Finkbeiner (2011), table 6
    assert extinction_per_ebv(SURVEYS["PS1"])[-1] == pytest.approx(1.088, rel=0.05)


def test_a_survey_of_ones_own_comes_from_a_file_or_from_python(mine, tmp_path):
    assert find_survey("Mine") is mine
    assert mine.in_bands("rg").sky_noise == (0.02, 0.01)
    again = add_survey(Survey(**{**asdict(mine), "name": "Again"}))
    assert find_survey("Again") is again
    for text, message in (
        (MINE.replace("0.02, ", ""), "sky_noise has 2 values for 3 bands"),
        (MINE.replace("0.3\n", "30\n"), "arcsec per pixel"),
        (MINE + "seeing = 1.0\n", "no survey has 'seeing'"),
        (MINE + "bands = [", "cannot read"),
        (MINE.replace('zero_point = "MYZERO"', ""), "zero_point"),
    ):
        (tmp_path / "wrong.toml").write_text(text)
        with pytest.raises(GaltoolsError, match=message) as error:
            load_surveys(tmp_path / "wrong.toml")
        assert "\n" not in str(error.value)
    with pytest.raises(GaltoolsError, match="no band u among g, r, VIS"):
        mine.in_bands("ug")
    with pytest.raises(GaltoolsError, match="unknown survey 'LSST': choose one of SDSS"):
        find_survey("LSST")


def test_names_of_bands_are_read_however_they_are_written():
    for text in ("gri", "g r i", "g,r,i", ["g", "r", "i"], np.array(["g", "r", "i"])):
        assert band_names(text) == ("g", "r", "i")
    assert band_names("VIS") == ("VIS",) and band_names("r") == ("r",)
    assert band_names(np.array([b"g", b"VIS"])) == ("g", "VIS")
    with pytest.raises(GaltoolsError, match="no band is named"):
        band_names(" ")


def galaxies(survey, n, shape, seed=0):
    """Round galaxies at the survey's noise, as an array (n, bands, H, W)."""
    y, x = (np.indices(shape).T - (np.array(shape) - 1) / 2).T * survey.pixel_scale
    profile = np.exp(-(x**2 + y**2) / 8) * survey.pixel_scale**2
    rng = np.random.default_rng(seed)
    noise = np.array(survey.sky_noise)[:, None, None] * rng.normal(
        size=(n, len(survey.bands), *shape)
    )
    return np.float32(rng.uniform(3, 9, (n, 1, 1, 1)) * profile + noise)


def test_another_survey_in_its_own_bands_from_files_to_translations(mine, tmp_path):
    """FITS cutouts with a zero-point keyword of their own, stamps that are not square, HDF5."""
    n, true = 6, galaxies(mine, 6, (44, 36))
    for k, row in enumerate(true):
        for band, image in zip(mine.bands, row, strict=True):
            header = fits.Header({"FILTER": band, "MYZERO": 25.0}.items())
            fits.PrimaryHDU(image * 10, header).writeto(tmp_path / f"{k}_{band}.fits")
    place = Table({"id": [str(k) for k in range(n)], "ra": np.arange(n), "dec": np.zeros(n)})
    target = read_folder(tmp_path, mine, catalogue=place)
    np.testing.assert_allclose(target.images, true, rtol=1e-6)
    np.savez(tmp_path / "a.npz", img=np.moveaxis(galaxies(SDSS, n, (34, 28)), 1, 3)[..., [2, 1]])
    source = read_arrays(
        tmp_path / "a.npz", SDSS, key="img", axes="nyxb", bands="rg", catalogue=place
    )
    assert source.bands == ("g", "r")
    pairs, _ = match(source, target.in_bands("gr"))
    data.save(pairs, tmp_path / "pairs.h5")
    found = data.load(tmp_path / "pairs.h5")
    assert found.target_set.instrument == mine.in_bands("gr")
    assert open_images(tmp_path / "pairs.h5").facts["bands"] == ("g", "r")
    network = models.build("residual", "cross", "tiny", bands=(2, 2))
    train.train(network, found, found, Settings(steps=2, batch=2, crop=16))
    assert translate.translate(network, found.source).shape == (n, 2, 44, 36)


def test_the_same_images_in_npz_fits_and_hdf5_are_one_sample(tmp_path):

    survey = SURVEYS["Euclid VIS"]
    images, noise = galaxies(survey, 3, (30, 40)), np.full((3, 1), 0.0015)
    weights = np.ones(images.shape, np.float32)
    weights[1, 0, 2, 3] = 0
    parts = {"images": images, "noise": noise, "weights": weights}
    np.savez(tmp_path / "a.npz", **parts, redshift=[0.1, 0.2, 0.3])
    hdus = [fits.ImageHDU(array, name=name) for name, array in parts.items()]
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(tmp_path / "a.fits")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, array in parts.items():
            file[name] = array
    for name in ("a.npz", "a.fits", "a.h5"):
        found = read_arrays(tmp_path / name, survey)
        np.testing.assert_array_equal(found.images, images)
        np.testing.assert_allclose(found.noise, noise)
        assert np.argwhere(found.mask).tolist() == [[1, 0, 2, 3]]


def test_the_default_pair_is_the_one_of_the_book():
    assert (SDSS.name, CFHTLS.name) == ("SDSS", "CFHTLS")
    assert SDSS.on_grid_of(CFHTLS).stamp == CFHTLS.stamp


def test_an_edit_of_the_facts_makes_artefacts_anew(monkeypatch):
    before = provenance.module_digests(["galtools.simulate"])["galtools.surveys"]
    facts = tomllib.loads(Path(surveys.__file__).with_suffix(".toml").read_text())
    facts["SDSS"]["pixel_scale"] = 0.4
    monkeypatch.setattr("galtools.provenance.tomllib.loads", lambda text: facts)
    assert provenance.module_digests(["galtools.simulate"])["galtools.surveys"] != before
