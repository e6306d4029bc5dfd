"""Scenes: what is on the sky in n stamps, before any telescope observes it.

Positions are in arcsec from the centre of the galaxy, x to the right and y up; fluxes in
nanomaggies. A scene is made of de Vaucouleurs ellipses (bulges, ellipticals), exponential ellipses
(discs, bright neighbours; of negative flux: dust lanes), images on a grid (young stars, bars,
tidal tails) and Gaussians (faint neighbours, stars).
"""

from dataclasses import dataclass, fields

import numpy as np
import torch

from galtools.simulate import features, population
from galtools.simulate.components import MERGER, component_fluxes
from galtools.simulate.neighbours import sample_neighbours, within_stamp

GENERAL = 24  # random numbers of the galaxy as a whole
FARTHEST = 17.0  # arcsec: images of features end there, far outside the stamp
LONGEST_TAIL = 11.0  # arcsec from the centre
LARGEST_MERGER = 3.2  # arcsec: half-light radius that sets the distance and size of a companion
MORPHOLOGIES = ("elliptical", "lenticular", "spiral", "irregular", MERGER)
ELLIPTICAL, LENTICULAR, SPIRAL, IRREGULAR, _ = MORPHOLOGIES


@dataclass
class Ellipses:
    """Elliptical profiles; every tensor is (n, C), slots that are not used have no flux."""

    x: torch.Tensor
    y: torch.Tensor
    half_light_radius: torch.Tensor  # arcsec, of the circle with the ellipse's area
    axis_ratio: torch.Tensor  # minor over major axis
    angle: torch.Tensor  # radian, of the major axis from x towards y


@dataclass
class Texture:
    """An image (n, y, x) of one spectrum, centred on the galaxy, between whose points the surface
    brightness is linear."""

    spacing: torch.Tensor  # (n,) arcsec
    share: torch.Tensor  # (n, M, M) of the component's flux


@dataclass
class Sources:
    """Round Gaussians of spectra of their own; every tensor is (n, K). Stars have a sigma of 0."""

    x: torch.Tensor
    y: torch.Tensor
    sigma: torch.Tensor  # arcsec


@dataclass
class Scene:
    """Geometry of n stamps and the fluxes of each component in each band of each survey."""

    bulges: Ellipses  # (n, B) de Vaucouleurs
    discs: Ellipses  # (n, D) exponential
    textures: tuple[Texture, ...]  # young stars, bar or tails
    lanes: Ellipses  # (n, 1) exponential, of negative flux
    sources: Sources  # (n, K) faint neighbours and stars
    flux: torch.Tensor  # (n, surveys, bands, B + D + K + T + 1) nanomaggies, in this order

    def __len__(self):
        """Count the stamps."""
        return len(self.flux)

    def to(self, device=None, dtype=None) -> "Scene":
        """Return the scene on another device or in another precision."""
        return _map(self, lambda tensor: tensor.to(device=device, dtype=dtype))


def _map(thing, change):
    """Apply `change` to every tensor of a scene or of a part of it."""
    if isinstance(thing, torch.Tensor):
        return change(thing)
    if isinstance(thing, tuple):
        return tuple(_map(part, change) for part in thing)
    parts = {f.name: _map(getattr(thing, f.name), change) for f in fields(thing)}
    return type(thing)(**parts)


def sample_scene(seed: int, galaxies, surveys, limit: float = population.MAIN_SAMPLE_LIMIT):
    """Galaxies of a sample by their numbers: physics, `Scene` and the truth about its features."""
    physics = population.sample_galaxies(seed, galaxies, limit)
    return physics, *build_scene(seed, galaxies, physics, surveys)


def build_scene(seed: int, galaxies, physics: dict, surveys, shape=None) -> tuple[Scene, dict]:
    """Scene of n galaxies in the filters of `surveys`, and the truth about its features.

    Without a `shape`, the features are those of the galaxies by their numbers.
    """
    if shape is None:
        general, _ = population.random_numbers(seed, galaxies, "shape", GENERAL, 1)
        shape = sample_morphology(physics, general)
    field = sample_neighbours(seed, galaxies, surveys)
    flux = component_fluxes(physics, shape, surveys)
    own = flux.pop("components")
    bulges, discs = _main_ellipses(physics, shape)
    discs = [np.column_stack(pair) for pair in zip(discs, field["ellipses"], strict=True)]
    scene = Scene(
        Ellipses(*map(_tensor, bulges)),
        Ellipses(*map(_tensor, discs)),
        tuple(_textures(seed, galaxies, physics, shape)),
        Ellipses(*map(_tensor, _lanes(physics, shape))),
        Sources(*map(_tensor, field["sources"])),
        _tensor(np.concatenate([own[..., :4], field["flux"], own[..., 4:]], axis=-1)),
    )
    return scene, {**shape, **flux, "neighbours": within_stamp(field)}


def _tensor(array) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))


