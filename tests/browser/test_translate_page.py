"""The page that translates a reader's galaxy: equal to PyTorch, and one line for every bad file."""

import base64
import io
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from astropy.io import fits
from test_pages import overflow, violations

from companion import browser_translator, plotting
from galtools import pretrained, simulate
from galtools.data import image_files
from galtools.fidelity import consistency
from galtools.surveys import BANDS, CFHTLS, SDSS
from galtools.training.translate import translate

pytestmark = pytest.mark.browser
SURVEY = replace(CFHTLS, pixel_scale=SDSS.pixel_scale)
FUZZ = """async (files) => {
  const said = [];
  for (const [name, content] of files) {
    const file = new File([galaxyTranslator.bytes(content)], name);
    try {
      const { source } = await (await galaxyTranslator.readStamps([file], galaxyData)).galaxy(0);
      const whole = source.map((plane) => plane.length === 64 * 64 && plane.every(Number.isFinite));
      said.push(whole.length === 5 && whole.every(Boolean) ? "" : "read, but not whole");
    }
    catch (error) { said.push(error.message); }
  }
  return said; }"""


@pytest.fixture(scope="module")
def pairs():
    """Galaxies, the last of which is a faint one of noise alone."""
    sample = simulate.pairs(4, seed=77, grid="sdss")
    sample.source[3] = np.random.default_rng(0).normal(size=(5, 64, 64)) * 0.1
    return sample


@pytest.fixture(scope="module")
def tab(browser, visit, html):
    context = browser.new_context(viewport={"width": 1000, "height": 900}, offline=True)
    tab, complaints, _ = visit(context, html / "translate.html")
    yield tab
    context.close()
    assert complaints == []


def npz(path="", save=np.savez, **arrays) -> bytes:
    file = io.BytesIO()
    save(file, **arrays)
    return file.getvalue()


def npy(array) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def as_fits(array, before=(), **cards) -> bytes:
    file, header = io.BytesIO(), fits.Header(cards.items())
    kind = fits.ImageHDU if before else fits.PrimaryHDU
    fits.HDUList([*before, kind(array, header)]).writeto(file)
    return file.getvalue()


def text(content) -> str:
    return base64.b64encode(content).decode()


def give(tab, *files) -> str:
    """Choose files, each a name and its bytes, and wait for what the page says."""
    told = [{"name": n, "mimeType": "application/octet-stream", "buffer": b} for n, b in files]
    tab.get_by_label("Choose or drop").set_input_files(told)
    return wait(tab)


def wait(tab) -> str:
    tab.wait_for_selector("#galaxy-translator[aria-busy=false]")
    return tab.locator("#galaxy-translator [role=status]").inner_text()


def result(tab, name: str):
    """Images of the last result, bands x 64 x 64."""
    expression = f"document.getElementById('galaxy-translator').result.{name}.map(x => [...x])"
    return np.reshape(tab.evaluate(expression), (5, 64, 64))


def in_doubles(images) -> np.ndarray:
    """PyTorch's translation, in double precision."""
    network = pretrained.load("residual", "cross").double()
    scaling = network.scaling
    with torch.no_grad():
        stretched = network.network(scaling.normalize(torch.from_numpy(images.astype(float))))
        return scaling.denormalize(stretched).numpy()


def test_translation_and_card_agree_with_python(tab, pairs):
    """Pixels within 1e-8 of the sky noise of the same network in double precision.

    `translate` computes in float32, whose own rounding is up to 4e-3 of the noise in the brightest
    pixels; it has to agree within 1e-4 of noise plus flux.
    """
    source = pairs.source_set
    facts = {"noise": source.noise, "psf_fwhm": source.psf_fwhm}
    give(tab, ("galaxies.npz", npz(source=source.images, **facts)))
    exact, single = (
        in_doubles(source.images),
        translate(pretrained.load("residual", "cross"), source.images),
    )
    known = consistency.measure(source, exact, SURVEY)
    for k in range(len(pairs)):
        if k:
            tab.get_by_label("Galaxy in the file").fill(str(k + 1))
            tab.keyboard.press("Enter")
            assert f"galaxy {k + 1}:" in wait(tab)
        found, sigma = result(tab, "translated"), pairs.noise[k, 1, :, None, None]
        assert (np.abs(found - exact[k]) / sigma).max() < 1e-8
        assert (np.abs(found - single[k]) / (sigma + np.abs(found))).max() < 1e-4
        bands = tab.evaluate("document.getElementById('galaxy-translator').result.bands")
        for name, ours in {
            "chi2": "chi2",
            "residual_correlation": "correlation",
            "flux_error": "fluxError",
        }.items():
            measured = [band[ours] for band in bands]
            np.testing.assert_allclose(measured, known[name][k], rtol=1e-3, atol=1e-4, err_msg=name)


