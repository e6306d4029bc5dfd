"""Readers of other people's files: known layouts are read, bad ones refused or flagged, by name."""

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.signal.windows import gaussian

from companion.mock_surveys import field_wcs
from galtools import data, flags
from galtools.data import Pairs, image_files
from galtools.data.pairs import MASKED
from galtools.errors import GaltoolsError
from galtools.fidelity import scorecard
from galtools.flags import Flag
from galtools.ingest import units
from galtools.ingest.arrays import read_arrays, read_source
from galtools.ingest.catalogue import read_catalogue, tidy
from galtools.ingest.cutouts import cut, cut_aligned, upright_wcs
from galtools.ingest.fits_images import Plane, band_of, read_fits, read_plane
from galtools.ingest.folder import read_folder
from galtools.ingest.units import sky_noise
from galtools.surveys import BANDS, CFHTLS, SDSS


def sky(n=3, size=64, survey=SDSS, seed=0):
    """Blank sky of the survey's noise with a bright pixel in the middle."""
    sigma = np.float32(survey.sky_noise)[None, :, None, None]
    images = np.random.default_rng(seed).normal(0, 1, (n, 5, size, size)) * sigma
    images[:, :, size // 2, size // 2] += 100 * sigma[..., 0, 0]
    return images.astype(np.float32)


def luptitudes(flux):
    """SDSS's asinh magnitudes -2.5 log10(e) (asinh(f / 2b) + ln b) of fluxes in nanomaggies."""
    b = units.SOFTENING[:, None, None]
    return -2.5 / np.log(10) * (np.arcsinh(flux / 2e9 / b) + np.log(b))


class Pickled:
    """Would run code if it were ever unpickled."""

    def __reduce__(self):
        return (pytest.fail, ("a pickle was executed",))


# --- npz and npy -----------------------------------------------------------------------------


def test_public_layouts_are_read_alike(tmp_path):
    images, z, ebv = sky(), np.array([0.1, 0.2, 0.3]), np.array([0.02, 0.03, 0.04])
    np.savez(tmp_path / "last.npz", data=np.moveaxis(images, 1, 3), z=z, ebv=ebv)
    np.savez(tmp_path / "first.npz", images=images, redshift=z, ebv=ebv)
    np.savez(tmp_path / "bands.npz", **{band: images[:, k] for k, band in enumerate(BANDS)})
    order = [2, 0, 1, 4, 3]
    named = "".join(BANDS[k] for k in order)
    np.savez(tmp_path / "order.npz", data=images[:, order], bands=named, z=z, ebv=ebv)
    np.save(tmp_path / "bare.npy", images)
    catalogue = Table({"z": z, "ebv": ebv})
    for name in ("last.npz", "first.npz", "bands.npz", "order.npz", "bare.npy"):
        separate = catalogue if name.startswith("ba") else None
        stamps = read_arrays(tmp_path / name, SDSS, catalogue=separate)
        np.testing.assert_array_equal(stamps.images, images)
        np.testing.assert_array_equal(stamps.catalogue["redshift"], z)
        np.testing.assert_array_equal(stamps.catalogue["ebv"], ebv)
        assert flags.good(stamps.catalogue).all()
        np.testing.assert_allclose(stamps.noise / np.float32(SDSS.sky_noise), 1, atol=0.08)


def test_luptitudes_and_counts_become_nanomaggies(tmp_path):
    images = sky()
    np.savez(tmp_path / "lup.npz", data=luptitudes(images))
    found = read_arrays(tmp_path / "lup.npz", SDSS, unit="luptitudes")
    np.testing.assert_allclose(found.images, images, rtol=1e-5, atol=1e-6)
    deep = sky(survey=CFHTLS, size=136)
    np.savez(tmp_path / "counts.npz", data=1000 * deep)
    found = read_arrays(tmp_path / "counts.npz", CFHTLS, unit="counts")
    np.testing.assert_allclose(found.images, deep, rtol=1e-6)


@pytest.mark.parametrize("power", [1, 2, -2], ids=["sigma_map", "variance", "ivar"])
@pytest.mark.parametrize("ending", ["npz", "h5", "fits"])
def test_maps_and_psf_images_are_read_by_their_names(tmp_path, ending, power):
    """In the order of the images' axes, on stamps that are not square, in counts."""
    images, rng = 100 * sky()[..., :48], np.random.default_rng(1)
    sigma = np.float32(
        rng.uniform(1, 2, images.shape) * 100 * np.array(SDSS.sky_noise)[:, None, None]
    )
    bad, psf = rng.random(images.shape) < 0.01, rng.random((5, 7, 9))
    psf_of_each = np.stack([psf] * 3)
    path, content = tmp_path / f"a.{ending}", {"flux": images, "err": sigma**power, "dq": bad}
    content = {name: np.moveaxis(x, 1, 3).astype("f4") for name, x in content.items()}
    content["psfs"] = np.moveaxis(psf_of_each, 1, 3) if ending == "npz" else np.moveaxis(psf, 0, 2)
    if ending == "npz":
        np.savez(path, **content)
    elif ending == "h5":
        with h5py.File(path, "w") as file:
            for name, values in content.items():
                file[name] = values
    else:
        hdus = [fits.ImageHDU(values, name=name) for name, values in content.items()]
        fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(path)
    names = {{1: "sigma_map", 2: "variance", -2: "ivar"}[power]: "err", "mask": "dq", "psf": "psfs"}
    counts = replace(SDSS, zero_point=27.5)
    found = read_arrays(path, counts, unit="counts", key="flux", axes="nyxb", names=names)
    np.testing.assert_allclose(found.images, images / 100, rtol=1e-6)
    np.testing.assert_allclose(found.sigma_map, sigma / 100, rtol=1e-5)
    np.testing.assert_array_equal(found.bad, bad)
    np.testing.assert_allclose(
        found.psf, psf_of_each / psf_of_each.sum((2, 3), keepdims=True), rtol=1e-5
    )
    with pytest.raises(GaltoolsError, match="but no error"):
        read_arrays(path, counts, key="flux", axes="nyxb", names={"sigma_map": "error"})


def test_a_sigma_map_in_another_unit_and_odd_maps_are_refused(tmp_path):
    images = sky()
    sigma = np.ones_like(images) * np.float32(SDSS.sky_noise)[:, None, None]
    one_band = sigma * np.array([1, 1, 1, 1, 1000])[:, None, None]
    cases = [
        ({"sigma_map": sigma**2}, "the sigma map is .* times the noise"),
        ({"sigma_map": one_band}, "the sigma map is 1e.03 times the noise of the sky in z"),
        ({"sigma_map": sigma[:2]}, r"sigma_map is \(2, 5, 64, 64\), need"),
        ({"mask": sigma[0, 0]}, "its images have axes nbyx"),
        ({"psf": np.ones((4, 5, 5))}, "need \\(n, bands, h, w\\)"),
        (
            {"psf": np.pad(np.ones((5, 5, 3)), ((0, 0), (0, 0), (1, 1))).T},
            "no positive, finite sum",
        ),
    ]
    for content, message in cases:
        np.savez(tmp_path / "a.npz", data=images, **content)
        with pytest.raises(GaltoolsError, match=message):
            read_arrays(tmp_path / "a.npz", SDSS)
    np.savez(tmp_path / "a.npz", data=luptitudes(images), noise=sigma[..., 0, 0])
    with pytest.raises(GaltoolsError, match="bring luptitudes with their noise"):
        read_arrays(tmp_path / "a.npz", SDSS, unit="luptitudes")


def test_a_sigma_map_tells_nothing_of_noise_that_is_unknown(tmp_path):
    """All borders are masked, so that no sky is left."""
    images, bad = sky(), np.ones((3, 5, 64, 64), bool)
    bad[..., 20:44, 20:44] = False
    sigma = np.ones_like(images) * np.float32(SDSS.sky_noise)[:, None, None]
    np.savez(tmp_path / "a.npz", data=images, sigma_map=sigma, mask=bad)
    found = read_arrays(tmp_path / "a.npz", SDSS)
    assert np.isnan(found.noise).all()
    np.testing.assert_array_equal(found.sigma_map, sigma)


@pytest.mark.parametrize("name", ["ivar", "weights"])
def test_a_weight_of_zero_masks_a_pixel_and_keeps_its_stamp_whole(tmp_path, name):
    images = sky()
    weight = np.ones_like(images) / np.square(np.float32(SDSS.sky_noise))[:, None, None]
    weight[1, 2, 3, 4] = 0
    np.savez(tmp_path / "a.npz", data=images, **{name: weight})
    found = read_arrays(tmp_path / "a.npz", SDSS)
    assert not (found.catalogue["flag"] & Flag.INCOMPLETE).any()
    assert np.argwhere(found.mask).tolist() == [[1, 2, 3, 4]] and found.mask[1, 2, 3, 4] == MASKED


def test_the_scale_and_noise_are_those_that_the_file_states(tmp_path):
    images = sky()
    noise = np.tile(np.float32(SDSS.sky_noise), (3, 1))
    np.savez(tmp_path / "a.npz", data=images, pixel_scale=0.4, noise=1.1 * noise)
    found = read_arrays(tmp_path / "a.npz", SDSS)
    assert found.pixel_scale == 0.4
    np.testing.assert_allclose(found.noise, 1.1 * noise)


def test_masked_pixels_do_not_count_in_the_noise(tmp_path):
    images = sky(survey=SDSS)
    bad = np.zeros(images.shape)
    images[..., :40], bad[..., :40] = 30 * images[..., :40], 1
    np.savez(tmp_path / "a.npz", data=images, mask=bad)
    found = read_arrays(tmp_path / "a.npz", SDSS)
    np.testing.assert_allclose(found.noise / np.float32(SDSS.sky_noise), 1, atol=0.15)


def test_pickles_are_refused_and_not_run(tmp_path):
    np.savez(tmp_path / "p.npz", data=np.array([Pickled()], dtype=object))
    np.save(tmp_path / "p.npy", np.array([Pickled()], dtype=object))
    for name in ("p.npz", "p.npy"):
        with pytest.raises(GaltoolsError, match="can run code"):
            read_arrays(tmp_path / name, SDSS)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"data": sky()[:, :4]}, r"\(3, 4, 64, 64\)"),
        ({"data": sky()[:, :3], "bands": "gry"}, "each once"),
        ({"data": sky()[0]}, "need"),
        ({"data": np.zeros((5, 5, 5, 5))}, "need"),  # which axis holds the bands?
        ({"data": sky()[:0]}, "need some numbers"),
        ({"data": sky()[:, :, :0]}, "need some numbers"),
        ({"data": np.full((2, 5, 8, 8), "x")}, "need some numbers"),
        ({b: np.ones((3, 8 + (b == "i"), 8)) for b in BANDS}, "differ in shape"),
        ({"data": sky(), "bands": "ugrii"}, "each once"),
        ({"flux": sky()}, "holds flux: name the images with `key`"),
        ({"data": 1000 * sky()}, "check unit, zero point"),
        ({"data": sky()[:, ::-1]}, "order of the bands"),
        ({"data": sky(), "z": np.array(["a", "b", "c"])}, "holds no decimal numbers"),
        ({"data": sky(), "z": [0.1, 0.2]}, r"z is \(2,\), need \(3,\)"),
        ({"data": sky(), "ebv": np.zeros((3, 1))}, r"ebv is \(3, 1\), need \(3,\)"),
    ],
)
def test_wrong_arrays_are_refused_by_name(tmp_path, content, message):
    np.savez(tmp_path / "wrong.npz", **content)
    with pytest.raises(GaltoolsError, match=message) as caught:
        read_arrays(tmp_path / "wrong.npz", SDSS)
    assert "\n" not in str(caught.value)
    assert "wrong.npz" in str(caught.value)


