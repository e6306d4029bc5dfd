"""The file format: what goes in comes out, to within a known rounding."""

from dataclasses import replace

import galsim
import h5py
import numpy as np
import pytest
from astropy.table import MaskedColumn, Table
from blobs import make_pairs
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from galtools import data, flags
from galtools.data import ImageSet, image_files, join
from galtools.data.files import quantize
from galtools.data.pairs import MASKED, NO_DATA, SATURATED
from galtools.errors import GaltoolsError
from galtools.surveys import BANDS, SDSS


def sample(n=5, size=8, target=12, seed=0):
    """Make noise-like pairs with a catalogue of every kind of column."""
    rng = np.random.default_rng(seed)
    noise = rng.uniform(0.01, 0.2, (n, 2, 5)).astype(np.float32)
    source = rng.normal(0, 1, (n, 5, size, size)) * noise[:, 0, :, None, None]
    deep = 100 * rng.normal(0, 1, (n, 5, target, target)) * noise[:, 1, :, None, None]
    catalogue = Table({"id": np.arange(n), "type": ["disc"] * n, "psf": rng.uniform(1, 2, (n, 5))})
    catalogue["dust"] = MaskedColumn(rng.uniform(0, 1, n), mask=np.arange(n) == 1, unit="mag")
    catalogue.meta["seed"] = seed
    z = rng.uniform(0, 0.4, n).astype(np.float32)
    return make_pairs(source, deep, z, catalogue, noise)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "pairs.h5"


def assert_same_pairs(found, wanted):
    """Everything is equal, images to within half a step of at most sigma/8, and float32."""
    for k, side in enumerate(["source", "target"]):
        images = getattr(wanted, side)
        error = np.abs(getattr(found, side) - images)
        rounding = np.abs(images) * 2.0**-23  # of float32 itself
        assert (error <= wanted.noise[:, k, :, None, None] / 16 * (1 + 1e-6) + rounding).all()
        assert getattr(found, side).dtype == np.float32
    np.testing.assert_array_equal(found.redshift, wanted.redshift)
    np.testing.assert_array_equal(found.noise, wanted.noise)
    assert found.catalogue.colnames == wanted.catalogue.colnames


def test_round_trip(path):
    pairs = sample()
    data.save(pairs, path)
    found = data.load(path)
    assert_same_pairs(found, pairs)
    assert list(found.catalogue["dust"].mask) == [False, True, False, False, False]
    assert found.catalogue["dust"].unit == "mag"
    assert found.catalogue["type"][0] == "disc"
    assert found.catalogue.meta["seed"] == 0


@pytest.mark.parametrize(
    "rows",
    [slice(1, 4), [3, 0, 3], np.array([True, False, False, True, True]), [], slice(None, None, -1)],
)
def test_rows_in_any_order(path, rows):
    pairs = sample()
    data.save(pairs, path)
    index = np.arange(5)[np.asarray(rows, int) if isinstance(rows, list) else rows]
    assert_same_pairs(data.load(path, index), pairs[index])


def test_same_pairs_give_the_same_bytes(path, tmp_path):
    data.save(sample(), path)
    data.save(sample(), tmp_path / "again.h5")
    assert path.read_bytes() == (tmp_path / "again.h5").read_bytes()


@pytest.mark.parametrize("sigma", [8.0, 9.0, 15.9])
def test_rounding_raises_the_noise_by_its_closed_form(path, sigma):
    """A uniform rounding of width q adds a variance of q^2 / 12; here q = 1, the power of two."""
    pairs = sample(n=20, size=32)
    pairs.source_set.noise[:] = sigma
    pairs.source_set.images[:] = sigma * np.random.default_rng(0).normal(size=pairs.source.shape)
    data.save(pairs, path)
    found = data.load(path).source
    np.testing.assert_array_equal(found, np.rint(found))
    error = found - pairs.source
    assert error.std() == pytest.approx(1 / np.sqrt(12), rel=0.01)
    assert abs(error.mean()) < 5 * error.std() / np.sqrt(error.size)


