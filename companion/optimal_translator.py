"""The conditional distribution of the target image given the source image, sampled.

Of a simulated galaxy the geometry is held at the truth: position, size, axis ratio, pattern of
young stars, morphological class, neighbours and the seeing of the source. All else is sampled from
its exact posterior given the pixels of the source by Metropolis walks: type, redshift,
magnitude, spectra of the components, their fluxes. Each sample is then observed by the target
survey, with seeing, sub-pixel position and calibration from their priors. A translator that is
given the source alone knows less, so that the mean of the samples has at most the error of the best
possible prediction: a bound, not an estimate, of what translators can reach.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.special import ndtr, ndtri

from companion import fisher, importance_sampling, latent_model
from companion.fisher import B, C, ObservedScene
from galtools import simulate
from galtools.simulate import components, population, scene
from galtools.simulate.matched_pairs import one_thread

SIZE = 8  # of the normal numbers is that of the half-light radius
NORMAL = slice(2, 2 + population.NORMAL - 1)  # latents: z, r, these without SIZE, three fractions
FRACTIONS = slice(5, 8)  # of young stars, bar and lane among the uniform numbers of a morphology
START_REDSHIFTS = (0.0, 0.0, -0.03, -0.03, 0.03, 0.03)  # from the truth climbs the optimiser
OWN = [components.COMPONENTS.index(name) for name in fisher.COMPONENTS]
STEPS = 0.6, 2.0, 3.0  # over the root of the dimension
SAMPLES = 3  # of a walker
FIRST_OBSERVATION = 1000  # number of the first one of samples: no repeat observation has it


@dataclass
class ComponentModel:
    """Prior over 20 latents, and fluxes of the components, of n galaxies of known geometry.

    The known half-light radius fixes the normal number behind it, which is no latent.
    """

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

    def truth(self, seed: int, galaxies) -> np.ndarray:
        """True latents (n, 20)."""
        physics, normal = self.observed.physics, self.observed.normal.copy()
        uniform, _ = population.random_numbers(seed, galaxies, "physics", population.UNIFORM, 1)
        early = physics["early"]
        normal[early, 7] = ndtri(uniform[early, 5])
        shape, _ = population.random_numbers(seed, galaxies, "shape", scene.GENERAL, 1)
        first = [physics["redshift"], physics["r_magnitude"]]
        own = np.delete(normal, SIZE, axis=1)
        return np.column_stack([*first, own, ndtri(shape[:, FRACTIONS])])

    def log_prior(self, x, kind):
        """ln p(type, x, class, axis ratio) + const."""
        axis_ratio = self.observed.physics["axis_ratio"][:, None]
        value = latent_model.log_abundance_and_size(x, kind) - 0.5 * (x[..., 2:] ** 2).sum(axis=-1)
        value += population.log_axis_ratio_density(kind == 0, axis_ratio)
        physics, _ = self.physics(x, kind)
        irregular = np.clip(0.8 * (physics["kind"] - 1.8), 0, 0.7).reshape(kind.shape)
        shape = self.observed.truth["morphology"][:, None]
        disc = (kind > 0) & (shape != components.MERGER)
        with np.errstate(divide="ignore"):
            chance = np.log(np.where(shape == scene.IRREGULAR, irregular, 1 - irregular))
        return value + np.where(disc, chance, 0)

    def prior_terms(self, x, kind):
        """Gradient (n, s, 20) and positive curvature of ln p(type, x) without the size."""
        slope, bend = latent_model.terms_in_z_and_r(x, kind, latent_model.log_abundance_and_size)
        curvature = np.zeros((*x.shape, x.shape[-1])) + np.eye(x.shape[-1])
        curvature[..., :2, :2] = bend
        return np.concatenate([slope, -x[..., 2:]], axis=-1), curvature

    keep_inside = staticmethod(latent_model.LatentModel.keep_inside)

    def physics(self, x, kind) -> tuple[dict, dict]:
        """Physics and morphology (n s,) of latents (n, s, 20), made as the simulator makes them."""
        rows = np.repeat(np.arange(len(kind)), kind.shape[1])
        known, truth = self.observed.physics, self.observed.truth
        kind, x = kind.ravel(), self.keep_inside(x).reshape(-1, x.shape[-1])
        z, r, normal = x[:, 0], x[:, 1], np.insert(x[:, NORMAL], SIZE, 0, axis=1)
        absolute, early = r - population.distance_modulus(z), kind == 0
        physics = {name: known[name][rows] for name in ("axis_ratio", "position_angle")}
        physics |= {"redshift": z, "r_magnitude": r, "red": kind < 2, "early": early}
        physics |= population.galaxy_spectra(physics, absolute, normal)
        bulge = population.disc_bulge(physics["kind"], normal[:, 7])
        physics["bulge_fraction"] = np.where(early, 0.75 + 0.25 * ndtr(normal[:, 7]), bulge)
        radius = population.half_light_radius(early, absolute, z, 0.0)
        uniform = np.ones((len(x), scene.GENERAL))  # no merger, nothing irregular
        uniform[:, FRACTIONS] = ndtr(x[:, NORMAL.stop :])
        shape = scene.sample_morphology(physics, uniform)
        irregular = truth["morphology"][rows] == scene.IRREGULAR
        shape["arm_fraction"] = shape["arm_fraction"] + 0.15 * irregular
        fixed = ("morphology", "bar", "dust_lane", "companion_flux")
        return physics | {"mean_radius": radius}, shape | {k: truth[k][rows] for k in fixed}

    def fluxes(self, x, kind):
        """Fluxes (n, s, surveys, bands, components) and offset (n, s) of ln R in its scatter."""
        physics, shape = self.physics(x, kind)
        found = components.component_fluxes(physics, shape, self.surveys)["components"]
        offset = np.log(physics["mean_radius"]).reshape(kind.shape)
        offset -= np.log(self.observed.physics["half_light_radius"])[:, None]
        offset /= latent_model.size_scatter(self.keep_inside(x))
        return found.reshape(*kind.shape, *found.shape[1:]), offset


def target(
    model: ComponentModel, pixels: fisher.PixelInformation, at
) -> importance_sampling.Target:
    """Posterior of the latents given the pixels; `at` (n, 20) are the true latents.

    Log likelihood s a - a'Ma / 2 of relative changes a of component fluxes, the calibration of each
    band integrated out: with T its effect on all components, M T (T'MT + 1 / sigma^2)^-1 T'M less.
    """
    observed, survey = model.observed, model.observed.survey
    index = observed.index
    true, _ = model.fluxes(at[:, None], model.kinds[:, :1])
    true = np.where(own_fluxes(true, index) == 0, np.inf, own_fluxes(true, index))
    m, effect = pixels.information, np.tile(np.eye(B), (C, 1))
    off = (np.linalg.pinv(m, hermitian=True) @ pixels.score[..., None])[..., 0]
    off += np.tile(survey.calibration_error * observed.zero_points, C)
    shared = m @ effect
    inner = effect.T @ shared + np.diag(1 / np.asarray(survey.calibration_error) ** 2)
    precision = np.tile(1e-9 * np.eye(C * B + 1), (len(m), 1, 1))  # of components that are absent
    precision[:, :-1, :-1] += m - shared @ np.linalg.solve(inner, shared.mT)
    precision[:, -1, -1] = 1

    def residual(x, kind):
        flux, size = model.fluxes(x, kind)
        flux = own_fluxes(flux, index) / true - np.isfinite(true)
        return np.concatenate([flux - off[:, None], size[..., None]], axis=-1)

    return importance_sampling.Target(residual, precision, model)


def own_fluxes(flux, index: int) -> np.ndarray:
    """Fluxes (n, s, 25) of the galaxy's own components in one survey, component by component."""
    return flux[:, :, index][..., OWN].swapaxes(-1, -2).reshape(*flux.shape[:2], -1)


def metropolis(target, x, kind, steps: int, rng: np.random.Generator):
    """Walk from x (n, s, d) of types (n, s): where walkers end, mean and variance of their paths.

    Metropolis steps of the shape of the posterior's curvature where each walker starts.
    """
    lower = np.linalg.cholesky(np.linalg.inv(target.terms(x, kind)[1]))
    x, height = x.copy(), target.log_density(x, kind)
    total, square = np.zeros_like(x), np.zeros_like(x)
    for _ in range(steps):
        size = rng.choice(STEPS, kind.shape)[..., None] / np.sqrt(x.shape[-1])
        there = x + size * (lower @ rng.standard_normal(x.shape)[..., None])[..., 0]
        new = target.log_density(there, kind)
        moves = np.log(rng.random(kind.shape)) < new - height
        x[moves], height[moves] = there[moves], new[moves]
        total += x
        square += x**2
    return x, total / steps, square / steps - (total / steps) ** 2


def sample_chains(target, start, kind, walkers: int, steps: int, seed: int = 0):
    """Samples (n, s, d), their types and the convergence (n,) of the first latent.

    Walkers begin at samples of the normal approximations about the modes uphill of `start`
    (n, k, d) and keep their type. After a burn-in of `steps` they walk three times as far,
    for three samples each.
    Convergence is the ratio R of Gelman and Rubin (1992) of all walkers.
    """
    rng = np.random.default_rng(seed)
    first = importance_sampling.mixture_at_modes(target, start, kind).sample(
        target, 20 * walkers, rng
    )
    weight = importance_sampling.tempered_weights(first.log_weight, walkers)
    rows = np.arange(len(kind))[:, None]
    chosen = importance_sampling.choose(weight, walkers, rng)
    x, kind = first.x[rows, chosen], first.kind[rows, chosen]
    x, *_ = metropolis(target, x, kind, steps, rng)
    found, means, variances = [], [], []
    for _ in range(SAMPLES):
        x, mean, variance = metropolis(target, x, kind, steps, rng)
        found.append(x)
        means.append(mean[..., 0])
        variances.append(variance[..., 0])
    within = (np.mean(variances, axis=0) + np.var(means, axis=0)).mean(axis=1)
    between = np.mean(means, axis=0).var(axis=1, ddof=1)
    return np.concatenate(found, axis=1), np.tile(kind, SAMPLES), np.sqrt(1 + between / within)


def sample_scenes(seed: int, galaxies, surveys, images, walkers: int, steps: int):
    """Samples (n, s, 20) of galaxies given their source images, with all that `sample_chains` does.

    Before them the model, after them the true latents.
    """
    observed = fisher.observed_scene(seed, galaxies, surveys, 0)
    pixels = fisher.pixel_information(observed, images)
    zero_points = (observed.seen.calibration - 1) / np.asarray(observed.survey.calibration_error)
    model = ComponentModel(replace(observed, zero_points=zero_points), surveys)
    truth = model.truth(seed, galaxies)
    start = np.repeat(truth[:, None], len(START_REDSHIFTS), axis=1)
    start[..., 0] += START_REDSHIFTS
    posterior = target(model, pixels, truth)
    return model, *sample_chains(posterior, start, model.kinds, walkers, steps, seed), truth


def observe_samples(model: ComponentModel, seed: int, galaxies, x, kind):
    """Target images (s, n, bands, H, W) of samples, as observed and noiseless."""
    flux = model.fluxes(x, kind)[0].astype(np.float32)
    survey, old, images = model.surveys[1], model.observed.scene, []
    for k in range(kind.shape[1]):
        new = torch.from_numpy(flux[:, k])
        field = old.flux[..., 4 : 4 - new.shape[-1]]
        scenes = replace(old, flux=torch.cat([new[..., :4], field, new[..., 4:]], dim=-1))
        seen = simulate.observing_conditions(seed, galaxies, survey, FIRST_OBSERVATION + k)
        with one_thread():
            images.append(simulate.observe(scenes, survey, 1, seen))
    return tuple(np.stack(part) for part in zip(*images, strict=True))
