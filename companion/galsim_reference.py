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
    for ellipses, profile in (
        (scene.bulges, galsim.DeVaucouleurs),
        (scene.discs, galsim.Exponential),
    ):
        parts += list(_ellipses(ellipses, galaxy, profile, flux))
    for knots in scene.knots:
        parts += list(_knots(knots, galaxy, next(flux)))
    return galsim.Sum(parts)


def _ellipses(ellipses, galaxy, profile, flux):
    names = ("x", "y", "half_light_radius", "axis_ratio", "angle")
    rows = zip(*(getattr(ellipses, name)[galaxy].double().tolist() for name in names), strict=True)
    for x, y, size, axis_ratio, angle in rows:
        if light := next(flux):
            shape = profile(half_light_radius=size, flux=light)
            yield shape.shear(q=axis_ratio, beta=angle * galsim.radians).shift(x, y)


def _knots(knots, galaxy, light):
    if light == 0:
        return
    names = ("x", "y", "sigma", "share")
    rows = zip(*(getattr(knots, name)[galaxy].double().tolist() for name in names), strict=True)
    for x, y, sigma, share in rows:
        yield galsim.Gaussian(sigma=sigma, flux=light * share).shift(x, y)


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