def test_files_are_several_times_smaller_than_float32(path):
    """Blank sky in steps of sigma/8 to sigma/16 holds log2(12 sqrt(2 pi e)) = 5.6 bits a pixel."""
    pairs = sample(n=20, size=64, target=64)
    data.save(data.for_task(pairs, "intra"), path)
    ratio = 2 * pairs.source.nbytes / path.stat().st_size
    assert 3 < ratio < 32 / 5.05


finite = st.floats(-(2.0**100), 2.0**100, width=32)
pixels = arrays(np.float32, (2, 5, 3, 3), elements=st.one_of(finite, st.just(np.nan)))
sigmas = arrays(np.float32, (2, 5), elements=st.sampled_from([np.nan, 0, -1, 1e-3, 1, np.inf]))


@settings(max_examples=200)
@given(pixels, sigmas)
def test_rounding_is_bounded_and_done_once_whatever_the_noise(images, noise):
    found = np.float32(quantize(images, noise))
    known = np.isfinite(noise) & (noise > 0)
    bound = np.where(known, noise, 0)[:, :, None, None] / 16 + np.abs(images) * 2.0**-23
    np.testing.assert_array_equal(np.isnan(found), np.isnan(images))
    seen = np.isfinite(images)
    assert (np.abs(found - images)[seen] <= bound[seen]).all()
    np.testing.assert_array_equal(np.float32(quantize(found, noise)), found)


def test_infinities_and_nan_survive(path):
    pairs = sample()
    pairs.source[0, 0, 0, :3] = [np.inf, -np.inf, np.nan]
    data.save(pairs, path)
    np.testing.assert_array_equal(data.load(path).source[0, 0, 0, :3], [np.inf, -np.inf, np.nan])


def test_no_galaxies_are_a_sample_too(path):
    data.save(sample()[:0], path)
    assert len(data.load(path)) == 0


def test_tasks():
    pairs = sample()
    assert data.for_task(pairs, "cross") is pairs
    intra = data.for_task(pairs, "intra")
    assert intra.target is pairs.source
    np.testing.assert_array_equal(intra.noise[:, 1], pairs.noise[:, 0])
    with pytest.raises(GaltoolsError, match="intra, cross"):
        data.for_task(pairs, "inter")


def test_samples_are_joined_with_their_masks():
    first, second = sample(3), sample(2, seed=1)
    assert join([first, second]).bad == (None, None)
    second.source_set.mask = np.random.default_rng(0).integers(0, 4, second.source.shape, np.uint8)
    whole = join([first, second, first])
    assert not whole.bad[0][:3].any() and not whole.bad[0][5:].any()
    assert whole.bad[1] is None
    np.testing.assert_array_equal(whole.bad[0][3:5], second.bad[0])
    assert_same_pairs(whole[3:5], second)
    first.source_set.pixel_scale = 0.4
    with pytest.raises(GaltoolsError, match="cannot be joined"):
        join([first, second])


