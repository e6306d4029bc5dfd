"""Redshift estimators: ensembles of networks that differ in their seed, calibrated together."""

from dataclasses import dataclass, replace

import numpy as np
import torch

from galtools.data.stretch import Stretch
from galtools.models import checkpoint
from galtools.redshift.density import (
    Grid,
    apply_temperature,
    fit_recalibration,
    fit_temperature,
    log_mean_density,
    recalibrate,
)
from galtools.redshift.network import Features, RedshiftNetwork
from galtools.training import loop
from galtools.training.loop import Settings


@dataclass
class Ensemble:
    """Networks that see the same features, and the calibration of their densities."""

    networks: list[RedshiftNetwork]
    temperature: float = 1.0
    tilt: tuple[float, float] = (0.0, 0.0)  # of `recalibrate`

    @classmethod
    def untrained(cls, bands: int, seed: int, members: int, **recipe) -> "Ensemble":
        """Networks whose first weights differ, on the GPU if there is one."""
        networks = []
        for member in range(members):
            with torch.random.fork_rng():
                torch.manual_seed(seed * 100 + member)
                networks.append(RedshiftNetwork(bands, **recipe).to(loop.best_device()))
        return cls(networks)

    @property
    def grid(self) -> Grid:
        """Bins of the densities."""
        return self.networks[0].grid

    def prepare(self, images, noise) -> None:
        """Set the sky noise per pixel (bands,) and the stretch, by some images."""
        for network in self.networks:
            network.prepare(images, noise)

    def extract_features(self, images) -> Features:
        """Features of images (n, bands, H, W) in nanomaggies, which all networks share."""
        return self.networks[0].extract_features(images)

    def fit(self, features: Features, z, settings: Settings) -> "Ensemble":
        """Train every network with a seed of its own."""
        for member, network in enumerate(self.networks):
            own = replace(settings, seed=settings.seed * 100 + member)
            network.fit(features, z, own)
        return self

    def calibrate(self, features: Features, z) -> "Ensemble":
        """Fit temperature and tilt to galaxies that were not trained on."""
        log_p = log_mean_density(self._log_densities(features))
        self.temperature = fit_temperature(log_p, z, self.grid)
        density = apply_temperature(log_p, self.temperature)
        self.tilt = fit_recalibration(density, z, self.grid)
        return self

    def densities(self, features: Features) -> tuple[np.ndarray, np.ndarray]:
        """Calibrated densities of the ensemble (n, bins) and of each network (m, n, bins)."""
        each = self._log_densities(features)
        mean, members = (
            recalibrate(apply_temperature(log_p, self.temperature), self.tilt)
            for log_p in (log_mean_density(each), each)
        )
        return mean, members

    def _log_densities(self, features):
        return np.stack([network.log_density(features) for network in self.networks])

    def predict(self, images) -> np.ndarray:
        """Calibrated densities (n, bins) of images."""
        return self.densities(self.extract_features(images))[0]

    def save(self, path) -> None:
        """Write the networks and their calibration to one file."""
        first = self.networks[0]
        about = {
            "recipe": first.recipe,
            "grid": [first.grid.bins, first.grid.z_max],
            "temperature": self.temperature,
            "tilt": self.tilt,
            "stretch": vars(first.stretch),
            "members": len(self.networks),
        }
        checkpoint.save(path, {k: n.state_dict() for k, n in enumerate(self.networks)}, about)

    @classmethod
    def load(cls, path) -> "Ensemble":
        """Read what `save` wrote, onto the GPU if there is one."""
        tensors, about = checkpoint.load_finite(path)
        networks = []
        with checkpoint.fitting(path):
            for k in range(about["members"]):
                options = {"grid": Grid(*about["grid"]), **about["recipe"]}
                network = checkpoint.build_for(tensors[str(k)], RedshiftNetwork, **options)
                network.stretch = Stretch.from_dict(about["stretch"])
                networks.append(network.to(loop.best_device()).eval())
            tilt = tuple(map(float, about["tilt"]))
            return cls(networks, float(about["temperature"]), tilt)


def train_ensemble(
    images, z, noise, valid_images, valid_z, settings: Settings, members: int = 2, **recipe
) -> Ensemble:
    """Train networks that differ in their seed, and calibrate them on the validation galaxies.

    Images (n, bands, H, W) are in nanomaggies, `noise` (bands,) is that of the sky per pixel;
    `recipe` goes to `RedshiftNetwork`.
    """
    ensemble = Ensemble.untrained(images.shape[1], settings.seed, members, **recipe)
    ensemble.prepare(images, noise)
    train, valid = map(ensemble.extract_features, (images, valid_images))
    return ensemble.fit(train, z, settings).calibrate(valid, valid_z)


def densities_by_feature_group(
    choices, train, valid, images, noise, settings: Settings, members=1, **recipe
):
    """Densities of `images` by an ensemble for each of the `choices` of feature groups.

    `train` and `valid` are (images, redshifts), to train and to calibrate. Returns a dictionary
    {groups: (n, bins)} and the grid of the bins. Each ensemble is the one that `train_ensemble`
    would train, but features are extracted once.
    """
    whole = RedshiftNetwork(images.shape[1], **recipe).to(loop.best_device())
    whole.prepare(train[0], noise)
    features = [whole.extract_features(x) for x in (train[0], valid[0], images)]
    found = {}
    for groups in choices:
        columns = whole.photometry.columns(groups)
        own = [part._replace(photometry=part.photometry[:, columns]) for part in features]
        ensemble = Ensemble.untrained(
            images.shape[1], settings.seed, members, groups=groups, **recipe
        )
        ensemble.fit(own[0], train[1], settings).calibrate(own[1], valid[1])
        found[groups] = ensemble.densities(own[2])[0]
    return found, whole.grid
