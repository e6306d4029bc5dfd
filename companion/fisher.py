"""What the pixels of one image know about the light of its galaxy: Fisher information.

Near the truth an image is linear in small changes a of what it shows,

    d = I0 + sum_j a_j X_j + noise,        M = X V^-1 X',        s = X V^-1 (d - I0),

with V the variance of every pixel. In the brightness of each part of the galaxy this is exact, in
its place, size, shape and in the seeing it holds for small changes. M (the Fisher information) and
s (the score) are all that the pixels say: ln L(a) = s a - 1/2 a' M a + const. What nobody wants to
know is marginalised: with wanted w, unwanted u and what is known of u before, N(u0, P^-1),

    M_w = M_ww - M_wu (M_uu + P)^-1 M_uw,     s_w = s_w - M_wu (M_uu + P)^-1 (s_u + P u0).

Where knots and neighbours stand is taken for known: no smooth coordinate leads to it.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch

from galtools.simulate import noise, population, render, shapes
from galtools.simulate.scene import Ellipses, Knots, Scene
from galtools.surveys import BANDS, Survey

PARTS = {"bulge": (0,), "disc": (2,), "arms": (7,), "bar": (8,), "lane": (9,)}
OTHERS = (1, 3, 4, 5, 6)  # companion and neighbours
GEOMETRY = ("x", "y", "ln size", "ln axis ratio", "angle")  # arcsec, radian
STEP = 0.01  # of the differences in size and shape
B, C = len(BANDS), len(PARTS)
BATCH = 4  # galaxies at a time: more of them would take more memory, and longer


@dataclass
class ObservedScene:
    """The truth about n galaxies and how a survey came to see them."""

    seed: int
    galaxies: np.ndarray  # numbers in the sample of `seed`
    scene: Scene
    truth: dict  # of `shapes.build`
    physics: dict
    seen: noise.Observation
    survey: Survey
    index: int  # of the survey among the scene's fluxes


@dataclass
class PixelInformation:
    """Information M (n, 26, 26) and score s (n, 26) of 5 x 5 brightnesses and the size.

    The first 25 are relative changes of the light of `PARTS` in each band (part by part, band by
    band), the last one the change of ln R. What is not there has no information.
    """

    information: np.ndarray
    score: np.ndarray

    def whole(self) -> "PixelInformation":
        """Only five brightnesses of the galaxy as a whole, and ln R: (n, 6, 6) and (n, 6)."""
        together = np.zeros((C * B + 1, B + 1))
        together[np.arange(C * B), np.tile(np.arange(B), C)] = 1
        together[-1, -1] = 1
        return PixelInformation(together.T @ self.information @ together, self.score @ together)


def observed_scene(
    seed: int, galaxies, surveys, index: int, limit: float, observation: int = 0
) -> ObservedScene:
    """Recall what galaxies of the simulation are, by their numbers."""
    physics = population.sample_galaxies(seed, galaxies, limit)
    scene, truth = shapes.build_scene(seed, galaxies, physics, surveys)
    seen = noise.observing_conditions(seed, galaxies, surveys[index], observation)
    return ObservedScene(seed, galaxies, scene, truth, physics, seen, surveys[index], index)


def _apart(flux: torch.Tensor) -> torch.Tensor:
    """Fluxes (n, 5, C) as (n, 1, 30, C): every band with one part of the galaxy, or the rest."""
    masks = torch.zeros(C + 1, flux.shape[-1])
    for row, columns in enumerate([*PARTS.values(), OTHERS]):
        masks[row, list(columns)] = 1
    return (flux[:, None] * masks[:, None]).flatten(1, 2)[:, None]


def reshaped(scene: Scene, change: torch.Tensor) -> Scene:
    """Scene whose galaxies are larger, rounder and turned.

    `change` (3,) as in `GEOMETRY[2:]`, or (3, n, 1) if every galaxy changes in its own way.
    """
    grow = change[0].exp()

    def first(values, new):
        return torch.cat([new, values[:, 1:]], dim=1)

    def ellipses(parts: Ellipses) -> Ellipses:
        size, ratio, angle = parts.half_light_radius, parts.axis_ratio, parts.angle
        return replace(
            parts,
            half_light_radius=first(size, size[:, :1] * grow),
            axis_ratio=first(ratio, ratio[:, :1] * change[1].exp()),
            angle=first(angle, angle[:, :1] + change[2]),
        )

    knots = tuple(Knots(k.x * grow, k.y * grow, k.sigma * grow, k.share) for k in scene.knots)
    return replace(scene, bulges=ellipses(scene.bulges), discs=ellipses(scene.discs), knots=knots)


def derivative_images(looks: ObservedScene) -> torch.Tensor:
    """Images X of all changes, (n, 60, H, W): 6 x 5 of light, 5 x 5 of geometry, 5 of seeing.

    Derivatives are taken before the light is sampled: a shift multiplies the transform by -i k, a
    wider seeing by d ln T / d ln FWHM = 5/3 ln T; those of size and shape are differences.
    """
    scene, seen, survey = looks.scene, looks.seen, looks.survey
    fwhm, shift = (torch.from_numpy(a.astype(np.float32)) for a in (seen.fwhm, seen.shift))
    k, weight = (torch.from_numpy(a.astype(np.float32)) for a in render.frequencies(survey))
    kx, both = torch.cat([-k.flip(0), k]), torch.cat([weight.flip(0), weight])
    flux = scene.flux[:, looks.index]
    parts = render.sky_transform(replace(scene, flux=_apart(flux)), 0, kx, k)
    whole = parts.unflatten(1, (C + 1, B)).sum(1)
    plain = replace(scene, flux=flux[:, None])
    changes = []
    for along in torch.eye(3):
        ends = (reshaped(plain, sign * STEP * along) for sign in (1, -1))
        up, down = (render.sky_transform(end, 0, kx, k) for end in ends)
        changes.append((up - down) / (2 * STEP))
    blur = render.kolmogorov_mtf((kx**2)[:, None] + k**2, fwhm)
    moves = [whole * (-1j * kx[:, None]), whole * (-1j * k)]
    wider = whole * (5 / 3 * blur.clamp_min(1e-30).log())
    fields = torch.cat([parts, *moves, *changes, wider], dim=1)
    fields = fields * blur.repeat(1, fields.shape[1] // B, 1, 1)
    in_x = render.sampling(kx, both, survey, shift[:, 0])
    in_y = render.sampling(k, 2 * weight, survey, shift[:, 1])
    images = render.real_product(in_x[:, None] @ fields, in_y).transpose(2, 3)
    calibration = torch.from_numpy(seen.calibration.astype(np.float32))
    return images * calibration.repeat(1, images.shape[1] // B)[..., None, None]


def variance(image, sky_noise, survey: Survey) -> np.ndarray:
    """Variance (n, 5, H, W) of every pixel: that of the sky and that of the light itself."""
    gain = np.asarray(survey.electrons_per_nanomaggy)[:, None, None]
    return sky_noise[..., None, None] ** 2 + np.maximum(image, 0) / gain


def information(changes, residual, variances) -> tuple[np.ndarray, np.ndarray]:
    """M (n, k, k) and s (n, k) of changes (n, k, pixels)."""
    weighted = changes / variances[:, None]
    return weighted @ changes.transpose(0, 2, 1), np.einsum("nkp,np->nk", weighted, residual)


def marginalize(m, s, unwanted, precision, offset) -> tuple[np.ndarray, np.ndarray]:
    """Information and score when some changes are marginalised.

    `unwanted` are their numbers; before the image they are normal about `offset` (n, u) with
    inverse covariance `precision` (u, u).
    """
    wanted = np.setdiff1d(np.arange(m.shape[-1]), unwanted)
    cross = m[:, wanted][:, :, unwanted]
    inner = m[:, unwanted][:, :, unwanted] + precision
    known = s[:, unwanted] + offset @ precision
    solved = np.linalg.solve(inner, np.concatenate([cross.transpose(0, 2, 1), known[..., None]], 2))
    left = m[:, wanted][:, :, wanted] - cross @ solved[..., :-1]
    return left, s[:, wanted] - np.einsum("nwu,nu->nw", cross, solved[..., -1])


def seeing_prior(looks: ObservedScene) -> tuple[np.ndarray, np.ndarray]:
    """Inverse covariance (5, 5) of ln FWHM, and how far the median is from the truth, (n, 5)."""
    covariance = noise.COMMON_SEEING**2 + noise.BAND_SEEING**2 * np.eye(B)
    return np.linalg.inv(covariance), np.log(np.array(looks.survey.psf_fwhm) / looks.seen.fwhm)


def _assemble(looks: ObservedScene, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """M (n, 40, 40) and s (n, 40): light 30, geometry 5, seeing 5; bands know their own only."""
    x = derivative_images(looks).numpy().astype(np.float64)
    light, geometry, wider = np.split(x, [(C + 1) * B, (C + 1) * B + len(GEOMETRY) * B], axis=1)
    clean = light.reshape(len(x), C + 1, B, *x.shape[2:]).sum(1)
    variances = variance(clean, looks.seen.sky_noise, looks.survey)
    size = x.shape[1] - (len(GEOMETRY) - 1) * B
    m, s = np.zeros((len(x), size, size)), np.zeros((len(x), size))
    for band in range(B):
        columns = [light[:, band::B], geometry[:, band::B], wider[:, band : band + 1]]
        flat = np.concatenate(columns, axis=1).reshape(len(x), -1, x.shape[2] * x.shape[3])
        some = np.arange(band, (C + 1) * B, B)
        shared = (C + 1) * B + np.arange(len(GEOMETRY))
        place = np.concatenate([some, shared, [size - B + band]])
        residual = (images[:, band] - clean[:, band]).reshape(len(x), -1)
        found = information(flat, residual, variances[:, band].reshape(len(x), -1))
        m[:, place[:, None], place] += found[0]
        s[:, place] += found[1]
    return m, s


def pixel_information(looks: ObservedScene, images: np.ndarray) -> PixelInformation:
    """What images (n, 5, H, W) say about the light of their galaxies and its extent."""
    m, s = _assemble(looks, np.asarray(images, np.float64))
    first = C * B  # others: known to a factor; geometry but the size: hardly known; the seeing
    size = first + B + GEOMETRY.index("ln size")
    unwanted = np.setdiff1d(np.arange(first, m.shape[-1]), [size])
    precision = np.eye(len(unwanted))
    seeing, offset = seeing_prior(looks)
    precision[-B:, -B:] = seeing
    known = np.zeros((len(m), len(unwanted)))
    known[:, -B:] = offset
    return PixelInformation(*marginalize(m, s, unwanted, precision, known))


def compression_error(looks: ObservedScene, image, draws: int = 48) -> np.ndarray:
    """ln L of whole pixels less that of their compression, (draws,), for one galaxy.

    Brightness of the whole galaxy in each band, geometry and seeing are drawn from what the
    compression says, and rendered anew; only differences between draws mean anything.
    """
    m, s = _assemble(looks, np.asarray(image, np.float64)[None])
    size = m.shape[-1]
    together = np.zeros((size, 3 * B))  # whole galaxy, geometry, seeing; the others stay
    together[np.arange(C * B), np.tile(np.arange(B), C)] = 1
    together[np.arange((C + 1) * B, size), np.arange(B, 3 * B)] = 1
    m, s = together.T @ m[0] @ together, s[0] @ together
    known, (seeing, offset) = np.zeros_like(m), seeing_prior(looks)
    known[2 * B :, 2 * B :] = seeing
    centre = np.linalg.solve(m + known, s + known[:, 2 * B :] @ offset[0])
    lower = np.linalg.cholesky(np.linalg.inv(m + known))
    a = centre + np.random.default_rng(0).standard_normal((draws, 3 * B)) @ lower.T
    exact = _log_likelihood(looks, np.asarray(image, np.float64), a)
    error = exact - (a @ s - 0.5 * np.einsum("dk,kl,dl->d", a, m, a))
    return error - error.mean()


def _log_likelihood(looks: ObservedScene, image, changes) -> np.ndarray:
    """ln L (draws,) of an image under whole-galaxy changes (draws, 15) of one galaxy."""
    light, geometry, seeing = (torch.from_numpy(a).float() for a in np.split(changes, 3, axis=1))
    rows = torch.zeros(len(changes), dtype=torch.long)
    flux = looks.scene.flux[rows, looks.index].clone()
    own = [column for columns in PARTS.values() for column in columns]
    flux[:, :, own] *= 1 + light[..., None]
    many = _repeated(replace(looks.scene, flux=flux[:, None]), rows)
    many = reshaped(many, geometry[:, 2:].T[..., None])
    fwhm, shift = (torch.from_numpy(a).float() for a in (looks.seen.fwhm, looks.seen.shift))
    drawn = render.render(many, looks.survey, 0, fwhm * seeing.exp(), shift + geometry[:, :2])
    calibration = looks.seen.calibration[0][:, None, None]
    clean = (
        derivative_images(looks)[0, : (C + 1) * B].unflatten(0, (C + 1, B)).sum(0).double().numpy()
    )
    variances = variance(clean[None], looks.seen.sky_noise, looks.survey)[0]
    return -0.5 * (((image - drawn.double().numpy() * calibration) ** 2) / variances).sum((1, 2, 3))


def _repeated(scene: Scene, rows) -> Scene:
    """Scene with the geometry of some rows, and as many fluxes as there already are."""

    def take(part):
        return type(part)(*(value[rows] for value in vars(part).values()))

    knots = tuple(take(group) for group in scene.knots)
    return Scene(take(scene.bulges), take(scene.discs), knots, scene.flux)
