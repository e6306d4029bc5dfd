"""How the light of a galaxy is laid out: bulge, disc, arms, bar, ring, dust lane, neighbours."""

import numpy as np
import torch

from galtools.simulate import population, seeds
from galtools.simulate.scene import Ellipses, Knots, Scene

KNOTS = 40
NEIGHBOURS = 3
YOUNG = {"kind": 2.7, "dust": 0.2, "tilt": 0.0, "break_step": 0.0}


def build(seed: int, galaxies, physics: dict, surveys) -> tuple[Scene, dict]:
    """Scene of n galaxies seen through the filters of `surveys`, and their truth."""
    n = len(galaxies)
    uniform, _ = seeds.table(seed, galaxies, "shape", 16 + 8 * NEIGHBOURS + 3 * KNOTS, 1)
    filters = [name for survey in surveys for name in survey.filters]
    redshift, magnitude = physics["redshift"], physics["r_magnitude"]
    total = population.normalised_fluxes(filters, physics, redshift, magnitude)
    young = _spectrum(YOUNG, filters, redshift, magnitude)
    old = _spectrum({**YOUNG, "kind": 0.1}, filters, redshift, magnitude)
    bulge = np.minimum(physics["bulge_fraction"][:, None] * old, 0.95 * total)
    share = np.where(physics["early"], 0.0, 0.25 * uniform[:, 0])
    arms = np.minimum(share[:, None] * young, 0.5 * (total - bulge))
    disc = total - bulge - arms
    near, near_flux = _neighbours(uniform[:, 16 : 16 + 8 * NEIGHBOURS], filters)
    size, q, angle = (physics[k] for k in ("half_light_radius", "axis_ratio", "position_angle"))
    zero = np.zeros(n)
    bulges = [zero, zero, np.where(physics["early"], size, 0.3 * size), np.maximum(q, 0.6), angle]
    main = [zero, zero, size, q, angle]
    discs = [np.column_stack([a, b]) for a, b in zip(main, near, strict=True)]
    knots = _arms(uniform[:, -3 * KNOTS :], size, q, angle)
    flux = np.concatenate(
        [bulge[:, None], disc[:, None], near_flux, arms[:, None]], axis=1
    )  # (n, C, filters)
    flux = flux.reshape(n, -1, len(surveys), 5).transpose(0, 2, 3, 1)
    scene = Scene(
        Ellipses(*(_tensor(a[:, None]) for a in bulges)),
        Ellipses(*(_tensor(a) for a in discs)),
        Knots(*(_tensor(a[:, None]) for a in knots)),
        _tensor(np.ascontiguousarray(flux)),
    )
    return scene, {"total": total.reshape(n, len(surveys), 5), "neighbours": near_flux}


def _tensor(array) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))


def _spectrum(spectrum, filters, redshift, magnitude):
    full = {name: np.full(len(redshift), value) for name, value in spectrum.items()}
    return population.normalised_fluxes(filters, full, redshift, magnitude)


def _neighbours(uniform, filters):
    """Galaxies and stars that happen to lie near by; (n, NEIGHBOURS) each."""
    u = uniform.reshape(len(uniform), NEIGHBOURS, 8)
    there = u[..., 0] < 0.35
    magnitude = 22.5 + 2.2 * np.log10(np.maximum(u[..., 1], 1e-3))
    radius, angle = 4 + 11 * np.sqrt(u[..., 2]), 2 * np.pi * u[..., 3]
    size = np.where(u[..., 4] < 0.4, 0.01, 0.4 + 1.2 * u[..., 4])
    x, y = radius * np.cos(angle), radius * np.sin(angle)
    spectrum = {
        "kind": 3 * u[..., 5].ravel(),
        "dust": 0.3 * np.ones(u[..., 5].size),
        "tilt": np.zeros(u[..., 5].size),
        "break_step": np.zeros(u[..., 5].size),
    }
    flux = population.normalised_fluxes(
        filters, spectrum, 0.05 + 0.5 * u[..., 6].ravel(), magnitude.ravel()
    ).reshape(*there.shape, -1)
    flux = flux * there[..., None]
    return (x, y, size, 0.3 + 0.7 * u[..., 7], 2 * np.pi * u[..., 3] * 7), flux


def _arms(uniform, size, q, angle):
    """Knots along two logarithmic spiral arms in the plane of the disc, projected."""
    a, b, c = np.split(uniform, 3, axis=1)
    radius = size[:, None] * (0.4 + 1.8 * a)
    turn = np.log(radius / size[:, None]) / 0.35 + np.pi * (b < 0.5) + 0.35 * (c - 0.5)
    along, across = radius * np.cos(turn), radius * np.sin(turn) * q[:, None]
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    sigma = np.clip(0.12 * size[:, None] * (0.5 + b), 0.08, 2.0)
    share = np.exp(-radius / size[:, None]) * (0.3 + c)
    share /= share.sum(axis=1, keepdims=True)
    return along * cos - across * sin, along * sin + across * cos, sigma, share
