"""What is known of the images of one side of a sample, beside the images."""

from dataclasses import dataclass

import numpy as np

from galtools.errors import GaltoolsError
from galtools.surveys import BANDS, CFHTLS, SDSS, SURVEYS, Survey

NO_DATA, SATURATED = 1, 2  # bits of a mask; a pixel with any bit set has weight zero


@dataclass
class ImageInfo:
    """Survey, pixel scale, seeing and bad pixels of n images (n, 5, H, W)."""

    survey: str
    pixel_scale: float  # arcsec per pixel
    psf_fwhm: np.ndarray  # (n, 5) float32, arcsec
    mask: np.ndarray | None = None  # (n, 5, H, W) uint8 bits, None where every pixel is good

    def __post_init__(self):
        """Refuse what no telescope has."""
        if self.survey not in SURVEYS:
            raise GaltoolsError(f"unknown survey {self.survey!r}: choose {' or '.join(SURVEYS)}")
        if not 0.01 < self.pixel_scale < 10:
            raise GaltoolsError(f"a pixel of {self.pixel_scale} arcsec: give arcsec per pixel")

    def __getitem__(self, rows):
        """Select galaxies."""
        mask = None if self.mask is None else self.mask[rows]
        return ImageInfo(self.survey, self.pixel_scale, self.psf_fwhm[rows], mask)

    def check(self, images: np.ndarray) -> None:
        """Refuse a description that does not fit its images."""
        if np.shape(self.psf_fwhm) != (len(images), len(BANDS)):
            raise GaltoolsError(
                f"psf_fwhm is {np.shape(self.psf_fwhm)}: need one per galaxy and band"
            )
        if self.mask is not None and self.mask.shape != images.shape:
            raise GaltoolsError(f"the mask is {self.mask.shape}, the images are {images.shape}")


def default_info(
    survey: Survey, images: np.ndarray, psf_fwhm: np.ndarray | None = None
) -> ImageInfo:
    """Describe images of a survey without a bad pixel, at median seeing if no other is given.

    CFHTLS images as large as an SDSS stamp are on the SDSS grid.
    """
    on_sdss_grid = survey is CFHTLS and images.shape[-1] == SDSS.stamp
    scale = (SDSS if on_sdss_grid else survey).pixel_scale
    if psf_fwhm is None:
        psf_fwhm = np.tile(np.float32(survey.psf_fwhm), (len(images), 1))
    return ImageInfo(survey.name, scale, psf_fwhm)


def pixel_step(source: np.ndarray, target: np.ndarray) -> float:
    """Side of a target pixel in source pixels: stamps of two sizes are on the surveys' grids."""
    same = source.shape[-1] == target.shape[-1]
    return 1.0 if same else CFHTLS.pixel_scale / SDSS.pixel_scale


def inverse_variance(noise: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Weight of every pixel, 1 / sigma_sky^2 in nanomaggies^-2, and zero where it is masked.

    `noise` (n, 5), `mask` (n, 5, H, W). A band without a known noise has no weight.
    """
    known = np.isfinite(noise) & (noise > 0)
    inverse = np.where(known, 1 / np.where(known, noise, 1) ** 2, 0).astype(np.float32)
    return np.where(mask == 0, inverse[:, :, None, None], np.float32(0))
