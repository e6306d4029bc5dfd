"""The light of a simulated galaxy as a differentiable function of the simulator's latent numbers.

A galaxy of one of three types is  x = (z, r, n_1 ... n_7): its redshift, its r magnitude and the
seven standard normal numbers from which `simulate.population` makes a spectrum. What it shows is
m(x): the logarithms of its fluxes in five bands, and the mean of the logarithm of its size. The
density of the latents is known, too: that of the luminosity functions in (type, z, r) times

    prod_k N(n_k; 0, 1).

The sums are those of `simulate`, written in torch so that they can be differentiated.
"""

import math
from itertools import product

import numpy as np
import torch

from galtools.errors import GaltoolsError
from galtools.simulate import population, spectra
from galtools.surveys import SDSS, Survey

TYPES = ("red spheroid", "red disc", "blue disc")
NAMES = ("z", "r", "kind", "dust", "tilt", "break", "red", "emission", "uv")
SPHEROIDS = 0.72  # share of red galaxies
SIZE_SCATTER = math.log(10) * np.array([0.14, 0.16, 0.16])  # of ln R at given type, z and r
STEPS = (0.004, 0.05)  # in z and r, of the differences that give the prior's slope and curvature
_MIXES = (population.RED_MIX, population.RED_MIX, population.BLUE_MIX)


def _place(value, grid):
    """Cell of an evenly spaced grid, and the place in it between 0 and 1."""
    place = (value - grid[0]) / (grid[1] - grid[0])
    place = place.clamp(0, len(grid) - 1.000001)
    low = place.detach().long()
    return low, place - low


def _lookup(value, grid, values):
    """Interpolate `values` on an evenly spaced grid."""
    low, within = _place(value, grid)
    return torch.lerp(values[low], values[low + 1], within)