def test_damaged_files_are_refused_in_one_line(path):
    with pytest.raises(GaltoolsError, match="missing"):
        data.load(path)
    data.save(sample(), path)
    whole = path.read_bytes()
    for damaged in (b"", b"not HDF5", whole[: len(whole) // 2], whole[:-10]):
        path.write_bytes(damaged)
        with pytest.raises(GaltoolsError, match="damaged or cut short"):
            data.load(path)
    with pytest.raises(GaltoolsError, match="below 5"):
        path.write_bytes(whole)
        data.load(path, [7])


def test_a_flipped_byte_in_an_image_is_noticed(path):
    pairs = sample(n=3, size=32)
    data.save(pairs, path)
    content = bytearray(path.read_bytes())
    with h5py.File(path) as file:
        chunk = file["source/images"].id.get_chunk_info(1)
    content[chunk.byte_offset + chunk.size // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(GaltoolsError, match="damaged"):
        data.load(path)
    data.load(path, [0, 2])  # the other galaxies are still readable


def test_what_is_too_large_for_the_memory_is_not_called_damaged(path, monkeypatch):
    data.save(sample(), path)

    def full(*_):
        raise MemoryError

    monkeypatch.setattr(data.files, "read_rows", full)
    with pytest.raises(GaltoolsError, match="does not fit into memory"):
        data.load(path)


def test_a_file_holds_all_that_describes_its_images(path):
    pairs = sample()
    mask = np.zeros(pairs.target.shape, np.uint8)
    mask[2, 1, 0, 0] = SATURATED
    psf = np.random.default_rng(1).uniform(0.6, 0.9, (5, 5)).astype(np.float32)
    pairs.target_set = replace(pairs.target_set, pixel_scale=0.186, psf_fwhm=psf, mask=mask)
    split = ["train", "train", "valid", "test", ""]
    data.save(pairs, path, split=split, provenance={"made by": "a test"})
    facts = data.describe(path)
    assert facts["galaxies"] == 5
    assert facts["target"] == "CFHTLS, u g r i z, 12 x 12 pixels of 0.186 arcsec, mask"
    assert facts["provenance"] == {"made by": "a test"}
    with h5py.File(path) as file:
        assert file["split"].asstr()[:].tolist() == split
    assert data.pixel_scales(path) == {"source": 0.396, "target": 0.186}
    found = data.load(path, [2, 0])
    assert (found.source_set.survey, found.target_set.survey) == ("SDSS", "CFHTLS")
    assert found.pixel_ratio == 0.186 / 0.396
    np.testing.assert_array_equal(found.target_set.mask, mask[[2, 0]])
    assert found.target_set.mask.dtype == np.uint8
    np.testing.assert_array_equal(found.target_set.psf_fwhm, psf[[2, 0]])
    assert found.source_set.mask is None
    np.testing.assert_allclose(found.source_set.psf_fwhm[1], SDSS.psf_fwhm)
    data.validate(path)


def with_maps(pairs, seed=2):
    """Pairs with a sigma map, a mask and PSF images on the target's side."""
    rng, target = np.random.default_rng(seed), pairs.target_set
    sigma = rng.uniform(0.5, 2, target.images.shape) * target.noise[..., None, None]
    sigma[0, 0, 1, 2] = 0  # no data
    psf = rng.uniform(0, 1, (*sigma.shape[:2], 7, 9))
    survey = replace(target.instrument, pixel_scale=target.pixel_scale)
    maps = {"psf_fwhm": target.psf_fwhm, "sigma_map": sigma, "psf": psf}
    return replace(pairs, target_set=ImageSet.of(survey, target.images, target.noise, **maps))


def test_sigma_maps_and_psf_images_go_in_and_come_out(path):
    pairs = with_maps(sample())
    data.save([pairs[:2], pairs[2:]], path)
    wanted, found = pairs.target_set[[3, 0]], data.load(path, [3, 0]).target_set
    for name in ("sigma_map", "psf", "mask"):
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name))
    assert np.isinf(found.sigma_map[1, 0, 1, 2]) and found.mask.sum() == found.mask[1, 0, 1, 2] == 1
    np.testing.assert_allclose(found.psf.sum((2, 3)), 1, rtol=1e-5)
    np.testing.assert_array_equal(found.in_bands("r").psf[:, 0], found.psf[:, 2])
    assert data.describe(path)["target"].endswith("0.187 arcsec, mask, sigma_map, psf")
    assert data.load(path).source_set.sigma_map is None
    with h5py.File(path) as file:
        assert file["target/psf"].shape == (5, 5, 7, 9) and file["target/sigma_map"].fletcher32
        np.testing.assert_array_equal(file["target/sigma_map"][3], found.sigma_map[0])
    facts = image_files.open_images(path).facts
    np.testing.assert_array_equal(facts["psf"][[0, 3]], found.psf[::-1])
    np.testing.assert_array_equal(facts["weights"][0], pairs.target_set.mask[0] == 0)
    np.testing.assert_array_equal(join([pairs[:1], pairs[3:]]).target_set.psf[1], found.psf[0])


def test_pixels_without_sigma_keep_their_other_bits():
    images, mask = np.zeros((1, 5, 2, 2)), np.zeros((1, 5, 2, 2), np.uint8)
    sigma = np.ones(images.shape)
    sigma[0, 0] = [[np.nan, 0], [np.inf, 1]]
    mask[0, 0] = SATURATED
    found = ImageSet.of(SDSS, images, images[..., 0, 0], mask=mask, sigma_map=sigma).mask[0]
    expected = SATURATED + np.array([[NO_DATA, NO_DATA], [MASKED, 0]])
    np.testing.assert_array_equal(found[0], expected)
    assert not found[1:].any()


def test_maps_are_those_of_all_galaxies_or_of_none(path):
    pairs = with_maps(sample())
    with pytest.raises(GaltoolsError, match="some samples lack"):
        join([pairs, sample()])
    for batches in ([pairs, sample()], [sample(), pairs]):
        with pytest.raises(GaltoolsError, match="some batches have a"):
            data.save(batches, path)


def test_a_psf_may_be_that_of_all_and_gives_the_seeing():
    psf = galsim.Kolmogorov(fwhm=0.8).drawImage(nx=31, ny=31, scale=0.2).array
    images = np.zeros((3, 2, 16, 16))
    for shared in (psf, np.stack([psf] * 2)):
        found = ImageSet.of(
            replace(SDSS.in_bands("ri"), pixel_scale=0.2), images, images[..., 0, 0], psf=3 * shared
        )
        np.testing.assert_allclose(found.psf[2, 1], psf / psf.sum(), rtol=1e-5)
        np.testing.assert_allclose(found.psf_fwhm, 0.8, rtol=0.005)


def test_an_absent_pixel_scale_is_an_error(path):
    data.save(sample(), path)
    with h5py.File(path, "r+") as file:
        del file["target"].attrs["pixel_scale"]
    for read in (data.load, data.pixel_scales):
        with pytest.raises(GaltoolsError, match="damaged"):
            read(path)
    with pytest.raises(TypeError, match="pixel_scale"):
        ImageSet(np.zeros((1, 5, 4, 4)), np.ones((1, 5)), "SDSS", BANDS, psf_fwhm=np.ones((1, 5)))


def test_a_mask_may_come_with_any_batch(path):
    first, second, third = sample(5)[:2], sample(5)[2:4], sample(5)[4:]
    second.source_set.mask = np.ones(second.source.shape, np.uint8)
    data.save([first, second, third], path)
    found = data.load(path)
    masked = found.source_set.mask.any(axis=(1, 2, 3))
    assert masked.tolist() == [False, False, True, True, False]
    assert found.target_set.mask is None
    data.validate(path)


def test_batches_make_the_same_file_as_the_whole(path, tmp_path):
    pairs = sample(n=130)
    data.save(pairs, path)
    batches = (pairs[start : start + 64] for start in range(0, 130, 64))
    data.save(batches, tmp_path / "batches.h5")
    assert_same_pairs(data.load(tmp_path / "batches.h5"), pairs)
    assert data.load(path).catalogue.meta == data.load(tmp_path / "batches.h5").catalogue.meta
    with pytest.raises(GaltoolsError, match="not a single batch"):
        data.save([], tmp_path / "none.h5")
    other = sample(8)
    other.source_set.pixel_scale = 0.4
    for odd in (sample(target=10), other):
        with pytest.raises(GaltoolsError, match="in one sample"):
            data.save([pairs, odd], tmp_path / "none.h5")
    assert not (tmp_path / "none.h5").exists()


@pytest.mark.parametrize("bands", ["r", "gri", "zirgu"])
def test_any_bands_and_sides_go_in_and_come_out(path, bands):
    """Of either survey its own number and order of bands, and stamps that are not square."""
    pairs = sample()
    target = replace(pairs.target_set, images=pairs.target[..., :7])
    whole = replace(pairs, source_set=pairs.source_set.in_bands(bands), target_set=target)
    data.save(whole, path)
    found = data.load(path, [3, 1])
    assert found.source_set.bands == tuple(bands) and found.target_set.bands == BANDS
    assert found.target.shape == (2, 5, 12, 7)
    rows = [BANDS.index(band) for band in bands]
    np.testing.assert_array_equal(found.source_set.noise, pairs.source_set.noise[[3, 1]][:, rows])
    assert found.source_set.instrument.psf_fwhm == tuple(SDSS.psf_fwhm[k] for k in rows)
    facts = image_files.open_images(path, "source").facts
    assert facts["bands"] == tuple(bands)
    np.testing.assert_array_equal(facts["noise"], whole.source_set.noise)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": np.zeros((5, 5, 8))}, "need \\(n, bands, H, W\\)"),
        ({"noise": np.ones((5, 2, 5))}, "need \\(5, 5\\), per galaxy and band"),
        ({"psf_fwhm": np.ones((5, 4))}, "need \\(5, 5\\), per galaxy and band"),
        ({"mask": np.zeros((5, 5, 9, 9), np.uint8)}, "the mask is"),
        ({"sigma_map": np.ones((5, 5, 9, 9))}, "the sigma_map is"),
        ({"sigma_map": np.zeros((5, 5, 8, 8))}, "must be positive"),
        ({"psf": np.ones((5, 5, 8, 9))}, "odd h and w"),
        ({"psf": np.ones((4, 9, 9))}, "need \\(n, bands, h, w\\)"),
        ({"catalogue": Table({"id": [1]})}, "1 rows"),
        ({"bands": BANDS[:4]}, "do not name the 5 bands"),
        ({"bands": tuple("ugrii")}, "do not name the 5 bands"),
        ({"pixel_scale": 1.1e-4}, "arcsec per pixel"),
    ],
)
def test_parts_that_do_not_belong_together_are_refused(change, message):
    with pytest.raises(GaltoolsError, match=message):
        replace(sample().source_set, **change)


