"""The command line, for those who use no notebook: `galtools COMMAND --help`."""

import argparse
import inspect
from pathlib import Path
from typing import Annotated, get_args, get_origin

import numpy as np
from tqdm import tqdm

from galtools import data, pretrained
from galtools.data import image_files
from galtools.errors import GaltoolsError
from galtools.fidelity import scorecard
from galtools.ingest import fits_images
from galtools.ingest.arrays import read_arrays, read_source
from galtools.ingest.catalogue import read_catalogue
from galtools.ingest.crossmatch import match
from galtools.ingest.cutouts import cut
from galtools.ingest.folder import read_folder
from galtools.models.checkpoint import load_weights
from galtools.simulate import matched_pairs
from galtools.surveys import band_names, find_survey, load_surveys
from galtools.training import translate as translation
from galtools.training.loop import best_device

Bounds = Annotated[list[float], "two bounds in degrees"]
Words = list[str]
PerBand = Annotated[list[float], "of the truth, one number or one per band"]
Output = Annotated[Path, "file to write"]
Images = Annotated[str, "images: file of pairs, npz, npy, HDF5 or FITS"]


def simulate(
    out: Output, n: int = 100, seed: int = 0, start: Annotated[int, "first galaxy"] = 0,
    grid: Annotated[str, "native or sdss pixels"] = "native",
    workers: Annotated[int, "processes"] = 1, survey_from: str = "SDSS", survey_to: str = "CFHTLS",
    surveys: Annotated[str, "TOML file of further surveys"] = "",
):  # fmt: skip
    """Simulate galaxies in two surveys: pairs.h5 -n 100 --grid sdss --workers 2"""
    if surveys:
        load_surveys(surveys)
    both = find_survey(survey_from), find_survey(survey_to)
    batches = matched_pairs.stream(n, seed, start, *both, grid=grid, workers=workers)
    progress = tqdm(batches, "batches", -(-n // matched_pairs.BLOCK))
    data.save(progress, out, provenance={"seed": seed, "start": start})
    print(f"{n} pairs in {out}")


def ingest(
    out: Output, source: Annotated[str, "array file, or folder of files <id>_<band>.fits"],
    target: Annotated[str, "likewise, of the other survey"], survey_from: str = "SDSS",
    survey_to: str = "CFHTLS", surveys: Annotated[str, "TOML file of further surveys"] = "",
    catalogue: Annotated[str, "table with id, ra, dec and redshift"] = "",
    fields: Annotated[bool, "the folders hold fields to be cut"] = False,
    unit: Annotated[str, "nanomaggies or counts, if the headers do not say"] = "",
    source_names: Annotated[Words, "maps: ivar=WGT mask=DQ, of fields also weight=sci/wei"] = (),
    target_names: Annotated[Words, "likewise; of arrays also key=img axes=nyxb bands=irg"] = (),
    radius: Annotated[float, "of the match, in arcsec"] = 1.0,
):  # fmt: skip
    """Match images of real galaxies in two surveys: real.h5 sdss/ kids/ --survey-to KiDS"""
    if surveys:
        load_surveys(surveys)
    objects = read_catalogue(catalogue) if catalogue else None
    if fields and objects is None:
        raise GaltoolsError("to cut stamps out of fields, give --catalogue with their positions")

    def images(path: Path, survey, words):
        names = dict(word.partition("=")[::2] for word in words)
        options = {"catalogue": objects, "names": names}
        if path.is_file():
            options |= {name: names.pop(name) for name in ("key", "axes", "bands") if name in names}
            return read_arrays(path, survey, unit=unit or "nanomaggies", **options)
        if not fields:
            return read_folder(path, survey, unit=unit or None, **options)
        options = {"unit": unit or None, "names": names}
        files = fits_images.image_files(path, names)
        planes = (fits_images.read_plane(file, survey, **options) for file in files)
        return cut(planes, objects, survey)

    pairs, outcomes = match(
        images(Path(source), find_survey(survey_from), source_names),
        images(Path(target), find_survey(survey_to), target_names),
        radius=radius,
    )
    data.save(pairs, out)
    print(*(f"{row['objects']} {row['outcome']}" for row in outcomes), sep=", ")


def translate(
    images: Images, out: Output, weights: Annotated[str, "file; otherwise kept ones"] = "",
    model: str = "residual", task: str = "cross", samples: int = 1, seed: int = 0,
):  # fmt: skip
    """Translate images with kept or own weights: pairs.h5 translated.h5 --model swin"""
    stack = image_files.open_images(images, names=image_files.SOURCE)
    network = load_weights(weights) if weights else pretrained.load(model, task)
    network.to(best_device())
    mask, scale = (stack.facts.get(name) for name in ("weights", "pixel_scale"))
    parts = []
    for k in tqdm(range(0, len(stack), 64), "translating"):
        rows = slice(k, k + 64)
        some = stack[rows] if mask is None else np.where(mask[rows] > 0, stack[rows], 0)
        parts.append(translation.translate(network, np.float32(some), samples, seed, start=k))
    facts = {} if scale is None else {"pixel_scale": float(scale) * network.scaling.step}
    translation.save_translations(out, np.concatenate(parts), facts)
    print(f"{len(stack)} translations in {out}")


def card(
    translations: Images, out: Annotated[Path, "card: .html, .json or .csv"],
    truth: Annotated[str, "true images, same galaxies, same order"] = "",
    source: Annotated[str, "the images that were translated"] = "", name: str = "translation",
    survey: Annotated[str, "into which was translated, for a card without truth"] = "CFHTLS",
    survey_from: Annotated[str, "of the source, if that is no file of pairs"] = "SDSS",
    surveys: Annotated[str, "TOML file of further surveys"] = "",
    bands: Annotated[str, "their names in order, as gri"] = "",
    pixel_scale: Annotated[float, "arcsec per pixel, if no file says"] = 0.0,
    noise: PerBand = (), psf_fwhm: PerBand = (),
    sigma_map: Annotated[str, "file with the noise of every pixel of the truth"] = "",
    mask: Annotated[str, "file of masks, not 0 where a pixel does not count"] = "",
    psf: Annotated[str, "file with images of the truth's PSF"] = "",
    morphology: Annotated[int, "galaxies that statmorph measures"] = 100,
):  # fmt: skip
    """Measure translations, with truth or source alone: translated.h5 card.html --truth pairs.h5"""
    if surveys:
        load_surveys(surveys)
    images = image_files.open_images(translations, names=image_files.TRANSLATED)
    common = {"pixel_scale": pixel_scale or None, "name": name}
    if truth:
        true = image_files.open_images(truth, names=image_files.TRUTH)
        z = image_files.read_column(truth, "redshift")
        before = image_files.open_images(source, names=image_files.SOURCE) if source else None
        facts = {
            "bands": band_names(bands) if bands else None,
            "noise": noise or None,
            "psf_fwhm": psf_fwhm or None,
        } | image_files.open_maps(sigma_map=sigma_map, mask=mask, psf=psf)
        result = scorecard.card(true, images, before, z, morphology=morphology, **facts, **common)
    elif sigma_map or mask or psf:
        raise GaltoolsError("maps belong to the truth: give --truth, or maps in the source's file")
    elif source:
        common["pixel_scale"] = pixel_scale or images.facts.get("pixel_scale")
        common["survey"] = find_survey(survey)
        source_set, _ = read_source(source, find_survey(survey_from))
        result = scorecard.card_without_truth(source_set, images[:], **common)
    else:
        raise GaltoolsError("give --truth, or --source for a card without true images")
    print(*(f"note: {line}" for line in result.notes), f"card: {result.save(out)}", sep="\n")


def download(
    what: Annotated[str, "sdss-catalogue, sdss or cfhtls"],
    folder: Annotated[Path, "where catalogue.ecsv and the images are kept"],
    n: int = 1000, ra: Bounds = (208.0, 221.0), dec: Bounds = (51.0, 58.0),
):  # fmt: skip
    """Fetch real data from the archives: sdss-catalogue data -n 1000 --ra 212 218"""
    from galtools.ingest import archives  # needs the extra `download`

    archives.download(what, folder, n, tuple(ra), tuple(dec))


def parser() -> argparse.ArgumentParser:
    """Commands and options, from the functions above: name, type, default and what it means."""
    top = argparse.ArgumentParser(prog="galtools", description=__doc__.split(":")[0])
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for run in (simulate, ingest, translate, card, download):
        what, example = run.__doc__.split(": ")
        command = commands.add_parser(
            run.__name__, help=what, description=what, formatter_class=argparse.HelpFormatter,
            epilog=f"example: galtools {run.__name__} {example}",
        )  # fmt: skip
        for name, given in inspect.signature(run).parameters.items():
            kind, help_text = (get_args(given.annotation) or (given.annotation, ""))[:2]
            if given.default is given.empty:
                command.add_argument(name, type=kind, help=help_text)
                continue
            option = {"action": "store_true"} if kind is bool else {"type": kind}
            if get_origin(kind) is list:
                option = {"type": get_args(kind)[0], "nargs": "+"}
            help_text = " ".join([help_text, f"(default: {given.default})" * bool(given.default)])
            flag = f"--{name.replace('_', '-')}"[len(name) == 1 :]  # -n, but --seed
            command.add_argument(flag, default=given.default, help=help_text, **option)
        command.set_defaults(run=run)
    return top


def main(arguments=None) -> None:
    """Run one command; what goes wrong is said in one line."""
    options = vars(parser().parse_args(arguments))
    command, run = options.pop("command"), options.pop("run")
    try:
        run(**options)
    except GaltoolsError as error:
        raise SystemExit(f"galtools {command}: {error}") from None


if __name__ == "__main__":
    main()
