"""What real SDSS main-sample galaxies look like: the facts that the simulation is held to.

Measured on the 10,873 galaxies with r < 17.8 of the public ANNz example catalogue (Firth, Lahav
and Somerville 2003; Collister and Lahav 2004), magnitudes corrected for Galactic reddening.
"""

from dataclasses import dataclass

import numpy as np

REDSHIFT_PERCENTILES = {5: 0.0313, 25: 0.0701, 50: 0.1007, 75: 0.1398, 95: 0.2101}
MAGNITUDE_PERCENTILES = {5: 15.33, 25: 16.47, 50: 17.00, 75: 17.32, 95: 17.58}
BLUE_FRACTION = 0.359  # share with g - r < 0.7 among 0.05 < z < 0.10
KNN_SIGMA = 0.018  # sigma_MAD of dz / (1 + z), 20 nearest neighbours in four colours and r
SDSS_SKY_NOISE_R = 0.030  # nanomaggies per pixel, in real r cutouts
CFHTLS_SKY_NOISE_GRI = (0.00064, 0.00139, 0.00189)  # nanomaggies per pixel, Wide field W3


@dataclass(frozen=True)
class ColourBin:
    """Colours u-g, g-r, r-i, i-z of a redshift bin: medians and scatters (1.48 MAD)."""

    low: float
    high: float
    count: int
    median: tuple[float, float, float, float]
    scatter: tuple[float, float, float, float]


COLOURS = (
    ColourBin(0.00, 0.05, 1464, (1.330, 0.602, 0.309, 0.224), (0.424, 0.258, 0.109, 0.109)),
    ColourBin(0.05, 0.10, 3925, (1.611, 0.797, 0.392, 0.280), (0.400, 0.175, 0.056, 0.074)),
    ColourBin(0.10, 0.15, 3282, (1.763, 0.952, 0.424, 0.322), (0.316, 0.141, 0.043, 0.057)),
    ColourBin(0.15, 0.20, 1531, (1.838, 1.112, 0.464, 0.327), (0.373, 0.153, 0.040, 0.048)),
    ColourBin(0.20, 0.25, 435, (1.962, 1.320, 0.502, 0.330), (0.373, 0.118, 0.040, 0.039)),
    ColourBin(0.25, 0.30, 173, (2.053, 1.497, 0.552, 0.348), (0.404, 0.075, 0.028, 0.038)),
)

# Luminous red galaxies of the same catalogue with 17.8 < r < 18.6. Nothing was tuned on them.
FAINT_LIMIT = 18.6
FAINT_RED = (
    ColourBin(0.30, 0.35, 252, (2.061, 1.698, 0.599, 0.363), (0.657, 0.088, 0.030, 0.053)),
    ColourBin(0.35, 0.40, 181, (2.119, 1.753, 0.627, 0.394), (0.775, 0.072, 0.041, 0.052)),
)

ERROR_AT = np.array([19.81, 18.14, 17.27, 16.85, 16.56])  # ugriz magnitude ...
ERROR = np.array([0.096, 0.0111, 0.0077, 0.0078, 0.0191])  # ... and its median quoted error there
ERROR_GROWTH = np.array([0.24, 0.21, 0.18, 0.20, 0.24])  # decades of error per magnitude

# What adds to the quoted errors of the catalogue: its zero points (Ivezic et al. 2004), and the
# scatter of galaxies' model magnitudes, an assumption fitted together with the spectra.
CATALOGUE_ZERO_POINTS = np.array([0.03, 0.01, 0.01, 0.01, 0.02])
MODEL_MAGNITUDES = 0.012


def magnitude_errors(magnitudes: np.ndarray) -> np.ndarray:
    """Quoted error of catalogue magnitudes (n, 5): a power law of the flux fits within 10 %."""
    return ERROR * 10 ** (ERROR_GROWTH * (magnitudes - ERROR_AT))


def catalogue_errors(magnitudes: np.ndarray) -> np.ndarray:
    """Scatter (n, 5) of catalogue magnitudes about the truth."""
    extra = CATALOGUE_ZERO_POINTS**2 + MODEL_MAGNITUDES**2
    return np.sqrt(magnitude_errors(magnitudes) ** 2 + extra)