def test_example_is_there_without_a_file(browser, visit, html):
    context = browser.new_context()
    tab, complaints, requests = visit(context, html / "translate.html")
    assert wait(tab).startswith("Example, a simulated galaxy: χ² is")
    source = simulate.pairs(**browser_translator.EXAMPLE).source[0]
    np.testing.assert_array_equal(result(tab, "source"), source)
    drawn = tab.locator("canvas").first.evaluate(
        "c => [...c.getContext('2d').getImageData(0, 0, 64, 64).data]"
    )
    known = plotting.lupton(source)[::-1].astype(int)
    assert np.abs(np.reshape(drawn, (64, 64, 4))[..., :3] - known).max() <= 1
    assert complaints == []
    assert all(url.startswith(("file:", "data:", "blob:")) for url in requests)
    context.close()


def of_each_kind(image) -> dict[str, list]:
    """One galaxy in every kind of file that the page reads."""
    integers = fits.PrimaryHDU(image.astype(float))
    integers.scale("int32", bzero=1.0, bscale=float(np.abs(image).max()) / 2**30)
    scaled = io.BytesIO()
    integers.writeto(scaled)
    assert b"E-" in scaled.getvalue()[:2880]  # BSCALE
    table = fits.BinTableHDU.from_columns([fits.Column("a", "E", array=np.arange(9.0))])
    single = [(f"galaxy-{band}.fits", as_fits(x)) for band, x in zip(BANDS, image, strict=True)]
    filters = [
        (f"u_{k}.fits", as_fits(x, FILTER=BANDS[k])) for k, x in reversed([*enumerate(image)])
    ]
    return {
        "npz": [("a.npz", npz(images=image, other=np.arange(3)))],
        "compressed": [("a.npz", npz(save=np.savez_compressed, data=image[None]))],
        "npy": [("a.npy", npy(image))],
        "big endian": [("a.npy", npy(image.astype(">f8")))],
        "fits": [("a.fits", as_fits(image))],
        "scaled fits": [("a.fits", scaled.getvalue())],
        "exponent D": [("a.fits", scaled.getvalue().replace(b"E-", b"D-", 1))],
        "extension": [("a.fits", as_fits(image, [fits.PrimaryHDU(), table]))],
        "files of bands": single,
        "filters": filters,
    }


KINDS = (
    *("npz", "compressed", "npy", "big endian", "fits", "scaled fits", "exponent D"),
    *("extension", "files of bands", "filters"),
)


@pytest.mark.parametrize("kind", KINDS)
def test_files_of_every_kind_are_read(tab, pairs, kind):
    image = pairs.source[1]
    files = of_each_kind(image)[kind]
    said = give(tab, *files)
    assert said.startswith("5 files" if len(files) > 1 else files[0][0])
    assert "typical values were used" in said
    np.testing.assert_allclose(result(tab, "source"), image, atol=2e-9 * np.abs(image).max())


