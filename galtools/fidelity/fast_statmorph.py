"""statmorph for our quantities alone, and its two slowest parts on arrays.

Its asymmetry makes an aperture and interpolates for each of a hundred trial centres, and its
search for an empty sky walks pixel by pixel. Done on whole arrays, with the same numbers, the whole
is about 3 times faster (`benchmarks/bench_fidelity.py`). Both are private to statmorph, so another
version than the one they were written for falls back to its own.
"""

import numpy as np
import statmorph
from astropy.utils import lazyproperty

from galtools.data.photometry import circle_fractions

QUANTITIES = {  # name: attribute of statmorph
    "concentration": "concentration",
    "asymmetry": "asymmetry",
    "smoothness": "smoothness",
    "gini": "gini",
    "m20": "m20",
    "half_light_radius": "rhalf_circ",
    "petrosian_radius": "rpetro_circ",
    "ellipticity": "ellipticity_asymmetry",
    "sersic_index": "sersic_n",
}
NOT_MEASURED = -99.0  # statmorph's value for what it could not measure
SKY_BOXES = (32, 16, 8, 4, 2)  # pixels along a side of the empty sky that statmorph looks for


class Morphology(statmorph.SourceMorphology):
    """statmorph computing `QUANTITIES` alone, with the noise of the weight map.

    It calls an image bad whose mean sky exceeds the scatter of its sky. A translation may have no
    noise at all, and then every sky would fail: the noise of the weight map counts as well.
    """

    def _calculate_morphology(self):
        for name in QUANTITIES.values():
            getattr(self, name)

    @lazyproperty
    def sky_sigma(self):
        """Scatter of the sky, or the noise of the weight map if that is larger."""
        own = statmorph.SourceMorphology.sky_sigma.fget(self)
        return max(own, float(np.mean(self._weightmap)))


class FastMorphology(Morphology):
    """The same numbers from overridden private members of statmorph 0.7."""

    @lazyproperty
    def _slice_skybox(self):
        """The first square, row by row, that is free of sources; the largest size first."""
        free = (self._segmap.data[self._slice_stamp] == 0) & ~self._mask[self._slice_stamp]
        height, width = free.shape
        for size in (size for size in SKY_BOXES if size < min(height, width)):
            squares = np.lib.stride_tricks.sliding_window_view(free, (size, size))
            empty = squares[:-1, :-1].all(axis=(2, 3))  # statmorph leaves the last ones out
            if empty.any():
                top, left = np.unravel_index(empty.argmax(), empty.shape)
                return slice(top, top + size), slice(left, left + size)
        return statmorph.SourceMorphology._slice_skybox.fget(self)

    def _asymmetry_function(self, center, image, kind):
        """sum |I - I_180| / sum |I| in a circle about a centre, less that of the sky."""
        height, width = image.shape
        x, y = center
        if kind != "cas" or not (0 <= x < width and 0 <= y < height):
            return super()._asymmetry_function(center, image, kind)
        hidden = self._mask_stamp
        if hidden.any():
            nearest = np.round(2 * x) / 2, np.round(2 * y) / 2  # a mask is not interpolated
            hidden = hidden | (half_turn(hidden, *nearest) > 0)
        radius = self._petro_extent_cas * self._rpetro_circ_centroid
        weights = np.where(hidden, 0.0, circle_fractions(image.shape, x, y, radius))
        flux = np.vdot(weights, np.abs(image))
        if flux == 0:
            return super()._asymmetry_function(center, image, kind)
        change = np.vdot(weights, np.abs(half_turn(image, x, y) - image))
        sky = self._sky_asymmetry
        return (change - (0 if sky == NOT_MEASURED else weights.sum() * sky)) / flux


def source_morphology(*args, **options) -> Morphology:
    """Measure one source, with statmorph's own arguments."""
    fast = statmorph.__version__.startswith("0.7.")
    return (FastMorphology if fast else Morphology)(*args, **options)


def half_turn(image, x: float, y: float) -> np.ndarray:
    """Image rotated by 180 degrees about (x, y), interpolated linearly, zero beyond its edges."""
    return _mirrored(_mirrored(image, y).T, x).T


def _mirrored(image, at: float) -> np.ndarray:
    """Mirror the first axis at a position, 0 to its length: value k is interpolated at 2 at - k."""
    size = len(image)
    whole = int(np.floor(2 * at))
    part = 2 * at - whole
    padded = np.zeros((3 * size + 1, *image.shape[1:]))
    padded[size + 2 : 2 * size + 2] = image[::-1]
    start = 2 * size + 1 - whole
    return (1 - part) * padded[start : start + size] + part * padded[start - 1 : start - 1 + size]
