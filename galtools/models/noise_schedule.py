"""Noise in, noise out: what a diffusion model mixes, predicts and solves.

At time t a clean array z has become z_t = alpha_t z + sigma_t e with white noise e. A network may
predict any of four things, from which z follows:

    eps:  e                       v:    alpha_t e - sigma_t z
    x0:   z                       flow: e - z, with alpha_t = 1 - t / T, sigma_t = t / T

The first three mix by the cosine schedule, alpha_t^2 + sigma_t^2 = 1. All four have the same best
answer E[z | z_t]; they differ in which errors cost how much, and in what a network that knows
nothing yet draws.
"""

import math
from functools import cache

import torch

from galtools.errors import GaltoolsError

STEPS_OF_TIME = 1000
SAMPLERS = ("ddim", "dpm++", "unipc")
PREDICTIONS = ("eps", "v", "x0", "flow")
WEIGHTINGS = ("plain", "min_snr")
LOUDEST = 5.0  # signal to noise (power) above which `min_snr` counts an error of z no more
NOTHING = 1e-6  # share of an earlier prediction below which a step does without it
# Times of UniPC of five steps on the cosine schedule. They were placed by lowering the largest
# error, relative to DDIM of fifty steps, of trained networks of both tasks: it is below one.
TIMESTEPS = {5: (999, 879, 636, 364, 137)}
REMEMBERED = 4  # earlier predictions that the step of any sampler may use


def check_names(prediction: str, weighting: str, sampler: str) -> None:
    """Refuse what nobody can train or solve."""
    known = {"prediction": PREDICTIONS, "weighting": WEIGHTINGS, "sampler": SAMPLERS}
    given = {"prediction": prediction, "weighting": weighting, "sampler": sampler}
    for what, name in given.items():
        if name not in known[what]:
            raise GaltoolsError(f"unknown {what} {name!r}: choose one of {', '.join(known[what])}")
    if (prediction, sampler) == ("flow", "ddim"):
        raise GaltoolsError("ddim cannot solve a flow: choose dpm++ or unipc")


def make_scheduler(name: str, steps: int, prediction: str = "v"):
    """Return a scheduler of diffusers for the schedule of a prediction, set to `steps`.

    In every step it is told the clean z, which `clean` makes of any prediction. UniPC of as many
    steps as `PLACED` knows is of third order, and stops at those times.
    """
    from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, UniPCMultistepScheduler

    options = {
        "num_train_timesteps": STEPS_OF_TIME,
        "beta_schedule": "squaredcos_cap_v2",
        "prediction_type": "sample",
        "timestep_spacing": "trailing",
    }
    placed = name == "unipc" and prediction != "flow" and steps in TIMESTEPS
    if prediction == "flow":
        options["use_flow_sigmas"] = True
    if placed:
        options["solver_order"] = 3
    if name == "ddim":
        made = DDIMScheduler(**options, clip_sample=False)
    elif name == "dpm++":
        made = DPMSolverMultistepScheduler(**options)
    else:
        made = UniPCMultistepScheduler(**options)
    made.set_timesteps(steps)
    if placed:
        made.timesteps = torch.tensor(TIMESTEPS[steps])
        alpha2 = made.alphas_cumprod[made.timesteps]
        made.sigmas = torch.cat([((1 - alpha2) / alpha2).sqrt(), torch.zeros(1)])
    return made


def cosine_alphas() -> torch.Tensor:
    """Return alpha_t^2 of the cosine schedule at each of the steps of time."""

    def bar(t):
        return math.cos((t / STEPS_OF_TIME + 0.008) / 1.008 * math.pi / 2) ** 2

    betas = [min(1 - bar(t + 1) / bar(t), 0.999) for t in range(STEPS_OF_TIME)]
    return torch.cumprod(1 - torch.tensor(betas, dtype=torch.float64), 0).float()


def amplitudes(prediction: str) -> torch.Tensor:
    """Return alpha_t and sigma_t of every step of time, (2, T)."""
    if prediction == "flow":
        sigma = torch.arange(STEPS_OF_TIME) / STEPS_OF_TIME
        return torch.stack([1 - sigma, sigma])
    alpha2 = cosine_alphas()
    return torch.stack([alpha2.sqrt(), (1 - alpha2).sqrt()])


def training_target(prediction: str, z, e, alpha, sigma) -> torch.Tensor:
    """Return what the network has to say of z mixed with e."""
    if prediction == "v":
        return alpha * e - sigma * z
    return {"eps": e, "x0": z, "flow": e - z}[prediction]


def loss_weight(weighting: str, prediction: str, alpha, sigma) -> torch.Tensor:
    """Weight of a square error of the prediction at each time.

    `plain` is one. With `min_snr`, an error of z itself counts min(snr, `LOUDEST`),
    snr = alpha^2 / sigma^2; the factor turns it into one of the prediction's own error:
    dz = -(sigma / alpha) de = -sigma dv = -sigma dflow.
    """
    if weighting == "plain":
        return torch.ones_like(alpha)
    snr = alpha**2 / sigma.clamp(min=1e-3) ** 2
    factor = {"eps": 1 / snr.clamp(min=1e-9), "x0": torch.ones_like(snr)}
    return snr.clamp(max=LOUDEST) * factor.get(prediction, sigma**2)


def to_x0(prediction: str, said, z, alpha, sigma) -> torch.Tensor:
    """Return the z that a prediction means for z_t: the inverse of `wanted`."""
    if prediction == "x0":
        return said
    if prediction == "flow":
        return torch.sub(z, said, alpha=sigma)
    if prediction == "v":
        return torch.sub(alpha * z, said, alpha=sigma)
    return torch.sub(z, said, alpha=sigma) / alpha


@cache
def recurrence(name: str, steps: int, prediction: str) -> list[tuple]:
    """Return what a scheduler does in each step: t, its amplitudes alpha and sigma, c and d of

        z_{k+1} = c z_k + d_0 x_k + d_1 x_{k-1} + ...,

    where x_k is the clean z that the prediction at z_k means. Every sampler is linear in the noise
    and in all that was predicted; so its scheduler is asked once, with unit vectors in their place,
    and costs nothing afterwards.
    """
    plan = make_scheduler(name, steps, prediction)
    units = torch.eye(steps + 1, dtype=torch.float64)[:, None]  # of the noise, x_0, x_1, ...
    z, rows = units[0], []
    for k, t in enumerate(plan.timesteps):
        after = plan.step(units[k + 1], t, z).prev_sample
        c = float(after[0, 0] / z[0, 0])
        d = (after - c * z)[0, 1 : k + 2].flip(0)
        lags = int(d.abs().gt(NOTHING).nonzero().max()) + 1
        rows.append((t.view(1), *amplitudes(prediction)[:, t].tolist(), c, d[:lags].tolist()))
        z = after
    return rows


def sample(
    predict, noise: torch.Tensor, name: str = "unipc", steps: int = 7, prediction: str = "v"
) -> torch.Tensor:
    """Turn white noise into a sample; ``predict(z_t, t)`` gives the prediction, t of shape (1,)."""
    z, known = noise, []
    for t, alpha, sigma, c, d in recurrence(name, steps, prediction):
        known = [to_x0(prediction, predict(z, t), z, alpha, sigma), *known[:REMEMBERED]]
        z = c * z
        for share, x in zip(d, known, strict=False):
            z.add_(x, alpha=share)
    return z