def bad(image) -> dict[str, list]:
    broken, compressed = image.copy(), io.BytesIO()
    broken[2, 5, 5] = np.nan
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(image[0])]).writeto(compressed)
    whole, pack = npz(images=image), npz(save=np.savez_compressed, images=image)
    flipped = bytearray(whole)
    flipped[5000] ^= 1
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", bytes(2**27))
    one = ("galaxy-u.fits", as_fits(image[0]))
    several, axis = np.stack([image] * 3), b"NAXIS4  =                    "
    negative = as_fits(image[None]).replace(axis + b"1", axis[:-1] + b"-1")
    assert b"-1" in negative[:2880]
    blank = as_fits(np.full((5, 64, 64), 7, np.int16), BLANK=7)
    return {
        "has pixels without a number in r": [("a.npz", npz(images=broken))],
        "pixels without a number in u, g, r, i, z": [("a.fits", blank)],
        "is an array (4, 64, 64): give (galaxies, bands": [("a.npz", npz(images=image[:4]))],
        "is an array (64, 64, 5)": [("a.npy", npy(image.transpose(1, 2, 0).copy()))],
        "is an array (64, 64):": [one],
        "has stamps of 60 x 64 pixels": [("a.fits", as_fits(image[:, :60]))],
        "has no array named source, images or data": [("a.npz", npz(x=image))],
        "noise or psf_fwhm that is not": [("a.npz", npz(images=image, noise=np.zeros(5)))],
        "negative.fits is damaged": [("negative.fits", negative)],
        "one positive number per band": [("a.npz", npz(images=several, noise=np.ones((5, 3))))],
        "holds more than 400 galaxies": [("a.npy", npy(np.zeros((401, 5, 64, 64), "u1")))],
        "holds no galaxy": [("a.npz", npz(images=image[None][:0]))],
        "is in Fortran order": [("a.npy", npy(np.asfortranarray(image)))],
        "holds numbers of the type i8": [("a.npy", npy(image.astype(int)))],
        "is cut short": [("a.fits", as_fits(image)[:50_000])],
        "cut short": [("a.npy", npy(image)[:50_000])],
        "a.npz is damaged": [("a.npz", bytes(flipped))],
        "is damaged, or of another kind": [("a.npz", pack[: len(pack) // 2])],
        "holds arrays of more than 32 MB": [("a.npz", bomb.getvalue())],
        "has more than 32 MB": [("a.fits", bytes(2**25 + 1))],
        "is compressed: unpack it with gunzip": [("a.fits.gz", b"\x1f\x8b" + bytes(99))],
        "compressed FITS image": [("a.fits", compressed.getvalue())],
        "is of another kind": [("a.png", b"\x89PNG" + bytes(99))],
        "empty.npz is of another kind": [("empty.npz", b"")],
        "holds no image": [("a.fits", as_fits(None))],
        "give one FITS file for each of u, g, r, i, z": [one, one],
        "and the other files: give one FITS file": [one] * 5,
        "does not state its band": [(f"{k}.fits", one[1]) for k in range(5)],
        "cut out 64 x 64 pixels of one band": [
            (f"{band}.fits", as_fits(image[0, :9])) for band in BANDS
        ],
    }  # fmt: skip


def test_other_units_and_missing_facts_are_named(tab, pairs):
    image, facts = pairs.source[0], {"noise": SDSS.sky_noise, "psf_fwhm": SDSS.psf_fwhm}
    said = give(tab, ("counts.npz", npz(source=1000 * image, **facts)))
    assert "times the noise: are these nanomaggies" in said
    assert "typical values" not in said
    said = give(tab, ("mine.npz", npz(source=image, noise=SDSS.sky_noise)))
    assert "states no seeing: the survey's typical values were used" in said
    assert "are these nanomaggies" not in said
    assert "within the range of 98 % of true images in every band" in said
    exaggerated = 3 * np.array(SDSS.sky_noise)
    said = give(tab, ("mine.npz", npz(source=image, noise=exaggerated)))
    assert "outside the range of 98 % of true images in u, g, r, i, z" in said


def test_bad_files_are_refused_in_one_line(tab, pairs):
    for phrase, files in bad(pairs.source[0]).items():
        said = give(tab, *files)
        assert phrase in said, f"{said!r} instead of {phrase!r}"
        assert said.startswith(files[0][0])
        assert "\n" not in said
    assert give(tab, ("good.npy", npy(pairs.source[0]))).startswith("good.npy: χ² is")


def test_damaged_files_are_read_or_refused(tab, pairs):
    """Cut anywhere, or with a byte changed anywhere, above all in the headers: nothing hangs."""
    image, rng, files = pairs.source[0], np.random.default_rng(1), []
    good = {
        "a.npz": npz(images=image), "b.npz": npz(save=np.savez_compressed, images=image),
        "a.npy": npy(image), "a.fits": as_fits(image),
    }  # fmt: skip
    for name, content in good.items():
        for place in (*rng.integers(400, size=15), *rng.integers(len(content), size=5), -5, -20):
            changed = bytearray(content)
            changed[place] ^= int(rng.integers(1, 256))
            files += [(name, text(changed)), (name, text(content[:place]))]
    said = tab.evaluate(FUZZ, files)
    assert len(said) == len(files)
    refused = [(text, name) for text, (name, _) in zip(said, files, strict=True) if text]
    assert len(refused) > len(files) / 3
    assert all(text.startswith(name) and text.endswith(".") for text, name in refused)


def test_translation_is_saved_as_galtools_reads_it(tab, pairs):
    give(tab, ("a.npy", npy(pairs.source[2])))
    with tab.expect_download() as download:
        tab.get_by_role("button", name="Save translation").click()
    stack = image_files.open_images(
        download.value.path().rename(download.value.path().with_suffix(".fits"))
    )
    np.testing.assert_array_equal(stack[:], np.float32(result(tab, "translated"))[None])
    assert stack.facts["bands"] == BANDS
    assert stack.facts["pixel_scale"] == SDSS.pixel_scale


def test_dropped_file_is_read_and_the_map_follows_the_band(tab, pairs):
    transfer = tab.evaluate_handle(
        """content => { const data = new DataTransfer(), bytes = galaxyTranslator.bytes(content);
        data.items.add(new File([bytes], "dropped.npy")); return data; }""",
        text(npy(pairs.source[0])),
    )
    tab.dispatch_event("#galaxy-translator", "drop", {"dataTransfer": transfer})
    assert wait(tab).startswith("dropped.npy: χ² is")
    canvas = tab.locator("#galaxy-translator canvas").last
    before = canvas.evaluate("canvas => canvas.toDataURL()")
    tab.get_by_label("Band of the maps").select_option("g")
    assert canvas.evaluate("canvas => canvas.toDataURL()") != before
    tab.get_by_label("Band of the maps").select_option("r")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_fits_a_phone_and_is_accessible_in_every_state(browser, visit, html, pairs, scheme):
    context = browser.new_context(viewport={"width": 400, "height": 800}, color_scheme=scheme)
    tab, complaints, _ = visit(context, html / "translate.html")
    for content in (npz(images=pairs.source), b"nothing"):
        give(tab, ("a.npz", content))
        assert overflow(tab) <= 1
        assert complaints == []
        assert violations(tab) == []
        complaints.clear()  # what axe-core says when it reads style sheets from disk
    context.close()
