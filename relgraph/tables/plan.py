"""A translation of a table that was fitted and measured, and not yet applied."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from relgraph.errors import InputError, unknown_name
from relgraph.io import PathLike, check_not_read, digest
from relgraph.maps import MatchedAnchors, fit_map, fold_translation
from relgraph.registry import MAPS
from relgraph.tables.ids import shown
from relgraph.tables.measuring import HeldOut, build_report
from relgraph.tables.reading import Table, file_path, open_tables, read_files
from relgraph.tables.sample import Sample, refuse_row
from relgraph.tables.trust import Trust, principal_axes
from relgraph.tables.writing import Progress, check_names, check_output, write_table, written_files

STEP = 2048
"""Rows that are translated at once: so few that what is computed of them stays in the cache of a core."""
BlockMap = Callable[[Tensor], tuple[Tensor, Tensor]]


def plan_translation(
    source: PathLike,
    target: PathLike,
    out: PathLike | None = None,
    *,
    key: str | None = None,
    anchors: int | PathLike | ArrayLike | None = None,
    method: str = "ridge",
) -> TablePlan:
    """Read what is needed, fit the map and measure it, without writing; arguments as of :func:`translate_table`."""
    check_method(method)
    place = None if out is None else file_path("out", out, "name the file to write")
    if place is not None:
        check_output(place)
    new, old = open_tables([source, target], ["source", "target"], key)
    if place is not None:
        check_names(place, new, old)
        others = [anchors] if isinstance(anchors, (str, os.PathLike)) else []
        check_not_read(written_files(place), read_files(source, target, *others))
    sample = Sample.read(new, old, anchors)
    fitted, matched = fit_map(sample.space(sample.x), sample.space(sample.y), method)
    return TablePlan(new, old, place, fitted, sample, matched, method)


class TablePlan:
    """A fitted and measured translation of a table; made by :func:`plan_translation`.

    Args:
        source, target: The tables.
        out: Where :meth:`write` writes.
        translation: The fitted map.
        sample: What was read.
        matched: The anchors.
        method: Name of the map.
    """

    def __init__(
        self,
        source: Table,
        target: Table,
        out: Path | None,
        translation: nn.Module,
        sample: Sample,
        matched: MatchedAnchors,
        method: str,
    ) -> None:
        self._source, self._target, self._out = source, target, out
        self._translation = translation
        held = HeldOut.of(translation, sample, matched, method)
        self.trust = Trust.calibrate(held.offsets, held.translated, held.true, principal_axes(matched.offsets))
        self.report = build_report(source, target, translation, sample, matched, method, held, self.trust is not None)
        self._map = block_map(translation, matched, self.trust, source.dtype)

    def translate(
        self, rows: NDArray[Any], first: int = 0, out: tuple[NDArray[Any], NDArray[np.float32]] | None = None
    ) -> tuple[NDArray[Any], NDArray[np.float32]]:
        """Vectors ``(n, G)`` and trust ``(n, 3)`` of rows of the source, the first of which has this number.

        They are written to ``out``, if it is given.
        """
        if out is None:
            out = np.empty((len(rows), self._target.width), self._target.dtype), np.empty((len(rows), 3), np.float32)
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # torch warns of arrays that it must not write to, and does not write
            block, vectors, trust = (torch.from_numpy(array) for array in (rows, *out))
            for low in range(0, len(rows), STEP):
                part = slice(low, low + STEP)
                # A sum is quick and is not finite if a number is not; of large numbers it may not be finite either.
                if not block[part].sum().isfinite() and not block[part].isfinite().all():
                    bad = low + int((~block[part].isfinite()).any(dim=1).nonzero()[0])
                    refuse_row(self._source, rows[bad], self._source.id_of(first + bad))
                vectors[part], trust[part] = self._map(block[part])
                # float32, because a sum in half precision is soon infinite.
                if not vectors[part].sum(dtype=torch.float32).isfinite() and not vectors[part].isfinite().all():
                    bad = low + int((~vectors[part].isfinite()).any(dim=1).nonzero()[0])
                    self._refuse_result(self._source.id_of(first + bad))
        return out

    def _refuse_result(self, one: Any) -> None:
        """Raise the error for the row with this id, which is mapped to numbers that the target's type cannot hold."""
        largest = f"{self._target.dtype}, whose largest number is {float(np.finfo(self._target.dtype).max):.5g}"
        raise InputError(
            self._target.argument,
            f"must be of a type that holds the translated rows (got {largest}, too small for the row with id "
            f"{shown(one)} of {self._source.name}); save {self._target.name} in a wider type, or drop the row",
        )

    def write(self, progress: Progress | None = None) -> None:
        """Translate all rows and write them to ``out``; see :func:`relgraph.translate_table`."""
        if self._out is None:
            raise InputError("out", "must be given to write a table (got none); name a file")
        write_table(self._out, self._source, self._target, self.translate, self._digest(), progress)

    def _digest(self) -> str:
        """Of the input files and of everything that is computed from them."""
        state = [tensor for _, tensor in sorted(self._translation.state_dict().items())]
        trust = [] if self.trust is None else [self.trust.coefficients, self.trust.factors]
        files = [[table.name, table.width, str(table.dtype), *table.stamp] for table in (self._source, self._target)]
        return digest(*state, *trust, files)


def block_map(translation: nn.Module, matched: MatchedAnchors, trust: Trust | None, dtype: np.dtype[Any]) -> BlockMap:
    """From rows ``(n, F)`` to vectors ``(n, G)`` and trust ``(n, 3)``; of an affine map by one matrix product."""
    wide = torch.float64 if dtype.itemsize > 4 else torch.float32
    unknown = torch.full((1, 3), float("nan"))
    center, origin = matched.center, matched.origin
    try:
        folded = fold_translation(translation)
    except InputError:

        def curved(rows: Tensor) -> tuple[Tensor, Tensor]:
            offsets = rows.double() - center
            y = translation(rows.double())
            if trust is None:
                return y, unknown.expand(len(y), 3)
            return y, trust(offsets @ trust.axes, offsets, y - origin).float()

        return curved
    weight, bias = folded.weight.mT.to(wide).contiguous(), folded.bias.to(wide)
    axes = None if trust is None else trust.axes.to(wide)
    center, origin = center.to(wide), origin.to(wide)

    def affine(rows: Tensor) -> tuple[Tensor, Tensor]:
        x = rows.to(wide)
        y = torch.addmm(bias, x, weight)
        if trust is None or axes is None:
            return y, unknown.expand(len(y), 3)
        offsets = x - center
        return y, trust(offsets @ axes, offsets, y - origin)

    return affine


def check_method(method: str) -> None:
    """Refuse a map that does not map to embeddings."""
    able = [name for name in MAPS if MAPS.resolve(name).targets != "outputs"]
    if not isinstance(method, str) or method not in MAPS:
        raise unknown_name("method", method, able)
    if method not in able:
        raise InputError("method", f"must be one of {', '.join(able)} for a table (got '{method}'); 'ridge' is a start")
