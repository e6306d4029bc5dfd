"""The same images drawn by GalSim, an independent code: what the renderer is tested against."""

import galsim
import numpy as np

from galtools.simulate.scene import Scene
from galtools.surveys import Survey

TIGHT = galsim.GSParams(
    folding_threshold=1e-3,
    maxk_threshold=1e-4,
    kvalue_accuracy=1e-6,
    minimum_fft_size=512,
    maximum_fft_size=16384,
)


def galsim_sky(scene: Scene, galaxy: int, survey_index: int, band: int) -> galsim.GSObject:
    """One stamp's sky in one band as a GalSim object."""
    flux = iter(scene.flux[galaxy, survey_index, band].double().tolist())
    parts = []
    for group, profile in ((scene.bulges, galsim.DeVaucouleurs), (scene.discs, galsim.Exponential)):
        for x, y, size, axis_ratio, angle in _parameters(group, galaxy):
            if total := next(flux):
                shape = profile(half_light_radius=size, flux=total)
                parts.append(shape.shear(q=axis_ratio, beta=angle * galsim.radians).shift(x, y))
    for group in scene.knots:
        if total := next(flux):
            for x, y, sigma, share in _parameters(group, galaxy):
                parts.append(galsim.Gaussian(sigma=sigma, flux=total * share).shift(x, y))
    return galsim.Sum(parts)


def _parameters(group, galaxy: int):
    """Parameters of each component of a group, in the order of its fields."""
    columns = (values[galaxy].double().tolist() for values in vars(group).values())
    return zip(*columns, strict=True)


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
    seen = galsim.Convolve(objects, galsim.Kolmogorov(fwhm=float(fwhm)), gsparams=params)
    return seen.drawImage(nx=survey.stamp, ny=survey.stamp, scale=survey.pixel_scale).array
