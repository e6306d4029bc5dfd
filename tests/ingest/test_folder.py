"""Folders in which one object, band or file is at odds with the rest: its row says so."""

import bz2
import gzip

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from galtools import flags
from galtools.data.files import quantize
from galtools.data.pairs import MASKED
from galtools.errors import GaltoolsError
from galtools.flags import Flag
from galtools.ingest import cutouts
from galtools.ingest.arrays import read_arrays
from galtools.ingest.catalogue import read_catalogue
from galtools.ingest.fits_images import read_plane
from galtools.ingest.folder import list_objects, read_folder
from galtools.surveys import BANDS, SDSS

NAMES = "abcde"


def sky(n=5, size=64):
    """Blank sky of SDSS's noise with a source of 100 sigma in the middle."""
    sigma = np.float32(SDSS.sky_noise)[None, :, None, None]
    images = np.random.default_rng(0).normal(0, 1, (n, 5, size, size)) * sigma
    images[:, :, 30:34, 30:34] += 100 * sigma
    return images.astype(np.float32)


def header_of(k, band, size=64):
    """Upright coordinates a degree apart from object to object, and a frame's unit."""
    header = cutouts.upright_wcs(150.0 + k, 2.0, SDSS.pixel_scale, size).to_header()
    header.update({"FILTER": band, "BUNIT": "nanomaggy"})
    return header


@pytest.fixture
def folder(tmp_path):
    """Five good objects, a file for each band."""
    for k, (name, stamp) in enumerate(zip(NAMES, sky(), strict=True)):
        for band, image in zip(BANDS, stamp, strict=True):
            fits.PrimaryHDU(image, header_of(k, band)).writeto(tmp_path / f"{name}_{band}.fits")
    return tmp_path


def change(path, factor=1, remove=(), **cards):
    pixels, header = fits.getdata(path), fits.getheader(path)
    for key in remove:
        del header[key]
    header.update(cards)
    fits.PrimaryHDU(pixels * np.float32(factor), header).writeto(path, overwrite=True)


def words(stamps):
    """Flags of every row besides the redshift that the folder does not have."""
    return [flags.names(f & ~int(Flag.NO_REDSHIFT)) for f in stamps.catalogue["flag"]]


def test_good_objects_have_no_flag(folder):
    stamps = read_folder(folder, SDSS)
    assert words(stamps) == [""] * 5
    np.testing.assert_array_equal(stamps.images, sky())


@pytest.mark.parametrize(
    ("cards", "expected"),
    [
        ({"BUNIT": "adu", "MAGZP": 0}, "UNCALIBRATED"),
        ({"BUNIT": "adu", "MAGZP": 99.0}, "UNCALIBRATED"),
        ({"BUNIT": "adu", "MAGZP": True}, "UNCALIBRATED"),
        ({"BUNIT": "adu"}, "UNCALIBRATED"),
        ({"BUNIT": "MJy/sr"}, "UNCALIBRATED"),
        ({"BUNIT": "DNs", "SOFTBIAS": 1000}, "UNCALIBRATED"),
        ({"BUNIT": "mJy"}, "ODD_NOISE"),  # a unit that is read, and cannot be
        ({"CRVAL1": 170.0}, "ODD_WCS"),
        ({"CRVAL1": "nan"}, "ODD_WCS"),
        ({"PC1_1": SDSS.pixel_scale / 3600, "PC2_2": -SDSS.pixel_scale / 3600}, "ODD_WCS"),
        ({"PC1_1": SDSS.pixel_scale / 3600}, "ODD_WCS"),  # mirrored
    ],
)
def test_one_bad_header_is_flagged_in_its_row_only(folder, cards, expected):
    change(folder / "c_g.fits", **cards)
    stamps = read_folder(folder, SDSS)
    found = words(stamps)
    assert expected in found[2].split(", ")
    assert found[:2] + found[3:] == [""] * 4
    if expected == "UNCALIBRATED":
        assert np.isnan(stamps.images[2, 1]).all()
    np.testing.assert_array_equal(stamps.images[[0, 1, 3, 4]], sky()[[0, 1, 3, 4]])


def test_a_zero_point_of_its_own_is_used_for_each_file(folder):
    change(folder / "b_r.fits", factor=1000, BUNIT="adu", MAGZP=30.0)
    jansky = 3.631e-6
    change(folder / "d_i.fits", factor=jansky * 1e3, BUNIT="mJy")
    stamps = read_folder(folder, SDSS)
    np.testing.assert_allclose(stamps.images, sky(), rtol=1e-5)
    assert words(stamps) == [""] * 5