def test_an_unknown_split_is_refused(path):
    with pytest.raises(GaltoolsError, match="unknown split 'training'"):
        data.save(sample(), path, split="training")


@pytest.mark.parametrize(
    "name", ["redshift", "split", "catalogue", "source/noise", "target/psf_fwhm"]
)
def test_validation_finds_a_flipped_byte(path, name):
    data.save(sample(), path)
    with h5py.File(path) as file:
        chunk = file[name].id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset + 3] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(GaltoolsError, match="damaged"):
        data.validate(path)


def test_validation_finds_a_galaxy_that_appears_twice(path):
    pairs = sample()
    pairs.catalogue["id"][3] = 1
    data.save(pairs, path)
    with pytest.raises(GaltoolsError, match="galaxy 1 appears twice"):
        data.validate(path)
    flags.raise_flag(pairs.catalogue, [3], flags.Flag.DUPLICATE)
    data.save(pairs, path)
    data.validate(path)


def test_foreign_hdf5_is_refused(path):
    with h5py.File(path, "w") as file:
        file["images"] = np.zeros(3)
    with pytest.raises(GaltoolsError, match="says format None: needed is 'galtools pairs 2'"):
        data.load(path)


def test_h5py_alone_reads_the_images(path):
    pairs = sample()
    pairs.target[0, 1, 2, 3] = np.nan
    data.save([pairs[:2], pairs[2:]], path)
    with h5py.File(path) as file:
        images, about = file["target/images"][:], dict(file["target"].attrs)
    assert about == {"survey": b"CFHTLS", "bands": b"u g r i z", "pixel_scale": 0.187}
    assert np.argwhere(np.isnan(images)).tolist() == [[0, 1, 2, 3]]
    np.testing.assert_array_equal(images, data.load(path).target)


