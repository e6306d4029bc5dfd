"""What a pixel is worth in every kind of file, by keywords of the surveys' own headers."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from companion.mock_surveys import (
    DES,
    HSC,
    KIDS,
    KINDS,
    PS1,
    SDSS_CARDS,
    TERAPIX,
    field_wcs,
    file_kinds,
)
from galtools.errors import GaltoolsError
from galtools.ingest.fits_images import image_files, read_fits, read_plane
from galtools.ingest.pixel_units import linear, zero_point_of
from galtools.surveys import CFHTLS, SDSS, SURVEYS

ZERO_POINTS = {  # AB magnitude of one unit, of every kind of file
    "SDSS frame": 22.5, "SDSS frame, DR8": 22.5, "CFHTLS, Terapix": 30.0, "CFHTLS, MegaPipe": 30.0,
    "KiDS": 0.0, "DES": 30.0, "Pan-STARRS1": 25 + 2.5 * np.log10(600), "HSC": 27.0,
    "Legacy Surveys": 22.5, "Euclid VIS": 24.6,
}  # fmt: skip
UNITS = {"nMgy": 22.5, "mJy": 16.4, "nJy": 31.4, "e-/s": 25.0}


def write_kind(folder, kind, sigma=0.02, size=40):
    """Sky of a noise in nanomaggies, with the maps of a kind of file; pixel (3, 4) is bad."""
    survey, cards, names = KINDS[kind]
    worth = 10 ** (0.4 * (22.5 - ZERO_POINTS[kind]))
    header = field_wcs(SURVEYS[survey], 150.0, 2.0, size).to_header()
    header.update(cards)
    flux = np.random.default_rng(0).normal(0, sigma, (size, size))
    bad, spread = np.zeros((size, size), np.int32), np.full((size, size), sigma / worth)
    bad[3, 4], spread[:, 20:] = 1, 2 * sigma / worth
    detected = fits.Header({"HIERARCH MP_BAD": 0, "HIERARCH MP_DETECTED": 5}.items())
    if kind == "HSC":
        bad[10] |= 1 << 5
    maps = {"mask": bad, "sigma_map": spread, "variance": spread**2, "ivar": spread**-2}
    maps["weight"] = np.float32(123 * maps["ivar"] / maps["ivar"].max())
    path = folder / "a-image-r_sci.fits"
    fits.PrimaryHDU(flux / worth, header).writeto(path)
    for name, place in names.items():
        hdu = fits.ImageHDU(maps[name], detected if name == "mask" else None)
        if "/" in place:
            hdu.writeto(folder / path.name.replace(*place.split("/")))
        else:
            hdu.header["EXTNAME"] = place
            fits.append(path, hdu.data, hdu.header)
    return path, flux, names


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_file_says_what_its_pixels_are_worth(tmp_path, kind):
    """With its maps: sigma is twice as large in the right half, a weight relative to the sky."""
    path, flux, names = write_kind(tmp_path, kind)
    survey = SURVEYS[KINDS[kind][0]]
    assert image_files(tmp_path, names) == [path]
    plane = read_plane(path, survey, names=names)
    assert plane.band == ("VIS" if kind == "Euclid VIS" else "r")
    np.testing.assert_allclose(plane.image, flux, rtol=1e-5)
    assert np.argwhere(plane.mask).tolist() == ([[3, 4]] if "mask" in names else [])
    if not names:
        assert plane.sigma is None
        return
    level = plane.noise / 1.5 if "weight" in names else 0.02  # the median lies between the halves
    np.testing.assert_allclose(plane.sigma[:, :20], level, rtol=1e-5)
    np.testing.assert_allclose(plane.sigma[:, 20:], 2 * level, rtol=1e-5)
    zero_point = file_kinds().set_index("file")["AB magnitude of one unit"]
    np.testing.assert_allclose(zero_point, list(ZERO_POINTS.values()), atol=1e-3)


@pytest.mark.parametrize("unit", UNITS)
def test_units_of_headers(unit):
    cards = {"BUNIT": unit} | ({"MAGZP": 25.0} if unit == "e-/s" else {})
    found = zero_point_of(fits.Header(cards.items()), "x.fits", SDSS)
    assert found == pytest.approx(UNITS[unit], abs=1e-3)


def test_an_fpc_is_worth_what_its_tsfield_says(tmp_path):
    """Counts above the soft bias and a smooth sky, by zero point, extinction and airmass."""
    row = {"aa": [-23.777, -24.4148, -24.0232, -23.6849, -21.7949], "airmass": [1.28] * 5,
           "kk": [0.477, 0.154, 0.0787, 0.0447, 0.0339]}  # fmt: skip
    fits.BinTableHDU(Table({key: [value] for key, value in row.items()})).writeto(
        tmp_path / "tsField.fit"
    )
    cards = SDSS_CARDS | {"BUNITS": "ADUs", "BUNIT": "DNs"}
    image = image_of(cards, size=64)
    image.data = np.float32(1000 + 180 + np.random.default_rng(0).normal(0, 5, (64, 64)))
    path = write(tmp_path / "fpC.fits", image)
    plane = read_plane(path, SDSS, ts_field=tmp_path / "tsField.fit")
    worth = 10 ** (9 + 0.4 * (row["aa"][2] + row["kk"][2] * 1.28)) / 53.907456
    assert plane.noise == pytest.approx(5 * worth, rel=0.05)
    assert np.median(plane.image) == pytest.approx(0, abs=worth)
    with pytest.raises(GaltoolsError, match="an fpC image needs its tsField"):
        read_plane(path, SDSS)


def test_the_zero_point_of_a_survey_holds_only_for_counts_of_silent_headers():
    silent, adu = fits.Header(), fits.Header({"BUNIT": "adu"}.items())
    assert zero_point_of(silent, "x", CFHTLS, silent=22.5) == 22.5
    assert zero_point_of(adu, "x", CFHTLS, unit="counts") == 30.0
    assert zero_point_of(adu, "x", CFHTLS, unit="nanomaggies") == 22.5
    assert zero_point_of(fits.Header({"MAGZP": 27.0}.items()), "x", CFHTLS, unit="counts") == 27.0
    for header, survey, unit in ((silent, CFHTLS, None), (adu, SURVEYS["DES"], "counts")):
        with pytest.raises(GaltoolsError, match="no zero point"):
            zero_point_of(header, "x", survey, unit)


@pytest.mark.parametrize(
    ("cards", "message"),
    [
        ({"MAGZP": 0}, "MAGZP"),
        ({"MAGZP": 99.0}, "MAGZP"),
        ({"MAGZP": True}, "MAGZP"),
        ({"MAGZP": "thirty"}, "MAGZP"),
        ({**TERAPIX, "MZP_AB": 300.0}, "MZP_AB"),
        ({**PS1, "EXPTIME": 0.0}, r"FPA.ZP \(or EXPTIME\)"),
        ({**HSC, "FLUXMAG0": -1.0}, "FLUXMAG0"),
        ({**DES, "MAGZERO": 0.0}, "MAGZERO"),
        ({"BUNIT": "MJy/sr"}, "MJy/sr"),
        ({"BUNIT": "maggies"}, "maggies"),
        ({"BUNIT": "nanomaggy", "MAGZP": 30.0}, "correct one"),
        ({**KIDS, "PHOTZP": 0.0}, "PHOTZP"),  # that is right for KiDS alone
        ({**SDSS_CARDS, "BUNITS": "ADUs", "BUNIT": "DNs"}, "an fpC image needs its tsField"),
    ],
)
def test_impossible_units_and_zero_points_are_refused_by_name(cards, message):
    with pytest.raises(GaltoolsError, match=message) as caught:
        zero_point_of(fits.Header(cards.items()), "x.fits", SDSS)
    assert str(caught.value).startswith("x.fits: ")


def image_of(cards, size=40, name=None, value=None):
    header = field_wcs(SDSS, 150.0, 2.0, size).to_header()
    header.update(cards)
    pixels = np.random.default_rng(0).normal(0, 0.03, (size, size))
    pixels = np.float32(pixels if value is None else np.full_like(pixels, value))
    return fits.ImageHDU(pixels, header, name=name)


def write(path, *hdus, **options):
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(path, **options)
    return path


@pytest.mark.parametrize("unit", [{"BUNIT": "nanomaggy"}, {"NMGY": 0.00501}])
def test_a_genuine_frame_is_read_with_its_further_extensions(tmp_path, unit):
    """Frames carry SOFTBIAS, calibration of every column, sky and astrometry besides the image."""
    image = image_of(SDSS_CARDS | unit)
    hdus = [fits.PrimaryHDU(image.data, image.header), fits.ImageHDU(np.full(40, 0.005))]
    fits.HDUList(hdus).writeto(tmp_path / "frame.fits")
    plane = read_plane(tmp_path / "frame.fits", SDSS)
    assert plane.band == "r"
    np.testing.assert_array_equal(plane.image, image.data)


def test_asinh_of_ps1_is_undone():
    counts = np.array([-50.0, 0.0, 3.0, 1e5])
    header = fits.Header((PS1 | {"BSOFTEN": 100.0, "BOFFSET": 2.0}).items())
    scaled = np.arcsinh((counts - 2) / 200) * 2.5 / np.log(10)
    np.testing.assert_allclose(linear(scaled, header), counts, rtol=1e-6, atol=1e-4)
    np.testing.assert_array_equal(linear(scaled, fits.Header(PS1.items())), scaled)


# --- several extensions, checksums -----------------------------------------------------------


@pytest.mark.parametrize(
    "names", [("WHT", "SCI"), ("MSK", "WGT", "SCI"), ("SCI", "IVAR"), ("ERR", None), ("VAR", "X")]
)
def test_the_image_is_found_by_name_wherever_it_is(tmp_path, names):
    hdus = [
        image_of({"FILTER": "r"}, name=n, value=None if n in ("SCI", None, "X") else 1.0)
        for n in names
    ]
    pixels, _ = read_fits(write(tmp_path / "a.fits", *hdus))
    np.testing.assert_array_equal(pixels, image_of({}).data)


def test_cards_of_the_primary_header_hold_for_its_extensions(tmp_path):
    hdus = fits.HDUList([fits.PrimaryHDU(), image_of({"BUNIT": "adu"})])
    hdus[0].header.update({"FLUXMAG0": 1e12, "FILTER": "HSC-R", "BUNIT": "no"})
    hdus.writeto(tmp_path / "a.fits")
    header = read_fits(tmp_path / "a.fits")[1]
    assert (header["FLUXMAG0"], header["BUNIT"], header["NAXIS"]) == (1e12, "adu", 2)


@pytest.mark.parametrize("names", [("CCD01", "CCD02"), (None, None), ("WHT", "MASK")])
def test_several_images_or_weights_alone_are_refused(tmp_path, names):
    hdus = [image_of({"EXTTYPE": "IMAGE"}, name=name) for name in names]
    with pytest.raises(GaltoolsError, match=r"several images|no image of the sky"):
        read_fits(write(tmp_path / "a.fits", *hdus))


@pytest.mark.parametrize("kind", [fits.ImageHDU, fits.CompImageHDU])
@pytest.mark.parametrize("where", ["data", "header"])
def test_checksums_are_verified(tmp_path, kind, where):
    image = image_of({"FILTER": "r", "BUNIT": "nanomaggy"})
    whole = write(tmp_path / "a.fits", kind(image.data, image.header), checksum=True)
    read_fits(whole)
    content = bytearray(whole.read_bytes())
    start = content.index(b"nanomaggy") if where == "header" else len(content) - 2880 + 100
    content[start] ^= 1
    (tmp_path / "b.fits").write_bytes(content)
    with pytest.raises(GaltoolsError, match=r"b\.fits .*sum verification failed"):
        read_fits(tmp_path / "b.fits")


@pytest.mark.parametrize("key", ["CRVAL1", "CRPIX2", "PC1_2", "MAGZP"])
@pytest.mark.parametrize("value", ["NaN", "Infinity", "'2.5'"])
def test_cards_that_are_no_numbers_are_refused(tmp_path, key, value):
    image = image_of({"FILTER": "r", "BUNIT": "nanomaggy", "MAGZP": 22.5})
    path = write(tmp_path / "a.fits", image)
    content, at = path.read_bytes(), path.read_bytes().index(key.encode())
    card = f"{key:8}= {value:>20}".ljust(80).encode()
    path.write_bytes(content[:at] + card + content[at + 80 :])
    with pytest.raises(GaltoolsError, match=rf"a\.fits: {key}"):
        read_plane(path, SDSS)


def test_the_primary_header_adds_nothing_to_coordinates(tmp_path):
    """A pointing in the primary header is not the WCS of the extension."""
    hdus = fits.HDUList([fits.PrimaryHDU(), image_of({"FILTER": "r", "BUNIT": "nanomaggy"})])
    hdus[0].header.update({"CTYPE1": "RA---TAN", "CD1_1": 1.0, "CROTA2": 30.0, "A_ORDER": 2})
    hdus.writeto(tmp_path / "a.fits")
    plane = read_plane(tmp_path / "a.fits", SDSS)
    np.testing.assert_allclose(
        plane.wcs.pixel_scale_matrix, field_wcs(SDSS, 150.0, 2.0, 40).pixel_scale_matrix
    )


@pytest.mark.parametrize("value", [2.4e38, -1e12, np.inf])
def test_absurd_pixels_of_a_plane_lose_their_data(tmp_path, value):
    image = image_of({"FILTER": "r", "BUNIT": "nanomaggy"})
    image.data[3, 4] = value
    plane = read_plane(write(tmp_path / "a.fits", image), SDSS)
    assert np.argwhere(np.isnan(plane.image)).tolist() == [[3, 4]]
    assert np.argwhere(plane.mask).tolist() == [[3, 4]]
