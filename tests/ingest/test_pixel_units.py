"""What a pixel is worth in every kind of file, by keywords of the surveys' own headers."""

import numpy as np
import pytest
from astropy.io import fits

from companion.mock_surveys import field_wcs
from galtools.errors import GaltoolsError
from galtools.ingest.fits_images import band_of, read_fits, read_plane
from galtools.ingest.pixel_units import linear, zero_point_of
from galtools.surveys import CFHTLS, SDSS, SURVEYS

SDSS_CARDS = {
    "ORIGIN": "SDSS", "RUN": 5754, "FRAME": 280, "STRIPE": 82, "FLAVOR": "science",
    "EXPTIME": "53.907456", "EQUINOX": 2000.0, "SOFTBIAS": 1000, "FILTER": "r", "CAMCOL": 3,
}  # fmt: skip
TERAPIX = {"TELESCOP": "CFHT 3.6m", "DETECTOR": "MegaCam", "FILTER": "r.MP9601", "SATURATE": 2860.0}
PS1 = {"HIERARCH FPA.FILTER": "r.00000", "HIERARCH FPA.ZP": 25.0, "EXPTIME": 600.0}
HSC = {"FILTER": "HSC-R", "FLUXMAG0": 63095734448.0194}
KIDS = {"TELESCOP": "ESO-VLT-U1", "INSTRUME": "OMEGACAM", "FILTER": "OCAM_r_SDSS"}
DES = {"INSTRUME": "DECam", "FILTER": "r DECam SDSS c0002 6415.0 1480.0", "BAND": "r"}

KINDS = [  # survey, cards of the header of one of its files, AB magnitude of one unit
    ("SDSS", {**SDSS_CARDS, "BUNIT": "nanomaggy", "NMGY": 0.005}, 22.5),
    ("SDSS", {**SDSS_CARDS, "NMGY": 0.00501, "NMGYIVAR": 1e9}, 22.5),  # DR8
    ("CFHTLS", {**TERAPIX, "MZP_VEGA": 30.098, "MZP_AB": 30.0}, 30.0),
    ("CFHTLS", {**TERAPIX, "PHOTZP": 30.0, "BUNIT": "ADU"}, 30.0),  # MegaPipe
    ("DES", {**DES, "MAGZERO": 30.0, "BUNIT": "electrons"}, 30.0),
    ("PS1", PS1, 25 + 2.5 * np.log10(600)),
    ("KiDS", {**KIDS, "PHOTZP": 0.0}, 0.0),
    ("HSC", HSC, 27.0),
    ("Legacy", {"FILTER": "r", "BUNIT": "nanomaggy", "MAGZERO": 22.5}, 22.5),
    ("Euclid VIS", {"FILTER": "VIS", "MAGZERO": 24.6, "BUNIT": "ADU"}, 24.6),
    ("SDSS", {"FILTER": "r", "BUNIT": "nMgy"}, 22.5),
    ("SDSS", {"FILTER": "r", "BUNIT": "mJy"}, 16.4),
    ("SDSS", {"FILTER": "r", "BUNIT": "nJy"}, 31.4),
    ("SDSS", {"FILTER": "r", "BUNIT": "e-/s", "MAGZP": 25.0}, 25.0),
]


@pytest.mark.parametrize(("survey", "cards", "zero_point"), KINDS)
def test_every_kind_of_file_says_what_its_pixels_are_worth(survey, cards, zero_point):
    header = fits.Header(cards.items())
    found = zero_point_of(header, "x.fits", SURVEYS[survey])
    assert found == pytest.approx(zero_point, abs=1e-3)
    assert band_of(header, SURVEYS[survey], "x.fits") == ("VIS" if survey == "Euclid VIS" else "r")


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
