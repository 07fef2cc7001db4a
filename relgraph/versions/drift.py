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
from relgraph.tables.reading import Table, ids_of_one_kind, paired, read_files
from relgraph.tables.sample import finite_rows
from relgraph.versions.movement import Floats, movement
from relgraph.versions.writing import check_drift_output, write_drift, written_files

LEVEL = 0.05
FEWEST_ROWS = 50
ROWS_PER_DIMENSION = 2
FAR = 2.0
"""A typical row that moved so many times as far as another seed moves it is noted."""
SHOWN = 10
Vectors = Any  # a path, an array or a tensor


@dataclass(frozen=True, eq=False)
class Drift:
    """How far every row moved, and whether another seed moves rows as far; the result of :func:`drift`.

    Args:
        ids: Ids of the compared rows, in the order of the old table, ``(N,)``.
        movement: Distances between the versions, in units of the row's own movement by another seed, with a median of 1
            over the rows of each version, ``(N,)``.
        p: The share of null distances at least as large, ``(N,)``.
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
    p-value of a row is the share of these at least as large (conformal; Vovk et al., 2005); q-values control the false
    discovery rate (Benjamini & Hochberg, 1995; with conformal p-values Bates et al., 2023).

    Each run is compared with its own median row: movement that is the same in all rows, or that an affine map of the
    space undoes, is none. If most of the rows moved, only those beyond the others are found.

    All rows are held in memory, and the nearest rows of each are searched, which takes a time that grows with the
    square of the number of rows.

    Args:
        old: The old version: a file of a table (:func:`relgraph.tables.open_table`), or an array or tensor ``(N, F)``
            whose ids are the row numbers.
        new: The new version, or several seeds of it.
        null: One or more other seeds of the old version, trained on the same graph as ``old``; three old runs in all
            give every row a scale of its own, two give all rows the same.
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
    width = max(table.width for table in tables)
    fewest = max(FEWEST_ROWS, ROWS_PER_DIMENSION * width)
    if len(ids) < fewest:
        rule = f"must share {fewest} rows or more with all tables, two per dimension and at least {FEWEST_ROWS}"
        raise InputError("old", f"{rule} (got {len(ids)}); compare more rows or fewer dimensions")
    runs = [finite_rows(table, table.take(some), ids) for table, some in zip(tables, rows, strict=True)]
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
        notes=_notes(tables, len(ids), split, found.overall / found.seeds.max()),
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
    if repeated is not None:
        raise InputError("null", f"must hold other files than 'old' and 'new' (got {repeated} twice); name each once")


def _notes(tables: Sequence[Table], common: int, old: int, typical: float) -> list[str]:
    notes = []
    if typical > FAR:
        found = f"the typical row moved {typical:.1f} times as far as any other seed moves it"
        notes.append(f"{found}, and only rows beyond it are found; check that ids name the same rows in all tables")
    most = reduce(max, (len(table) for table in tables))
    if most > common:
        notes.append(f"{most - common:,} or more rows are not in all tables and were left out")
    if old == 2:
        notes.append("two seeds of the old version give all rows the same scale; a third gives every row its own")
    return notes


def _plain(one: Any) -> Any:
    """An id as a value of JSON."""
    return int(one) if isinstance(one, np.integer) else one.hex() if isinstance(one, bytes) else str(one)