def test_an_object_turned_or_displaced_in_all_its_bands_is_flagged(folder):
    step = SDSS.pixel_scale / 3600
    for band in BANDS:
        change(folder / f"b_{band}.fits", PC1_1=step, PC2_2=-step)
        change(folder / f"e_{band}.fits", CRVAL2=2.1)
    catalogue = Table({"id": list(NAMES), "ra": 150.0 + np.arange(5), "dec": [2.0] * 5})
    assert words(read_folder(folder, SDSS, catalogue=catalogue)) == [
        "", "ODD_WCS", "", "", "ODD_WCS",
    ]  # fmt: skip


def test_some_stamps_too_bright_are_flagged(folder, tmp_path):
    images = sky(9)
    images[[1, 3, 5, 7]] *= 1000
    np.savez(tmp_path / "a.npz", data=images)
    found = words(read_arrays(tmp_path / "a.npz", SDSS))
    assert found == ["", "ODD_NOISE"] * 4 + [""]
    assert "ODD_NOISE" not in "".join(words(read_arrays(tmp_path / "a.npz", SDSS, check=False)))
    for band in BANDS:
        change(folder / f"a_{band}.fits", factor=1000)
    assert words(read_folder(folder, SDSS)) == ["ODD_NOISE", *[""] * 4]


@pytest.mark.parametrize("value", [2.4e38, -2.4e38, 1e12, np.inf])
def test_one_corrupt_pixel_does_not_erase_its_stamp(tmp_path, value):
    images = sky()
    images[1, 2, 3, 4] = value
    np.savez(tmp_path / "a.npz", data=images)
    stamps = read_arrays(tmp_path / "a.npz", SDSS)
    name = "INFINITE" if np.isinf(value) else "ABSURD_PIXEL"
    assert {*words(stamps)[1].split(", ")} == {"INCOMPLETE", name}
    assert words(stamps)[0] == ""
    assert np.argwhere(np.isnan(stamps.images)).tolist() == [[1, 2, 3, 4]]
    assert np.argwhere(stamps.mask).tolist() == [[1, 2, 3, 4]]
    stored = quantize(stamps.images, stamps.noise)
    error = np.abs(stored - images)[1, 2, 30:34, 30:34]
    assert error.max() <= SDSS.sky_noise[2] / 12  # half a step is a sixteenth of the noise


# --- endings and several files ---------------------------------------------------------------


@pytest.mark.parametrize("ending", ["fits.bz2", "fits.gz", "fits.fz", "fts", "FIT", "fts.gz"])
def test_files_of_every_ending_are_found(folder, ending):
    old = folder / "c_r.fits"
    content, new = old.read_bytes(), folder / f"c_r.{ending}"
    if ending.endswith("bz2"):
        new.write_bytes(bz2.compress(content))
    elif ending.endswith("gz"):
        new.write_bytes(gzip.compress(content))
    elif ending.endswith("fz"):
        options = {"compression_type": "GZIP_1", "quantize_level": 0}
        image = fits.CompImageHDU(fits.getdata(old), fits.getheader(old), **options)
        fits.HDUList([fits.PrimaryHDU(), image]).writeto(new)
    else:
        new.write_bytes(content)
    old.unlink()
    stamps = read_folder(folder, SDSS)
    assert words(stamps) == [""] * 5
    np.testing.assert_array_equal(stamps.images, sky())


@pytest.mark.parametrize("name", ["c_r.fits.gz", "c_r.fts", "c.fits"])
def test_two_files_of_one_band_are_refused(folder, name):
    (folder / name).write_bytes((folder / "c_r.fits").read_bytes())
    with pytest.raises(GaltoolsError, match="keep one of them"):
        list_objects(folder, SDSS)


