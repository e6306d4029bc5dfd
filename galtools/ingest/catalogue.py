"""Catalogues of positions and redshifts, with one set of column names and honest flags."""

from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import Table

from galtools.errors import GaltoolsError
from galtools.flags import FLAG, MAX_REDSHIFT, MEANING, Flag, raise_flag

ALIASES = {
    "id": ("id", "objid", "specobjid", "object_id", "name", "plug_id"),
    "ra": ("ra", "raj2000", "ra_icrs", "alpha_j2000", "plug_ra"),
    "dec": ("dec", "dej2000", "decj2000", "de_icrs", "delta_j2000", "plug_dec"),
    "redshift": ("redshift", "zspec", "z_spec", "specz", "zsp", "z"),
    "ebv": ("ebv", "e(b-v)", "e_bv", "sfd_ebv"),
}
SAME_PLACE = 0.5  # arcsec; nearer rows are the same object


def read_catalogue(path: Path) -> Table:
    """Read a table of objects (FITS, ECSV, CSV, VOTable, text) into columns id, ra, dec, redshift.

    Every row stays; what is wrong with it goes into its `flag`.
    """
    path = Path(path)
    if not path.is_file():
        raise GaltoolsError(f"{path} is missing: give the catalogue's file name")
    try:
        table = Table.read(path)
    except Exception as error:  # a stranger's table can break its reader anywhere
        reason = str(error).strip().splitlines()[:1] or [type(error).__name__]
        raise GaltoolsError(
            f"cannot read the catalogue {path}: {reason[0][:120]}; use FITS, ECSV or CSV"
        ) from error
    return tidy(table, path)


def _find(table: Table, name: str) -> str | None:
    lower = {column.lower(): column for column in reversed(table.colnames)}
    return next((lower[alias] for alias in ALIASES[name] if alias in lower), None)


def _numbers(table: Table, column: str, origin) -> np.ndarray:
    """Read a column of numbers, NaN where one is missing."""
    try:
        numbers = np.ma.filled(np.ma.asarray(table[column], float), np.nan)
    except (TypeError, ValueError):
        raise GaltoolsError(
            f"{origin}: column {column!r} holds no decimal numbers: correct it"
        ) from None
    if numbers.ndim > 1:
        raise GaltoolsError(f"{origin}: column {column!r} holds {numbers.shape[1:]} numbers a row")
    return numbers


def _in_degrees(table: Table, column: str, origin) -> float:
    """Return the degrees in the unit of a column of angles; without a unit it is in degrees."""
    unit = getattr(table[column], "unit", None)
    if unit is None or isinstance(unit, u.UnrecognizedUnit):
        return 1.0
    try:
        return unit.to(u.deg)
    except u.UnitConversionError:
        raise GaltoolsError(f"{origin}: column {column!r} is in {unit}: give degrees") from None


def _name_of(table: Table, column: str) -> str:
    """Keep a stranger's column `flag` apart from ours, whose bits mean something else."""
    foreign = column == FLAG and table[column].info.description != MEANING
    return f"{FLAG}_given" if foreign else column


def tidy(table: Table, origin="the catalogue", positions: bool = True) -> Table:
    """Rename known columns, add identifiers where there are none, and flag every row."""
    if not len(table):
        raise GaltoolsError(f"{origin} has no rows: give a catalogue with at least one object")
    n = len(table)
    found = {name: _find(table, name) for name in ALIASES}
    if positions and (missing := [name for name in ("ra", "dec") if not found[name]]):
        raise GaltoolsError(
            f"{origin} has no column {' or '.join(missing)}: it has {', '.join(table.colnames)}"
        )
    ids = [str(x) for x in table[found["id"]]] if found["id"] else [str(k) for k in range(n)]
    columns = {"id": np.array(ids), "redshift": np.full(n, np.nan)}
    for name in ("ra", "dec", "redshift", "ebv"):
        if found[name]:
            columns[name] = _numbers(table, found[name], origin)
    for name in {"ra", "dec"} & columns.keys():
        columns[name] = columns[name] * _in_degrees(table, found[name], origin)
    others = [name for name in table.colnames if name not in found.values()]
    tidied = Table(
        columns | {_name_of(table, name): table[name] for name in others}, meta=table.meta
    )
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
        placed = has_position(table)
        raise_flag(table, ~placed, Flag.NO_POSITION)
        raise_flag(table, np.flatnonzero(placed)[_same_place(table[placed])], Flag.DUPLICATE)


def has_position(table: Table) -> np.ndarray:
    """Mask of the rows whose ra and dec are finite and on the sphere."""
    ra, dec = np.asarray(table["ra"], float), np.asarray(table["dec"], float)
    return (ra >= -180) & (ra <= 360) & (np.abs(dec) <= 90)


def _same_place(table: Table) -> np.ndarray:
    """Rows that lie on an earlier one."""
    if len(table) < 2:
        return np.zeros(0, int)
    sky = SkyCoord(table["ra"], table["dec"], unit="deg")
    first, second, _, _ = sky.search_around_sky(sky, SAME_PLACE * u.arcsec)
    return np.unique(first[first > second])
