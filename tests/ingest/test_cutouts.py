"""From FITS files on disk to pairs: what was written is what is found."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from blobs import make_pairs

from companion.mock_surveys import write_mock
from galtools import data, flags
from galtools.errors import GaltoolsError
from galtools.flags import Flag
from galtools.ingest import cutouts as cutting
from galtools.ingest.catalogue import read_catalogue, tidy
from galtools.ingest.crossmatch import match
from galtools.ingest.cutouts import cut
from galtools.ingest.fits_images import Plane, read_plane
from galtools.surveys import BANDS, CFHTLS, SDSS, SURVEYS


def blobs(n=4, seed=0):
    """Make native pairs of lopsided Gaussian galaxies with the surveys' noise."""
    rng = np.random.default_rng(seed)

    def draw(survey):
        y, x = np.indices((survey.stamp, survey.stamp)) - (survey.stamp - 1) / 2
        radius = np.hypot(x - 1 / survey.pixel_scale, 2 * y) * survey.pixel_scale
        shape = np.exp(-0.5 * (radius / 2) ** 2) * survey.pixel_scale**2
        sigma = np.float32(survey.sky_noise)[None, :, None, None]
        images = (
            rng.uniform(1, 5, (n, 5, 1, 1)) * shape + rng.normal(0, 1, (n, 5, *x.shape)) * sigma
        )
        return images.astype(np.float32)

    noise = np.tile(np.float32([SDSS.sky_noise, CFHTLS.sky_noise]), (n, 1, 1))
    z = np.linspace(0.05, 0.2, n).astype(np.float32)
    return make_pairs(draw(SDSS), draw(CFHTLS), z, Table({"id": np.arange(n)}), noise)


@pytest.fixture(scope="module")
def mock(tmp_path_factory):
    """Files of both surveys, as planes and a catalogue, and the truth."""
    folder, pairs = tmp_path_factory.mktemp("mock"), blobs()
    paths = write_mock(folder, pairs)
    planes = {k: [read_plane(path, SURVEYS[k]) for path in files] for k, files in paths.items()}
    return pairs, planes, read_catalogue(folder / "catalogue.csv")


def test_stamps_are_found_bit_for_bit(mock):
    pairs, planes, catalogue = mock
    sdss = cut(planes["SDSS"], catalogue, SDSS, align=False)
    cfht = cut(planes["CFHTLS"], catalogue, CFHTLS, align=False)
    np.testing.assert_array_equal(sdss.images, pairs.source)
    np.testing.assert_allclose(cfht.images, pairs.target, rtol=3e-7, atol=1e-12)
    assert flags.good(sdss.catalogue).all()
    np.testing.assert_allclose(sdss.catalogue["rotation"], 0, atol=0.01)
    assert (sdss.catalogue["offset"] <= 0.396 / np.sqrt(2)).all()


def test_smaller_stamps_are_the_middles_of_larger_ones(mock):
    pairs, planes, catalogue = mock
    small = cut(planes["SDSS"], catalogue, SDSS, align=False, size=32)
    np.testing.assert_array_equal(small.images, pairs.source[..., 16:48, 16:48])


def test_noise_and_seeing_are_measured(mock):
    _, planes, catalogue = mock
    cfht = cut(planes["CFHTLS"], catalogue, CFHTLS, align=False)
    np.testing.assert_allclose(cfht.noise / np.float32(CFHTLS.sky_noise), 1, atol=0.05)
    np.testing.assert_allclose(cfht.psf_fwhm, [CFHTLS.psf_fwhm] * 4, rtol=1e-6)
    ratios = [plane.noise / SDSS.sky_noise[BANDS.index(plane.band)] for plane in planes["SDSS"]]
    np.testing.assert_allclose(ratios, 1, atol=0.02)


def test_whole_way_from_files_to_file(mock, tmp_path):
    pairs, planes, catalogue = mock
    sides = [cut(planes[s.name], catalogue, s, align=False) for s in (SDSS, CFHTLS)]
    matched, _ = match(*sides)
    data.save(matched, tmp_path / "real.h5")
    data.validate(tmp_path / "real.h5")
    found = data.load(tmp_path / "real.h5")
    np.testing.assert_array_equal(found.redshift, pairs.redshift)
    error = np.abs(found.source - pairs.source) / matched.noise[:, 0, :, None, None]
    assert error.max() < 1 / 16 + 1e-3


def plane_of(image, wcs, band="r"):
    return Plane(band, np.float32(image), np.zeros(image.shape, np.uint8), wcs, "memory")