def moved(path, name, layout):
    """Let a data set of a file take its numbers from another file."""
    with h5py.File(path, "r+") as file:
        values = file[name][:]
        del file[name]
        other = path.with_name("other")
        if layout == "external storage":
            other.write_bytes(values.tobytes())
            file.create_dataset(
                name, values.shape, values.dtype, external=[(str(other), 0, values.nbytes)]
            )
            return
        with h5py.File(other, "w") as elsewhere:
            elsewhere["x"] = values
        if layout == "external link":
            file[name] = h5py.ExternalLink(str(other), "x")
        else:
            virtual = h5py.VirtualLayout(values.shape, values.dtype)
            virtual[:] = h5py.VirtualSource(str(other), "x", values.shape)
            file.create_virtual_dataset(name, virtual)


@pytest.mark.parametrize("layout", ["external storage", "external link", "virtual data set"])
@pytest.mark.parametrize("name", ["redshift", "target/images"])
def test_numbers_that_lie_in_other_files_are_refused(path, name, layout):
    data.save(sample(), path)
    moved(path, name, layout)
    reads = (
        *(data.load, data.validate, data.describe, image_files.open_images),
        lambda file: image_files.read_column(file, "redshift"),
    )
    for read in reads:
        with pytest.raises(GaltoolsError, match="another file, which is refused"):
            read(path)


