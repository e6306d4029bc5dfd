"""The conditional distribution of the target image given the source image, sampled.

Of a simulated galaxy the type, the redshift, the magnitude, the spectra and fluxes of its
components, and its geometry (size, axis ratio, position angle, position) are sampled from their
posterior given the pixels of the source. Held at the truth are the morphological class, the
pattern of young stars, neighbours and the seeing of the source. Each sample is then observed by the
target survey, with seeing, sub-pixel position and calibration from their priors. A translator that
is given the source alone knows less, so that the mean of the posterior has at most the expected
squared error of the best possible prediction: a bound, not an estimate, of what translators reach.

Metropolis walks propose by a likelihood that is bilinear in fluxes and geometry, a product of
matrices; where such a walk ends is accepted by the ratio of the rendered likelihood to that one, so
that the samples are those of the rendered one (delayed acceptance, Christen and Fox 2005).

Assumed is that the walkers reach the whole posterior. They keep their spectral type, in proportions
from tempered Laplace weights that nothing corrects, and start from modes uphill of the truth or of
redshifts 0.03 from it. A distant mode is missed, and neither R nor the ranks of the truth show it.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from arviz_stats.base import array_stats
from scipy.special import ndtr, ndtri

from companion import fisher, importance_sampling, latent_model
from companion.fisher import B, C, ObservedScene
from galtools import simulate
from galtools.simulate import components, population, render, scene
from galtools.simulate.matched_pairs import one_thread

NORMAL = slice(2, 2 + population.NORMAL)  # latents: z, r, these, three fractions, four of geometry
SIZE = NORMAL.start + 8  # the one of these that is ln R less the true one instead
FRACTIONS = slice(5, 8)  # of young stars, bar and lane among the uniform numbers of a morphology
AXIS_RATIO = NORMAL.stop + 3  # the next are the angle in radian and the position in arcsec
GEOMETRY = 5  # numbers: ln R, ln q, angle, position
FLAT, LANES = 0.4, 0.6  # axis ratio below which discs have dust lanes, and the share of these
START_REDSHIFTS = (0.0, 0.0, -0.03, -0.03, 0.03, 0.03)  # from the truth climbs the optimiser
OWN = [components.COMPONENTS.index(name) for name in fisher.COMPONENTS]
KEPT = np.array([1.0, 1.0, 0.9, 0.6])  # of the last normal numbers in a step
DIFFERENCE = 1e-3  # of latents and geometry, that gives derivatives
STEPS = np.array([0.1, 0.4, 0.19**0.5, 0.8])  # of the new ones
FIRST_OBSERVATION = 1000  # number of the first one of samples: no repeat observation has it


@dataclass
class ComponentModel:
    """Prior over 25 latents, and images of the scenes that they make, of n galaxies of a seed."""

    seed: int
    galaxies: np.ndarray
    observed: ObservedScene
    surveys: tuple

    @property
    def kinds(self) -> np.ndarray:
        """Types (n, starts) that the morphological class allows, the true one first."""
        physics, shape = self.observed.physics, self.observed.truth["morphology"]
        kind = 2 - physics["red"].astype(int) - physics["early"]
        either = (kind > 0) & ((shape == scene.IRREGULAR) | (shape == components.MERGER))
        turn = np.arange(len(START_REDSHIFTS)) % 2
        return np.where(turn * either[:, None], 3 - kind[:, None], kind[:, None])

    def truth(self) -> np.ndarray:
        """True latents (n, 25)."""
        physics, normal = self.observed.physics, self.observed.normal.copy()
        numbers = self.seed, self.galaxies
        uniform, _ = population.random_numbers(*numbers, "physics", population.UNIFORM, 1)
        early = physics["early"]
        normal[early, 7] = ndtri(uniform[early, 5])
        normal[:, SIZE - NORMAL.start] = 0
        shape, _ = population.random_numbers(*numbers, "shape", scene.GENERAL, 1)
        uniform = np.column_stack([shape[:, FRACTIONS], uniform[:, 6]])
        first, last = [physics["redshift"], physics["r_magnitude"]], np.zeros((len(normal), 3))
        return np.column_stack([*first, normal, ndtri(uniform), last])

    def log_prior(self, x, kind):
        """ln p(type, x, class) + const; angle and position are normal, much wider than known."""
        normal = np.delete(x[..., 2:], SIZE - 2, axis=-1)
        value = latent_model.log_abundance_and_size(x, kind) - 0.5 * (normal**2).sum(axis=-1)
        value -= 0.5 * self.size(x, kind) ** 2
        physics, _ = self.physics(x, kind)
        irregular = np.clip(0.8 * (physics["kind"] - 1.8), 0, 0.7).reshape(kind.shape)
        flat = ((physics["axis_ratio"] < FLAT) & ~physics["early"]).reshape(kind.shape)
        shape = self.observed.truth["morphology"][:, None]
        disc = (kind > 0) & (shape != components.MERGER)
        with np.errstate(divide="ignore"):
            chance = np.log(np.where(shape == scene.IRREGULAR, irregular, 1 - irregular))
            lane = np.where(
                self.observed.truth["dust_lane"][:, None], LANES * flat, 1 - LANES * flat
            )
            return value + np.where(disc, chance, 0) + np.log(lane)

    def prior_terms(self, x, kind):
        """Gradient (n, s, 25) and positive curvature of ln p(type, x)."""
        slope, bend = latent_model.terms_in_z_and_r(x, kind, latent_model.log_abundance_and_size)
        normal = np.ones(x.shape[-1])
        normal[[0, 1, SIZE]] = 0
        curvature = np.zeros((*x.shape, x.shape[-1])) + np.diag(normal)
        curvature[..., :2, :2] = bend
        change = DIFFERENCE * np.eye(x.shape[-1])[[0, 1, SIZE]]
        ends = [self.size(x + by, kind) - self.size(x - by, kind) for by in change]
        of_size = np.zeros_like(x)
        of_size[..., [0, 1, SIZE]] = np.stack(ends, axis=-1) / (2 * DIFFERENCE)
        gradient = -normal * x - self.size(x, kind)[..., None] * of_size
        gradient[..., :2] += slope
        return gradient, curvature + of_size[..., None] * of_size[..., None, :]

    def size(self, x, kind) -> np.ndarray:
        """Standard normal number (n, s) of the half-light radius."""
        x = self.keep_inside(x)
        absolute = x[..., 1] - population.distance_modulus(x[..., 0])
        usual = population.half_light_radius(kind == 0, absolute, x[..., 0], 0.0)
        true = np.log(self.observed.physics["half_light_radius"])[:, None]
        return (true + x[..., SIZE] - np.log(usual)) / population.size_scatter(absolute)

    keep_inside = staticmethod(latent_model.LatentModel.keep_inside)

    def physics(self, x, kind) -> tuple[dict, dict]:
        """Physics and morphology (n s,) of latents (n, s, 25), made as the simulator makes them."""
        rows = np.repeat(np.arange(len(kind)), kind.shape[1])
        known = {name: value[rows] for name, value in self.observed.truth.items()}
        angle = self.observed.physics["position_angle"][rows]
        kind, x = kind.ravel(), self.keep_inside(x).reshape(-1, x.shape[-1])
        z, r, normal = x[:, 0], x[:, 1], x[:, NORMAL]
        absolute, early = r - population.distance_modulus(z), kind == 0
        axis_ratio = population.axis_ratio(early, ndtr(x[:, AXIS_RATIO]))
        physics = {"axis_ratio": axis_ratio, "position_angle": angle + x[:, AXIS_RATIO + 1]}
        physics |= {"redshift": z, "r_magnitude": r, "red": kind < 2, "early": early}
        physics |= population.galaxy_spectra(physics, absolute, normal)
        bulge = population.disc_bulge(physics["kind"], normal[:, 7])
        physics["bulge_fraction"] = np.where(early, 0.75 + 0.25 * ndtr(normal[:, 7]), bulge)
        radius = self.observed.physics["half_light_radius"][rows] * np.exp(x[:, SIZE])
        uniform = np.ones((len(x), scene.GENERAL))  # no merger, nothing irregular
        uniform[:, FRACTIONS] = ndtr(x[:, NORMAL.stop : AXIS_RATIO])
        shape = scene.sample_morphology(physics, uniform)
        irregular = known["morphology"] == scene.IRREGULAR
        known["arm_fraction"] = shape["arm_fraction"] + 0.15 * irregular
        known |= {name: shape[name] for name in ("bar_fraction", "lane_depth")}
        return physics | {"half_light_radius": radius}, known

    def predict(self, x, kind):
        """Fluxes (n, s, 25) of the components in the observing survey, and geometry (n, s, 5)."""
        physics, shape = self.physics(x, kind)
        flux = components.component_fluxes(physics, shape, (self.observed.survey,))["components"]
        flux = flux[:, 0][..., OWN].swapaxes(1, 2).reshape(*kind.shape, -1)
        lengths = np.column_stack([physics["half_light_radius"], physics["axis_ratio"]])
        lengths = np.log(lengths).reshape(*kind.shape, 2)
        return flux, np.concatenate([lengths, x[..., AXIS_RATIO + 1 :]], axis=-1)

    def scenes(self, physics: dict, shape: dict) -> scene.Scene:
        """Scenes (n,); the patterns of young stars and bars are the true ones, scaled by R."""
        sky, _ = scene.build_scene(self.seed, self.galaxies, physics, self.surveys, shape)
        larger = physics["half_light_radius"] / self.observed.physics["half_light_radius"]
        larger, patterns = torch.from_numpy(larger.astype(np.float32)), self.observed.scene.textures
        return replace(
            sky, textures=tuple(replace(t, spacing=t.spacing * larger) for t in patterns)
        )

    def render(self, physics: dict, shape: dict, moved) -> np.ndarray:
        """Noiseless images (n, bands, H, W) in the observing survey, `moved` (n, 2) in arcsec."""
        seen = self.observed.seen
        tensors = seen.fwhm, seen.shift + moved
        tensors = (torch.from_numpy(a.astype(np.float32)) for a in tensors)
        with torch.no_grad(), one_thread():
            sky = self.scenes(physics, shape)
            return render.render(sky, self.observed.survey, self.observed.index, *tensors).numpy()

    def log_likelihood(self, images, weight, x, kind) -> np.ndarray:
        """ln p(images | x), (n, s), of rendered scenes, with the calibration integrated out.

        `weight` (n, bands, H, W) is the inverse variance of the pixels.
        """
        scatter = np.asarray(self.observed.survey.calibration_error)
        found = np.empty(kind.shape)
        for k in range(kind.shape[1]):
            own = self.physics(x[:, k : k + 1], kind[:, k : k + 1])
            clean = self.render(*own, x[:, k, AXIS_RATIO + 2 :])
            off = images - clean
            chi2, pull, known = (
                (weight * a * b).sum((2, 3)) for a, b in ((off, off), (clean, off), (clean, clean))
            )
            known += 1 / scatter**2
            found[:, k] = 0.5 * (pull**2 / known - chi2 - np.log(known)).sum(axis=1)
        return found


def geometry_derivatives(model: ComponentModel, at, kind) -> np.ndarray:
    """Derivatives (n, 5, 6, bands, H, W) of `fisher.component_images` by the numbers of geometry.

    They are taken at latents (n, 25), with the fluxes held.
    """
    physics, shape = model.physics(at[:, None], kind[:, None])
    seen, slopes = model.observed.seen, []
    for change in DIFFERENCE * np.eye(GEOMETRY):
        ends = []
        for by in (change, -change):
            larger, rounder = np.exp(by[:2])
            new = physics | {"position_angle": physics["position_angle"] + by[2]}
            new["half_light_radius"] = larger * physics["half_light_radius"]
            new["axis_ratio"] = rounder * physics["axis_ratio"]
            sky = model.scenes(new, shape)
            moved = replace(seen, shift=(seen.shift + by[3:]).astype(np.float32))
            ends.append(fisher.component_images(replace(model.observed, scene=sky, seen=moved)))
        slopes.append((ends[0] - ends[1]) / (2 * DIFFERENCE))
    return np.stack(slopes, axis=1)


def likelihood_terms(model: ComponentModel, images, at, kind):
    """Information (n, 155, 155) and score (n, 155) of `terms`, weights (n, bands, H, W) of pixels.

    An image is linear in the changes a of fluxes, g of the geometry, and in their products.
    """
    parts, n = fisher.component_images(model.observed), len(at)
    clean = parts.sum(axis=1)
    weight = 1 / fisher.variance(clean, model.observed.seen.sky_noise, model.observed.survey)
    slopes = geometry_derivatives(model, at, kind)
    size = C * B + GEOMETRY + C * B * GEOMETRY
    m, score = np.zeros((n, size, size)), np.zeros((n, size))
    for band in range(B):
        both = slopes[:, :, :-1, band].swapaxes(1, 2).reshape(n, C * GEOMETRY, -1)
        whole = slopes[:, :, :, band].sum(axis=2).reshape(n, GEOMETRY, -1)
        changes = np.concatenate([parts[:, :-1, band].reshape(n, C, -1), whole, both], axis=1)
        flux = band + B * np.arange(C)
        products = C * B + GEOMETRY + GEOMETRY * flux[:, None] + np.arange(GEOMETRY)
        place = np.concatenate([flux, C * B + np.arange(GEOMETRY), products.ravel()])
        weighted = changes * weight[:, band].reshape(n, 1, -1)
        m[:, place[:, None], place] += weighted @ changes.mT
        off = (images - clean)[:, band].reshape(n, -1, 1)
        score[:, place] += (weighted @ off)[..., 0]
    return m, score, weight


def terms(a, g) -> np.ndarray:
    """Changes a (n, s, 25) of fluxes, g (n, s, 5) of geometry, and their products: (n, s, 155)."""
    products = (a[..., None] * g[..., None, :]).reshape(*a.shape[:2], -1)
    return np.concatenate([a, g, products], axis=-1)


def target(model: ComponentModel, m, score, at) -> importance_sampling.Target:
    """Posterior of the latents given the pixels; `at` (n, 25) are the true latents.

    Log likelihood s f - f'Mf / 2 of the `terms` f, the calibration of each band integrated out:
    with T its effect on all components, M T (T'MT + 1 / sigma^2)^-1 T'M less.
    """
    observed, survey = model.observed, model.observed.survey
    flux, geometry = model.predict(at[:, None], model.kinds[:, :1])
    true = np.where(flux == 0, np.inf, flux)
    number = np.arange(m.shape[-1])
    effect = (number[:, None] % B == np.arange(B)) * (number < C * B)[:, None]
    off = (np.linalg.pinv(m, hermitian=True) @ score[..., None])[..., 0]
    off = off + (survey.calibration_error * observed.zero_points) @ effect.T
    shared = m @ effect
    inner = effect.T @ shared + np.diag(1 / np.asarray(survey.calibration_error) ** 2)
    precision = m - shared @ np.linalg.solve(inner, shared.mT)
    precision += 1e-9 * np.eye(len(number))  # of components that are absent

    def residual(x, kind):
        found, moved = model.predict(x, kind)
        return terms(found / true - np.isfinite(true), moved - geometry) - off[:, None]

    return importance_sampling.Target(residual, precision, model)


def metropolis(target, x, kind, normal, steps: int, rng: np.random.Generator):
    """Where walkers at x (n, s, d) of types (n, s) end, after steps of two kinds.

    With `normal`, the centre (n, s, d) and the factor (n, s, d, d) of a normal distribution about
    the mode, x = centre + lower u. Either u takes a random step, or it becomes
    keep u + (1 - keep^2)^(1/2) e, which is reversible for a normal distribution (Neal 1998).
    """
    centre, lower = normal
    u = np.linalg.solve(lower, (x - centre)[..., None])[..., 0]
    height = target.log_density(x, kind)
    for _ in range(steps):
        e, which = rng.standard_normal(x.shape), rng.integers(len(KEPT), size=kind.shape)
        keep, size = KEPT[which][..., None], STEPS[which][..., None]
        v = keep * u + size * e
        there = centre + (lower @ v[..., None])[..., 0]
        new = target.log_density(there, kind)
        towards = 0.5 * (keep[..., 0] < 1) * ((v**2).sum(-1) - (u**2).sum(-1))
        moves = np.log(rng.random(kind.shape)) < new - height + towards
        u, x = (np.where(moves[..., None], a, b) for a, b in ((v, u), (there, x)))
        height = np.where(moves, new, height)
    return x


def walk(target, correction, x, kind, normal, draws: int, steps: int, rng: np.random.Generator):
    """Draws (n, s, draws, d) of the density of `target` times the exponential of `correction`.

    Between two draws are `steps` of `metropolis`.
    """
    path, old = [], correction(x, kind)
    for _ in range(draws):
        there = metropolis(target, x, kind, normal, steps, rng)
        new = correction(there, kind)
        moves = np.log(rng.random(kind.shape)) < new - old
        x, old = np.where(moves[..., None], there, x), np.where(moves, new, old)
        path.append(x)
    return np.stack(path, axis=2)


def sample_chains(
    target, correction, start, kind, walkers: int, draws: int, steps: int, seed: int = 0
):
    """Draws (n, walkers, draws, d) of posteriors, and types (n, walkers).

    Walkers begin at samples of the normal approximations about the modes uphill of `start`
    (n, k, d) and keep their type. What they pass before the draws, half as much, is left out.
    """
    rng = np.random.default_rng(seed)
    modes = importance_sampling.mixture_at_modes(target, start, kind)
    first = modes.sample(target, 20 * walkers, rng)
    weight = importance_sampling.tempered_weights(first.log_weight, walkers)
    rows, chosen = np.arange(len(kind))[:, None], importance_sampling.choose(weight, walkers, rng)
    x, kind = first.x[rows, chosen], first.kind[rows, chosen]
    own = modes.kind[:, None] == kind[..., None]
    best = np.where(own, modes.weight[:, None], -1).argmax(axis=2)
    normal = modes.mean[rows, best], modes.lower[rows, best]
    x = walk(target, correction, x, kind, normal, draws // 2, steps, rng)[:, :, -1]
    return walk(target, correction, x, kind, normal, draws, steps, rng), kind


def convergence(draws) -> np.ndarray:
    """Split ratio R of ranks (Vehtari et al. 2021) of draws (n, walkers, draws)."""
    return array_stats.rhat(draws, chain_axis=1, draw_axis=2)


def sample_scenes(model: ComponentModel, images, walkers: int, draws: int, steps: int):
    """Draws of `sample_chains` for galaxies given their images, their types, and true latents."""
    truth, kinds = model.truth(), model.kinds
    m, score, weight = likelihood_terms(model, images, truth, kinds[:, 0])
    posterior = target(model, m, score, truth)
    start = np.repeat(truth[:, None], len(START_REDSHIFTS), axis=1)
    start[..., 0] += START_REDSHIFTS

    def correction(x, kind):
        linear = posterior.log_density(x, kind) - model.log_prior(x, kind)
        return model.log_likelihood(images, weight, x, kind) - linear

    sizes = walkers, draws, steps, model.seed
    return *sample_chains(posterior, correction, start, kinds, *sizes), truth


def observe_samples(model: ComponentModel, x, kind):
    """Target images (s, n, bands, H, W) of samples (n, s, 25), as observed and noiseless."""
    survey, known, images = model.surveys[1], (model.seed, model.galaxies), []
    for k in range(kind.shape[1]):
        sky = model.scenes(*model.physics(x[:, k : k + 1], kind[:, k : k + 1]))
        seen = simulate.observing_conditions(*known, survey, FIRST_OBSERVATION + k)
        with one_thread():
            images.append(simulate.observe(sky, survey, 1, seen))
    return tuple(np.stack(part) for part in zip(*images, strict=True))


def model_of(seed: int, galaxies, surveys, index: int = 0) -> ComponentModel:
    """Model of galaxies as survey `index` observes them."""
    observed = fisher.observed_scene(seed, galaxies, surveys, index)
    zero_points = (observed.seen.calibration - 1) / np.asarray(observed.survey.calibration_error)
    return ComponentModel(seed, galaxies, replace(observed, zero_points=zero_points), surveys)
