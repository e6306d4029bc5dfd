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
from copy import deepcopy
from functools import cache

import torch

from galtools.errors import GaltoolsError

STEPS_OF_TIME = 1000
SAMPLERS = ("ddim", "dpm++", "unipc")
PREDICTIONS = {
    "eps": "epsilon",
    "v": "v_prediction",
    "x0": "sample",
    "flow": "flow_prediction",
}  # our names and those of diffusers
WEIGHTINGS = ("plain", "min_snr")
LOUDEST = 5.0  # signal to noise (power) above which `min_snr` counts an error of z no more


def refuse_unknown(prediction: str, weighting: str, sampler: str) -> None:
    """Refuse what nobody can train or solve."""
    known = {"prediction": PREDICTIONS, "weighting": WEIGHTINGS, "sampler": SAMPLERS}
    given = {"prediction": prediction, "weighting": weighting, "sampler": sampler}
    for what, name in given.items():
        if name not in known[what]:
            raise GaltoolsError(f"unknown {what} {name!r}: choose one of {', '.join(known[what])}")
    if (prediction, sampler) == ("flow", "ddim"):
        raise GaltoolsError("ddim cannot solve a flow: choose dpm++ or unipc")


@cache
def scheduler(name: str, steps: int, prediction: str = "v"):
    """Return a scheduler of diffusers for the schedule of a prediction, set to `steps`.

    It is made once, which costs as much as a step of the solution: whoever uses it takes a copy.
    """
    from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, UniPCMultistepScheduler

    options = {
        "num_train_timesteps": STEPS_OF_TIME,
        "beta_schedule": "squaredcos_cap_v2",
        "prediction_type": PREDICTIONS[prediction],
        "timestep_spacing": "trailing",
    }
    if prediction == "flow":
        options["use_flow_sigmas"] = True
    if name == "ddim":
        made = DDIMScheduler(**options, clip_sample=False)
    elif name == "dpm++":
        made = DPMSolverMultistepScheduler(**options)
    else:
        made = UniPCMultistepScheduler(**options)
    made.set_timesteps(steps)
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


def wanted(prediction: str, z, e, alpha, sigma) -> torch.Tensor:
    """Return what the network has to say of z mixed with e."""
    if prediction == "v":
        return alpha * e - sigma * z
    return {"eps": e, "x0": z, "flow": e - z}[prediction]


def weight(weighting: str, prediction: str, alpha, sigma) -> torch.Tensor:
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


def solve(
    predict, noise: torch.Tensor, name: str = "unipc", steps: int = 7, prediction: str = "v"
) -> torch.Tensor:
    """Turn white noise into a sample; ``predict(z_t, t)`` gives the prediction."""
    plan, z = deepcopy(scheduler(name, steps, prediction)), noise
    for t in plan.timesteps:
        z = plan.step(predict(z, t), t, z).prev_sample
    return z