def test_a_source_beside_its_truth_states_nothing_by_itself(tmp_path):
    np.savez(tmp_path / "one.npz", source=sky(), truth=sky())
    found, target = read_source(tmp_path / "one.npz", SDSS, slice(2))
    assert target is None
    np.testing.assert_array_equal(found.images, sky()[:2])
    np.savez(tmp_path / "two.npz", source=sky(), truth=sky(), noise=np.ones((3, 5)))
    with pytest.raises(GaltoolsError, match="has a noise that may be the truth's"):
        read_source(tmp_path / "two.npz", SDSS)


def test_noise_of_another_survey_passes_unchecked(tmp_path):
    np.savez(tmp_path / "a.npz", data=1000 * sky())
    found = read_arrays(tmp_path / "a.npz", SDSS, pixel_scale=0.2, check=False)
    assert found.pixel_scale == 0.2
    np.testing.assert_array_equal(found.images, 1000 * sky())
    folder = fill(tmp_path / "cut", 1000 * sky(), ["a", "b", "c"])
    with pytest.raises(GaltoolsError, match="or pass check=False"):
        read_folder(folder, SDSS)
    np.testing.assert_array_equal(read_folder(folder, SDSS, check=False).images, 1000 * sky())


def test_wrong_options_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", data=sky())
    with pytest.raises(GaltoolsError, match="unknown unit"):
        read_arrays(tmp_path / "a.npz", SDSS, unit="Jy")
    with pytest.raises(GaltoolsError, match="3 objects, its catalogue 2"):
        read_arrays(tmp_path / "a.npz", SDSS, catalogue=Table({"z": [0.1, 0.2]}))
    with pytest.raises(GaltoolsError, match="missing"):
        read_arrays(tmp_path / "b.npz", SDSS)


