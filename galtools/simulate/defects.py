"""Defects of real images, and the masks that tell of them: full pixels, cosmic rays, edges."""

import numpy as np

from galtools.data.pairs import NO_DATA, SATURATED
from galtools.simulate.population import galaxy_rng
from galtools.surveys import Survey

TRACK = 6.0  # pixels, mean length of a cosmic ray's track
CHARGE = (3.0, 4.3)  # log10 of the electrons that it leaves in each pixel, least and most


def add_defects(images: np.ndarray, seed: int, galaxies, survey: Survey, number: int = 0):
    """Spoil images (n, bands, H, W) in place and return their mask, uint8 bits of `data.pairs`.

    Pixels are full at the survey's `saturation` (their charge does not bleed), cosmic rays leave
    straight tracks, and what is off the edge of a field is 0.
    """
    mask = np.zeros(images.shape, np.uint8)
    for image, bits, galaxy in zip(images, mask, galaxies, strict=True):
        rng = galaxy_rng(seed, int(galaxy), "defects", survey.name, number)
        add_cosmic_rays(image, bits, survey, rng)
        level = np.asarray(survey.saturation, np.float32)[:, None, None]
        bits[image >= level] |= SATURATED
        np.minimum(image, level, out=image)
        cut_at_edge(image, bits, survey, rng)
    return mask


def add_cosmic_rays(image, bits, survey: Survey, rng: np.random.Generator) -> None:
    """Add tracks of one pixel's width to an image (bands, H, W)."""
    bands, height, width = image.shape
    area = height * width * (survey.pixel_scale / 60) ** 2  # square arcmin
    for band in np.repeat(np.arange(bands), rng.poisson(survey.cosmic_rays * area, bands)):
        y, x, angle = rng.random(3) * [height, width, np.pi]
        along = np.arange(0, 1 + rng.exponential(TRACK), 0.5)
        rows = (y + along * np.sin(angle)).astype(int)
        columns = (x + along * np.cos(angle)).astype(int)
        inside = (rows < height) & (columns >= 0) & (columns < width)
        hit = band, rows[inside], columns[inside]
        image[hit] += 10 ** rng.uniform(*CHARGE) / survey.electrons_per_nanomaggy[band]
        bits[hit] |= NO_DATA


def cut_at_edge(image, bits, survey: Survey, rng: np.random.Generator) -> None:
    """Cut the columns of an image that lie off the field, by its place on it."""
    width = image.shape[-1]
    centre = rng.random() * survey.field_width / survey.pixel_scale  # pixels from the left edge
    left = max(0, int(np.ceil(width / 2 - centre)))
    right = min(width, int(width / 2 - centre + survey.field_width / survey.pixel_scale))
    for off in (slice(0, left), slice(right, width)):
        image[..., off], bits[..., off] = 0, NO_DATA
