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
    flux = scene.flux[galaxy, survey_index, band].double().tolist()
    shapes = zip(_components(scene, galaxy), flux, strict=True)
    return galsim.Sum([shape * total for shape, total in shapes if total])


def _components(scene: Scene, galaxy: int) -> list[galsim.GSObject | None]:
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
    share, scale = texture.share[galaxy].double().numpy(), texture.spacing[galaxy].item()
    image = galsim.Image(share, scale=scale)
    return galsim.InterpolatedImage(image, x_interpolant="linear") if share.any() else None


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


def fourier_grid(survey: Survey) -> dict:
    """Frequencies of a stamp padded to twice its side, as `drawKImage` takes them."""
    side = 2 * survey.stamp
    return {"nx": side, "ny": side, "scale": 2 * np.pi / (side * survey.pixel_scale)}


def blur_transforms(survey: Survey) -> np.ndarray:
    """Transform of the median seeing times the pixel in each band, once for all galaxies."""
    blurs = [
        galsim.Convolve(galsim.Kolmogorov(fwhm=w), galsim.Pixel(survey.pixel_scale))
        for w in survey.psf_fwhm
    ]
    return np.stack([blur.drawKImage(**fourier_grid(survey)).array for blur in blurs])


def galsim_stamp(scene: Scene, survey: Survey, survey_index: int, galaxy: int, blur) -> np.ndarray:
    """All bands (5, stamp, stamp) with as little work as GalSim can do it: for a fair race.

    Every component is transformed once for all bands, `blur` is that of `blur_transforms`; what
    wraps around and aliases is left, and there is neither shift nor scatter of the seeing.
    """
    flux = scene.flux[galaxy, survey_index].double().numpy()
    used = (flux != 0).any(axis=0)
    parts = [
        part for part, is_used in zip(_components(scene, galaxy), used, strict=True) if is_used
    ]
    sky = np.stack([part.drawKImage(**fourier_grid(survey)).array for part in parts])
    sky = np.tensordot(flux[:, used], sky, axes=1) * blur
    image = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(sky, axes=(1, 2))).real, axes=(1, 2))
    edge = survey.stamp // 2
    return image[:, edge : edge + survey.stamp, edge : edge + survey.stamp]