def test_odd_stamps_and_redshifts_are_flagged_and_stay(tmp_path):
    images = sky(n=9)
    images[1, 2, 0, 0] = np.nan
    images[2, 3, 5, 5] = np.inf
    images[3] = 0
    images[4, 2] = -np.abs(images[4, 2])
    z = np.array([0.1, 0.1, 0.1, 0.1, 0.1, np.nan, -0.02, 9.9, 0.1])
    ids = np.array([*"abcdefgh", "a"])
    np.savez(tmp_path / "odd.npz", data=images, z=z, id=ids)
    stamps = read_arrays(tmp_path / "odd.npz", SDSS)
    assert len(stamps) == 9
    assert [flags.names(flag) for flag in stamps.catalogue["flag"]] == [
        "", "INCOMPLETE", "INCOMPLETE, INFINITE", "BLANK, NEGATIVE", "NEGATIVE", "NO_REDSHIFT",
        "ABSURD_REDSHIFT", "ABSURD_REDSHIFT", "DUPLICATE",
    ]  # fmt: skip


# --- catalogues ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["c.csv", "c.fits", "c.ecsv", "c.vot"])
def test_catalogue_formats(tmp_path, name):
    table = Table({"OBJID": [7, 8], "RA": [1.0, 2.0], "DEC": [0.0, 0.5], "Z": [0.1, 0.2]})
    table["mag_r"] = [17.0, 16.0]
    table.write(tmp_path / name, **({"format": "votable"} if name == "c.vot" else {}))
    found = read_catalogue(tmp_path / name)
    assert found.colnames == ["id", "redshift", "ra", "dec", "mag_r", "flag"]
    assert list(found["id"]) == ["7", "8"]
    assert list(found["redshift"]) == [0.1, 0.2]


