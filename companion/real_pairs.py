"""Ten real galaxies in SDSS and in KiDS, r band: cut-outs of GAMA, from the R package ProFit.

Each has an image, a noise map, a mask, a map of its segments and an image of the PSF, all without
coordinates. Images are in maggies, that is of zero point 0 (no header says so; checked by fluxes).
Constants of the surveys below are those of `SEEN` alone, the five galaxies that may be looked at.
"""

import os
from dataclasses import replace
from pathlib import Path

import galsim
import numpy as np
import pandas as pd
import torch
from astropy.table import Table
from scipy.optimize import minimize_scalar

from companion import paths
from galtools import artefacts, data
from galtools.data import ImageSet, Pairs
from galtools.data.pairs import NO_DATA
from galtools.data.photometry import aperture_flux, aperture_weights, magnitude
from galtools.data.resampling import lanczos_resample
from galtools.ingest.fits_images import read_fits
from galtools.models.psf_matching import match_psf, wiener_deconvolve
from galtools.surveys import SDSS, SURVEYS, Survey, add_survey
from galtools.training.translate import load_translations, translate

SEEN = ("G265911", "G265940", "G266033", "G266035", "G266662")
KEPT = paths.REFERENCE / "44_sdss_to_kids.csv"
MAGGIES = 1e9  # nanomaggies in a maggy
INNER, OUTER = 1.0, 6.0  # arcsec, radii of the apertures of the core and of the galaxy
SIMILAR = 20  # simulated galaxies that each real one is compared with
QUANTILES = (0.16, 0.5, 0.84)
# Noise, its correlation, electrons and the PSF of KiDS: means of the cut-outs of `SEEN`. The PSF of
# SDSS is that which explains both images (`matched_width`): its PSF images are broader.
SDSS_GAMA = replace(
        SDSS.in_bands("r"), name="SDSS, GAMA", pixel_scale=0.339, stamp=75, psf_fwhm=(0.97,),
        sky_noise=(0.0195,), electrons_per_nanomaggy=(1000,), common_seeing=0.05,
        noise_kernel=(1.0, 0.17, -0.09),
)  # fmt: skip
KIDS_GAMA = replace(
        SURVEYS["KiDS"].in_bands("r"), name="KiDS, GAMA", psf_fwhm=(0.69,), sky_noise=(0.0026,),
        electrons_per_nanomaggy=(15600,), common_seeing=0.1, calibration_error=(0.01,),
        noise_kernel=(1.0, 0.16, -0.09),
)  # fmt: skip


def register() -> None:
    """Let both surveys be found by their names, as their images require."""
    for survey in (SDSS_GAMA, KIDS_GAMA):
        add_survey(survey)


def folder() -> Path | None:
    """Folder of the real pairs, or None where they are not at hand."""
    path = Path(os.environ.get("GALTOOLS_REAL_DATA", "unset")) / "sdss_kids_pairs"
    return path if path.is_dir() else None


def files(root: Path, survey: str, galaxy: str) -> list[Path]:
    """Image, noise map, mask, segments and PSF image of a galaxy."""
    kinds = ("fitim", "sigma", "mskim", "segim", "psfim")
    return [root / survey / f"{galaxy}{kind}.fits" for kind in kinds]


