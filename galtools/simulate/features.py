"""Surface brightness of what makes a disc more than smooth: arms, rings, bars, tails, dust lanes.

Positions are in the plane of the disc, in units of its half-light radius. Young stars follow arms,
a ring or nothing, times a log-normal random field with a power-law spectrum, and H II regions on
top. Their residuals from smooth isophotes were tuned on KiDS: they agree within 10 %, but are 1.45
times too strong at periods of 1.5 to 2.25 arcsec. A row of a parameter is one galaxy's.
"""

from functools import cache

import numpy as np
import torch
from scipy.special import expit

from galtools.simulate.population import galaxy_rng

GRID, BAR_GRID = 96, 48  # points along a side of the images of young stars, and of bars and tails
EXTENT, BAR_EXTENT, TAIL_EXTENT = 2.9, 1.5, 3.6  # half of such a side, in half-light radii
KNOTS = 48  # H II regions
KNOT_SHARE = 0.1  # of the flux of young stars, in H II regions
FAINTEST_KNOT = 0.03  # luminosity over the brightest possible: N(> L) ~ 1 / L in between
SPECTRAL_INDEX = 3.0  # the power of the random field falls as k^-3
LARGEST_SCALE = 1.5  # half-light radii: above it the power is constant
YOUNG_SCALE = 0.8  # scale length of young stars in half-light radii (that of old ones is 0.6)
TRUNCATION = 2.5  # half-light radii: young discs end here
CORE = 0.35  # half-light radii: where arms start and winding ends
LANE = 0.35  # thickness of a dust lane over that of the disc


def random_numbers(seed: int, galaxies) -> tuple[np.ndarray, np.ndarray]:
    """White noise (n, GRID, GRID) and uniform numbers (n, 2 KNOTS) of galaxies by their numbers."""
    streams = [galaxy_rng(seed, int(galaxy), "texture") for galaxy in galaxies]
    white = [stream.standard_normal((GRID, GRID), np.float32) for stream in streams]
    uniform = [stream.random(2 * KNOTS) for stream in streams]
    return np.reshape(white, (-1, GRID, GRID)), np.reshape(uniform, (-1, 2 * KNOTS))


def grid(points: int, spacing, size, axis_ratio, angle):
    """Positions (n, y, x), twice, in the plane of the disc of a square grid on the sky."""
    steps = np.arange(points, dtype=np.float32) - np.float32((points - 1) / 2)
    cos, sin = np.cos(angle), np.sin(angle)
    scale = np.asarray(spacing / size)
    x, y = steps, steps[:, None]
    along = _column(scale * cos) * x + _column(scale * sin) * y
    across = _column(scale * cos / axis_ratio) * y - _column(scale * sin / axis_ratio) * x
    return along, across


def _column(values) -> np.ndarray:
    return np.asarray(values, np.float32)[:, None, None]


def unit_flux(image: np.ndarray) -> np.ndarray:
    """Images (n, y, x) over their sums."""
    return image / image.sum((1, 2), keepdims=True)


@cache
def _amplitude() -> np.ndarray:
    """Amplitude of each frequency of a random field of unit variance."""
    fx, fy = np.fft.rfftfreq(GRID), np.fft.fftfreq(GRID)[:, None]
    step = 2 * EXTENT / GRID
    power = (fx**2 + fy**2 + (step / LARGEST_SCALE) ** 2) ** (-SPECTRAL_INDEX / 2)
    power[0, 0] = 0
    both = power.sum() * 2 - power[:, [0, -1]].sum()  # the other half plane is the conjugate
    return np.sqrt(power * GRID**2 / both).astype(np.float32)


def random_field(white: np.ndarray) -> torch.Tensor:
    """Gaussian random field (n, GRID, GRID) of unit variance from white noise of that shape."""
    spectrum = torch.fft.rfft2(torch.from_numpy(white))
    return torch.fft.irfft2(spectrum * torch.from_numpy(_amplitude()))


def wound(field: torch.Tensor, along, across, radius, winding) -> np.ndarray:
    """The field at positions in the disc after rotation has sheared it into trailing spirals."""
    turn = _column(winding) * np.log(radius + CORE)
    cos, sin = np.cos(turn), np.sin(turn)
    places = np.stack([cos * along + sin * across, cos * across - sin * along], axis=-1) / EXTENT
    places = torch.from_numpy(places.astype(np.float32))
    seen = torch.nn.functional.grid_sample(field[:, None], places, "bilinear", "reflection", False)
    return seen[:, 0].numpy()


