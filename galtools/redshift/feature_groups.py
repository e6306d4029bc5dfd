"""What estimators find in each choice of what is measured: light, peak, shape, or several."""

import numpy as np

from galtools.redshift.density import apply_temperature, fit_temperature, mean_log_density
from galtools.redshift.ensemble import new_members
from galtools.redshift.network import (
    RedshiftNetwork,
    check_bands,
    extract_features,
    log_density_of_features,
    prepare,
    train_on_features,
)
from galtools.training.loop import Settings, best_device


def densities_by_feature_group(
    choices, learn, valid, images, noise, settings: Settings, members=1, **recipe
):
    """Densities of the redshifts of `images` by an ensemble for each of the choices of groups.

    `learn` and `valid` are (images, redshifts), to train and to calibrate; `recipe` goes to the
    networks. A dictionary {groups: (n, bins)} and the grid of the bins. Each ensemble is the one
    that `train_ensemble` would train; but all that is measured on an image is measured once.
    """
    device, bands = best_device(), images.shape[1]
    whole = RedshiftNetwork(bands, **recipe).to(device)
    prepare(whole, learn[0], noise)
    seen = []
    for some in (learn[0], valid[0], images):
        check_bands(whole, some)
        seen.append(extract_features(whole, some, device))
    found = {}
    for groups in choices:
        columns = _columns(whole.measure.sizes, groups)
        networks, own = new_members(bands, settings, members, groups=groups, **recipe)
        for network in networks:
            network.to(device)
        train_on_features(networks, (seen[0][0][:, columns], seen[0][1]), learn[1], own)

        def log_p(numbers, pictures, networks=networks, columns=columns):
            return mean_log_density(
                [log_density_of_features(one, numbers[:, columns], pictures) for one in networks]
            )

        temperature = fit_temperature(log_p(*seen[1]), valid[1], whole.grid)
        found[groups] = apply_temperature(log_p(*seen[2]), temperature)
    return found, whole.grid


def _columns(sizes: dict[str, int], groups) -> np.ndarray:
    """Places of the numbers of some groups among those of all."""
    return np.flatnonzero(np.repeat([group in groups for group in sizes], list(sizes.values())))
