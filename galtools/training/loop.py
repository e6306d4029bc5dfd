"""The one training loop, for every translator and for the redshift estimator.

A step draws a batch and lets every player of the network (most have one, a GAN has two) move once.
The random numbers of step k follow from (seed, k) alone, so a training that was interrupted and
taken up again ends with the very weights of an undisturbed one, on the same machine. Under
torchrun, several processes share each batch (`galtools.training.distributed`).

This module and what it imports need only torch, numpy, h5py, safetensors and einops.
"""

import math
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn

from galtools.errors import GaltoolsError
from galtools.training import checkpoint, distributed
from galtools.training.adamw import AdamW

LEAP = 1000.0  # a loss this many times its running mean counts as divergence


@dataclass(frozen=True)
class Settings:
    """How long and how fast to train; defaults suit two CPU cores."""

    steps: int = 600
    batch: int = 16
    crop: int = 32  # pixels along a side of the random crops; 0 takes whole stamps
    rate: float = 2e-3  # highest learning rate, reached after the warm-up
    warmup: float = 0.05  # share of the steps with a rising rate; then a cosine to zero
    weight_decay: float = 1e-4
    clip: float = 1.0  # largest norm of a player's gradient
    ema: float = 0.995  # memory of the running mean of the weights, per step
    checks: int = 5  # validations, evenly spaced, the last one at the end
    seed: int = 0
    max_seconds: float = 0.0  # stop early on the clock; 0: never, as only steps are repeatable
    save_seconds: float = 15.0  # between two checkpoints

    def __post_init__(self):
        """Refuse what could not train."""
        if min(self.steps, self.batch, self.checks) < 1 or self.rate <= 0 or self.crop < 0:
            raise GaltoolsError("steps, batch, checks and rate must be positive, crop not negative")

    def rate_at(self, share: float) -> float:
        """Learning rate after a share of the steps: a linear rise, then half a cosine to zero."""
        if share < self.warmup:
            return self.rate * (share / self.warmup + 1 / self.steps)
        fall = (share - self.warmup) / (1 - self.warmup)
        return self.rate * (1 + math.cos(math.pi * fall)) / 2

    def is_check(self, step: int) -> bool:
        """Tell whether a validation follows this step."""
        marks = {math.ceil(self.steps * k / self.checks) - 1 for k in range(1, self.checks + 1)}
        return step in marks


def best_device() -> torch.device:
    """Return the GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def step_rng(seed: int, step: int, device) -> torch.Generator:
    """Return the random numbers of one step; they depend on nothing but (seed, step)."""
    generator = torch.Generator(device)
    return generator.manual_seed((seed * 1_000_003 + step) * 2_654_435_761 % 2**63)


class EMA:
    """Exponential running mean of the weights; it forgets faster while it is young."""

    def __init__(self, network: nn.Module, memory: float):
        """Start at the present weights."""
        self.memory = memory
        self.values = {name: v.detach().clone() for name, v in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Move towards the present weights; what is not a float (a counter) is copied."""
        move = 1 - min(self.memory, (1 + step) / (10 + step))
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                self.values[name].lerp_(value, move)
            else:
                self.values[name].copy_(value)

    @contextmanager
    def worn_by(self, network: nn.Module):
        """Lend the mean weights to the network for a while, in evaluation mode."""
        own = {name: value.detach().clone() for name, value in network.state_dict().items()}
        network.load_state_dict(self.values)
        network.eval()
        try:
            yield network
        finally:
            network.load_state_dict(own)
            network.train()