def sample_morphology(physics: dict, u: np.ndarray) -> dict[str, np.ndarray]:
    """Morphology and the measures of its features, each (n,), from uniform numbers (n, GENERAL)."""
    early, kind = physics["early"], physics["kind"]
    merger = u[:, 0] < 0.04
    disc = ~early & ~merger
    irregular = disc & (u[:, 1] < np.clip(0.8 * (kind - 1.8), 0, 0.7))
    spiral = disc & ~irregular & ~physics["red"]
    lenticular = disc & ~irregular & physics["red"]
    classes = [merger, early & ~merger, irregular, spiral, lenticular]
    names = [MERGER, ELLIPTICAL, IRREGULAR, SPIRAL, LENTICULAR]
    flat = ~early & (physics["axis_ratio"] < 0.4)
    young = np.where(physics["red"], 0.02 + 0.08 * u[:, 5], 0.14 + 0.26 * u[:, 5])
    clumpiness = np.where(irregular | merger, 0.8, 0.35 + 0.45 * u[:, 22])
    return {
        "morphology": np.select(classes, names, ""),
        "bar": (spiral | lenticular) & (u[:, 2] < 0.4),
        "ring": (spiral | lenticular) & (u[:, 3] < 0.15),
        "dust_lane": flat & (u[:, 4] < 0.6),
        "arm_fraction": np.where(early, 0.0, young + 0.15 * irregular),
        "bar_fraction": 0.04 + 0.12 * u[:, 6],
        "lane_depth": 0.25 + 0.3 * u[:, 7],
        "lane_side": np.sign(u[:, 8] - 0.5),
        "arms": np.select([u[:, 9] < 0.7, u[:, 9] < 0.85], [2.0, 3.0], 4.0),
        "winding": np.sign(u[:, 20] - 0.5) / np.tan(np.radians(12 + 18 * u[:, 10])),
        "arm_width": 0.5 + 0.6 * u[:, 21],
        "contrast": 0.95 - 0.6 * u[:, 22],
        "clumpiness": clumpiness * physics["axis_ratio"] ** 0.4,  # overlap where a disc is inclined
        "knot_share": features.KNOT_SHARE * (1 + irregular) * u[:, 23],
        "ring_radius": 0.9 + 0.7 * u[:, 11],
        "bar_length": 0.45 + 0.6 * u[:, 12],
        "bar_turn": np.pi * u[:, 13],
        "offset": 0.15 + 0.35 * u[:, 14],
        "bulge_size": 0.18 + 0.2 * u[:, 15],
        "companion_distance": 0.9 + 1.6 * u[:, 16],  # over the smaller of R and LARGEST_MERGER
        "companion_direction": 2 * np.pi * u[:, 17],
        "companion_flux": 10 ** (-0.6 * u[:, 18]),
        "companion_ratio": 0.4 + 0.6 * u[:, 19],
        "companion_angle": np.pi * u[:, 20],
    }


def _main_ellipses(physics, shape):
    """Bulge and disc of the galaxy, bulge and disc of its companion: (n, 2) per parameter."""
    early, size = physics["early"], physics["half_light_radius"]
    q, angle, zero = physics["axis_ratio"], physics["position_angle"], np.zeros(len(size))
    moved = 0.3 * size * shape["offset"] * (shape["morphology"] == IRREGULAR)
    other = 0.75 * np.minimum(size, LARGEST_MERGER)
    distance = shape["companion_distance"] * other / 0.75
    there = [distance * np.cos(shape["companion_direction"])]
    there += [distance * np.sin(shape["companion_direction"])]
    bulge_size = np.where(early, size, shape["bulge_size"] * size)
    bulge = [zero, zero, np.maximum(bulge_size, 0.15), np.where(early, q, 0.5 + 0.5 * q), angle]
    disc = [moved, -moved, np.where(early, 1.3 * size, size), q, angle]
    shape = [shape["companion_ratio"], shape["companion_angle"]]
    bulges = [np.column_stack(p) for p in zip(bulge, [*there, 0.3 * other, *shape], strict=True)]
    discs = [np.column_stack(p) for p in zip(disc, [*there, other, *shape], strict=True)]
    return bulges, discs


def _lanes(physics, shape):
    """Dust lanes: exponential, as long as the disc, thinner, and on the near side of its axis."""
    size, q, angle = (physics[k] for k in ("half_light_radius", "axis_ratio", "position_angle"))
    away = 0.12 * shape["lane_side"] * size * np.sqrt(q)
    lane = [-away * np.sin(angle), away * np.cos(angle)]
    lane += [size * np.sqrt(features.LANE), features.LANE * q, angle]
    return [column[:, None] for column in lane]


def _textures(seed: int, galaxies, physics: dict, shape: dict):
    """Images of young stars, and of bars and tails; empty where a galaxy has none."""
    size, q, angle = (physics[k] for k in ("half_light_radius", "axis_ratio", "position_angle"))
    disc, major, merger = ~physics["early"], size / np.sqrt(q), shape["morphology"] == MERGER
    shape = {**shape, "irregular": shape["morphology"] == IRREGULAR, "arm_start": shape["bar_turn"]}
    spacing = 2 * features.EXTENT * major / features.GRID
    young = np.zeros((len(size), features.GRID, features.GRID), np.float32)
    if disc.any():
        white, uniform = features.random_numbers(seed, np.asarray(galaxies)[disc])
        plane = features.grid(features.GRID, *(a[disc] for a in (spacing, major, q, angle)))
        own = {name: values[disc] for name, values in shape.items()}
        young[disc] = features.young_stars(*plane, white, uniform, own)
    yield _texture(spacing, young)
    spacing = 2 * np.where(merger, features.TAIL_EXTENT, features.BAR_EXTENT) * major
    spacing /= features.BAR_GRID
    plane = features.grid(features.BAR_GRID, spacing, major, q, angle)
    images = features.bar(*plane, shape["bar_length"], shape["bar_turn"])
    curves = [shape["companion_direction"] - angle, 0.25 * shape["winding"]]
    curves += [np.clip(LONGEST_TAIL / major, 1.6, 3.2)]
    images[merger] = features.tails(*(a[merger] for a in (*plane, *curves)))
    yield _texture(spacing, features.unit_flux(images))


def _texture(spacing, image) -> Texture:
    """Texture of an image of unit flux, less what lies beyond `FARTHEST`."""
    steps = np.arange(image.shape[-1]) - (image.shape[-1] - 1) / 2
    near = np.hypot(steps, steps[:, None]) * spacing[:, None, None] < FARTHEST
    return Texture(_tensor(spacing), _tensor(image * near))
