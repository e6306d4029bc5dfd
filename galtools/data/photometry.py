"""Photometry of stamps: fluxes in circles, rings and boxes, peaks, magnitudes, colours, scatter.

Images are (..., H, W), often (n, bands, H, W), in nanomaggies per pixel; fluxes in nanomaggies have
the shape of what precedes H and W. Apertures are centred on the stamp; those with a soft edge are
for tensors, with radii in sides of the stamp, the shorter one if it is not square.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from photutils.geometry import circular_overlap_grid
from scipy.special import ndtr, ndtri
from scipy.stats import median_abs_deviation

APERTURE = 3.0  # arcsec, radius of the standard aperture
NORMAL_QUARTILE = ndtri(0.75)
GAUSSIAN_FWHM = 1.057  # of the Gaussian fitted to Kolmogorov's PSF of FWHM 1
BOX = 3  # pixels along a side of the box about the peak
TINY = 1e-20  # nanomaggies: no flux at all
SEARCH = 0.25  # the peak is looked for in the central quarter of the stamp's (shorter) side


def circle_fractions(shape, x: float, y: float, radius: float) -> np.ndarray:
    """Exact fraction (H, W) of every pixel inside a circle about (x, y); all in pixels."""
    height, width = shape
    edges = -0.5 - x, width - 0.5 - x, -0.5 - y, height - 0.5 - y
    return circular_overlap_grid(*edges, width, height, radius, 1, 1)


def aperture_weights(shape, pixel_scale: float, radius: float = APERTURE, method="exact"):
    """Fraction of each pixel inside a circle of `radius` arcsec: (H, W).

    With the `method` "center", 1 for pixels whose centre lies inside, and 0 for all others.
    """
    y, x = ((size - 1) / 2 for size in shape)
    if method == "exact":
        return circle_fractions(shape, x, y, radius / pixel_scale)
    rows, columns = np.indices(shape)
    return (np.hypot(rows - y, columns - x) < radius / pixel_scale).astype(np.float64)


def annulus_weights(shape, pixel_scale: float, edges, method="exact") -> np.ndarray:
    """Fraction of each pixel in each annulus between `edges` arcsec, from 0: (rings, H, W)."""
    circles = [aperture_weights(shape, pixel_scale, radius, method) for radius in edges[1:]]
    return np.diff(circles, axis=0, prepend=np.zeros((1, *shape)))


def aperture_flux(images, pixel_scale: float, radius: float = APERTURE) -> np.ndarray:
    """Flux within `radius` arcsec."""
    weights = aperture_weights(images.shape[-2:], pixel_scale, radius)
    return np.einsum("...yx,yx->...", images, weights)


def annulus_flux(images, weights) -> np.ndarray:
    """Flux (..., rings) in each of the annuli of `annulus_weights`."""
    return np.einsum("...yx,kyx->...k", images, weights, optimize=True)


def offsets_from_centre(like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Offsets (H, 1) and (1, W) from the centre of stamps as `like` (..., H, W), in sides."""
    height, width = like.shape[-2:]
    down, right = (
        (torch.arange(size).to(like) - (size - 1) / 2) / min(height, width)
        for size in (height, width)
    )
    return down[:, None], right[None, :]


def fitted_fwhm(psf, pixel_scale: float) -> np.ndarray:
    """FWHM in arcsec of images (..., h, w) of PSFs, as if they were Kolmogorov's; NaN of NaN.

    It follows from that of the Gaussian, averaged over pixels, of least squared difference.
    """
    shape = np.shape(psf)[-2:]
    widths = np.geomspace(0.3, max(shape), 700)  # pixels
    rows, columns = (
        np.diff(ndtr(2.3548 * (np.arange(size + 1) - size / 2) / widths[:, None])) for size in shape
    )
    bells = np.einsum("ky,kx->kyx", rows, columns).reshape(len(widths), -1)
    bells /= np.linalg.norm(bells, axis=1, keepdims=True)
    overlap = np.reshape(psf, (-1, bells.shape[1])) @ bells.T
    found = np.where(np.isfinite(overlap[:, 0]), widths[overlap.argmax(axis=1)], np.nan)
    return np.reshape(found, np.shape(psf)[:-2]) * pixel_scale / GAUSSIAN_FWHM


