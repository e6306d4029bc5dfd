"""Published facts that the simulation is compared with.

Colours, redshifts and magnitudes are measured on the 10,873 galaxies with r < 17.8 of the public
ANNz example catalogue (Firth, Lahav and Somerville 2003; Collister and Lahav 2004), corrected for
Galactic reddening, noise on CFHTLS field W3; everything else is from the papers that are named.
"""

from dataclasses import dataclass

import numpy as np

REDSHIFT_PERCENTILES = {5: 0.0313, 25: 0.0701, 50: 0.1007, 75: 0.1398, 95: 0.2101}
MAGNITUDE_PERCENTILES = {5: 15.33, 25: 16.47, 50: 17.00, 75: 17.32, 95: 17.58}
# sigma_MAD of dz / (1 + z) and share beyond 0.05 of the mean redshift of the 20 nearest neighbours
# in four colours and r, by the number of training galaxies (mean of 8 splits, 3,269 held out)
KNN = {
    250: (0.0291, 0.095),
    500: (0.0256, 0.068),
    1000: (0.0229, 0.052),
    2000: (0.0213, 0.043),
    4000: (0.0196, 0.035),
    7600: (0.0184, 0.033),
}
KNN_SIGMA = 0.018  # of the 7,604 first galaxies, for the rest
SDSS_SKY_NOISE_R = 0.030  # nanomaggies per pixel, in real r cutouts
CFHTLS_SKY_NOISE_GRI = (0.00064, 0.00139, 0.00189)  # nanomaggies per pixel, Wide field W3
CFHTLS_NOISE_CORRELATION = (0.077, -0.065, 0.013)  # of pixels 1, 2, 3 apart: mean of W3 in g, r, i

# MegaCam less SDSS magnitude, as slope times a colour of SDSS (MegaPipe; Gwyn 2008)
COLOUR_TERMS = {
    "u": (-0.241, "ug"), "g": (-0.153, "gr"), "r": (-0.024, "gr"),
    "i": (-0.085, "ri"), "z": (0.074, "iz"),
}  # fmt: skip
# extinction from face-on to edge-on spirals (Masters et al. 2010), magnitudes
INCLINATION = {"u": 0.7, "g": 0.6, "r": 0.5, "i": 0.4}
DISC_GRADIENT = -0.006  # mean g - r gradient of face-on discs, mag / kpc (Liu et al. 2009)
CONCENTRATION = 2.6  # r90 / r50 that separates early from late types (Strateva et al. 2001)


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

# What adds to the quoted errors of the catalogue: its zero points (assumed), and the scatter of
# galaxies' model magnitudes, an assumption fitted together with the spectra.
CATALOGUE_ZERO_POINTS = np.array([0.03, 0.01, 0.01, 0.01, 0.02])
MODEL_MAGNITUDES = 0.010


def magnitude_errors(magnitudes: np.ndarray) -> np.ndarray:
    """Quoted error of catalogue magnitudes (n, 5): a power law of the flux fits within 10 %."""
    return ERROR * 10 ** (ERROR_GROWTH * (magnitudes - ERROR_AT))


def catalogue_errors(magnitudes: np.ndarray) -> np.ndarray:
    """Scatter (n, 5) of catalogue magnitudes about the truth."""
    extra = CATALOGUE_ZERO_POINTS**2 + MODEL_MAGNITUDES**2
    return np.sqrt(magnitude_errors(magnitudes) ** 2 + extra)


def half_light_radius(early, absolute) -> np.ndarray:
    """Mean half-light radius in kpc at an r magnitude M (Shen et al. 2003, equations 14 and 15)."""
    bend = np.log10(1 + 10 ** (-0.4 * (absolute + 20.52)))
    late = -0.4 * 0.21 * absolute + (0.53 - 0.21) * bend - 1.31
    return 10 ** np.where(early, -0.4 * 0.60 * absolute - 4.63, late)


def galaxy_counts(i_magnitude) -> np.ndarray:
    """Galaxies brighter than i in a square arcminute (LSST Science Book 2009, equation 3.7)."""
    return 46 * 10 ** (0.31 * (np.asarray(i_magnitude) - 25))


def colour_term(band: str, sdss) -> np.ndarray:
    """MegaCam less SDSS magnitude in a band, from SDSS magnitudes (..., 5)."""
    slope, (blue, red) = COLOUR_TERMS[band]
    return slope * (sdss[..., "ugriz".index(blue)] - sdss[..., "ugriz".index(red)])
