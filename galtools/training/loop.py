"""The one training loop, for every translator and for the redshift estimator.

In each step every optimizer group of the network (most have one, a GAN has two) is updated once.
The random numbers of step k follow from (seed, k) alone, so a training that was interrupted and
resumed ends with exactly the weights of an undisturbed one, on the same machine. Under torchrun,
several processes share each batch (`galtools.training.distributed`).
"""

import math
import sys
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.optim import AdamW
from tqdm import tqdm

from galtools.errors import GaltoolsError, check_choice
from galtools.models import checkpoint
from galtools.models.base import autocast, has_bfloat16
from galtools.training import distributed

SAVE_SECONDS = 15.0  # between two checkpoints
READ_STEPS = 16  # steps whose losses are read from the device together
PROGRESS = ("step", "seconds", "history", "losses")  # of a training, kept beside its weights
PRECISIONS = ("auto", "float32", "bfloat16")


@dataclass(frozen=True)
class Settings:
    """How long and how fast to train; defaults suit two CPU cores."""

    steps: int = 600
    batch: int = 16
    crop: int = 32  # pixels along a side of the random crops; 0 takes whole stamps
    rate: float = 2e-3  # highest learning rate, reached after the warm-up
    warmup: float = 0.05  # fraction of the steps with a rising rate; then a cosine to zero
    weight_decay: float = 1e-4
    clip: float = 1.0  # largest norm of a group's gradient
    ema: float = 0.995  # decay of the running mean of the weights, per step
    checks: int = 5  # validations, evenly spaced, the last one at the end
    precision: str = "auto"  # of the networks; losses are float32. auto: see `used_precision`
    seed: int = 0
    snapshots: bool = False  # keep the averaged weights of every validation

    def __post_init__(self):
        check_choice("precision", self.precision, PRECISIONS)
        if min(self.steps, self.batch, self.checks) < 1 or self.rate <= 0 or self.crop < 0:
            raise GaltoolsError("steps, batch, checks and rate must be positive, crop not negative")

    def learning_rate(self, progress: float) -> float:
        """Learning rate after a fraction of the steps: linear warm-up, then a cosine to zero."""
        if progress < self.warmup:
            return self.rate * (progress / self.warmup + 1 / self.steps)
        decay = (progress - self.warmup) / (1 - self.warmup)
        return self.rate * (1 + math.cos(math.pi * decay)) / 2

    def is_check(self, step: int) -> bool:
        """Whether a validation follows this step."""
        marks = {math.ceil(self.steps * k / self.checks) - 1 for k in range(1, self.checks + 1)}
        return step in marks


def best_device() -> torch.device:
    """Return the GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def step_rng(seed: int, step: int, device) -> torch.Generator:
    """Random numbers of one step, which depend on (seed, step) alone."""
    generator = torch.Generator(device)
    return generator.manual_seed((seed * 1_000_003 + step) * 2_654_435_761 % 2**63)


def used_precision(setting: str, device) -> str:
    """Return the precision of the networks; "auto" is bfloat16 where the device computes in it."""
    if setting != "auto":
        return setting
    return "bfloat16" if has_bfloat16(device) else "float32"


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Move averaged weights towards those after `step` steps; the first steps count for more."""
    weight = 1 - min(decay, (1 + step) / (10 + step))
    torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), weight)


