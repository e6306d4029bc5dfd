"""Images from files of every kind, and what the files state beside them."""

import h5py
import numpy as np
import pytest
from astropy.io import fits
from blobs import blobs

from galtools import data
from galtools.data import image_files
from galtools.errors import GaltoolsError

IMAGES = np.random.default_rng(0).normal(size=(9, 5, 16, 16)).astype(np.float32)


def test_images_from_every_kind_of_file(tmp_path):
    np.savez(tmp_path / "a.npz", images=IMAGES, redshift=np.ones(9))
    np.save(tmp_path / "a.npy", IMAGES)
    fits.PrimaryHDU(IMAGES).writeto(tmp_path / "a.fits")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["images"] = IMAGES[:, None]
    for name in ("a.npz", "a.npy", "a.fits", "a.h5"):
        stack = image_files.open_images(tmp_path / name)
        assert stack.shape == IMAGES.shape
        np.testing.assert_array_equal(stack[3:7], IMAGES[3:7])
    assert image_files.read_column(tmp_path / "a.npz", "redshift").shape == (9,)
    assert image_files.read_column(tmp_path / "a.h5", "redshift") is None


def test_one_file_may_hold_truth_translation_and_source(tmp_path):
    np.savez(tmp_path / "all.npz", translated=2 * IMAGES, truth=IMAGES, source=-IMAGES)
    for names, factor in (
        (image_files.TRUTH, 1),
        (image_files.TRANSLATED, 2),
        (image_files.SOURCE, -1),
    ):
        found = image_files.open_images(tmp_path / "all.npz", names=names)
        np.testing.assert_array_equal(found[:2], factor * IMAGES[:2])
    picked = image_files.open_images(tmp_path / "all.npz", "source", image_files.TRUTH)
    np.testing.assert_array_equal(picked[:2], -IMAGES[:2])


def test_a_file_of_pairs_has_two_sides_and_states_what_it_knows(tmp_path):
    pairs = blobs(n=3)
    data.save(pairs, tmp_path / "test.h5")
    for names, side in (
        (image_files.TRUTH, pairs.target_set),
        (image_files.SOURCE, pairs.source_set),
    ):
        found = image_files.open_images(tmp_path / "test.h5", names=names)
        np.testing.assert_allclose(found[:], side.images, atol=0.5 * np.abs(pairs.noise).max())
        assert found.facts["pixel_scale"] == side.pixel_scale
        np.testing.assert_array_equal(found.facts["noise"], side.noise)
        np.testing.assert_array_equal(found.facts["psf_fwhm"], side.psf_fwhm)
        assert ("weights" in found.facts) == (side.mask is not None)
    assert np.abs(pairs.target - pairs.source).max() > 2 * np.abs(pairs.noise).max()


def test_redshifts_from_a_text_file(tmp_path):
    (tmp_path / "z.txt").write_text("0.1\n0.2\n")
    assert image_files.read_numbers(tmp_path / "z.txt").tolist() == [0.1, 0.2]
    (tmp_path / "words.txt").write_text("z\n0.2\n")
    with pytest.raises(GaltoolsError, match="one number a line"):
        image_files.read_numbers(tmp_path / "words.txt")
    with pytest.raises(GaltoolsError, match="is missing"):
        image_files.read_numbers(tmp_path / "none.txt")


def test_files_that_hold_no_images(tmp_path):
    np.savez(tmp_path / "a.npz", flux=np.ones(3))
    (tmp_path / "b.npz").write_text("nonsense")
    (tmp_path / "c.fits").write_text("nonsense")
    for name, message in (
        ("a.npz", "holds flux"),
        ("b.npz", "cannot read"),
        ("c.fits", "cannot read"),
        ("d.h5", "is missing"),
    ):
        with pytest.raises(GaltoolsError, match=message):
            image_files.open_images(tmp_path / name)


def test_maps_of_their_own_files_become_what_a_card_takes(tmp_path):
    masks, psf = np.zeros(IMAGES.shape, np.uint8), np.ones((5, 5))
    masks[..., 0] = 2
    np.save(tmp_path / "mask.npy", masks)
    np.savez(tmp_path / "both.npz", sigma_map=1 + 0 * IMAGES, psf=psf)
    both = tmp_path / "both.npz"
    maps = image_files.open_maps(mask=tmp_path / "mask.npy", sigma_map=both, psf=both, weights="")
    np.testing.assert_array_equal(maps["weights"][2:4], masks[2:4] == 0)
    np.testing.assert_array_equal(maps["sigma_map"][:], np.ones(IMAGES.shape))
    np.testing.assert_array_equal(maps["psf"], psf)
    with pytest.raises(
        GaltoolsError, match=r"both\.npz holds sigma_map, psf: name one of them mask"
    ):
        image_files.open_maps(mask=both)
    with pytest.raises(GaltoolsError, match="weights or a mask, not both"):
        image_files.open_maps(weights=tmp_path / "mask.npy", mask=tmp_path / "mask.npy")
    np.save(tmp_path / "text.npy", masks.astype("U2"))
    with pytest.raises(GaltoolsError, match="holds <U2: save a mask as numbers"):
        image_files.open_maps(mask=tmp_path / "text.npy")