def rotated_wcs(angle, scale, size, mirror=False):
    wcs = cutting.upright_wcs(150.0, 2.0, scale, size)
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    turn = np.array([[c, -s], [s, c]]) @ np.diag([1 if mirror else -1, 1])
    wcs.wcs.cd = turn * scale / 3600
    return wcs


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("angle", [0, 90, 180, 270, 3, -30, 137])
def test_every_orientation_is_brought_upright(angle, mirror):
    """A galaxy drawn through the WCS, brighter to the north and the east, stays so; flux too."""
    size, sigma = 120, 3.0
    wcs = rotated_wcs(angle, SDSS.pixel_scale, size, mirror)
    y, x = np.indices((size, size))
    ra, dec = wcs.pixel_to_world_values(x, y)
    east, north = (ra - 150) * 3600 * np.cos(np.radians(2)), (dec - 2) * 3600
    image = sum(
        amount * np.exp(-0.5 * ((east - e) ** 2 + (north - n) ** 2) / (sigma * 0.5) ** 2)
        for amount, e, n in ((1, 0, 0), (0.5, 5, 0), (0.25, 0, 5))
    )
    table = tidy(Table({"ra": [150.0], "dec": [2.0], "z": [0.1]}))
    plane = plane_of(image, wcs)
    aligned = cut([plane], table, SDSS, check=False).images[0, 2]
    assert np.nansum(aligned) == pytest.approx(image.sum(), rel=2e-4)
    yy, xx = np.indices(aligned.shape) - 31.5
    centroid = [np.sum(aligned * axis) / aligned.sum() * SDSS.pixel_scale for axis in (-xx, yy)]
    expected = [0.5 * 5 / 1.75, 0.25 * 5 / 1.75]  # east, north
    np.testing.assert_allclose(centroid, expected, atol=0.005)
    nearest = cut([plane], table, SDSS, align=False, check=False)
    centroid = [
        np.sum(nearest.images[0, 2] * a) / image.sum() * SDSS.pixel_scale for a in (-xx, yy)
    ]
    left = np.radians(float(nearest.catalogue["rotation"][0, 2]))
    assert abs(np.degrees(left)) <= 45.001
    seen = np.hypot(*centroid), np.hypot(*expected)
    assert seen[0] == pytest.approx(seen[1], abs=0.3)  # half a pixel diagonal
    tilt = np.arctan2(centroid[1], centroid[0]) - np.arctan2(expected[1], expected[0])
    # the object's own offset of up to .28 arcsec limits what the angle of a 1.6 arcsec arm can be
    assert abs(np.abs(tilt) - np.abs(left)) < 0.25


def test_aligned_scale_change_conserves_flux():
    size = 300
    wcs = rotated_wcs(0, 0.186, size)
    y, x = np.indices((size, size)) - 149.5
    image = np.exp(-0.5 * (np.hypot(x, y) / 10) ** 2)
    table = tidy(Table({"ra": [150.0], "dec": [2.0], "z": [0.1]}))
    stamps = cut([plane_of(image, wcs)], table, CFHTLS, check=False)
    assert stamps.images[0, 2].sum() == pytest.approx(image.sum(), rel=1e-4)


def test_what_is_not_on_the_image_is_flagged_and_stays(mock):
    _, planes, catalogue = mock
    ra = [catalogue["ra"][0], catalogue["ra"][0] + 0.006, 200.0, 330.0, np.nan, 150.0]
    dec = [catalogue["dec"][0], catalogue["dec"][0] - 0.006, 2.2, -2.2, 0.0, 95.0]
    table = tidy(Table({"id": list("abcdef"), "ra": ra, "dec": dec, "z": [0.1] * 6}))
    for align in (True, False):
        stamps = cut(planes["SDSS"], table, SDSS, align=align)
        assert len(stamps) == 6
        assert [flags.names(flag).split(", ")[0] for flag in stamps.catalogue["flag"]] == [
            "", "INCOMPLETE", "OFF_IMAGE", "OFF_IMAGE", "INCOMPLETE", "INCOMPLETE",
        ]  # fmt: skip
        lost = stamps.catalogue["flag"][4:] & Flag.NO_POSITION
        assert (lost > 0).all()
        assert np.isnan(stamps.images[2:]).all()


def test_missing_band_and_saturation_are_flagged(mock):
    _, planes, catalogue = mock
    some = [plane for plane in planes["CFHTLS"] if plane.band != "u"]
    stamps = cut(some, catalogue, CFHTLS, align=False)
    assert (stamps.catalogue["flag"] & Flag.MISSING_BAND > 0).all()
    hot = planes["CFHTLS"][2]
    x, y = np.rint(hot.wcs.world_to_pixel_values(catalogue["ra"][1], catalogue["dec"][1])).astype(
        int
    )
    hot.mask[y, x] |= 2
    for align in (True, False):
        flag = cut([hot], catalogue, CFHTLS, align=align).catalogue["flag"]
        assert (flag & Flag.SATURATED > 0).tolist() == [False, True, False, False]
    hot.mask[y, x] = 0


