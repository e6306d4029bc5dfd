"""Real data from the archives: one command per survey. Needs the extra `download` (astroquery).

astroquery knows the archives and answers where things are; the files themselves come through
`galtools.ingest.download.fetch`, throttled and checked. From a shell:

    galtools download sdss-catalogue FOLDER -n 1000 --ra 212 218 --dec 52 56
    galtools download sdss FOLDER          frames of every galaxy of the catalogue
    galtools download cfhtls FOLDER        cutouts around every galaxy
"""

import re
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from itertools import product
from pathlib import Path

from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import Table

from galtools.artefacts import atomic
from galtools.errors import GaltoolsError, check_choice
from galtools.ingest.catalogue import has_position, read_catalogue
from galtools.ingest.download import POLITE, fetch
from galtools.ingest.fits_images import read_fits
from galtools.surveys import BANDS

DATA_RELEASE = 17
MAIN_SAMPLE = 17.8  # r magnitude, free of reddening, that the main galaxy sample reaches
CUTOUT = 40.0  # arcsec along a side of what is fetched around a galaxy
SFD_R = 2.751  # A_r / E(B-V) by which SDSS tabulates Schlegel's reddening
WIDE_W3 = (208.0, 221.0), (51.0, 58.0)  # degrees: the CFHTLS-Wide field that SDSS covers best
HOPELESS = 10  # failures in a row after which the archive is left alone
COLUMNS = "p.objID AS id, p.ra, p.dec, s.z AS redshift, p.run, p.rerun, p.camcol, p.field"


def astroquery(name: str):
    """Import a part of astroquery, or say how to install it."""
    try:
        return import_module(f"astroquery.{name}")
    except ImportError:
        raise GaltoolsError(
            "downloads need astroquery: install it with `pip install 'galtools[download]'`"
        ) from None


@contextmanager
def archive_errors(archive: str):
    """Turn whatever goes wrong in a query into one line."""
    try:
        yield
    except GaltoolsError:
        raise
    except Exception as error:  # astroquery lets through what requests, pyvo and parsers raise
        reason = next(iter(str(error).splitlines()), "")[:120]
        raise GaltoolsError(
            f"{archive} gave no answer ({type(error).__name__}: {reason}); try again later"
        ) from error


def main_sample_query(n: int, ra: tuple, dec: tuple) -> str:
    """SQL of the spectroscopic main galaxy sample in a box of ra and dec (degrees)."""
    if n < 1 or not (0 <= ra[0] < ra[1] <= 360 and -90 <= dec[0] < dec[1] <= 90):
        raise GaltoolsError(f"n = {n}, ra {ra}, dec {dec}: give n > 0 and two rising bounds each")
    return (
        f"SELECT TOP {int(n)} {COLUMNS}, p.extinction_r / {SFD_R} AS ebv "
        "FROM PhotoObj AS p JOIN SpecObj AS s ON s.bestObjID = p.objID "
        "WHERE s.class = 'GALAXY' AND s.zWarning = 0 AND s.z > 0.005 AND s.z < 0.4 "
        f"AND p.petroMag_r - p.extinction_r < {MAIN_SAMPLE} "
        f"AND p.ra BETWEEN {ra[0]:.6f} AND {ra[1]:.6f} "
        f"AND p.dec BETWEEN {dec[0]:.6f} AND {dec[1]:.6f} ORDER BY p.objID"
    )


def sdss_catalogue(path: Path, n: int, ra=WIDE_W3[0], dec=WIDE_W3[1]) -> Table:
    """Fetch the spectroscopic catalogue of a region into an ECSV file."""
    query = main_sample_query(n, ra, dec)
    with archive_errors("SDSS"):
        table = astroquery("sdss").SDSS.query_sql(query, data_release=DATA_RELEASE)
    if table is None or not len(table):
        raise GaltoolsError("SDSS has no galaxy there: widen ra and dec")
    table["id"] = [str(name) for name in table["id"]]
    with atomic(path) as new:
        table.write(new, format="ascii.ecsv")
    return read_catalogue(path)