def test_bad_catalogues(tmp_path):
    path = tmp_path / "c.csv"
    for text, message in (
        ("ra,dec,z\n", "no rows"),
        ("ra,z\n1,2\n", "no column dec: it has ra, z"),
        ("ra,dec,z\n1,x,0.1\n", "holds no decimal numbers"),
        ("", "no rows"),
    ):
        path.write_text(text)
        with pytest.raises(GaltoolsError, match=message):
            read_catalogue(path)
    path.rename(tmp_path / "c.fits")
    with pytest.raises(GaltoolsError, match="cannot read"):
        read_catalogue(tmp_path / "c.fits")
    with pytest.raises(GaltoolsError, match="missing"):
        read_catalogue(tmp_path / "none.csv")


def test_duplicates_by_name_and_by_place_are_flagged():
    place = 1e-4  # degrees, .36 arcsec
    table = tidy(
        Table({"ra": [1, 1 + place, 2, 3], "dec": [0, 0, 0, 0], "id": ["a", "b", "c", "c"]})
    )
    assert (table["flag"] & Flag.DUPLICATE > 0).tolist() == [False, True, False, True]
    bad = tidy(Table({"ra": [np.nan, 1.0, 400], "dec": [0, 91, 0.0]}))
    assert (bad["flag"] & Flag.NO_POSITION > 0).all()


def test_angles_are_brought_to_degrees():
    """Whatever unit a column says it is in; what no angle is measured in is refused."""
    table = Table({"ra": [10.0, 12.0], "dec": [0.5, -0.5]})
    for unit, factor in (("hourangle", 15), ("rad", 180 / np.pi), ("deg", 1), (None, 1)):
        table["ra"].unit = unit
        np.testing.assert_allclose(tidy(table)["ra"], np.multiply(table["ra"].data, factor))
    table["ra"].unit = u.Unit("degrees", parse_strict="silent")  # no unit of the standard
    np.testing.assert_array_equal(tidy(table)["ra"], [10, 12])
    table["ra"].unit = "Jy"
    with pytest.raises(GaltoolsError, match="column 'ra' is in Jy: give degrees"):
        tidy(table)
    with pytest.raises(GaltoolsError, match=r"column 'dec' holds .* numbers a row"):
        tidy(Table({"ra": [1.0, 2.0], "dec": np.zeros((2, 3))}))


@pytest.mark.parametrize("given", [[1, 0, 3], [0.5, 0.0, 1.0], ["star", "", "star"]])
def test_a_strangers_flag_means_something_else(given):
    table = Table({"ra": [1.0, 2.0, 2.0], "dec": [0.0, 0, 0], "z": [0.1, 0.1, 9], "flag": given})
    found = tidy(table)
    words = [flags.names(flag) for flag in found["flag"]]
    assert words == ["", "", "ABSURD_REDSHIFT, DUPLICATE"]
    assert list(found["flag_given"]) == given
    flags.raise_flag(found, [0], Flag.SATURATED)  # while ours stays, through a file, too
    again = tidy(found[[0]])
    assert again.colnames == found.colnames
    assert list(again["flag"]) == [Flag.SATURATED]


# --- FITS ------------------------------------------------------------------------------------


def frame(size=40, **cards):
    header = field_wcs(SDSS, 150.0, 2.0, size).to_header()
    header.update({"FILTER": "r", "BUNIT": "nanomaggy"} | cards)
    return fits.PrimaryHDU(sky(1, size)[0, 2], header)