@pytest.mark.parametrize("name", ["redshift", "source/noise", "split", "target/psf_fwhm"])
def test_columns_of_another_length_are_refused(path, name):
    data.save(sample(), path)
    with h5py.File(path, "r+") as file:
        values = file[name][:-1]
        del file[name]
        file[name] = values
    with pytest.raises(GaltoolsError, match="is needed"):
        data.load(path, [0])


def test_other_units_and_numbers_of_bands_are_refused(path):
    data.save(sample(), path)
    with h5py.File(path, "r+") as file:
        file.attrs["unit"], file["target"].attrs["bands"] = "Jy", "g r i"
    with pytest.raises(GaltoolsError, match="says unit 'Jy': needed is"):
        data.load(path)
    with h5py.File(path, "r+") as file:
        file.attrs["unit"] = "nanomaggies per pixel"
    with pytest.raises(GaltoolsError, match="do not name the 5 bands"):
        data.load(path)


@settings(max_examples=60)
@given(st.data())
def test_whatever_is_broken_a_file_is_read_or_refused(tmp_path_factory, draw):
    """Random bytes anywhere in a file never end in another error than ours."""
    folder = tmp_path_factory.getbasetemp()
    if not (folder / "whole.h5").exists():
        data.save(sample(n=2, size=4, target=4), folder / "whole.h5")
    content = bytearray((folder / "whole.h5").read_bytes())
    for _ in range(draw.draw(st.integers(1, 4))):
        content[draw.draw(st.integers(0, len(content) - 1))] = draw.draw(st.integers(0, 255))
    (folder / "broken.h5").write_bytes(content[: draw.draw(st.integers(0, len(content)))])
    try:
        data.validate(folder / "broken.h5")
    except GaltoolsError as error:
        assert "\n" not in str(error)


def test_flags_are_counted_and_spelled():
    catalogue = sample().catalogue
    assert flags.good(catalogue).all()
    flags.raise_flag(catalogue, [1, 2], flags.Flag.SATURATED)
    flags.raise_flag(catalogue, [2], flags.Flag.BLANK)
    assert flags.names(catalogue["flag"][2]) == "SATURATED, BLANK"
    assert flags.good(catalogue).tolist() == [True, False, False, True, True]
    assert flags.good(catalogue, allow=flags.Flag.SATURATED).sum() == 4
    rows = {row["flag"]: row["rows"] for row in flags.count(catalogue)}
    assert rows == {"SATURATED": 2, "BLANK": 1, "none": 3, "all rows": 5}


@pytest.mark.parametrize("ending", ["npy", "npz", "h5"])
def test_complex_images_are_refused(tmp_path, ending):
    images, path = np.full((2, 5, 8, 8), 1 + 1j), tmp_path / f"images.{ending}"
    if ending == "h5":
        with h5py.File(path, "w") as file:
            file["images"] = images
    else:
        np.save(path, images) if ending == "npy" else np.savez(path, data=images)
    with pytest.raises(GaltoolsError, match="complex128 images"):
        image_files.open_images(path)
