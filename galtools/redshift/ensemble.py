"""Small ensembles of estimators that differ in their seed, with one temperature, in one file."""

import copy
from dataclasses import dataclass, replace

import numpy as np
import torch

from galtools.data.stretch import Stretch
from galtools.redshift.density import Grid, apply_temperature, fit_temperature, mean_log_density
from galtools.redshift.network import (
    RedshiftNetwork,
    check_bands,
    extract_features,
    log_densities,
    train_networks,
    train_on_features,
)
from galtools.training import checkpoint, loop
from galtools.training.loop import Settings


@dataclass
class Ensemble:
    """Trained networks, their common temperature, and how they are kept in one file."""

    networks: list
    temperature: float = 1.0

    @property
    def grid(self) -> Grid:
        """Bins of the densities."""
        return self.networks[0].grid

    def densities(self, images) -> tuple[np.ndarray, np.ndarray]:
        """Calibrated densities of the ensemble (n, bins) and of each network (m, n, bins)."""
        each = log_densities(self.networks, images)
        apart = np.stack([apply_temperature(log_p, self.temperature) for log_p in each])
        return apply_temperature(mean_log_density(each), self.temperature), apart

    def predict(self, images) -> np.ndarray:
        """Calibrated densities (n, bins) of the ensemble."""
        return self.densities(images)[0]

    def calibrate(self, images, z) -> "Ensemble":
        """Fit the temperature to galaxies that were not trained on."""
        log_p = mean_log_density(log_densities(self.networks, images))
        self.temperature = fit_temperature(log_p, z, self.grid)
        return self

    def tuned(self, images, z, valid_images, valid_z, settings: Settings) -> "Ensemble":
        """Copy of the ensemble that went on learning from other images, calibrated anew."""
        return self.tuned_on_seen(self.see(images), z, valid_images, valid_z, settings)

    def see(self, images) -> list[torch.Tensor]:
        """Measured numbers and pictures of images, which take less memory than the images."""
        check_bands(self.networks[0], images)
        device = loop.best_device()
        return extract_features(self.networks[0].to(device), images, device)

    def tuned_on_seen(self, seen, z, valid_images, valid_z, settings: Settings) -> "Ensemble":
        """Like `tuned`, by what was seen in the images: it can be put together part by part."""
        networks = copy.deepcopy(self.networks)
        own = [_of_member(settings, k) for k in range(len(networks))]
        train_on_features(networks, seen, z, own, tune=True)
        return Ensemble(networks).calibrate(valid_images, valid_z)

    def save(self, path) -> None:
        """Write the networks and their temperature to one file."""
        first = self.networks[0]
        about = {
            "recipe": first.recipe,
            "grid": [first.grid.bins, first.grid.z_max],
            "temperature": self.temperature,
            "stretches": [vars(network.stretch) for network in self.networks],
        }
        tensors = {
            f"{k}/{name}": value
            for k, network in enumerate(self.networks)
            for name, value in network.state_dict().items()
        }
        checkpoint.save(path, tensors, about)

    @classmethod
    def load(cls, path) -> "Ensemble":
        """Read what `save` wrote, onto the GPU if there is one."""
        tensors, about = checkpoint.load(path)
        networks = []
        for k, stretch in enumerate(about["stretches"]):
            network = RedshiftNetwork(grid=Grid(*about["grid"]), **about["recipe"])
            network.load_state_dict(checkpoint.select(tensors, str(k)))
            network.stretch = Stretch.from_dict(stretch)
            networks.append(network.to(loop.best_device()).eval())
        return cls(networks, about["temperature"])


def _of_member(settings: Settings, member: int) -> Settings:
    """Give every network of an ensemble its own seed."""
    return replace(settings, seed=settings.seed * 100 + member)


def train_ensemble(
    images, z, noise, valid_images, valid_z, settings: Settings, members: int = 2, **recipe
) -> Ensemble:
    """Train networks that differ in their seed, and calibrate them on the validation galaxies."""
    networks, own = new_members(images.shape[1], settings, members, **recipe)
    train_networks(networks, images, z, noise, own)
    return Ensemble(networks).calibrate(valid_images, valid_z)


def new_members(bands: int, settings: Settings, members: int, **recipe):
    """Make networks that differ in their seed, and the settings of each."""
    networks, own = [], [_of_member(settings, member) for member in range(members)]
    for each in own:
        with torch.random.fork_rng():
            torch.manual_seed(each.seed)
            networks.append(RedshiftNetwork(bands, **recipe))
    return networks, own
