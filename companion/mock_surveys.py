"""FITS files as the two surveys publish them, made from known stamps.

They let the whole way of real data be walked without any download, and checked against the truth:
what `cut` finds must be what was written. SDSS frames lie on their side, with right ascension
along the second axis, as many real ones do; CFHTLS tiles are upright counts at zero point 30.
"""

from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS

from galtools.artefacts import atomic
from galtools.data import Pairs
from galtools.ingest.cutouts import nearest_corner, quarter_turns
from galtools.surveys import BANDS, CFHTLS, SDSS, Survey

CENTRE = 150.0, 2.2  # degrees: ra and dec of the middle of the field
SPACING = 28.0  # arcsec from object to object; stamps are 25.4 arcsec wide
FILTER_NAMES = dict(zip(BANDS, ("9301", "9401", "9601", "9701", "9801"), strict=True))


def sky_grid(n: int, ra: float, dec: float) -> tuple[np.ndarray, np.ndarray]:
    """Positions in degrees of n objects on a square grid around (ra, dec)."""
    side = int(np.ceil(np.sqrt(n)))
    y, x = np.divmod(np.arange(n), side)
    east, north = (x - (side - 1) / 2) * SPACING, (y - (side - 1) / 2) * SPACING
    return ra - east / 3600 / np.cos(np.radians(dec)), dec + north / 3600


def field_wcs(survey: Survey, ra: float, dec: float, size: int) -> WCS:
    """Coordinates of a square field: SDSS with RA along the second axis, CFHTLS upright."""
    step = survey.pixel_scale / 3600
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cunit = ("RA---TAN", "DEC--TAN"), ("deg", "deg")
    wcs.wcs.crval, wcs.wcs.crpix = (ra, dec), ((size + 1) / 2, (size + 1) / 2)
    wcs.wcs.cd = [[0, step], [step, 0]] if survey is SDSS else [[-step, 0], [0, step]]
    return wcs


def _unturned(stamp: np.ndarray, transpose: bool, flip_x: bool, flip_y: bool) -> np.ndarray:
    """Invert `turned`."""
    stamp = stamp[:: -1 if flip_y else 1, :: -1 if flip_x else 1]
    return stamp.T if transpose else stamp


def field(stamps, places, wcs: WCS, size: int, sigma: float, rng) -> np.ndarray:
    """Paste stamps (n, H, W) into a field of blank sky at pixel positions `places` (n, 2)."""
    image = rng.normal(0, sigma, (size, size))
    *turn, _ = quarter_turns(wcs)
    side = stamps.shape[-1]
    for stamp, place in zip(stamps, places, strict=True):
        x, y = nearest_corner(place, side)
        image[y : y + side, x : x + side] = _unturned(stamp, *turn)
    return image.astype(np.float32)


def _header(survey: Survey, band: str, wcs: WCS, fwhm: float) -> fits.Header:
    header = wcs.to_header()
    for key in [key for key in header if key.startswith(("PC", "CDELT"))]:
        del header[key]
    for (j, k), value in np.ndenumerate(wcs.wcs.cd):
        header[f"CD{j + 1}_{k + 1}"] = value
    if survey is SDSS:
        return header + fits.Header({"FILTER": band, "BUNIT": "nanomaggy"}.items())
    facts = {"MZP_AB": survey.zero_point, "IQIMAGE": fwhm, "SATURATE": 60000.0}
    return header + fits.Header({"FILTER": f"{band}.MP{FILTER_NAMES[band]}", **facts}.items())


def write_field(folder: Path, survey: Survey, images, noise, ra, dec, seed=0) -> list[Path]:
    """Write one field of five bands that holds `images` (n, 5, H, W) at `ra`, `dec` (n,)."""
    rng = np.random.default_rng((seed, int(survey is CFHTLS)))
    centre = (ra.min() + ra.max()) / 2, (dec.min() + dec.max()) / 2
    reach = max(np.ptp(ra) * np.cos(np.radians(centre[1])), np.ptp(dec)) * 3600
    size = int(np.ceil((reach + 2 * SPACING) / survey.pixel_scale))
    wcs = field_wcs(survey, *centre, size)
    places = np.stack(wcs.world_to_pixel_values(ra, dec), axis=-1)
    paths = []
    for k, band in enumerate(BANDS):
        image = field(images[:, k], places, wcs, size, np.median(noise[:, k]), rng)
        counts = image / np.float32(survey.nanomaggies_per_count)
        header = _header(survey, band, wcs, survey.psf_fwhm[k])
        paths.append(Path(folder) / f"{survey.name.lower()}_{band}.fits")
        with atomic(paths[-1]) as new:
            fits.PrimaryHDU(counts, header).writeto(new)
    return paths


def write_mock(folder: Path, pairs: Pairs, seed=0) -> dict[str, list[Path]]:
    """Write both surveys' images of some pairs, and `catalogue.csv` with position and redshift.

    The target must be on the CFHTLS grid. Returns the image files by survey.
    """
    ra, dec = sky_grid(len(pairs), *CENTRE)
    sides = ((SDSS, pairs.source), (CFHTLS, pairs.target))
    paths = {
        survey.name: write_field(folder, survey, images, pairs.noise[:, k], ra, dec, seed)
        for k, (survey, images) in enumerate(sides)
    }
    columns = {"objid": np.arange(len(pairs)), "ra": ra, "dec": dec, "z": pairs.redshift}
    with atomic(Path(folder) / "catalogue.csv") as new:
        Table(columns).write(new, format="ascii.csv")
    return paths