def test_a_file_of_several_ccds_is_flagged_and_a_weight_map_passed_over(folder):
    image, header = fits.getdata(folder / "a_r.fits"), header_of(0, "r")
    ccds = [fits.ImageHDU(image, header, name=f"CCD0{k}") for k in (1, 2)]
    fits.HDUList([fits.PrimaryHDU(), *ccds]).writeto(folder / "a_r.fits", overwrite=True)
    weight = fits.ImageHDU(np.ones_like(image), header_of(1, "r"), name="WHT")
    science = fits.ImageHDU(sky()[1, 2], header_of(1, "r"), name="SCI")
    hdus = fits.HDUList([fits.PrimaryHDU(), weight, science])
    hdus.writeto(folder / "b_r.fits", overwrite=True)
    stamps = read_folder(folder, SDSS)
    assert words(stamps) == ["INCOMPLETE, UNREADABLE", *[""] * 4]
    np.testing.assert_array_equal(stamps.images[1], sky()[1])


def with_extensions(path, **images):
    for name, pixels in images.items():
        fits.append(path, pixels, fits.Header({"EXTNAME": name}))


@pytest.mark.parametrize("name", ["UNCERT", "Scatter"])
def test_an_image_named_as_sigma_map_is_not_taken_for_the_sky(folder, name):
    for path in folder.iterdir():
        with_extensions(path, **{name: np.full((64, 64), 0.05)})
    stamps = read_folder(folder, SDSS, names={"sigma_map": name}, check=False)
    assert words(stamps) == [""] * 5
    np.testing.assert_allclose(stamps.sigma_map, 0.05)
    plane = read_plane(folder / "a_r.fits", SDSS, names={"mask": name})
    assert (plane.mask == MASKED).all()


def test_a_file_whose_extensions_lack_or_differ_is_flagged(folder):
    """Objects b, c and d lack a map, have a mask of one row, and a PSF of zeros."""
    bad = np.zeros((64, 64), "i2")
    for path in folder.iterdir():
        sigma = np.full((64, 64), SDSS.sky_noise[BANDS.index(path.stem[-1])])
        images = {"UNCERT": sigma, "DQ": bad, "PSF": np.ones((5, 5))}
        images |= {"c_r": {"DQ": bad[0]}, "d_r": {"PSF": np.zeros((5, 5))}}.get(path.stem, {})
        if path.stem != "b_r":
            with_extensions(path, **images)
    names = {"sigma_map": "UNCERT", "mask": "DQ", "psf": "PSF"}
    stamps = read_folder(folder, SDSS, names=names)
    found = words(stamps)
    assert found[0] == found[4] == "" and all("UNREADABLE" in found[k] for k in (1, 2, 3))
    np.testing.assert_array_equal(stamps.images, sky())
    assert np.isinf(stamps.sigma_map[1, 2]).all() and np.isfinite(stamps.sigma_map[[0, 4]]).all()
    with pytest.raises(GaltoolsError, match="has no extension ERR"):
        read_folder(folder, SDSS, names={"sigma_map": "ERR"})


# --- photoObj --------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["csv", "fits"])
def test_objid_names_an_object_before_the_number_within_its_field(tmp_path, ending):
    """Two fields stacked: ID starts again at 1 in the second."""
    ids = 1237654 * 10**12 + np.arange(40)
    table = Table({"ID": np.tile(np.arange(1, 21), 2), "OBJID": ids, "RUN": [94] * 40})
    table["RA"], table["DEC"] = 10 + 0.01 * np.arange(40), 0.0
    table.write(tmp_path / f"photoObj.{ending}")
    found = read_catalogue(tmp_path / f"photoObj.{ending}")
    assert list(found["id"]) == [str(k) for k in ids]
    assert (found["flag"] & Flag.DUPLICATE == 0).all()
    assert list(found["ID_given"][:2]) == [1, 2]
    found.write(tmp_path / "again.ecsv")  # names differ in more than their case
    assert list(read_catalogue(tmp_path / "again.ecsv")["id"]) == list(found["id"])


def test_a_byte_order_mark_loses_no_ids_and_twin_columns_are_refused(tmp_path):
    path = tmp_path / "c.csv"
    path.write_text("\ufeffobjid,ra,dec\n7,1.0,0.0\n8,2.0,0.0\n", encoding="utf-8")
    assert list(read_catalogue(path)["id"]) == ["7", "8"]
    path.write_text("objid,ra,dec,RA\n7,1.0,0.0,9.0\n8,2.0,0.0,9.0\n")
    with pytest.raises(GaltoolsError, match=r"RA and ra, which differ: keep one"):
        read_catalogue(path)
    path.write_text("objid,ra,dec,RA\n7,1.0,0.0,1.0\n8,2.0,0.0,2.0\n")
    assert list(read_catalogue(path)["ra"]) == [1, 2]