def radius_map(like: torch.Tensor) -> torch.Tensor:
    """Distance (H, W) of every pixel of stamps as `like` from the centre, in sides."""
    down, right = offsets_from_centre(like)
    return torch.hypot(right, down)


def soft_aperture_weights(radii, like: torch.Tensor) -> torch.Tensor:
    """Weights (circles, H, W) of the pixels in each circle, whose edge is one pixel wide."""
    edges = like.new_tensor(radii)[:, None, None]
    return ((edges - radius_map(like)) * min(like.shape[-2:]) + 0.5).clamp(0, 1)


def soft_aperture_flux(images: torch.Tensor, radii) -> torch.Tensor:
    """Flux (n, circles, bands) in each circle of `soft_aperture_weights`."""
    weights = soft_aperture_weights(radii, images)
    return torch.stack([torch.einsum("nbyx,yx->nb", images, w) for w in weights], dim=1)


def central_flux(images, fraction: float = 0.5) -> np.ndarray:
    """Flux in the central box, a `fraction` of the stamp along each side."""
    rows, columns = (
        slice(round(size * (1 - fraction) / 2), round(size * (1 + fraction) / 2))
        for size in images.shape[-2:]
    )
    return images[..., rows, columns].sum(axis=(-2, -1), dtype=np.float64)


def central_square(images, side: int):
    """Cut out the middle `side` x `side` pixels of stamps."""
    top, left = ((size - side) // 2 for size in images.shape[-2:])
    return images[..., top : top + side, left : left + side]


def search_region(images):
    """Cut out the central square of the stamps, where the peak is looked for."""
    side = min(images.shape[-2:])
    return central_square(images, min(max(BOX, round(side * SEARCH)), side))


def peak_flux(images) -> np.ndarray:
    """Flux of the brightest pixel near the centre, nanomaggies."""
    return search_region(images).max((-2, -1))


def box_flux(images):
    """Mean flux of the 3 x 3 pixels at the peak, nanomaggies per pixel: (n, bands).

    The peak is where the sum over bands of the 3 x 3 means, each divided by its maximum, is
    largest: one position for all bands, so that their ratios compare the same piece of sky.
    Images are an array or a tensor.
    """
    if not torch.is_tensor(images):
        plain = np.array(images, np.result_type(images, np.float32), order="C")  # as torch needs it
        return box_flux(torch.from_numpy(plain)).numpy()
    means = F.avg_pool2d(search_region(images), BOX, 1)
    relative = means / means.amax((2, 3), keepdim=True).clamp_min(TINY)
    peak = relative.clamp_min(0).sum(1).flatten(1).argmax(1)
    return means.flatten(2).gather(2, peak[:, None, None].expand(-1, means.shape[1], 1))[..., 0]


def magnitude(flux) -> np.ndarray:
    """AB magnitude 22.5 - 2.5 log10 F of fluxes in nanomaggies; NaN where F is not positive."""
    return 22.5 - 2.5 * np.log10(np.where(flux > 0, flux, np.nan))


def asinh_magnitude(flux, sigma):
    """Asinh magnitude -2.5 / ln 10 asinh(F / 2 sigma) (Lupton et al. 1999), finite for any F.

    Up to the zero point 22.5 - 2.5 log10 sigma it is the AB magnitude where F exceeds the noise.
    Fluxes are arrays or tensors.
    """
    asinh = torch.asinh if torch.is_tensor(flux) else np.arcsinh
    return -2.5 / math.log(10) * asinh(flux / (2 * sigma))


def colours(flux) -> np.ndarray:
    """Colours of neighbouring bands, -2.5 log10(F_b / F_{b+1}): (n, bands) to (n, bands - 1).

    NaN where one of the fluxes is not positive.
    """
    return -np.diff(magnitude(flux), axis=-1)


def robust_scatter(x, axis=-1, quartile=NORMAL_QUARTILE, nan_policy="propagate") -> np.ndarray:
    """Robust standard deviation 1.4826 median |x - median x| along an axis.

    `quartile` is the upper one of the distribution that x follows, with a scale of 1.
    """
    return median_abs_deviation(x, axis=axis, scale=quartile, nan_policy=nan_policy)
