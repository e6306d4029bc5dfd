"""The command line, for those who use no notebook: `galtools COMMAND --help`."""

import argparse
from pathlib import Path

import numpy as np
from tqdm import tqdm

from galtools import data, fidelity, models, simulate
from galtools.data import image_files
from galtools.errors import GaltoolsError
from galtools.fidelity import scorecard
from galtools.ingest.arrays import read_arrays
from galtools.ingest.catalogue import read_catalogue
from galtools.ingest.crossmatch import match
from galtools.ingest.cutouts import cut
from galtools.ingest.fits_images import read_plane
from galtools.ingest.folder import ENDING, read_folder
from galtools.simulate.matched_pairs import GRIDS
from galtools.surveys import CFHTLS, SURVEYS, TASKS
from galtools.training import translate as translation


def simulate_pairs(options) -> None:
    """Simulate galaxies in two surveys into a file of pairs."""
    batches = simulate.stream(
        options.n, options.seed, options.start, grid=options.grid, workers=options.workers
    )
    progress = tqdm(batches, "batches", -(-options.n // simulate.matched_pairs.BLOCK))
    data.save(progress, options.out, provenance={"seed": options.seed, "start": options.start})
    print(f"{options.n} pairs in {options.out}")


def ingest(options) -> None:
    """Match the images of real galaxies in two surveys into a file of pairs."""
    catalogue = read_catalogue(options.catalogue) if options.catalogue else None
    sets = [
        _read(Path(path), SURVEYS[name], catalogue, options)
        for path, name in (
            (options.source, options.survey_from),
            (options.target, options.survey_to),
        )
    ]
    pairs, outcomes = match(*sets, radius=options.radius)
    data.save(pairs, options.out)
    print(*(f"{row['objects']} {row['outcome']}" for row in outcomes), sep=", ")


def _read(path: Path, survey, catalogue, options):
    """Images of one survey: arrays, cutouts in a folder, or fields to be cut."""
    if path.is_file():
        return read_arrays(path, survey, unit=options.unit or "nanomaggies", catalogue=catalogue)
    if not options.fields:
        return read_folder(path, survey, catalogue=catalogue, unit=options.unit)
    if catalogue is None:
        raise GaltoolsError("to cut stamps out of fields, give --catalogue with their positions")
    fields = sorted(file for file in path.iterdir() if ENDING.fullmatch(file.name))
    return cut(map(read_plane, fields), catalogue, survey)


def translate(options) -> None:
    """Translate images with kept weights, or with a file of weights."""
    network = options.weights or models.pretrained(options.model, options.task)
    images = image_files.open_images(options.images, names=image_files.SOURCE)
    parts = [
        translation.translate(network, np.float32(images[k : k + 64]), options.samples,
                              options.seed, start=k)
        for k in tqdm(range(0, len(images), 64), "translating")
    ]  # fmt: skip
    translation.save_translations(options.out, np.concatenate(parts))
    print(f"{len(images)} translations in {options.out}")


def card(options) -> None:
    """Measure translations against true images, or against their source alone."""
    images = image_files.open_images(options.translations, names=image_files.TRANSLATED)
    common = {"pixel_scale": options.pixel_scale, "name": options.name}
    if options.truth:
        truth = image_files.open_images(options.truth, names=image_files.TRUTH)
        z = image_files.read_column(options.truth, "redshift")
        before = None
        if options.source:
            before = image_files.open_images(options.source, names=image_files.SOURCE)
        result = fidelity.card(
            truth, images, before, z, bands=options.bands and tuple(options.bands),
            noise=options.noise, psf_fwhm=options.psf_fwhm, morphology=options.morphology, **common
        )  # fmt: skip
    elif options.source:
        source = data.load(options.source).source_set
        result = scorecard.card_without_truth(source, images[:], survey=CFHTLS, **common)
    else:
        raise GaltoolsError("give --truth, or --source for a card without true images")
    for line in result.notes:
        print(f"note: {line}")
    print("card:", result.save(options.out))


def download(options) -> None:
    """Fetch real data from the archives."""
    from galtools.ingest import archives  # needs the extra `download`

    archives.download(options)


OPTIONS = {  # of every command: its function, an example, and argparse's arguments
    "simulate": (simulate_pairs, "pairs.h5 -n 1000 --grid sdss --workers 2", (
        ("out", dict(type=Path, help="HDF5 file to write")),
        ("-n", dict(type=int, default=100, help="galaxies")),
        ("--seed", dict(type=int, default=0, help="of every random number")),
        ("--start", dict(type=int, default=0, help="number of the first galaxy")),
        ("--grid", dict(choices=GRIDS, default="native", help="pixels of the target survey")),
        ("--workers", dict(type=int, default=1, help="processes")),
    )),
    "ingest": (ingest, "pairs.h5 sdss_folder cfhtls_folder --catalogue objects.csv", (
        ("out", dict(type=Path, help="HDF5 file to write")),
        ("source", dict(help="npz, npy, or folder of FITS files <id>_<band>.fits")),
        ("target", dict(help="likewise, of the other survey")),
        ("--survey-from", dict(choices=tuple(SURVEYS), default="SDSS", help="survey")),
        ("--survey-to", dict(choices=tuple(SURVEYS), default="CFHTLS", help="survey")),
        ("--catalogue", dict(help="table with id, ra, dec and redshift")),
        ("--fields", dict(action="store_true", help="the folders hold fields to be cut")),
        ("--unit", dict(choices=("nanomaggies", "counts"), help="if the headers do not say")),
        ("--radius", dict(type=float, default=1.0, help="of the match, in arcsec")),
    )),
    "translate": (translate, "pairs.h5 translated.h5 --model swin", (
        ("images", dict(help="images to translate: file of pairs, npz, npy, HDF5 or FITS")),
        ("out", dict(type=Path, help="HDF5 file to write")),
        ("--weights", dict(help="file of weights; otherwise kept ones of:")),
        ("--model", dict(default="residual", help="translator with kept weights")),
        ("--task", dict(choices=TASKS, default="cross", help="of the kept weights")),
        ("--samples", dict(type=int, default=1, help="samples of each galaxy")),
        ("--seed", dict(type=int, default=0, help="of the samples")),
    )),
    "card": (card, "translated.h5 card.html --truth pairs.h5", (
        ("translations", dict(help="translated images: npz, npy, HDF5 or FITS")),
        ("out", dict(type=Path, help="card to write: .html, .json or .csv")),
        ("--truth", dict(help="file of true images, same galaxies, same order")),
        ("--source", dict(help="file of the images that were translated")),
        ("--name", dict(default="translation", help="what to call it")),
        ("--bands", dict(help="their names in order, as gri")),
        ("--pixel-scale", dict(type=float, help="arcsec per pixel, if the file does not say")),
        ("--noise", dict(type=float, nargs="+", help="sky noise of the truth, per band")),
        ("--psf-fwhm", dict(type=float, nargs="+", help="seeing of the truth in arcsec, per band")),
        ("--morphology", dict(type=int, default=100, help="galaxies that statmorph measures")),
    )),
    "download": (download, "sdss-catalogue data -n 1000 --ra 212 218 --dec 52 56", (
        ("what", dict(choices=("sdss-catalogue", "sdss", "cfhtls", "hips"), help="what to fetch")),
        ("folder", dict(type=Path, help="where catalogue.ecsv and the images are kept")),
        ("-n", dict(type=int, default=1000, help="galaxies in the catalogue")),
        ("--ra", dict(type=float, nargs=2, default=(208.0, 221.0), help="bounds in degrees")),
        ("--dec", dict(type=float, nargs=2, default=(51.0, 58.0), help="bounds in degrees")),
    )),
}  # fmt: skip


def parser() -> argparse.ArgumentParser:
    """Commands and their options."""
    top = argparse.ArgumentParser(prog="galtools", description=__doc__.split(":")[0])
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (run, example, arguments) in OPTIONS.items():
        what = run.__doc__.splitlines()[0]
        command = commands.add_parser(
            name, help=what, description=what, epilog=f"example: galtools {name} {example}",
            formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        )  # fmt: skip
        command.set_defaults(run=run)
        for flag, about in arguments:
            command.add_argument(flag, **about)
    return top


def main(arguments=None) -> None:
    """Run one command; what goes wrong is said in one line."""
    options = parser().parse_args(arguments)
    try:
        options.run(options)
    except GaltoolsError as error:
        raise SystemExit(f"galtools {options.command}: {error}") from None


if __name__ == "__main__":
    main()