def spiral_arms(along, across, radius, arms, winding, start, width) -> np.ndarray:
    """Logarithmic spirals r = r0 exp(turn / winding), of mean 1 around a circle."""
    phase = np.arctan2(across, along) - _column(winding) * np.log(radius / CORE) - _column(start)
    sharpness = _column(1 / width**2)
    profile = np.exp(sharpness * (np.cos(_column(arms) * phase) - 1))
    lopsided = 1 + 0.25 * np.cos(phase + 1)
    return profile * lopsided / np.i0(sharpness) * np.exp(sharpness)


def ring(radius, at) -> np.ndarray:
    """A ring, relative to the surface brightness of the disc at its radius."""
    return np.exp(-0.5 * ((radius / _column(at) - 1) / 0.13) ** 2)


def young_stars(along, across, white, uniform, shape) -> np.ndarray:
    """Images (n, GRID, GRID) of young stars, each of unit flux."""
    irregular = _column(shape["irregular"])
    off = _column(shape["offset"]) * irregular
    along, across = along - off, across - 0.5 * off
    radius = np.sqrt(along**2 + across**2) + np.float32(1e-3)
    how = (shape[k] for k in ("arms", "winding", "arm_start", "arm_width"))
    arms = spiral_arms(along, across, radius, *how)
    contrast = _column(shape["contrast"]) * (1 - irregular) * radius**2 / (radius**2 + CORE**2)
    pattern = 1 + contrast * (arms - 1)
    around = _column(shape["ring"]) * 5 * ring(radius, shape["ring_radius"])
    decline = np.exp(-radius / YOUNG_SCALE) * expit((TRUNCATION - radius) / 0.2)
    winding = shape["winding"] * ~shape["irregular"]
    field = wound(random_field(white), along, across, radius, winding)
    image = decline * (pattern + around) * np.exp(_column(shape["clumpiness"]) * field)
    return with_knots(unit_flux(image), uniform, shape["knot_share"])


def with_knots(image: np.ndarray, uniform: np.ndarray, share) -> np.ndarray:
    """Put part of the flux into H II regions, which lie where the young stars are."""
    places, luminosity = uniform[:, :KNOTS], 1 / (FAINTEST_KNOT + uniform[:, KNOTS:])
    cumulative = np.cumsum(image.reshape(len(image), -1), axis=1, dtype=float)
    image = image * (1 - _column(share))
    luminosity *= share[:, None] / luminosity.sum(axis=1, keepdims=True)
    for row, total, place, light in zip(image, cumulative, places, luminosity, strict=True):
        chosen = np.searchsorted(total, place * total[-1]).clip(max=row.size - 1)
        np.add.at(row.reshape(-1), chosen, light.astype(np.float32))
    return image


def bar(along, across, length, turn) -> np.ndarray:
    """Boxy bar with a soft edge; its length is 2 `length`, three times its width."""
    cos, sin = np.cos(turn), np.sin(turn)
    x = (along * _column(cos) + across * _column(sin)) / _column(length)
    y = 3 * (across * _column(cos) - along * _column(sin)) / _column(length)
    s = (np.abs(x) ** 2.5 + np.abs(y) ** 2.5) ** 0.4
    return np.exp(-1.2 * s) * expit((1 - s) / 0.2)


def tails(along, across, start, bend, reach) -> np.ndarray:
    """Two tidal tails that turn by `bend` radian per half-light radius and end at `reach`."""
    radius, end = np.hypot(along, across), _column(reach)
    angle = np.arctan2(across, along) - _column(start) - _column(bend) * (radius - 1)
    fading = np.exp(-(radius - 1) / (0.45 * end))
    fading *= expit((end - radius) / 0.15) * expit((radius - 0.9) / 0.15)
    per_width = 2 * radius / (0.14 + 0.12 * radius)
    off, other = per_width * np.sin(angle / 2), per_width * np.cos(angle / 2)
    return fading * (np.exp(-0.5 * off**2) + 0.4 * np.exp(-0.5 * other**2))


def lane_flux(depth: np.ndarray) -> np.ndarray:
    """Share of the disc's flux in a lane, equally long and `depth` deep on the major axis."""
    return LANE * depth