class LatentFluxModel:
    """What one survey sees of galaxies brighter than `limit`, and how common they are."""

    def __init__(self, survey: Survey, limit: float = 17.8):
        """Tabulate spectra through the filters of a survey."""
        table = spectra.table((*survey.filters, SDSS.filters[2]))
        self.table = torch.from_numpy(np.ascontiguousarray(table.values)).flatten(4).flatten(0, 3)
        self.limit = limit
        self.modulus, volume = (torch.from_numpy(a) for a in population.distances())
        self.log_volume = volume.log()
        self.mixes = {
            name: torch.tensor([getattr(mix, name) for mix in _MIXES], dtype=torch.float64)
            for name in population.MIX
        }
        self.log_norm = 0.0
        self.log_norm = self._log_total()

    def _log_total(self) -> float:
        """Logarithm of the number of galaxies of all types, by which the density is divided."""
        r = torch.linspace(population.BRIGHT_LIMIT, self.limit, 400, dtype=torch.float64)
        z = torch.from_numpy(population.REDSHIFT[::4])
        x = torch.cartesian_prod(z, r)
        logs = [self.log_abundance(x, torch.full((len(x),), k)) for k in range(len(TYPES))]
        return float(torch.logsumexp(torch.cat(logs), 0) + ((z[1] - z[0]) * (r[1] - r[0])).log())

    def distance_modulus(self, z):
        """Distance modulus, as in `population`."""
        return _lookup(z, population.REDSHIFT, self.modulus)

    def log_abundance(self, x, kind):
        """ln p(type, z, r) of x (..., >= 2) and types (...); -inf outside of the sample."""
        z, r = x[..., 0], x[..., 1]
        red, first, last = kind < 2, population.REDSHIFT[0], population.REDSHIFT[-1]
        law = [torch.where(red, *pair) for pair in zip(*self._laws(), strict=True)]
        density, magnitude, slope, correction = law
        absolute = r - self.distance_modulus(z) - correction * z
        log_light = -0.4 * math.log(10) * (absolute - magnitude)
        share = torch.where(kind == 0, SPHEROIDS, torch.where(red, 1 - SPHEROIDS, 1.0))
        value = (density * share).log() + _lookup(z, population.REDSHIFT, self.log_volume)
        value = value + (slope + 1) * log_light - log_light.exp() - self.log_norm
        inside = (z >= first) & (z <= last) & (r >= population.BRIGHT_LIMIT) & (r <= self.limit)
        return torch.where(inside, value, -torch.inf)

    @staticmethod
    def _laws():
        return (
            [torch.tensor(value, dtype=torch.float64) for value in vars(law).values()]
            for law in (population.RED, population.BLUE)
        )

    def log_prior(self, x, kind):
        """ln p(type, x): abundance times standard normal numbers."""
        normal = x[..., 2:]
        constant = 0.5 * normal.shape[-1] * math.log(2 * math.pi)
        return self.log_abundance(x, kind) - 0.5 * normal.square().sum(-1) - constant

    def prior_terms(self, x, kind):
        """Gradient (n, d) of ln p and its negative curvature (n, d, d), made positive in (z, r).

        By differences over `STEPS`, since tabulated distances have no second derivative.
        """
        steps = torch.zeros(3, 3, 2, dtype=x.dtype)
        signs = torch.tensor([-1.0, 0.0, 1.0], dtype=x.dtype)
        steps[..., 0], steps[..., 1] = STEPS[0] * signs[:, None], STEPS[1] * signs
        inner = self._inside(x)
        f = self.log_abundance(inner[:, None, None] + steps, kind[:, None, None])
        h = torch.tensor(STEPS, dtype=x.dtype)
        slope = torch.stack([f[:, 2, 1] - f[:, 0, 1], f[:, 1, 2] - f[:, 1, 0]], -1) / (2 * h)
        zz = f[:, 2, 1] - 2 * f[:, 1, 1] + f[:, 0, 1]
        rr = f[:, 1, 2] - 2 * f[:, 1, 1] + f[:, 1, 0]
        zr = (f[:, 2, 2] - f[:, 2, 0] - f[:, 0, 2] + f[:, 0, 0]) / 4
        bend = torch.stack([zz, zr, zr, rr], -1).unflatten(-1, (2, 2)) / (h[:, None] * h)
        value, axes = torch.linalg.eigh(-bend)
        bend = axes @ (value.clamp_min(0)[..., None] * axes.mT)
        gradient = torch.cat([slope, -x[:, 2:]], dim=1)
        curvature = torch.eye(x.shape[1], dtype=x.dtype).repeat(len(x), 1, 1)
        curvature[:, :2, :2] = bend
        return gradient, curvature

    def _inside(self, x):
        """Redshift and magnitude, far enough from the borders of the sample for the steps."""
        z = x[:, 0].clamp(
            population.REDSHIFT[0] + 1.01 * STEPS[0], population.REDSHIFT[-1] - 1.01 * STEPS[0]
        )
        r = x[:, 1].clamp(population.BRIGHT_LIMIT + 1.01 * STEPS[1], self.limit - 1.01 * STEPS[1])
        return torch.stack([z, r], dim=1)

    def keep_inside(self, x):
        """Move latents (n, d) that have left the sample back to its border."""
        z = x[:, :1].clamp(population.REDSHIFT[0], population.REDSHIFT[-1])
        return torch.cat([z, x[:, 1:2].clamp(population.BRIGHT_LIMIT, self.limit), x[:, 2:]], 1)

    def spectrum(self, x, kind) -> dict:
        """As `population.draw_spectra`: parameters of the spectrum of x (n, 9)."""
        mix = {name: values[kind] for name, values in self.mixes.items()}
        normal = x[:, 2:].unbind(1)
        faint = (x[:, 1] - self.distance_modulus(x[:, 0]) + 21.5).clamp(-2.5, 4.0)
        place = mix["kind"] + mix["kind_slope"] * faint + mix["kind_scatter"] * normal[0]
        dust = mix["dust"] * torch.exp(population.DUST_SCATTER * normal[1])
        return {
            "kind": place.clamp(0, 3),
            "dust": dust.clamp(0, 2.9),
            "tilt": (mix["tilt"] + population.TILT_SCATTER * normal[2]).clamp(-0.5, 0.5),
            "break_step": mix["break_step"] + mix["break_scatter"] * normal[3],
            "red_step": mix["red_step"] + population.RED_SCATTER * normal[4],
            "emission": mix["emission"] * torch.exp(0.7 * normal[5]),
            "uv_step": mix["uv_step"] + mix["uv_scatter"] * normal[6],
        }

    def band_fluxes(self, spectrum: dict, z):
        """As `sed.band_fluxes`, of the survey's five bands and the r band of SDSS: (n, 6)."""
        axes = (
            (z, spectra.REDSHIFT),
            (spectrum["dust"], spectra.DUST),
            (spectrum["tilt"], spectra.TILT),
        )
        cells, within = zip(*(_place(value, grid) for value, grid in axes), strict=True)
        template = spectrum["kind"].detach().long().clamp(max=len(spectra.TEMPLATES) - 2)
        mixing = (spectrum["kind"] - template)[:, None]
        logs = 0
        for corner in product((0, 1), repeat=3):
            row, weight = 0, 1
            for (_, grid), cell, share, up in zip(axes, cells, within, corner, strict=True):
                row = row * len(grid) + cell + up
                weight = weight * (share if up else 1 - share)
            row = row * len(spectra.TEMPLATES) + template
            logs = logs + weight[:, None, None] * self.table[torch.stack([row, row + 1], 1)]
        light = logs.exp()
        light = (light[:, 0] * (1 - mixing) + light[:, 1] * mixing).unflatten(1, (5, -1))
        below = 10 ** (-0.4 * spectrum["break_step"])
        far = below * 10 ** (-0.4 * spectrum["uv_step"])
        above = torch.ones_like(below)
        parts = [far, below, above, spectrum["red_step"], spectrum["emission"]]
        return (torch.stack(parts, 1)[:, :, None] * light).sum(1)

    def log_size(self, x, kind):
        """Mean of ln R, R the half-light radius in arcsec, as `population.half_light_radius`."""
        z, modulus = x[:, 0], self.distance_modulus(x[:, 0])
        brightness = -0.4 * (x[:, 1] - modulus + 21.0)
        early = 0.56 + 0.65 * brightness
        late = 0.68 + 0.26 * brightness + 0.24 * ((1 + 10**brightness) / 2).log10()
        kpc = 10 ** (modulus / 5 + 1) / 1e3 / (1 + z) ** 2 * np.pi / 648000
        return math.log(10) * torch.where(kind == 0, early, late) - kpc.log()

    def predict(self, x, kind):
        """Return m(x), (n, 6): ln fluxes in nanomaggies in five bands, and the mean of ln R."""
        if x.shape[-1] != len(NAMES):
            raise GaltoolsError(f"latents have {len(NAMES)} numbers a galaxy, not {x.shape[-1]}")
        logs = self.band_fluxes(self.spectrum(x, kind), x[:, 0]).clamp_min(1e-12).log()
        bright = 0.4 * math.log(10) * (22.5 - x[:, 1:2])
        return torch.cat([logs[:, :-1] - logs[:, -1:] + bright, self.log_size(x, kind)[:, None]], 1)


def sample_population(n: int, seed: int = 0, limit: float = 17.8):
    """Draw n galaxies of the population: latents (n, 9), types (n,), and normal numbers of size."""
    rng = np.random.default_rng([seed, 33])
    red, z, r = population.sample_redshifts(limit, rng.random((n, 2)))
    kind = np.where(red, np.where(rng.random(n) < SPHEROIDS, 0, 1), 2)
    x = np.column_stack([z, r, rng.standard_normal((n, 7))])
    return torch.from_numpy(x), torch.from_numpy(kind), rng.standard_normal(n)