@pytest.mark.parametrize(
    ("text", "band"), [("r", "r"), ("r.MP9601", "r"), ("SDSS z", "z"), ("u*", "u"), ("g'", "g")]
)
def test_bands_are_told_by_their_many_names(text, band):
    assert band_of(fits.Header({"FILTER": text}.items()), SDSS, "x") == band


@pytest.mark.parametrize("align", [False, True])
def test_mask_and_sigma_of_a_field_go_into_its_stamps_to_the_card(tmp_path, align):
    bad, sigma = np.zeros((40, 40), np.int16), np.full((40, 40), 0.04)
    bad[20, 19], sigma[:20] = 8, 0.03
    ivar = sigma**-2
    ivar[25, 22] = 0
    hdus = [frame(), *(fits.ImageHDU(bad[k:], name=name) for k, name in ((0, "DQ"), (1, "MASK")))]
    fits.HDUList([*hdus, fits.ImageHDU(ivar, name="WGT")]).writeto(tmp_path / "f.fits")
    names = {"mask": "DQ", "ivar": "WGT"}
    plane = read_plane(tmp_path / "f.fits", SDSS, names=names)
    assert np.argwhere(plane.mask).tolist() == [[20, 19], [25, 22]]
    bare = read_plane(tmp_path / "f.fits", SDSS)
    assert not bare.mask.any() and bare.sigma is None
    objects = tidy(Table({"ra": [150.0], "dec": [2.0]}))
    options = {"align": align, "size": 16, "check": False}
    stamps = cut([plane], objects, SDSS.in_bands("r"), **options)
    near = stamps.mask[0, 0, 6:14, 1:14]
    assert near.any() and near.sum() == stamps.mask.sum() and set(near.flat) == {0, MASKED}
    found = stamps.sigma_map[0, 0]  # the frame's rows are the stamp's columns
    assert np.isinf(found[stamps.mask[0, 0] > 0]).all() and stamps.images.shape[-1] == 16
    np.testing.assert_allclose(np.median(found[:, :7]), 0.04, rtol=1e-3)
    np.testing.assert_allclose(np.median(found[:, 10:]), 0.03, rtol=1e-3)
    data.save(Pairs(stamps, stamps, np.zeros(1), objects), tmp_path / "pairs.h5")
    truth = image_files.open_images(tmp_path / "pairs.h5")
    card = scorecard.card(truth, truth[:] + 0.01 * (found < 0.035), morphology=0)
    inside, left = stamps.mask[0, 0] == 0, found < 0.035
    expected = np.mean(np.where(left, 0.01 / found, 0)[inside])
    assert card.get("residual_mean", "r").value == pytest.approx(expected, rel=1e-3)
    with pytest.raises(GaltoolsError, match=r"mask is \(39, 40\), need \(40, 40\)"):
        read_plane(tmp_path / "f.fits", SDSS, names={"mask": "MASK"})
    with pytest.raises(GaltoolsError, match="give the noise of every image, or of none"):
        cut([plane, bare], objects, SDSS.in_bands("r"), **options)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"mask": ""}, "no map at ''"),
        ({"ivar": "sci/wei"}, "no map at 'sci/wei'"),
        ({"ivar": "f/a/b"}, "no map at 'f/a/b'"),
        ({"ivar": "f.fits/"}, "no map at"),
        ({"ivar": "f/none"}, "is missing"),
        ({"ivar": "DQ", "weight": "DQ"}, "give one of ivar, weight"),
        ({"psf": "DQ"}, "unknown name of a map of a field 'psf'"),
        *(
            ({"mask": name}, "its mask has bits")
            for name in ("MASK70", "MASK1.5", "MASK-1", "MASK_X")
        ),
    ],
    ids=str,
)
def test_maps_that_are_not_there_or_odd_are_refused(tmp_path, names, message):
    bad = fits.ImageHDU(np.zeros((40, 40), np.int16), name="DQ")
    hdus = [frame(), bad]
    for text, value in (("MASK70", 70), ("MASK1.5", 1.5), ("MASK-1", -1), ("MASK_X", "x")):
        hdus.append(fits.ImageHDU(bad.data, name=text))
        hdus[-1].header["HIERARCH MP_DETECTED"] = value
    fits.HDUList(hdus).writeto(tmp_path / "f.fits")
    with pytest.raises(GaltoolsError, match=message):
        read_plane(tmp_path / "f.fits", SDSS, names={"mask": "DQ"} | names)


