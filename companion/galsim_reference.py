"""The same images drawn by GalSim, an independent code: what the renderer is tested against."""

import galsim
import numpy as np
import pandas as pd

from galtools import simulate
from galtools.simulate.scene import Scene
from galtools.surveys import BANDS, CFHTLS, SDSS, Survey

TIGHT = galsim.GSParams(
    folding_threshold=1e-3,
    maxk_threshold=1e-4,
    kvalue_accuracy=1e-6,
    minimum_fft_size=512,
    maximum_fft_size=16384,
)


def galsim_sky(scene: Scene, galaxy: int, survey_index: int, band: int) -> galsim.GSObject:
    """One stamp's sky in one band as a GalSim object."""
    flux = scene.flux[galaxy, survey_index, band].double().tolist()
    shapes = zip(components(scene, galaxy), flux, strict=True)
    return galsim.Sum([shape * total for shape, total in shapes if total])


def components(scene: Scene, galaxy: int) -> list[galsim.GSObject | None]:
    """Components of one stamp, each of unit flux, in the order of the fluxes."""
    return [
        *_ellipses(scene.bulges, galaxy, galsim.DeVaucouleurs),
        *_ellipses(scene.discs, galaxy, galsim.Exponential),
        *_points(scene.sources, galaxy),
        *(_image(texture, galaxy) for texture in scene.textures),
        *_ellipses(scene.lanes, galaxy, galsim.Exponential),
    ]


def _ellipses(group, galaxy: int, profile):
    """Components of a group of ellipses, of unit flux."""
    columns = (values[galaxy].double().tolist() for values in vars(group).values())
    for x, y, size, axis_ratio, angle in zip(*columns, strict=True):
        round_ = profile(half_light_radius=size)
        yield round_.shear(q=axis_ratio, beta=angle * galsim.radians).shift(x, y)


def _points(sources, galaxy: int):
    """Gaussians and, of vanishing width, stars, of unit flux."""
    columns = (values[galaxy].double().tolist() for values in vars(sources).values())
    for x, y, sigma in zip(*columns, strict=True):
        shape = galsim.Gaussian(sigma=sigma) if sigma else galsim.DeltaFunction()
        yield shape.shift(x, y)


def _image(texture, galaxy: int) -> galsim.InterpolatedImage | None:
    """A texture, linear between its points; None where it is empty."""
    fraction, scale = texture.share[galaxy].double().numpy(), texture.spacing[galaxy].item()
    image = galsim.Image(fraction, scale=scale)
    return galsim.InterpolatedImage(image, x_interpolant="linear") if fraction.any() else None


def galsim_image(
    scene: Scene,
    survey: Survey,
    survey_index: int,
    galaxy: int,
    band: int,
    fwhm: float,
    shift: np.ndarray,
    params: galsim.GSParams = TIGHT,
) -> np.ndarray:
    """Noiseless image (stamp, stamp) in nanomaggies per pixel; as `render.render`, one at a time.

    `fwhm` is the seeing in arcsec, `shift` the galaxy's (x, y) from the stamp's centre in arcsec.
    """
    objects = galsim_sky(scene, galaxy, survey_index, band).shift(float(shift[0]), float(shift[1]))
    observed = galsim.Convolve(objects, galsim.Kolmogorov(fwhm=float(fwhm)), gsparams=params)
    return observed.drawImage(nx=survey.stamp, ny=survey.stamp, scale=survey.pixel_scale).array


def agreement(survey: Survey, n: int, params: galsim.GSParams | None = None) -> pd.DataFrame:
    """Worst pixel over peak, and error of the summed flux, of n galaxies x 5 bands."""
    galaxies, index = range(n), (SDSS.name, CFHTLS.name).index(survey.name)
    _, sky, _ = simulate.sample_scene(0, galaxies, (SDSS, CFHTLS))
    conditions = simulate.observing_conditions(0, galaxies, survey)
    _, images = simulate.observe(sky, survey, index, conditions)
    rows = []
    for galaxy, band in np.ndindex(n, len(BANDS)):
        here = galaxy, band, conditions.fwhm[galaxy, band], conditions.shift[galaxy]
        theirs, ours = galsim_image(sky, survey, index, *here, params), images[galaxy, band]
        worst = np.abs(ours - theirs).max() / theirs.max()
        rows.append((survey.name, BANDS[band], worst, abs(ours.sum() / theirs.sum() - 1)))
    return pd.DataFrame(rows, columns=["survey", "band", "worst pixel / peak", "flux error"])