def frame_urls(catalogue: Table) -> dict[str, str]:
    """File names and addresses of the five frames of every field in the catalogue, each once."""
    needed = ("run", "rerun", "camcol", "field")
    if missing := [name for name in needed if name not in catalogue.colnames]:
        raise GaltoolsError(f"the catalogue has no column {', '.join(missing)}: see sdss-catalogue")
    sdss, urls = astroquery("sdss"), {}
    survey = {"base": sdss.conf.sas_baseurl, "dr": DATA_RELEASE, "instrument": "eboss"}
    for row, band in product(catalogue, BANDS):
        field = {name: int(row[name]) for name in needed}
        url = sdss.SDSS.IMAGING_URL_SUFFIX.format(**survey, **field, band=band)
        urls[url.rsplit("/", 1)[1]] = url
    return urls


def fetch_all(urls: dict, folder: Path, polite=POLITE) -> dict[str, str]:
    """Fetch files by name; return of every file why it did not come, or nothing if it did."""
    reasons, in_a_row = {}, 0
    for name, url in urls.items():
        try:
            if isinstance(url, GaltoolsError):
                raise url
            if Path(name).name != name:
                raise GaltoolsError(f"{name!r} would lie outside the folder: rename the object")
            if in_a_row >= HOPELESS:
                raise GaltoolsError(f"not tried, as the {HOPELESS} before it failed")
            fetch(url, folder / name, check=partial(read_fits, ndim=(2, 3)), polite=polite)
            reasons[name], in_a_row = "", 0
        except GaltoolsError as error:
            reasons[name] = str(error)
            in_a_row += url is not error
    if reasons and all(reasons.values()):
        first = next(iter(reasons.values()))
        raise GaltoolsError(f"none of {len(reasons)} files came; the first: {first}")
    return reasons


def cfhtls_urls(catalogue: Table, cadc=None, polite=POLITE) -> dict:
    """Addresses of CFHTLS-Wide cutouts around every galaxy from the CADC, or why there is none.

    From the final (T0007) median stacks of the Wide survey. Where there is none, the value is a
    GaltoolsError.
    """
    if cadc is None:
        with archive_errors("CADC"):
            cadc = astroquery("cadc").Cadc()
    urls = {}
    for row, placed in zip(catalogue, has_position(catalogue), strict=True):
        try:
            if not placed:
                raise GaltoolsError("the object has no position: correct its ra and dec")
            polite.wait()
            by_band = _stacks_around(row, cadc)
        except GaltoolsError as error:
            by_band = dict.fromkeys(BANDS, error)
        urls |= {f"{row['id']}_{band}.fits": by_band[band] for band in BANDS}
    return urls


def _stacks_around(row, cadc) -> dict:
    circle = SkyCoord(row["ra"], row["dec"], unit="deg"), CUTOUT / 2 * u.arcsec
    urls = {}
    with archive_errors("CADC"):
        planes = cadc.query_region(*circle, collection="CFHTTERAPIX")
        for band in BANDS:
            stack = re.compile(rf"CFHTLS_W_{band}_.*T0007_MEDIAN$")
            rows = [k for k, name in enumerate(planes["productID"]) if stack.match(str(name))]
            urls[band] = GaltoolsError(f"CFHTLS-Wide has no stack in {band} there")
            if rows:
                url = cadc.get_image_list(planes[rows], *circle)[0]
                # without the identifier of the request, or a file would always look new
                urls[band] = re.sub(r"RUNID=[^&]*&?", "", url).rstrip("&")
    return urls


def download(what: str, folder: Path, n: int, ra: tuple, dec: tuple) -> None:
    """Fetch real data from the archives; what failed is listed at the end."""
    path = folder / "catalogue.ecsv"
    if check_choice("data", what, ("sdss-catalogue", "sdss", "cfhtls")) == "sdss-catalogue":
        table = sdss_catalogue(path, n, ra, dec)
        print(f"{len(table)} galaxies in {path}")
        return
    catalogue = read_catalogue(path)
    urls = {"sdss": frame_urls, "cfhtls": cfhtls_urls}[what](catalogue)
    reasons = fetch_all(urls, folder / what)
    failed = [f"  {name}: {reason}" for name, reason in reasons.items() if reason]
    print(f"{len(reasons) - len(failed)} files fetched, {len(failed)} failed", *failed, sep="\n")