@pytest.mark.parametrize("angle", [0, 27])
@pytest.mark.parametrize("scale", [0.396, 0.7])
def test_resampled_sigma_is_the_noise_of_resampled_noise(angle, scale):
    """Half a pixel off, and turned, white noise of sigma 2 keeps what its map says."""
    wcs, turn = upright_wcs(150, 2, 0.396, 120), np.radians(angle)
    wcs.wcs.cd = [[-np.cos(turn), np.sin(turn)], [np.sin(turn), np.cos(turn)]] @ np.eye(2) * 1.1e-4
    rng, grid = np.random.default_rng(1), upright_wcs(150 + 0.5e-4, 2 + 0.5e-4, scale, 32)
    good, sigma = np.zeros((120, 120), np.uint8), np.full((120, 120), 2.0)
    at, seen = wcs.world_to_pixel_values(*grid.wcs.crval), []
    for _ in range(4):
        image = rng.normal(0, 2, (120, 120)).astype("f4")
        plane = Plane("r", image, good, wcs, Path("x"), sigma=sigma)
        stamp, _, found, *_ = cut_aligned(plane, np.array(at), 32, grid, scale)
        seen.append(stamp)
    assert np.mean(found) == pytest.approx(np.std(seen), rel=0.05)


def test_wrong_fits_is_refused_by_name(tmp_path):
    path = tmp_path / "f.fits"

    def refused(hdu, message):
        hdu.writeto(path, overwrite=True)
        with pytest.raises(GaltoolsError, match=message) as caught:
            read_plane(path, SDSS)
        assert "f.fits" in str(caught.value)

    refused(frame(FILTER="Y"), "FILTER is 'Y'")
    refused(frame(BUNIT="adu"), "no zero point")
    refused(frame(BUNIT="adu", MZP_AB=300.0), "no zero point")
    refused(frame(BUNIT="adu", MZP_AB="thirty"), "no zero point")
    refused(frame(BUNIT="DNs", SOFTBIAS=1000), "tsField")
    refused(fits.PrimaryHDU(), "holds no image")
    refused(fits.PrimaryHDU(np.zeros((2, 3, 4))), "3 dimensions")
    refused(fits.PrimaryHDU(np.zeros((4, 4)), fits.Header({"FILTER": "r"}.items())), "coordinates")
    whole = tmp_path / "whole.fits"
    frame().writeto(whole)
    for size in (0, 100, 2880, 5000, whole.stat().st_size - 2880):
        path.write_bytes(whole.read_bytes()[:size])
        with pytest.raises(GaltoolsError, match="damaged"):
            read_fits(path)
    path.write_bytes(b"<html>404 not found</html>" * 200)
    with pytest.raises(GaltoolsError, match="damaged"):
        read_fits(path)
    with pytest.raises(GaltoolsError, match="missing"):
        read_fits(tmp_path / "none.fits")


def test_zero_points_by_header(tmp_path):
    nmgy = read_plane(write(tmp_path / "a.fits", frame()), SDSS)
    counts = frame(BUNIT="adu", MZP_AB=30.0, FILTER="r.MP9601", SATURATE=1e5, IQIMAGE=0.8)
    counts.data = 1000 * counts.data
    counts.data[3, 4] = 2e5
    tile = read_plane(write(tmp_path / "b.fits", counts), CFHTLS)
    for seeing in (-1.0, 0.0, 99.0, "good"):
        odd = frame(BUNIT="adu", MZP_AB=30.0, IQIMAGE=seeing)
        assert read_plane(write(tmp_path / f"{seeing}.fits", odd), SDSS).psf_fwhm is None
    assert tile.psf_fwhm == 0.8
    expected = nmgy.image.copy()
    expected[3, 4] = 200
    np.testing.assert_allclose(tile.image, expected, rtol=1e-6)
    assert np.argwhere(tile.mask).tolist() == [[3, 4]]


@pytest.mark.parametrize("ending", ["fits.gz", "fits.bz2"])
def test_compressed_images_are_read_and_cut_ones_refused(tmp_path, ending):
    path = write(tmp_path / f"a.{ending}", frame())
    assert path.read_bytes()[:2] in (b"\x1f\x8b", b"BZ")
    np.testing.assert_array_equal(read_plane(path, SDSS).image, frame().data)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(GaltoolsError, match="damaged"):
        read_plane(path, SDSS)


def write(path, hdu):
    hdu.writeto(path)
    return path


# --- folders of cutouts ----------------------------------------------------------------------


def fill(folder, images, names, **cards):
    folder.mkdir()
    for name, stamp in zip(names, images, strict=True):
        for band, image in zip(BANDS, stamp, strict=True):
            hdu = frame(64, FILTER=band, **cards)
            hdu.data = image
            hdu.writeto(folder / f"{name}_{band}.fits")
    return folder


