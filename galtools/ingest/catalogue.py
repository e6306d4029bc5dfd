"""Catalogues of positions and redshifts, with one set of column names and honest flags."""

from contextlib import suppress
from pathlib import Path
from xml.parsers import expat

import h5py
import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import Table
from astropy.utils.data import get_readable_fileobj
from scipy.spatial import KDTree

from galtools.errors import GaltoolsError, reading
from galtools.flags import FLAG, MAX_REDSHIFT, MEANING, Flag, raise_flag
from galtools.hdf5 import safe_open

ALIASES = {
    "id": ("objid", "id", "specobjid", "object_id", "name", "plug_id"),
    "ra": ("ra", "raj2000", "ra_icrs", "alpha_j2000", "plug_ra"),
    "dec": ("dec", "dej2000", "decj2000", "de_icrs", "delta_j2000", "plug_dec"),
    "redshift": ("redshift", "zspec", "z_spec", "specz", "zsp", "z"),
    "ebv": ("ebv", "e(b-v)", "e_bv", "sfd_ebv"),
}
SAME_PLACE = 0.5  # arcsec; nearer rows are the same object
MOST_NEIGHBOURS = 1e7  # rows times those around them


def read_catalogue(path: Path) -> Table:
    """Read a table of objects (FITS, ECSV, CSV, VOTable, text) into columns id, ra, dec, redshift.

    Every row stays; what is wrong with it goes into its `flag`.
    """
    with reading(path, "use FITS, ECSV or CSV"):
        table = _read_table(Path(path))
    for name in table.colnames:  # editors begin a text with a byte-order mark
        if (clean := name.lstrip("\ufeff\xef\xbb\xbf")) != name:
            table.rename_column(name, clean.strip('"'))
    return tidy(table, path)


def _read_table(path: Path) -> Table:
    """Read a table that lies in this file alone."""
    if h5py.is_hdf5(path):
        with safe_open(path):
            return Table.read(path)
    refused = []
    parser = expat.ParserCreate(namespace_separator=":")
    parser.StartElementHandler = lambda name, attributes: refused.extend(
        "takes its rows from elsewhere"
        for key in attributes
        if (name.split(":")[-1].upper(), key.split(":")[-1].lower()) == ("STREAM", "href")
    )
    parser.EntityDeclHandler = lambda *_: refused.append("declares entities")
    with suppress(expat.ExpatError), get_readable_fileobj(path, encoding="binary") as file:
        parser.ParseFile(file)  # what is no XML ends at the first letter
    if refused:  # a VOTable would be followed to any file or address
        raise GaltoolsError(f"{path} {refused[0]}: save it as FITS, ECSV or CSV")
    return Table.read(path)


def _find(table: Table, name: str) -> str | None:
    lower = {column.lower(): column for column in reversed(table.colnames)}
    return next((lower[alias] for alias in ALIASES[name] if alias in lower), None)


def _numbers(table: Table, column: str, origin, angle: bool) -> np.ndarray:
    """Read a column of numbers, NaN where one is missing; angles, in degrees if without a unit."""
    unit = getattr(table[column], "unit", None)
    try:
        numbers = np.ma.filled(np.ma.asarray(table[column], float), np.nan)
        if angle and unit is not None and not isinstance(unit, u.UnrecognizedUnit):
            numbers = numbers * unit.to(u.deg)
    except u.UnitConversionError:
        raise GaltoolsError(f"{origin}: column {column!r} is in {unit}: give degrees") from None
    except (TypeError, ValueError):
        raise GaltoolsError(
            f"{origin}: column {column!r} holds no decimal numbers: correct it"
        ) from None
    if numbers.ndim > 1:
        raise GaltoolsError(f"{origin}: column {column!r} holds {numbers.shape[1:]} numbers a row")
    return numbers


def tidy(table: Table, origin="the catalogue", positions: bool = True) -> Table:
    """Rename known columns, add identifiers where there are none, and flag every row.

    A stranger's column `flag`, whose bits mean something else, becomes `flag_given`, and so do
    others whose names are taken. Where there is an OBJID, ID is SDSS's number within a field.
    """
    if not len(table):
        raise GaltoolsError(f"{origin} has no rows: give a catalogue with at least one object")
    given = {name: column for name in ALIASES if (column := _find(table, name))}
    if positions and (missing := {"ra", "dec"} - given.keys()):
        raise GaltoolsError(
            f"{origin} has no column {' or '.join(sorted(missing, reverse=True))}: "
            f"it has {', '.join(table.colnames)}"
        )
    ids = table[given["id"]] if "id" in given else range(len(table))
    for name, column in given.items():
        for twin in table.colnames:
            same = twin == column or twin.lower() != column.lower()
            if not same and [*map(str, table[column])] != [*map(str, table[twin])]:
                raise GaltoolsError(
                    f"{origin} has {twin} and {column}, which differ: keep one {name}"
                )
    columns = {"id": np.array([str(x) for x in ids]), "redshift": np.full(len(table), np.nan)}
    for name in ("ra", "dec", "redshift", "ebv"):
        if name in given:
            columns[name] = _numbers(table, given[name], origin, name in ("ra", "dec"))
    for name in table.colnames:
        if name not in given.values():
            ours = name == FLAG and table[name].info.description == MEANING
            taken = name.lower() in {*columns, FLAG} and not ours
            columns[f"{name}_given" if taken else name] = table[name]
    tidied = Table(columns, meta=table.meta)
    flag_rows(tidied)
    return tidied


def flag_rows(table: Table) -> None:
    """Flag missing positions, missing or absurd redshifts, and duplicates; in place."""
    z = np.asarray(table["redshift"], float)
    raise_flag(table, ~np.isfinite(z), Flag.NO_REDSHIFT)
    raise_flag(table, (z <= 0) | (z > MAX_REDSHIFT), Flag.ABSURD_REDSHIFT)
    repeated = np.ones(len(table), bool)
    repeated[np.unique(table["id"], return_index=True)[1]] = False
    raise_flag(table, repeated, Flag.DUPLICATE)
    if {"ra", "dec"} <= set(table.colnames):
        raise_flag(table, ~has_position(table), Flag.NO_POSITION)
        rows, sky = positions_of(table)
        if len(rows):
            tree, radius = KDTree(sky.cartesian.xyz.value.T), np.radians(SAME_PLACE / 3600)
            neighbours = tree.query_ball_point(tree.data, radius, return_length=True)
            if neighbours.sum() > MOST_NEIGHBOURS:
                raise GaltoolsError(
                    f"{neighbours.max()} rows of the catalogue lie at one place: correct them"
                )
            later = tree.query_pairs(radius, output_type="ndarray")[:, 1]
            raise_flag(table, rows[np.unique(later)], Flag.DUPLICATE)


def has_position(table: Table) -> np.ndarray:
    """Mask of the rows whose ra and dec are finite and on the sphere."""
    ra, dec = np.asarray(table["ra"], float), np.asarray(table["dec"], float)
    return (ra >= -180) & (ra <= 360) & (np.abs(dec) <= 90)


def positions_of(table: Table) -> tuple[np.ndarray, SkyCoord]:
    """Row numbers and positions of the objects that have a position."""
    if not {"ra", "dec"} <= set(table.colnames):
        raise GaltoolsError("matching needs columns ra and dec in both catalogues: add them")
    rows = np.flatnonzero(has_position(table))
    return rows, SkyCoord(table["ra"][rows], table["dec"][rows], unit="deg")
