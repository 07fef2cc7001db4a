"""Which rows of a table moved between two versions, beyond what another seed on the same graph moves them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relgraph.arrays import as_array
from relgraph.errors import InputError, real_number
from relgraph.io import PathLike, check_not_read
from relgraph.tables import open_table
from relgraph.tables.arrays import ArrayTable
from relgraph.tables.ids import Ids, matching_rows, shown
from relgraph.tables.reading import Table, ids_of_one_kind, paired, read_files, unequal_rows
from relgraph.tables.sample import finite_rows
from relgraph.versions.movement import Movement, movement, unit
from relgraph.versions.tail import Floats
from relgraph.versions.writing import check_drift_output, write_drift, written_files

LEVEL = 0.05
FEWEST_ROWS = 50
ROWS_PER_DIMENSION = 2
FAR = 2.0
"""A typical row that moved so many times as far as another seed moves it is noted."""
UNEVEN = 8.0
"""Ratio of the quantiles .9 and .1 of the distances of two old runs that is noted; measured graphs are well below."""
SHOWN = 10
Vectors = Any  # a path, an array or a tensor


@dataclass(frozen=True, eq=False)
class Drift:
    """How far every row moved, and whether another seed moves rows as far; the result of :func:`drift`.

    Args:
        ids: Ids of the compared rows, in the order of the old table, ``(N,)``.
        movement: Distances between the versions, in units of the row's own movement by another seed, with a median of 1
            over the rows of each version, ``(N,)``.
        p: Approximately conformal p-values, ``(N,)``: the share of null distances at least as large, by rank, and
            beyond the upper 2 % of the null by a fitted tail (:meth:`relgraph.versions.movement.Movement.p_values`).
        q: ``p`` adjusted by Benjamini and Hochberg (1995), ``(N,)``: the expected share of false discoveries among the
            rows of at most this value.
        level: Rows of ``q`` at most this count as moved.
        overall: Movement of the median row, in units of that by another seed.
        seeds: The same for each old run and the others, ``(m,)``.
        notes: What else was found, one sentence each.
    """

    ids: Ids
    movement: Floats
    p: Floats
    q: Floats
    level: float
    overall: float
    seeds: Floats
    notes: Sequence[str] = ()

    @property
    def moved(self) -> NDArray[np.bool_]:
        """A mask of the rows that moved, at the level of false discoveries, ``(N,)``."""
        return np.asarray(self.q <= self.level)

    def furthest(self, count: int = SHOWN) -> NDArray[np.int64]:
        """The rows that moved, the furthest first, at most so many."""
        order = np.argsort(-self.movement, kind="stable")
        return order[self.moved[order]][:count]

    def to_dict(self) -> dict[str, Any]:
        """The summary and the rows that moved, as values of JSON."""
        rows = self.furthest(len(self.ids))
        return {
            "rows": len(self.ids),
            "level": self.level,
            "moved": int(self.moved.sum()),
            "overall": self.overall,
            "seeds": self.seeds.tolist(),
            "notes": list(self.notes),
            "moved_rows": [
                {"id": _plain(self.ids[row]), "movement": float(self.movement[row])}
                | {"p": float(self.p[row]), "q": float(self.q[row])}
                for row in rows
            ],
        }

    def lines(self) -> list[tuple[str, str]]:
        """What a command shows: names and values."""
        count = int(self.moved.sum())
        rows = [f"{shown(self.ids[row])} ({self.movement[row]:.1f})" for row in self.furthest()]
        between = f"{self.seeds.min():.2f} to {self.seeds.max():.2f}"
        return [
            ("rows", f"{len(self.ids):,} compared, null of {len(self.seeds)} seeds"),
            ("moved", f"{count:,} ({count / len(self.ids):.1%}) at a false discovery rate of {self.level:g}"),
            *([("furthest", ", ".join(rows) + (", ..." if count > len(rows) else ""))] if count else []),
            ("typical row", f"{self.overall:.2f} of the movement by another seed, which is {between} for single seeds"),
            *(("note", note) for note in self.notes),
        ]

    def __str__(self) -> str:
        return "\n".join(f"{name:<13}{value}" for name, value in self.lines())


def drift(
    old: Vectors,
    new: Vectors | Sequence[Vectors],
    null: Vectors | Sequence[Vectors],
    out: PathLike | None = None,
    *,
    key: str | None = None,
    level: float = LEVEL,
) -> Drift:
    r"""Which rows moved between two versions, beyond what another seed on the same graph moves them.

    Embeddings of two trainings differ in every row, also on the same graph. Runs of the old version from several seeds
    tell by how much. All runs are mapped to one frame, the map of a row without that row, and the distance of the
    versions is compared with that of each old run from the other old runs (:mod:`relgraph.versions.movement`). The
    p-value of a row is the share of these at least as large, in the upper 2 % that of a fitted tail (approximately
    conformal; Vovk et al., 2005); q-values are those that control the false discovery rate (Benjamini & Hochberg, 1995;
    with conformal p-values Bates et al., 2023).

    Each run is compared with its own median rows, with three or more old runs in five strata of the rows by how far
    seeds move them: movement that is the same in all rows, or that an affine map of the space undoes, is none. If most
    of the rows moved, only those beyond the others are found.

    Rows of which an old run is far beyond all others are not tested: they may be damaged, and a note names them.

    All rows are held in memory, and the nearest rows of each are searched, which takes a time that grows with the
    square of the number of rows.

    Args:
        old: The old version: a file of a table (:func:`relgraph.tables.open_table`), or an array or tensor ``(N, F)``
            whose ids are the row numbers.
        new: The new version, or several seeds of it.
        null: One or more other seeds of the old version, trained on the same graph as ``old``; three old runs in all
            give every row a scale of its own. Two give all rows the same, and q-values are then too small if
            seeds move some rows many times as far as others, which a note tells.
        out: A file for ids, movement, p and q of every row: Parquet, Arrow, Feather, CSV, or npy (ids beside it).
        key: Name of the id column in all tables; by default the only one that can be it.
        level: False discovery rate of the rows that count as moved, between 0 and 1.

    Raises:
        InputError: If no other seed of the old version is given, tables have no common ids, or fewer than 50 or than
            two per dimension, a row is not finite, or two old runs are the same space.
        DataError: If a file is missing, damaged or cannot be written.

    Example:
        >>> rng = np.random.default_rng(1)
        >>> space = rng.normal(size=(300, 4))
        >>> runs = [(space + 0.1 * rng.normal(size=(300, 4))) @ rng.normal(size=(4, 6)) for _ in range(3)]
        >>> moved = space + np.where(np.arange(300)[:, None] < 3, 2.0, 0.0)
        >>> new = (moved + 0.1 * rng.normal(size=(300, 4))) @ rng.normal(size=(4, 6))
        >>> found = drift(runs[0], new, null=runs[1:])
        >>> np.flatnonzero(found.moved)
        array([0, 1, 2])
    """
    from scipy.stats import false_discovery_control

    if not 0 < real_number("level", level) < 1:
        raise InputError("level", f"must be between 0 and 1 (got {level}); 0.05 is the default")
    place = None if out is None else Path(os.fspath(out)).expanduser()
    if place is not None:
        check_drift_output(place)
    others, newer = _several(null), _several(new)
    if not others:
        raise InputError("null", "must name one or more other seeds of the old version (got none); train it once more")
    if not newer:
        raise InputError("new", "must name at least one table (got none)")
    first = _table(old, "old", key)
    tables = [first, *(_table(one, "null", key) for one in others), *(_table(one, "new", key) for one in newer)]
    _check_different(tables)
    if place is not None:
        check_not_read(written_files(place), read_files(*(one for one in (old, *others, *newer) if _is_path(one))))
    ids, rows = _common_rows(tables)
    _check_enough(tables, len(ids))
    runs = [finite_rows(table, table.take(some), ids) for table, some in zip(tables, rows, strict=True)]
    for run, table in zip(runs, tables, strict=True):
        unit(run.double(), table.argument, table.name)
    split = 1 + len(others)
    found = movement(runs[:split], runs[split:])
    p = found.p_values()
    plain = first.plain_ids()[rows[0]]
    result = Drift(
        ids=plain,
        movement=found.distances,
        p=p,
        q=np.asarray(false_discovery_control(p)),
        level=level,
        overall=found.overall,
        seeds=found.seeds,
        notes=[*_notes(tables, len(ids), found), *_untested(found, plain, tables)],
    )
    if place is not None:
        write_drift(place, plain, {"movement": result.movement, "p": result.p, "q": result.q})
    return result


def _several(given: Any) -> list[Any]:
    if given is None:
        return []
    return list(given) if isinstance(given, (list, tuple)) else [given]


def _is_path(given: Any) -> bool:
    return isinstance(given, (str, os.PathLike))


def _table(given: Any, argument: str, key: str | None) -> Table:
    if _is_path(given):
        return open_table(given, argument, key)
    array = as_array(given)
    return ArrayTable(array, None, argument, f"the array '{argument}'", array.dtype)


def _common_rows(tables: Sequence[Table]) -> tuple[Ids, list[NDArray[np.int64]]]:
    """Ids that all tables have, in the order of the first, and the rows of every table with them."""
    every = ids_of_one_kind(tables)
    common = every[0]
    for table, ids in zip(tables[1:], every[1:], strict=True):
        common = common[_matching(common, ids, tables[0], table)[0]]
    return common, [_matching(common, ids, tables[0], table)[1] for table, ids in zip(tables, every, strict=True)]


def _matching(common: Ids, ids: Ids, first: Table, table: Table) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    files = (one.name for one in (first, table) if one.stamp)
    with paired("old", table.argument, *files, named=table.argument):
        return matching_rows(common, ids)


def _check_different(tables: Sequence[Table]) -> None:
    """Refuse a file that is given twice."""
    names = [table.name for table in tables if table.stamp]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is None:
        return
    first, second = [table.argument for table in tables if table.stamp and table.name == repeated][:2]
    if first == second:
        raise InputError(second, f"must hold different files (got {repeated} twice); name each once")
    raise InputError(second, f"must hold other files than '{first}' (got {repeated} in both); name each once")


def _check_enough(tables: Sequence[Table], common: int) -> None:
    """Refuse too few common rows, by the name of the shortest table."""
    fewest = max(FEWEST_ROWS, ROWS_PER_DIMENSION * max(table.width for table in tables))
    if common >= fewest:
        return
    shortest = min(tables, key=len)
    rule = f"must share {fewest} rows or more with all tables, two per dimension and at least {FEWEST_ROWS}"
    got = f"got {common}, and {len(shortest)} rows in {shortest.name}"
    raise InputError(shortest.argument, f"{rule} ({got}); compare more rows or fewer dimensions")


def _notes(tables: Sequence[Table], common: int, moved: Movement) -> list[str]:
    notes = []
    typical = float(moved.overall / moved.seeds.max())
    if typical > FAR:
        found = f"the typical row moved {typical:.1f} times as far as any other seed moves it"
        notes.append(f"{found}, and only rows beyond it are found; check that ids name the same rows in all tables")
    most = reduce(max, (len(table) for table in tables))
    if most > common:
        notes.append(f"{most - common:,} or more rows are not in all tables and were left out")
    if any(unequal_rows(tables[0], table) for table in tables[1:]):
        notes.append("tables without ids have different numbers of rows, and their rows were paired by number")
    if len(moved.null) == 2:
        notes.append("two seeds of the old version give all rows the same scale; a third gives every row its own")
        low, high = np.quantile(moved.null[0], [0.1, 0.9])
        if high > UNEVEN * low:
            rule = f"seeds move a tenth of the rows more than {UNEVEN:g} times as far as another tenth"
            notes.append(f"{rule}, and rows may count as moved that did not; add a third seed of the old version")
    return notes


def _untested(found: Movement, ids: Ids, tables: Sequence[Table]) -> list[str]:
    """A note that names the rows of old runs far beyond all others, and the tables where they are farthest."""
    rows = np.flatnonzero(found.untested)
    if not len(rows):
        return []
    rows = rows[np.argsort(-found.null[:, rows].max(axis=0), kind="stable")]
    named = ", ".join(str(shown(ids[row])) for row in rows[:SHOWN]) + (", ..." if len(rows) > SHOWN else "")
    farthest = np.unique(found.null[:, rows].argmax(axis=0))
    # With two old runs, the distance of one from the other is that of the other from the one.
    places = "one of the two old tables" if len(found.null) == 2 else ", ".join(tables[one].name for one in farthest)
    what = f"{len(rows):,} rows lie" if len(rows) > 1 else "1 row lies"
    return [f"{what} far beyond all others in {places} and cannot be tested; check for damage the rows with id {named}"]


def _plain(one: Any) -> Any:
    """An id as a value of JSON."""
    return int(one) if isinstance(one, np.integer) else one.hex() if isinstance(one, bytes) else str(one)