def test_extensions_beside_the_image_are_read(tmp_path):
    """Sigma in the unit of the image, a mask, a PSF; without a name they stay unread."""
    images = sky()
    folder = fill(tmp_path / "cut", 100 * images, "abc", BUNIT="adu", MAGZP=27.5)
    sigma = 100 * np.float32(SDSS.sky_noise)
    psf = np.outer(gaussian(9, std=1.5), gaussian(9, std=1.5))
    bad = np.zeros((64, 64), np.int16)
    bad[3, 4] = 32
    for path in folder.iterdir():
        level = sigma[BANDS.index(path.stem[-1])]
        var = np.full((64, 64), level**2, "f4")
        for pixels, name in ((var, "VAR"), (bad, "DQ"), (psf, "PSF")):
            fits.append(path, pixels, fits.Header({"EXTNAME": name}))
    found = read_folder(folder, SDSS, names={"variance": "VAR", "mask": "DQ", "psf": "PSF"})
    np.testing.assert_allclose(found.images, images, rtol=1e-5)
    assert np.argwhere(found.bad[0, 0]).tolist() == [[3, 4]]
    np.testing.assert_allclose(found.sigma_map[1, :, 0, 0], SDSS.sky_noise, rtol=1e-5)
    np.testing.assert_allclose(found.psf[2, 4], psf / psf.sum(), rtol=1e-5)
    plain = read_folder(folder, SDSS)
    assert plain.sigma_map is None and plain.psf is None and plain.mask is None
    with pytest.raises(GaltoolsError, match="has no extension ERR"):
        read_folder(folder, SDSS, names={"sigma_map": "ERR"})
    with pytest.raises(GaltoolsError, match="unknown name of an extension 'noise'"):
        read_folder(folder, SDSS, names={"noise": "VAR"})


def test_folder_of_cutouts(tmp_path):
    images = sky()
    folder = fill(tmp_path / "cut", images, ["a", "b_1", "c"])
    fits.PrimaryHDU(images[0]).writeto(folder / "d.fits")
    catalogue = Table({"id": ["c", "d", "a", "b_1"], "z": [0.3, 0.4, 0.1, 0.2]})
    stamps = read_folder(folder, SDSS, catalogue=catalogue)
    assert list(stamps.catalogue["id"]) == ["a", "b_1", "c", "d"]
    assert list(stamps.catalogue["redshift"]) == [0.1, 0.2, 0.3, 0.4]
    np.testing.assert_array_equal(stamps.images[[0, 1, 2, 3]], images[[0, 1, 2, 0]])
    alone = read_folder(folder, SDSS)
    assert alone.catalogue["ra"][0] == pytest.approx(150.0, abs=1e-6)
    assert np.isnan(alone.catalogue["redshift"]).all()
    with pytest.raises(GaltoolsError, match="object d is not in the catalogue"):
        read_folder(folder, SDSS, catalogue=catalogue[[0, 2, 3]])


def test_objects_without_any_file_stay_in_the_table(tmp_path):
    folder = fill(tmp_path / "cut", sky(), ["a", "b", "c"])
    catalogue = Table({"id": [*"xcbaya"], "z": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]})
    stamps = read_folder(folder, SDSS, catalogue=catalogue)
    assert list(stamps.catalogue["id"]) == [*"abcxya"]
    assert list(stamps.catalogue["redshift"]) == [0.4, 0.3, 0.2, 0.1, 0.5, 0.6]
    assert np.isnan(stamps.images[3:5]).all()
    np.testing.assert_array_equal(stamps.images[5], stamps.images[0])
    words = [flags.names(flag) for flag in stamps.catalogue["flag"]]
    assert words == ["", "", "", *["INCOMPLETE, MISSING_BAND"] * 2, "DUPLICATE"]


def test_cutouts_in_other_coordinates_and_with_odd_headers(tmp_path):
    """Galactic coordinates give ra and dec all the same; no header at all holds `unit`."""
    folder = fill(tmp_path / "cut", sky(), ["a", "b", "c"], CTYPE1="GLON-TAN", CTYPE2="GLAT-TAN")
    place = SkyCoord(l=150 * u.deg, b=2 * u.deg, frame="galactic").icrs
    found = read_folder(folder, SDSS).catalogue[0]
    assert found["ra"] == pytest.approx(place.ra.deg, abs=1e-6)
    assert found["dec"] == pytest.approx(place.dec.deg, abs=1e-6)
    deep = sky(size=136, survey=CFHTLS)
    for name, image in zip("ab", 1000 * deep[:2], strict=True):
        (tmp_path / "deep").mkdir(exist_ok=True)
        fits.PrimaryHDU(image).writeto(tmp_path / "deep" / f"{name}.fits")
    counts = read_folder(tmp_path / "deep", CFHTLS, unit="counts")
    np.testing.assert_allclose(counts.images, deep[:2], rtol=1e-6)


