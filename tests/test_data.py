"""The file format: what goes in comes out, to within a known rounding."""

import h5py
import numpy as np
import pytest
from astropy.table import MaskedColumn, Table
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from galtools import data
from galtools.errors import GaltoolsError
from galtools.pairs import Pairs


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
    return Pairs(source.astype(np.float32), deep.astype(np.float32), z, catalogue, noise)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "pairs.h5"


def assert_same_pairs(found, wanted):
    """Everything is equal, images to within half a step of sigma/8."""
    for k, side in enumerate(data.SIDES):
        error = np.abs(getattr(found, side) - getattr(wanted, side))
        assert (error <= wanted.noise[:, k, :, None, None] / 16 * (1 + 1e-5)).all()
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


def test_rounding_raises_the_noise_by_its_closed_form(path):
    """A uniform rounding of width q adds a variance of q^2 / 12."""
    pairs = sample(n=20, size=32)
    data.save(pairs, path)
    error = (data.load(path).source - pairs.source) / pairs.noise[:, 0, :, None, None]
    assert error.std() == pytest.approx(1 / (8 * np.sqrt(12)), rel=0.01)
    assert abs(error.mean()) < 5 * error.std() / np.sqrt(error.size)


def test_files_are_several_times_smaller_than_float32(path):
    """Blank sky holds log2(8 sqrt(2 pi e)) = 5.05 bits a pixel: at best 6.3 times less than 32."""
    pairs = sample(n=20, size=64, target=64)
    data.save(data.for_task(pairs, "intra"), path)
    ratio = 2 * pairs.source.nbytes / path.stat().st_size
    assert 5 < ratio < 6.34


finite = st.floats(-(2.0**100), 2.0**100, width=32)
pixels = arrays(np.float32, (2, 5, 3, 3), elements=st.one_of(finite, st.just(np.nan)))
sigmas = arrays(np.float32, (2, 5), elements=st.sampled_from([np.nan, 0, -1, 1e-3, 1, np.inf]))


@settings(max_examples=200, deadline=None)
@given(pixels, sigmas)
def test_pack_and_unpack_are_inverse_whatever_the_noise(images, noise):
    step = data.quantum(images, noise)
    found = data.unpack(data.pack(images, step), step)
    bound = step[:, :, None, None] / 2 * (1 + 1e-6) + np.abs(images) * 2.0**-23
    np.testing.assert_array_equal(np.isnan(found), np.isnan(images))
    seen = np.isfinite(images)
    assert (np.abs(found - images)[seen] <= bound[seen]).all()
    again = data.unpack(data.pack(found, step), step)
    np.testing.assert_array_equal(again, found)


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