def centre(image: np.ndarray, segments: np.ndarray, pixel_scale: float) -> np.ndarray:
    """Centre (y, x) of the middle segment: centroid under a Gaussian of 1 arcsec, iterated."""
    label = segments[segments.shape[0] // 2, segments.shape[1] // 2]
    flux = np.where(segments == label, np.clip(image, 0, None), 0)
    at = np.array(np.unravel_index(flux.argmax(), flux.shape), float)
    y, x = np.indices(image.shape)
    for _ in range(20):
        weight = flux * np.exp(-0.5 * ((y - at[0]) ** 2 + (x - at[1]) ** 2) * pixel_scale**2)
        at = np.array([np.sum(weight * y), np.sum(weight * x)]) / weight.sum()
    return at


def cut_square(image: np.ndarray, at, size: int, fill) -> np.ndarray:
    """Square of whole pixels about the pixel nearest to a centre, with `fill` off the image."""
    top, left = np.rint(at).astype(int) - size // 2
    padded = np.pad(image, size, constant_values=fill)
    return padded[top + size : top + 2 * size, left + size : left + 2 * size]


def psf_fwhm(psf: np.ndarray, pixel_scale: float) -> float:
    """FWHM in arcsec of the Kolmogorov profile, seen through pixels, nearest to a PSF image."""

    def misfit(fwhm):
        model = galsim.Kolmogorov(fwhm=fwhm).drawImage(
            nx=psf.shape[1], ny=psf.shape[0], scale=pixel_scale
        )
        flux = np.sum(model.array * psf) / np.sum(model.array**2)
        return np.sum((psf - flux * model.array) ** 2)

    return float(minimize_scalar(misfit, bounds=(0.3, 3), method="bounded").x)


def read_stamps(root: Path, survey: Survey, galaxies=SEEN) -> ImageSet:
    """Stamps of one survey with their sigma maps, masks and images of the PSF."""
    stamps = []
    for galaxy in galaxies:
        maps = [read_fits(file)[0] for file in files(root, survey.name[:4], galaxy)]
        image, sigma, mask, segments, psf = maps
        at = centre(image, segments, survey.pixel_scale)
        sky = np.median(sigma[(segments == 0) & (mask == 0)])
        cuts = [cut_square(m, at, survey.stamp, fill) for m, fill in ((image, 0), (sigma, sky))]
        bad = cut_square(mask, at, survey.stamp, 1) > 0
        stamps.append((*cuts, bad, sky, psf_fwhm(psf, survey.pixel_scale), psf))
    images, sigma, bad, sky, fwhm, psf = (np.array(x)[:, None] for x in zip(*stamps, strict=True))
    mask = np.where(bad, NO_DATA, 0).astype(np.uint8)
    maps = {"mask": mask, "sigma_map": MAGGIES * sigma, "psf": psf}
    return ImageSet.of(survey, MAGGIES * images * ~bad, MAGGIES * sky, fwhm, **maps)


def read_pairs(root: Path, galaxies=SEEN) -> Pairs:
    """Real pairs, with all that is known of them."""
    source, target = (read_stamps(root, survey, galaxies) for survey in (SDSS_GAMA, KIDS_GAMA))
    unknown = np.full(len(source), np.nan, np.float32)
    return Pairs(source, target, unknown, Table({"id": list(galaxies)}))


def with_sigma_map(images: ImageSet) -> ImageSet:
    """Images with the sigma of sky and photons of every pixel, as the real images have it."""
    gain = np.array(images.instrument.electrons_per_nanomaggy)[:, None, None]
    variance = images.noise[..., None, None] ** 2 + np.clip(images.images, 0, None) / gain
    return replace(images, sigma_map=np.sqrt(variance))


def deconvolved(pairs: Pairs) -> np.ndarray:
    """Translation without learning: the Wiener filter between the PSFs of the descriptions.

    The network knows no PSF of a single galaxy either.
    """
    source, target = pairs.source_set, pairs.target_set
    optics = source.pixel_scale, source.instrument.psf_fwhm, target.instrument.psf_fwhm
    sharp = wiener_deconvolve(torch.from_numpy(source.images), source.noise, *optics).numpy()
    return on_grid_of_target(sharp, pairs)


def on_grid_of_target(images: np.ndarray, pairs: Pairs) -> np.ndarray:
    """Images of the source's grid, resampled."""
    step = pairs.target_set.pixel_scale / pairs.source_set.pixel_scale
    return lanczos_resample(images, pairs.target.shape[-2:], step)


def circle(pairs: Pairs, radius: float) -> np.ndarray:
    """Weights (n or 1, H, W) of the target's pixels within a radius in arcsec, 0 if masked."""
    target = pairs.target_set
    weights = aperture_weights(target.images.shape[2:], target.pixel_scale, radius)
    return weights[None] if target.bad is None else weights * ~target.bad[:, 0]


def registered(images: np.ndarray, pairs: Pairs) -> np.ndarray:
    """Translations (n, H, W) scaled to the flux of the truth within `OUTER` and shifted onto it.

    The shift is linear, along the gradient: pixels of cut-outs are whole, centres are not.
    """
    truth = pairs.target[:, 0]
    weights = np.broadcast_to(circle(pairs, OUTER), truth.shape)
    ratio = np.sum(weights * truth, axis=(1, 2)) / np.sum(weights * images[:, 0], axis=(1, 2))
    scaled = images[:, 0] * ratio[:, None, None]
    slopes = np.stack(np.gradient(scaled, axis=(1, 2)), axis=-1)
    normal = np.einsum("nyx,nyxi,nyxj->nij", weights, slopes, slopes)
    right = np.einsum("nyx,nyxi,nyx->ni", weights, slopes, truth - scaled)
    shift = np.linalg.solve(normal, right[..., None])[..., 0]
    return scaled + np.einsum("nyxi,ni->nyx", slopes, shift)


def residual_maps(images: np.ndarray, pairs: Pairs) -> np.ndarray:
    """Maps (n, H, W) of (y' - y) / sigma, y' `registered`; 0 if masked."""
    target = pairs.target_set
    residual = (registered(images, pairs) - target.images[:, 0]) / target.sigma_map[:, 0]
    return residual if target.bad is None else residual * ~target.bad[:, 0]


def measure(images: np.ndarray, pairs: Pairs) -> dict[str, np.ndarray]:
    """Errors (n,) of translations in r within `OUTER`, masked pixels left out; 0 is perfect.

    `flux` is F' / F - 1, `concentration` that of the fraction of it within `INNER`. With y'
    `registered`, `residual` is the square root of what the noise leaves of the squared difference,
    sum (y' - y)^2 - sigma^2, over sum y^2 - sigma^2.
    """
    truth, sigma = pairs.target[:, 0], pairs.target_set.sigma_map[:, 0]
    (core, true_core), (flux, true_flux) = (
        [np.sum(circle(pairs, radius) * stack, axis=(1, 2)) for stack in (images[:, 0], truth)]
        for radius in (INNER, OUTER)
    )
    left, power = (
        np.sum(circle(pairs, OUTER) * (stack**2 - sigma**2), axis=(1, 2))
        for stack in (registered(images, pairs) - truth, truth)
    )
    return {
        "residual": np.sqrt(np.clip(left, 0, None) / power),
        "flux": flux / true_flux - 1,
        "concentration": core / flux / (true_core / true_flux) - 1,
    }


def size_and_magnitude(pairs: Pairs) -> np.ndarray:
    """ln of the radius that holds half the flux within `OUTER`, and its magnitude: (n, 2)."""
    radii = np.linspace(0, OUTER, 61)[1:]
    curves = [aperture_flux(pairs.target[:, 0], pairs.target_set.pixel_scale, r) for r in radii]
    growth = np.maximum.accumulate(curves, axis=0).T
    half = [np.interp(0.5, curve / curve[-1], radii) for curve in growth]
    return np.stack([np.log(half), magnitude(growth[:, -1])], axis=1)


def compare(real: dict, simulated: dict, traits, others) -> pd.DataFrame:
    """Errors of real galaxies beside those of `SIMILAR` simulated ones of like size and magnitude.

    `real` and `simulated` are {row: what `measure` returns}, `traits` and `others` what
    `size_and_magnitude` returns. A line per galaxy, row and metric, with the median and the 16 and
    84 per cent quantiles of the simulated ones, and how many of them have a smaller error.
    """
    distance = np.linalg.norm((traits[:, None] - others) / np.nanstd(others, axis=0), axis=-1)
    like = np.argsort(np.nan_to_num(distance, nan=np.inf), axis=1)[:, :SIMILAR]
    lines = []
    for row, metrics in real.items():
        for metric, values in metrics.items():
            errors = simulated[row][metric][like]
            low, median, high = np.quantile(errors, QUANTILES, axis=1)
            rank = (errors < values[:, None]).sum(axis=1)
            columns = {"real": values, "low": low, "simulated": median, "high": high, "rank": rank}
            lines.append(pd.DataFrame({"galaxy": SEEN, "row": row, "metric": metric, **columns}))
    return pd.concat(lines, ignore_index=True)


def matched_width(pairs: Pairs) -> np.ndarray:
    """Seeing (n,) in arcsec of the source, from its target: that under which the two agree best.

    The target is blurred from its own seeing and brought to the pixels of the source; flux and a
    shift are fitted.
    """
    source, target = pairs.source_set, pairs.target_set
    near = aperture_weights(source.images.shape[2:], source.pixel_scale, OUTER, "center") > 0
    scales = target.pixel_scale, source.pixel_scale
    widths = []
    for k, (x, seeing) in enumerate(zip(source.images[:, 0], target.psf_fwhm, strict=True)):
        y = torch.from_numpy(target.images[k : k + 1])

        def misfit(fwhm, x=x, y=y, seeing=seeing[None]):
            blurred = match_psf(
                y, scales[0], seeing, np.full((1, 1), fwhm), damping=0, new_scale=scales[1]
            )
            back = lanczos_resample(blurred.numpy(), x.shape, scales[1] / scales[0])[0, 0]
            design = np.stack([back, *np.gradient(back)], axis=-1)[near]
            return np.linalg.lstsq(design, x[near])[1][0]

        bounds = float(seeing[0]), 3 * float(seeing[0])
        widths.append(minimize_scalar(misfit, bounds=bounds, method="bounded").x)
    return np.array(widths)


def consistency(pairs: Pairs) -> dict[str, np.ndarray]:
    """How far two images of a galaxy are from what is known of them, (n,): 0 is consistent.

    `seeing` is `matched_width` over the FWHM that the source states, less 1; `zero_point` the flux
    of the target within `OUTER` over that of the source, less 1.
    """
    sets = pairs.source_set, pairs.target_set
    flux = [aperture_flux(s.images[:, 0], s.pixel_scale, OUTER) for s in sets]
    seeing = matched_width(pairs) / pairs.source_set.psf_fwhm[:, 0]
    return {"seeing": seeing - 1, "zero_point": flux[1] / flux[0] - 1}


def errors_by_row(pairs: Pairs, translated: np.ndarray) -> dict:
    """Errors of the translation and of two baselines: {row: what `measure` returns}.

    `gain` is the residual of the translation over that of resampling. The row "pair" is of the
    images themselves, see `consistency`.
    """
    rows = {
        "residual": translated,
        "wiener": deconvolved(pairs),
        "resample": on_grid_of_target(pairs.source, pairs),
    }
    errors = {row: measure(images, pairs) for row, images in rows.items()}
    errors["residual"]["gain"] = errors["residual"]["residual"] / errors["resample"]["residual"]
    return {**errors, "pair": consistency(pairs)}


def transfer_table(weights: Path, test: Path, translations: Path, root: Path) -> pd.DataFrame:
    """Errors of a trained translator on the real pairs, beside those on simulated ones."""
    real, simulated = read_pairs(root), data.load(test)
    simulated.target_set = with_sigma_map(simulated.target_set)
    errors = errors_by_row(real, translate(weights, real.source))
    others = errors_by_row(simulated, load_translations(translations))
    return compare(errors, others, size_and_magnitude(real), size_and_magnitude(simulated))


def table_cached(store: paths.Results, root: Path | None, seed: int, reference=False):
    """`transfer_table` of the translator in `store`; the kept one where there are no real pairs."""
    if root is None:
        kept = artefacts.read_manifest(KEPT)
        what = f"profile {kept['parameters']['profile']}, seed {kept['seed']}"
        print(f"The real images are absent: their numbers are from a kept table ({what}).")
        return pd.read_csv(artefacts.check_inputs(KEPT, advice="git checkout it"))
    run = "cross", "residual", seed
    made = store.weights(*run), store.data("test"), store.translations(*run)
    real = [f for s in ("SDSS", "KiDS") for galaxy in SEEN for f in files(root, s, galaxy)]
    file = KEPT if reference else store.table("real_pairs")
    artefacts.make(
        file, lambda new: transfer_table(*made, root).to_csv(new, index=False),
        params={"profile": store.profile}, inputs=[*made, *real], seed=seed, ignore=["root"],
    )  # fmt: skip
    return pd.read_csv(file)
