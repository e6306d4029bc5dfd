"""FITS files as the surveys publish them: kinds of files, and two surveys made from known stamps.

They allow real data to be processed without any download, and checked against the truth: what
`cut` finds must be what was written. SDSS frames lie on their side, with right ascension
along the second axis, as many real ones do; CFHTLS tiles are upright counts at zero point 30.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS

from galtools.artefacts import atomic
from galtools.data import Pairs
from galtools.ingest.cutouts import nearest_corner, quarter_turns, turned, upright_wcs
from galtools.ingest.pixel_units import zero_point_of
from galtools.ingest.units import counts_to_nanomaggies
from galtools.surveys import BANDS, CFHTLS, SDSS, SURVEYS, Survey

CENTRE = 150.0, 2.2  # degrees: ra and dec of the centre of the field
SPACING = 28.0  # arcsec from object to object; stamps are 25.4 arcsec wide
FILTER_NAMES = dict(zip(BANDS, ("9301", "9401", "9601", "9701", "9801"), strict=True))
SDSS_CARDS = {
    "ORIGIN": "SDSS", "RUN": 5754, "FRAME": 280, "STRIPE": 82, "FLAVOR": "science",
    "EXPTIME": "53.907456", "EQUINOX": 2000.0, "SOFTBIAS": 1000, "FILTER": "r", "CAMCOL": 3,
}  # fmt: skip
TERAPIX = {"TELESCOP": "CFHT 3.6m", "DETECTOR": "MegaCam", "FILTER": "r.MP9601", "SATURATE": 5270.0}
PS1 = {"HIERARCH FPA.FILTER": "r.00000", "HIERARCH FPA.ZP": 25.0, "EXPTIME": 600.0}
HSC = {"FILTER": "HSC-R", "FLUXMAG0": 63095734448.0194}
KIDS = {"TELESCOP": "ESO-VLT-U1", "INSTRUME": "OMEGACAM", "FILTER": "OCAM_r_SDSS"}
DES = {"INSTRUME": "DECam", "FILTER": "r DECam SDSS c0002 6415.0 1480.0", "BAND": "r"}
KINDS = {  # kind of file: survey, cards of its header that count, its maps as readers name them
    "SDSS frame": ("SDSS", {**SDSS_CARDS, "BUNIT": "nanomaggy", "NMGY": 0.005}, {}),
    "SDSS frame, DR8": ("SDSS", {**SDSS_CARDS, "NMGY": 0.00501, "NMGYIVAR": 1e9}, {}),
    "CFHTLS, Terapix": (
        "CFHTLS", {**TERAPIX, "MZP_VEGA": 29.897, "MZP_AB": 30.0},
        {"weight": ".fits/_weight.fits"},
    ),
    "CFHTLS, MegaPipe": (
        "CFHTLS", {**TERAPIX, "PHOTZP": 30.0, "BUNIT": "ADU"}, {"weight": ".fits/.weight.fits"}
    ),
    "KiDS": ("KiDS", {**KIDS, "PHOTZP": 0.0}, {"weight": "sci/wei", "mask": "sci/msk"}),
    "DES": (
        "DES", {**DES, "MAGZERO": 30.0, "BUNIT": "electrons"}, {"ivar": "WGT", "mask": "MSK"}
    ),
    "Pan-STARRS1": ("PS1", PS1, {"variance": ".fits/.wt.fits", "mask": ".fits/.mask.fits"}),
    "HSC": ("HSC", HSC, {"variance": "VARIANCE", "mask": "MASK"}),
    "Legacy Surveys": (
        "Legacy", {"FILTER": "r", "BUNIT": "nanomaggy", "MAGZERO": 22.5},
        {"ivar": "-image-/-invvar-"},
    ),
    "Euclid VIS": (
        "Euclid VIS", {"FILTER": "VIS", "MAGZERO": 24.6, "BUNIT": "ADU"},
        {"sigma_map": "RMS", "mask": "FLG"},
    ),
}  # fmt: skip


def file_kinds() -> pd.DataFrame:
    """What one unit of every kind of file is worth, and where its maps are."""
    rows = []
    for kind, (survey, cards, names) in KINDS.items():
        zero_point = zero_point_of(fits.Header(cards.items()), kind, SURVEYS[survey])
        rows.append((kind, zero_point, " ".join(f"{map}={spec}" for map, spec in names.items())))
    return pd.DataFrame(rows, columns=["file", "AB magnitude of one unit", "maps"])


def sky_grid(n: int, ra: float, dec: float) -> tuple[np.ndarray, np.ndarray]:
    """Positions in degrees of n objects on a square grid around (ra, dec)."""
    rows = int(np.ceil(np.sqrt(n)))
    y, x = np.divmod(np.arange(n), rows)
    east, north = (x - (rows - 1) / 2) * SPACING, (y - (rows - 1) / 2) * SPACING
    return ra - east / 3600 / np.cos(np.radians(dec)), dec + north / 3600


def field_wcs(survey: Survey, ra: float, dec: float, size: int) -> WCS:
    """Coordinates of a square field: SDSS with RA along the second axis, CFHTLS upright."""
    wcs = upright_wcs(ra, dec, survey.pixel_scale, size)
    if survey is SDSS:
        wcs.wcs.cd = np.array([[0, 1], [1, 0]]) * survey.pixel_scale / 3600
    return wcs


def paste_stamps(stamps, positions, wcs: WCS, size: int, sigma: float, rng) -> np.ndarray:
    """Paste stamps (n, H, W) into a field of blank sky at pixel positions (n, 2)."""
    image = rng.normal(0, sigma, (size, size))
    transpose, flip_x, flip_y, _ = quarter_turns(wcs)
    width = stamps.shape[-1]
    for stamp, position in zip(stamps, positions, strict=True):
        x, y = nearest_corner(position, width)
        stamp = turned(stamp, False, flip_x, flip_y)
        image[y : y + width, x : x + width] = stamp.T if transpose else stamp
    return image.astype(np.float32)


def write_field(folder: Path, survey: Survey, images, noise, ra, dec, seed=0) -> list[Path]:
    """Write one field, a file a band, that holds `images` (n, bands, H, W) at `ra`, `dec` (n,)."""
    rng = np.random.default_rng((seed, int(survey is CFHTLS)))
    centre = (ra.min() + ra.max()) / 2, (dec.min() + dec.max()) / 2
    extent = max(np.ptp(ra) * np.cos(np.radians(centre[1])), np.ptp(dec)) * 3600
    size = int(np.ceil((extent + 2 * SPACING) / survey.pixel_scale))
    wcs = field_wcs(survey, *centre, size)
    positions = np.stack(wcs.world_to_pixel_values(ra, dec), axis=-1)
    paths = []
    for k, band in enumerate(survey.bands):
        header = wcs.to_header()
        if survey is SDSS:
            frame = {"SOFTBIAS": 1000, "BUNIT": "nanomaggy", "FILTER": band, "CAMCOL": 3}
            header.update(frame | {"RUN": 5754, "FRAME": 280, "NMGY": 0.005})
        else:
            facts = {"MZP_AB": survey.zero_point, "IQIMAGE": survey.psf_fwhm[k], "SATURATE": 6e4}
            header.update({"FILTER": f"{band}.MP{FILTER_NAMES[band]}"} | facts)
        image = paste_stamps(images[:, k], positions, wcs, size, np.median(noise[:, k]), rng)
        counts = image / counts_to_nanomaggies(1, survey.zero_point).astype(np.float32)
        paths.append(Path(folder) / f"{survey.name.lower()}_{band}.fits")
        with atomic(paths[-1]) as new:
            fits.PrimaryHDU(counts, header).writeto(new)
    return paths


def write_mock(folder: Path, pairs: Pairs, seed=0) -> dict[str, list[Path]]:
    """Write both surveys' images of some pairs, and `catalogue.csv` with position and redshift.

    The target must be on the CFHTLS grid. Returns the image files by survey.
    """
    ra, dec = sky_grid(len(pairs), *CENTRE)
    paths = {
        survey.name: write_field(folder, survey, images.images, images.noise, ra, dec, seed)
        for survey, images in ((SDSS, pairs.source_set), (CFHTLS, pairs.target_set))
    }
    columns = {"objid": np.arange(len(pairs)), "ra": ra, "dec": dec, "z": pairs.redshift}
    with atomic(Path(folder) / "catalogue.csv") as new:
        Table(columns).write(new, format="ascii.csv")
    return paths
