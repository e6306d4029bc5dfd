"""What a network has to beat: classic estimators on the fluxes that everybody measures."""

import numpy as np

from galtools.data.photometry import aperture_flux, asinh_magnitude


def colour_features(images: np.ndarray, radius: float = 0.2, peaks: bool = False) -> np.ndarray:
    """Features for the baselines, (n, bands): r-like magnitude and neighbouring colours.

    Fluxes within `radius` (in stamps) of the centre, or those of the brightest pixel; asinh
    magnitudes stay finite for the negative fluxes that noise makes.
    """
    side = images.shape[-1]
    flux = images.max(axis=(2, 3)) if peaks else aperture_flux(images, 1 / side, radius)
    magnitudes = asinh_magnitude(flux, 0.1)
    return np.column_stack([magnitudes[:, images.shape[1] // 2], np.diff(magnitudes, axis=1)])


def baselines(train_features, train_z, features, seed: int = 0) -> dict[str, np.ndarray]:
    """Estimates by 20 nearest neighbours and by gradient boosting on the same features."""
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.neighbors import KNeighborsRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    neighbours = min(20, len(train_z))
    methods = {
        "kNN": make_pipeline(StandardScaler(), KNeighborsRegressor(neighbours, weights="distance")),
        "boosting": HistGradientBoostingRegressor(
            loss="absolute_error", max_iter=200, learning_rate=0.06, random_state=seed
        ),
    }
    return {k: m.fit(train_features, train_z).predict(features) for k, m in methods.items()}