class Progress:
    """One line per validation; on a terminal also a live line with rate and time left."""

    def __init__(self, label: str, steps: int, start: int = 0):
        """Start the clock."""
        self.label, self.steps, self.start = label, steps, start
        self.began = time.perf_counter()
        self.live = sys.stdout.isatty() and distributed.is_main()

    def seconds(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self.began

    def tick(self, step: int, loss: float) -> None:
        """Refresh the live line."""
        if self.live:
            rate = (step + 1 - self.start) / max(self.seconds(), 1e-9)
            left = (self.steps - step - 1) / rate
            print(f"\r{self.label} {step + 1}/{self.steps} {rate:.1f}/s, {left:.0f} s left, "
                  f"loss {loss:.4f} ", end="", flush=True)  # fmt: skip

    def check(self, step: int, loss: float, numbers: dict) -> None:
        """Print one lasting line."""
        if not distributed.is_main():
            return
        said = "".join(f", {name} {value:.4g}" for name, value in list(numbers.items())[:3])
        print(f"{chr(13) if self.live else ''}{self.label} step {step + 1}/{self.steps}: "
              f"loss {loss:.4f}{said} ({self.seconds():.0f} s)", flush=True)  # fmt: skip


class Trainer:
    """State of one training: weights, their running mean, optimisers, history and step."""

    def __init__(self, network: nn.Module, settings: Settings, device=None):
        """Start from the network's present weights."""
        self.settings, self.device = settings, torch.device(device or best_device())
        self.network = network.to(self.device).train()
        self.players = network.players()
        self.optimisers = {
            name: AdamW(player.parameters, settings.rate, settings.weight_decay)
            for name, player in self.players.items()
            if player.parameters
        }
        self.average = EMA(network, settings.ema)
        self.history, self.step = [], 0
        self.sums, self.usual = {}, {}

    def move(self, name: str, batch) -> float:
        """Let one player lower its loss by one step; return the loss (nan if it sits out)."""
        player, optimiser = self.players[name], self.optimisers[name]
        share = (self.step / self.settings.steps - player.begin) / (player.end - player.begin)
        if not 0 <= share < 1:
            return math.nan
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            terms = player.losses(batch)
        total = sum(terms.values())
        means = dict(zip(terms, distributed.all_reduce_mean(list(terms.values())), strict=True))
        loss = self._refuse_divergence(name, sum(means.values()).item())
        optimiser.rate = player.pace * self.settings.rate_at(share)
        slopes = torch.autograd.grad(total, player.parameters, allow_unused=True)
        for parameter, slope in zip(
            player.parameters, distributed.all_reduce_mean(slopes), strict=True
        ):
            parameter.grad = slope
        nn.utils.clip_grad_norm_(player.parameters, self.settings.clip)
        optimiser.step()
        for term, value in means.items():
            self.sums.setdefault(f"{name}_{term}", []).append(value.item())
        return loss

    def _refuse_divergence(self, name: str, loss: float) -> float:
        usual = self.usual.get(name, abs(loss))
        if not math.isfinite(loss) or abs(loss) > LEAP * max(usual, 1.0):
            raise GaltoolsError(
                f"training diverged at step {self.step + 1} (loss of the {name}: {loss:.3g}): "
                "lower the learning rate; checkpoint.safetensors holds the last good weights"
            )
        self.usual[name] = 0.98 * usual + 0.02 * abs(loss)
        return loss

    def advance(self, draw: Callable) -> float:
        """Take one step of every player; return the sum of their losses."""
        generator = step_rng(self.settings.seed, self.step, self.device)
        whole = draw(generator, self.step / self.settings.steps)
        batch = distributed.shard_batch(whole, self.settings.batch)
        losses = [self.move(name, batch) for name in self.optimisers]
        self.average.update(self.network, self.step)
        self.step += 1
        return sum(loss for loss in losses if not math.isnan(loss))

    def validate(self, check: Callable | None, seconds: float) -> dict:
        """Judge the mean weights and note a row of history."""
        numbers = {}
        if check:
            with self.average.worn_by(self.network) as network, torch.no_grad():
                numbers = check(network)
        means = {term: sum(values) / len(values) for term, values in self.sums.items()}
        self.sums = {}
        row = {"step": self.step, "seconds": round(seconds, 2), **means, **numbers}
        self.history.append(row)
        return numbers

    def save(self, path: Path, key: str) -> None:
        """Write everything that is needed to go on from here; one of several processes does."""
        if not distributed.is_main():
            return
        tensors = {f"network/{k}": v for k, v in self.network.state_dict().items()}
        tensors |= {f"average/{k}": v for k, v in self.average.values.items()}
        for name, optimiser in self.optimisers.items():
            tensors |= checkpoint.flatten_optimiser(name, optimiser.state)
        about = {"key": key, "step": self.step, "history": self.history}
        checkpoint.save(path, tensors, {**about, "sums": self.sums, "usual": self.usual})

    def resume(self, path: Path, key: str) -> bool:
        """Go on from a checkpoint of the same training, if there is one."""
        try:
            tensors, about = checkpoint.load(path)
        except GaltoolsError:
            return False
        if about.get("key") != key:
            return False
        self.network.load_state_dict(checkpoint.select(tensors, "network"))
        for name, value in checkpoint.select(tensors, "average").items():
            self.average.values[name].copy_(value)
        for name, optimiser in self.optimisers.items():
            optimiser.state = checkpoint.optimiser_state(name, tensors, self.device)
        self.step, self.history = about["step"], about["history"]
        self.sums, self.usual = about["sums"], about["usual"]
        return True


def fit(network, draw, settings, *, check=None, folder=None, key="", label="training", device=None):
    """Train a network in place and return the history, one dictionary per validation.

    ``draw(generator, progress)`` gives the batch of a step; ``check(network)`` gives numbers of
    validation. With a `folder`, checkpoint.safetensors is kept there until the end, and a training
    with the same `key` goes on from it. The network is left with the mean weights.
    """
    trainer = Trainer(network, settings, device)
    state = Path(folder) / "checkpoint.safetensors" if folder else None
    if state:
        trainer.resume(state, key)
    progress = Progress(label, settings.steps, trainer.step)
    saved = 0.0
    while trainer.step < settings.steps:
        loss = trainer.advance(draw)
        progress.tick(trainer.step - 1, loss)
        out_of_time = bool(settings.max_seconds) and distributed.broadcast(
            settings.max_seconds < progress.seconds()
        )
        judged = settings.is_check(trainer.step - 1) or out_of_time
        if judged:
            progress.check(trainer.step - 1, loss, trainer.validate(check, progress.seconds()))
        if state and (judged or progress.seconds() - saved > settings.save_seconds):
            trainer.save(state, key)
            saved = progress.seconds()
        if out_of_time:
            break
    network.load_state_dict(trainer.average.values)
    network.eval()
    return trainer.history


def is_fixed(network: nn.Module) -> bool:
    """Tell whether there is nothing to train."""
    return not any(player.parameters for player in network.players().values())


def settings_dict(settings: Settings) -> dict:
    """Settings that decide the weights; how often checkpoints are written does not."""
    return {k: v for k, v in asdict(settings).items() if k != "save_seconds"}