class Trainer:
    """State of one training: weights, their running mean, optimizers, history and step."""

    def __init__(self, network: nn.Module, settings: Settings, device=None):
        self.settings, self.device = settings, torch.device(device or best_device())
        self.network = network.to(self.device).train()
        self.autocast = used_precision(settings.precision, self.device) == "bfloat16"
        self.groups = network.optimizer_groups()
        self.optimizers = {
            name: AdamW(
                group.parameters, settings.rate, weight_decay=settings.weight_decay, foreach=True
            )
            for name, group in self.groups.items()
        }
        self.ema = deepcopy(network).eval()
        self.history, self.step, self.seconds = [], 0, 0.0
        self.losses = {}  # {term: values since the last validation}
        self.unread = []  # (step, names of the terms, their values on the device)

    def update(self, name: str, batch) -> None:
        """Take one optimizer step of a group, if it is its time to train."""
        group, optimizer = self.groups[name], self.optimizers[name]
        progress = (self.step / self.settings.steps - group.begin) / (group.end - group.begin)
        if not 0 <= progress < 1:
            return
        with autocast(self.device, enabled=self.autocast):
            terms = group.losses(batch)
        values = torch.stack(distributed.all_reduce_mean(terms.values()))
        self.unread.append((self.step, [f"{name}_{term}" for term in terms], values.detach()))
        gradients = torch.autograd.grad(sum(terms.values()), group.parameters, allow_unused=True)
        gradients = distributed.all_reduce_mean(gradients)
        for parameter, gradient in zip(group.parameters, gradients, strict=True):
            parameter.grad = gradient
        nn.utils.clip_grad_norm_(group.parameters, self.settings.clip)
        optimizer.param_groups[0]["lr"] = group.lr_scale * self.settings.learning_rate(progress)
        optimizer.step()

    def read_losses(self) -> None:
        """Read the losses of the last steps from the device, all at once; refuse what diverged."""
        if not self.unread:
            return
        numbers = iter(torch.cat([values for *_, values in self.unread]).tolist())
        for step, terms, _ in self.unread:
            for term in terms:
                value = next(numbers)
                if not math.isfinite(value):
                    raise GaltoolsError(
                        f"training diverged at step {step + 1} ({term} {value}): lower the "
                        "learning rate; checkpoint.safetensors holds the last good weights"
                    )
                self.losses.setdefault(term, []).append(value)
        self.unread = []

    def training_step(self, make_batch: Callable) -> None:
        """Update every group once."""
        generator = step_rng(self.settings.seed, self.step, self.device)
        batch = make_batch(generator, self.step / self.settings.steps)
        batch = distributed.shard_batch(batch)
        for name in self.groups:
            self.update(name, batch)
        update_average(self.ema, self.network, self.settings.ema, self.step)
        self.step += 1
        if self.step % READ_STEPS == 0:
            self.read_losses()

    def validate(self, check: Callable | None) -> dict:
        """Evaluate the averaged weights and add a row to the history; return what is new in it."""
        self.read_losses()
        with torch.no_grad():
            numbers = check(self.ema) if check else {}
        means = {term: sum(values) / len(values) for term, values in self.losses.items()}
        self.losses = {}
        row = {"step": self.step, "seconds": round(self.seconds, 2), **means, **numbers}
        self.history.append(row)
        return numbers or means

    def save(self, path: Path, key: str) -> None:
        """Write everything that is needed to go on from here, in the main process."""
        self.read_losses()
        if not distributed.is_main():
            return
        optimizers = {name: o.state_dict()["state"] for name, o in self.optimizers.items()}
        tensors = {"network": self.network.state_dict(), "ema": self.ema.state_dict()}
        about = {name: getattr(self, name) for name in PROGRESS}
        checkpoint.save(path, {**tensors, "optimizers": optimizers}, {"key": key, **about})

    def resume(self, path: Path, key: str) -> None:
        """Go on from a checkpoint of the same training, if there is one."""
        try:
            tensors, about = checkpoint.load(path)
        except GaltoolsError:
            return
        if about.get("key") != key:
            return
        self.network.load_state_dict(tensors["network"])
        self.ema.load_state_dict(tensors["ema"])
        for name, optimizer in self.optimizers.items():
            state = tensors.get("optimizers", {}).get(name, {})
            state = {int(number): moments for number, moments in state.items()}
            optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
        for name in PROGRESS:
            setattr(self, name, about[name])


def report(label: str, numbers: dict, seconds: float) -> None:
    """Print the first numbers of a validation in one line, in the main process."""
    if distributed.is_main():
        shown = ", ".join(f"{name} {value:.4g}" for name, value in list(numbers.items())[:4])
        tqdm.write(f"{label}: {shown} ({seconds:.0f} s)", file=sys.stdout)


def fit(
    network, make_batch, settings, *, check=None, folder=None, key="", label="training", device=None
) -> list[dict]:
    """Train a network in place and return the history, one dictionary per validation.

    ``make_batch(generator, progress)`` gives the batch of a step; ``check(network)`` gives numbers
    of validation. With a `folder`, checkpoint.safetensors is kept there until the end, and a
    training with the same `key` resumes from it, and with snapshots the averaged weights after k
    steps stay as snapshot<k>.safetensors. The network is left with the averaged weights.
    """
    trainer = Trainer(network, settings, device)
    state = Path(folder) / "checkpoint.safetensors" if folder else None
    if state:
        trainer.resume(state, key)
    saved = time.perf_counter()
    start = saved - trainer.seconds  # those of the interrupted part
    steps = range(trainer.step, settings.steps)
    quiet = not (distributed.is_main() and sys.stdout.isatty())
    for step in tqdm(steps, label, leave=False, file=sys.stdout, disable=quiet):
        trainer.training_step(make_batch)
        trainer.seconds = time.perf_counter() - start
        if check_now := settings.is_check(step):
            numbers = trainer.validate(check)
            report(f"{label} step {step + 1}/{settings.steps}", numbers, trainer.seconds)
            if state and settings.snapshots and distributed.is_main():
                snapshot = state.with_name(f"snapshot{step + 1}.safetensors")
                checkpoint.save(snapshot, trainer.ema.state_dict(), trainer.history[-1])
        if state and (check_now or time.perf_counter() - saved > SAVE_SECONDS):
            trainer.save(state, key)
            saved = time.perf_counter()
    network.load_state_dict(trainer.ema.state_dict())
    network.eval()
    return trainer.history