def test_of_overlapping_planes_the_one_with_more_room_is_taken(mock):
    """Whatever their order, and read one by one."""
    pairs, planes, catalogue = mock
    whole = planes["SDSS"]
    x, y = whole[0].wcs.world_to_pixel_values(catalogue["ra"][0], catalogue["dec"][0])
    edges = [
        replace(
            plane,
            image=plane.image[: int(y) + 9, : int(x) + 9],
            mask=plane.mask[: int(y) + 9, : int(x) + 9],
        )
        for plane in whole
    ]
    for order in (whole + edges, edges + whole):
        stamps = cut(iter(order), catalogue, SDSS, align=False)
        np.testing.assert_array_equal(stamps.images, pairs.source)
    alone = cut(iter(edges), catalogue, SDSS, align=False)
    assert alone.catalogue["flag"][0] == Flag.INCOMPLETE
    assert alone.mask[0].any() and np.isfinite(alone.images[0]).any()


def test_mixed_pixel_scales_are_refused(mock):
    _, planes, catalogue = mock
    with pytest.raises(GaltoolsError, match=r"pixels of 0\.187 arcsec, SDSS of 0\.396"):
        cut([*planes["SDSS"][:2], planes["CFHTLS"][0]], catalogue, SDSS)
    with pytest.raises(GaltoolsError, match="at least one plane"):
        cut([], catalogue, SDSS)
    with pytest.raises(GaltoolsError, match="no rows"):
        cut(planes["SDSS"], catalogue[:0], SDSS)
    with pytest.raises(GaltoolsError, match="no column ra"):
        cut(planes["SDSS"], catalogue["id", "dec"], SDSS)


def test_a_wrong_zero_point_is_refused(mock):
    _, planes, catalogue = mock
    wrong = [replace(plane, image=100 * plane.image) for plane in planes["CFHTLS"]]
    with pytest.raises(GaltoolsError, match="times that of CFHTLS; check unit, zero point"):
        cut(wrong, catalogue, CFHTLS, align=False)
    stamps = cut(wrong, catalogue, CFHTLS, align=False, check=False)
    assert flags.good(stamps.catalogue).all()


@pytest.mark.parametrize("angle", [0, 90, 200])
def test_declination_may_come_first(angle):
    """The order of the axes in the header changes no pixel of a stamp."""
    image = np.random.default_rng(angle).normal(size=(120, 120))
    table = tidy(Table({"ra": [150.0], "dec": [2.0], "z": [0.1]}))
    usual = rotated_wcs(angle, SDSS.pixel_scale, 120)
    other = usual.deepcopy()
    other.wcs.ctype, other.wcs.crval = list(usual.wcs.ctype)[::-1], usual.wcs.crval[::-1]
    other.wcs.cd = usual.wcs.cd[::-1]
    for align in (True, False):
        stamps = [
            cut([plane_of(image, wcs)], table, SDSS, align=align, check=False)
            for wcs in (usual, other)
        ]
        np.testing.assert_allclose(stamps[0].images[0, 2], stamps[1].images[0, 2], atol=1e-6)
        rotations = [each.catalogue["rotation"] for each in stamps]
        np.testing.assert_allclose(*rotations, atol=1e-6)


def test_each_band_is_cut_on_its_own_grid():
    """The bands of an SDSS field are shifted against each other; the offsets say by how much."""
    size, planes = 100, []
    for k, band in enumerate(BANDS):
        wcs = cutting.upright_wcs(150.0, 2.0, SDSS.pixel_scale, size)
        wcs.wcs.crpix = wcs.wcs.crpix + np.array([0.1 * k, 0])
        planes.append(plane_of(np.ones((size, size)), wcs, band=band))
    table = tidy(Table({"ra": [150.0], "dec": [2.0], "z": [0.1]}))
    offset = cut(planes, table, SDSS, align=False).catalogue["offset"][0]
    np.testing.assert_allclose(offset, 0.0396 * np.arange(5), atol=1e-4)


def test_header_written_is_the_wcs_used(tmp_path):
    paths = write_mock(tmp_path, blobs(2))
    header = fits.getheader(paths["SDSS"][2])
    assert WCS(header).pixel_scale_matrix[0, 1] == pytest.approx(0.396 / 3600)
    assert header["BUNIT"] == "nanomaggy"
