"""statmorph, for our quantities alone: the same numbers in a fraction of the time.

Most of its time goes into four questions that it asks a hundred times a galaxy: how asymmetric is
the image about this centre, how bright is its rim at this radius, how much light does that radius
hold, and where is some empty sky?
They are answered here on arrays, without making an object for every aperture.
"""

import numpy as np
import statmorph
from astropy.utils import lazyproperty
from photutils.geometry import circular_overlap_grid, elliptical_overlap_grid
from scipy.optimize import brentq

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
NOT_FOUND = -99.0  # what statmorph writes for a number that it could not measure
RADII, CLOSE = 100, 1e-6  # tried for a radius before it is sought between two; pixels of tolerance
SKYBOXES = (32, 16, 8, 4, 2)  # pixels along a side of the empty sky that statmorph looks for


class FastMorphology(statmorph.SourceMorphology):
    """statmorph computing `QUANTITIES` alone, and told the noise.

    It calls an image bad whose mean sky exceeds the scatter of its sky. A translation may have no
    noise at all, and then every sky would fail: the noise of the weight map counts as well.
    """

    def _calculate_morphology(self):
        for name in QUANTITIES.values():
            getattr(self, name)

    @lazyproperty
    def sky_sigma(self):
        """Scatter of the sky, or the noise that the weight map states, if that is larger."""
        own = statmorph.SourceMorphology.sky_sigma.fget(self)
        return max(own, float(np.mean(self._weightmap)))

    @lazyproperty
    def _slice_skybox(self):
        """Find the first square, row by row, that is free of sources; the largest size first."""
        free = (self._segmap.data[self._slice_stamp] == 0) & ~self._mask[self._slice_stamp]
        height, width = free.shape
        for size in (size for size in SKYBOXES if size < min(height, width)):
            squares = np.lib.stride_tricks.sliding_window_view(free, (size, size))
            empty = squares[:-1, :-1].all(axis=(2, 3))  # statmorph leaves the last ones out
            if empty.any():
                top, left = np.unravel_index(empty.argmax(), empty.shape)
                return slice(top, top + size), slice(left, left + size)
        return statmorph.SourceMorphology._slice_skybox.fget(self)

    def _asymmetry_function(self, center, image, kind):
        """Asymmetry about a centre: sum |I - I turned| / sum |I| in a circle, less the sky's."""
        height, width = image.shape
        x, y = center
        if kind != "cas" or not (0 <= x < width and 0 <= y < height):
            return super()._asymmetry_function(center, image, kind)
        hidden = self._mask_stamp
        if hidden.any():
            nearest = np.round(2 * x) / 2, np.round(2 * y) / 2  # a mask is not interpolated
            hidden = hidden | (half_turn(hidden, *nearest) > 0)
        radius = self._petro_extent_cas * self._rpetro_circ_centroid
        seen = np.where(hidden, 0.0, disc(image.shape, x, y, radius))
        light = np.vdot(seen, np.abs(image))
        if light == 0:
            return super()._asymmetry_function(center, image, kind)
        change = np.vdot(seen, np.abs(half_turn(image, x, y) - image))
        sky = self._sky_asymmetry
        return (change - (0 if sky == NOT_FOUND else seen.sum() * sky)) / light

    def _petrosian_function_circ(self, r, center):
        """Brightness of the rim of a circle over that within it, less eta."""
        step = 0.5 * self._annulus_width
        shape = self._mask_stamp.shape
        discs = [disc(shape, *center, radius) for radius in (r - step, r, r + step)]
        ratio = self._rim_over_disc(*discs)
        return super()._petrosian_function_circ(r, center) if ratio is None else ratio - self._eta

    def _petrosian_function_ellip(self, a, center, elongation, theta):
        """Brightness of the rim of an ellipse over that within it, less eta."""
        step = 0.5 * self._annulus_width
        shape, form = self._mask_stamp.shape, (elongation, float(theta))
        ellipses = [disc(shape, *center, axis, *form) for axis in (a - step, a, a + step)]
        ratio = self._rim_over_disc(*ellipses)
        if ratio is None:
            return super()._petrosian_function_ellip(a, center, elongation, theta)
        return ratio - self._eta

    def _radius_at_fraction_of_total_cas(self, fraction):
        """Radius that holds a fraction of the light within the largest circle of concentration."""
        radius = self._radius_with(fraction, self._petro_extent_cas * self.rpetro_circ)
        if radius > 0:
            return radius
        self.flag = 2
        return NOT_FOUND

    @lazyproperty
    def rhalf_circ(self):
        """Radius of the circle with half of the light within the outermost pixel."""
        return self._radius_with(0.5, self.rmax_circ)

    @lazyproperty
    def rhalf_ellip(self):
        """Semimajor axis of the ellipse with half of the light within the outermost pixel."""
        form = self.elongation_asymmetry, float(self.orientation_asymmetry)
        return self._radius_with(0.5, self.rmax_ellip, *form)

    def _radius_with(self, fraction: float, total: float, *form) -> float:
        """Radius, the first from the centre, with a fraction of the light within `total`."""
        image, centre = self._cutout_stamp_maskzeroed, self._asymmetry_center
        if total == 0:
            return 0.0

        def light(radius):
            return abs(np.vdot(disc(image.shape, *centre, radius, *form), image)) if radius else 0.0

        whole = np.vdot(disc(image.shape, *centre, total, *form), image)
        if whole <= 0:
            self.flag = max(self.flag, 2)
        if whole == 0:
            return total
        missing = fraction * abs(whole)
        grid = np.linspace(0, total, RADII)
        outer = next(k for k, radius in enumerate(grid) if light(radius) > missing)
        return brentq(lambda r: light(r) - missing, grid[outer - 1], grid[outer], xtol=CLOSE)

    def _rim_over_disc(self, inner, middle, outer) -> float | None:
        """Mean light between `inner` and `outer` over that in `middle`; None without light."""
        shown = ~self._mask_stamp
        rim, within = (
            abs(np.vdot(weights, self._cutout_stamp_maskzeroed)) / area if area else 0.0
            for weights in (outer - inner, middle)
            for area in (weights[shown].sum(),)
        )
        return rim / within if within else None


def disc(shape, x: float, y: float, radius: float, elongation=1.0, theta=0.0) -> np.ndarray:
    """Exact share of every pixel inside a circle or an ellipse about (x, y), lengths in pixels."""
    height, width = shape
    edges = -0.5 - x, width - 0.5 - x, -0.5 - y, height - 0.5 - y
    if elongation == 1:
        return circular_overlap_grid(*edges, width, height, radius, 1, 1)
    form = radius, radius / elongation, theta
    return elliptical_overlap_grid(*edges, width, height, *form, 1, 1)


def half_turn(image, x: float, y: float) -> np.ndarray:
    """Turn an image by 180 degrees about (x, y), interpolated linearly, zero beyond its edges."""
    return _mirrored(_mirrored(image, y).T, x).T


def _mirrored(image, place: float) -> np.ndarray:
    """Mirror the first axis at a place, 0 to its length: value k is interpolated at 2 place - k."""
    size = len(image)
    whole = int(np.floor(2 * place))
    part = 2 * place - whole
    padded = np.zeros((3 * size + 1, *image.shape[1:]))
    padded[size + 2 : 2 * size + 2] = image[::-1]
    start = 2 * size + 1 - whole
    return (1 - part) * padded[start : start + size] + part * padded[start - 1 : start - 1 + size]