def test_damage_in_a_folder_is_flagged_and_named_rows_stay(tmp_path):
    folder = fill(tmp_path / "cut", sky(), ["a", "b", "c"])
    (folder / "a_g.fits").unlink()
    (folder / "b_i.fits").write_bytes((folder / "b_i.fits").read_bytes()[:4000])
    stamps = read_folder(folder, SDSS)
    words = [flags.names(flag) for flag in stamps.catalogue["flag"]]
    assert [("MISSING_BAND" in w, "UNREADABLE" in w) for w in words] == [
        (True, False), (False, True), (False, False),
    ]  # fmt: skip
    assert np.isnan(stamps.images[1, 3]).all()
    assert np.isfinite(stamps.images[1, [0, 1, 2, 4]]).all()


def test_saturation_in_a_folder_is_masked_and_flagged(tmp_path):
    folder = fill(tmp_path / "cut", sky(), ["a", "b", "c"], SATURATE=50 * SDSS.sky_noise[4])
    stamps = read_folder(folder, SDSS)  # the pixel in the middle is 100 sigma high
    assert (stamps.catalogue["flag"] & Flag.SATURATED > 0).all()
    assert np.argwhere(stamps.mask[0]).tolist() == [[4, 32, 32]]


def test_band_in_the_name_must_be_that_of_the_header(tmp_path):
    folder = fill(tmp_path / "cut", sky(), ["a", "b", "c"])
    (folder / "a_g.fits").rename(folder / "spare")
    (folder / "a_r.fits").rename(folder / "a_g.fits")
    with pytest.raises(GaltoolsError, match=r"a_g\.fits is named g, but its FILTER says r"):
        read_folder(folder, SDSS)


def test_folders_that_cannot_be_read_as_one_sample(tmp_path):
    folder = fill(tmp_path / "cut", sky(), ["a", "b", "c"])
    with pytest.raises(GaltoolsError, match=r"pixels of 0\.396 arcsec, CFHTLS of 0\.187"):
        read_folder(folder, CFHTLS)
    odd = frame(32, FILTER="g")
    odd.writeto(folder / "b_g.fits", overwrite=True)
    with pytest.raises(GaltoolsError, match="cut all objects alike"):
        read_folder(folder, SDSS)
    with pytest.raises(GaltoolsError, match="unknown unit 'luptitudes'"):
        read_folder(folder, SDSS, unit="luptitudes")
    with pytest.raises(GaltoolsError, match="no folder"):
        read_folder(tmp_path / "none", SDSS)
    (tmp_path / "empty").mkdir()
    with pytest.raises(GaltoolsError, match="no FITS file"):
        read_folder(tmp_path / "empty", SDSS)


# --- whatever the bytes ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def wholes(tmp_path_factory):
    """One small valid file for every reader."""
    folder = tmp_path_factory.mktemp("fuzz")
    frame(12).writeto(folder / "x.fits")
    np.savez(folder / "x.npz", data=sky(2, 8), z=[0.1, 0.2])
    np.save(folder / "x.npy", sky(2, 8))
    Table({"ra": [1.0, 2.0], "dec": [0.0, 1.0], "z": [0.1, 0.2]}).write(folder / "x.csv")
    return folder


READERS = {
    "x.fits": lambda path: read_plane(path, SDSS),
    "x.npz": lambda path: read_arrays(path, SDSS),
    "x.npy": lambda path: read_arrays(path, SDSS),
    "x.csv": read_catalogue,
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", READERS)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_broken_bytes_are_read_or_refused_in_one_line(wholes, name, data):
    content = bytearray((wholes / name).read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = wholes / f"broken_{name}"
    end = data.draw(st.one_of(st.just(len(content)), st.integers(0, len(content))))
    path.write_bytes(content[:end])
    try:
        READERS[name](path)
    except GaltoolsError as error:
        assert "\n" not in str(error)
        assert path.name in str(error)


# --- noise -----------------------------------------------------------------------------------


def test_sky_noise_ignores_the_galaxy_and_a_few_bad_pixels():
    images = sky(20)
    images[:, :, 24:40, 24:40] += 50  # the galaxy
    images[:, :, 0, :5] = 1e4  # a cosmic ray
    images[3, 1, :30] = np.nan
    images[4, 2] = np.nan
    noise = sky_noise(images)
    assert np.isnan(noise[4, 2])
    ratio = np.delete(noise, 4, axis=0) / np.float32(SDSS.sky_noise)
    # a standard error of 1.17 / sqrt(2 n) for the median deviation of n = 2560 border pixels
    np.testing.assert_allclose(ratio, 1, atol=5 * 1.65 / np.sqrt(2 * 1300))
