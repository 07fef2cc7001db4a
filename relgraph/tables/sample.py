"""Common rows of two tables that are read before anything else: the anchors, and rows to measure on."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from relgraph.anchors.values import AnchorSet
from relgraph.arrays import as_array
from relgraph.errors import InputError, whole_number
from relgraph.io import PathLike
from relgraph.tables.ids import Ids, check_unique, comparable_ids, in_kind_of, matching_rows, read_ids, shown
from relgraph.tables.reading import Table, ids_of_one_kind

SAMPLE = 4096
"""Common ids that are read: the anchors unless told otherwise, and the rows that figures are measured on."""
FEWEST_HELD_OUT = 100


@dataclass(frozen=True, eq=False)
class Sample:
    """Common rows that were read: source and target rows ``(S, *)``, and the rows of the sample that are anchors."""

    ids: Ids
    x: Tensor
    y: Tensor
    anchors: Tensor
    common: int

    @classmethod
    def read(cls, source: Table, target: Table, anchors: int | PathLike | ArrayLike | None) -> Sample:
        """Draw common ids, and read their rows in both tables."""
        ids, other = ids_of_one_kind([source, target])
        rows, target_rows = matching_rows(ids, other)
        common = len(rows)
        cheap = np.flatnonzero(source.readable(np.random.default_rng(0))[rows])
        if anchors is None or (not isinstance(anchors, (str, os.PathLike)) and np.ndim(anchors) == 0):
            chosen = _drawn(common, anchors, cheap)
        else:
            chosen = _found(ids[rows], _wanted(anchors, ids))
        left = np.zeros(common, dtype=bool)
        left[cheap] = True
        left[chosen] = False
        others = np.flatnonzero(left)
        most = max(0, SAMPLE - len(chosen))
        if len(others) > most:
            others = np.random.default_rng(1).choice(others, most, replace=False)
        places = np.sort(np.concatenate([chosen, others]))
        used, used_target = rows[places], target_rows[places]
        x, y = (
            finite_rows(table, table.take(some), ids[used]) for table, some in ((source, used), (target, used_target))
        )
        return cls(ids[used], x, y, torch.from_numpy(np.flatnonzero(np.isin(places, chosen))), common)

    def space(self, rows: Tensor) -> AnchorSet:
        """The anchors as a published space, whose center is the mean of the sample."""
        ids = torch.arange(len(self.anchors))
        return AnchorSet(ids, rows[self.anchors].double(), rows.double().mean(dim=0))

    @property
    def held_out(self) -> Tensor:
        """Rows of the sample that are no anchors, if they are enough to measure on, else the anchors themselves."""
        others = torch.ones(len(self.ids), dtype=torch.bool)
        others[self.anchors] = False
        rows = others.nonzero().view(-1)
        return rows if len(rows) >= FEWEST_HELD_OUT else self.anchors


def _drawn(common: int, count: Any, cheap: NDArray[np.int64]) -> NDArray[np.int64]:
    """Which of the common ids are anchors, of those that can be read quickly if these are enough."""
    if count is not None and not 1 <= (count := whole_number("anchors", count)) <= common:
        raise InputError("anchors", f"must be from 1 to the {common} ids that both tables have (got {count}); lower it")
    wanted = min(common, SAMPLE) if count is None else count
    return np.sort(np.random.default_rng(0).choice(cheap if len(cheap) >= wanted else common, wanted, replace=False))


def _wanted(anchors: Any, like: Ids) -> Ids:
    """Ids of anchors in a file or an array, in the form of those of the tables."""
    if isinstance(anchors, (str, os.PathLike)):
        found = read_ids(Path(os.fspath(anchors)).expanduser(), like)
    else:
        found = in_kind_of(_as_ids(anchors), like)
    ids = comparable_ids(found, "anchors", "give ids of the tables")
    if not len(ids):
        raise InputError("anchors", "must hold at least one id (got none); leave them out to take all")
    check_unique(ids, "anchors")
    return ids


def _as_ids(given: Any) -> Ids:
    """Ids that were given as an array, a tensor, a series or a list; text and UUIDs may be objects of Python."""
    array = as_array(given)
    ones = array.tolist() if array.dtype.kind == "O" and array.ndim == 1 else []
    if ones and all(isinstance(one, (UUID, bytes)) for one in ones):
        return np.array([one.bytes if isinstance(one, UUID) else one for one in ones], dtype="S")
    if ones and all(isinstance(one, (str, int)) for one in ones):
        return np.array(ones)
    return array


def _found(common: Ids, wanted: Ids) -> NDArray[np.int64]:
    """Places of ids among the common ones, or an error that names one that is missing."""
    if (common.dtype.kind == "S") != (wanted.dtype.kind == "S"):
        raise InputError("anchors", "must be ids of the same kind as those of the tables, integers or text")
    missing = wanted[~np.isin(wanted, common)]
    if len(missing):
        got = f"got {shown(missing[0])}" + (f" and {len(missing) - 1} more" if len(missing) > 1 else "")
        raise InputError("anchors", f"must be ids that both tables have ({got}); leave them out")
    return np.flatnonzero(np.isin(common, wanted))


def finite_rows(table: Table, rows: NDArray[Any], ids: Ids) -> Tensor:
    """Rows of a table as a tensor, or the error that names the id of the first one that is not finite."""
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(bad):
        refuse_row(table, rows[bad[0]], ids[bad[0]])
    return torch.from_numpy(np.ascontiguousarray(rows))


def refuse_row(table: Table, row: NDArray[Any], one: Any) -> None:
    """Raise the error for a row with this id that is not finite."""
    value = "NaN" if np.isnan(row).any() else "infinity"
    got = f"got {value} in the row with id {shown(one)} of {table.name}"
    raise InputError(table.argument, f"must hold finite numbers ({got}); drop or repair the row")
