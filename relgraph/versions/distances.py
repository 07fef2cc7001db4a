"""How far the rows of a new version lie from the anchors, beside how far they lie from one another."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from relgraph.anchors.matching import shared_ids
from relgraph.anchors.values import AnchorSet
from relgraph.errors import RelgraphWarning
from relgraph.versions.rows import AnsweredRows

MOST = 2000
"""More rows are represented by so many of them."""
ELSEWHERE = 2.0
"""Rows of the old version that are so many times as far from the anchors as from one another are of another space.

A round number: embeddings of another seed are farther on every measured graph, the rows themselves nearer, also if the
anchors are the nodes that change least, which lie close together.
"""


class RowsElsewhereWarning(RelgraphWarning):
    """Rows of the old version lie far from its anchors: they are probably embeddings of another run."""


def distances(space: AnchorSet, rows: AnsweredRows) -> dict[str, float]:
    """Mean distance of each group of rows to the nearest other anchor, ``"old"`` and ``"new"``; ``"rows"``: see below.

    They are divided by the mean distance of the rows of the first group to the center; empty if all of these are there.
    ``"rows"`` is the mean distance of the old rows to the nearest other one among as many of them as there are anchors.
    """
    center = space.center.cpu().double()
    some = {group: _some(numbers, MOST) for group, numbers in rows.groups.items()}
    points = {group: rows.z[numbers].detach().cpu().double() - center for group, numbers in some.items()}
    size = float(next(iter(points.values())).norm(dim=1).mean())
    if not size > 0:
        return {}
    anchors, ids = space.embeddings.cpu().double() - center, space.ids.cpu()
    found = {group: _nearest_other(points[group], rows.ids[numbers], anchors, ids) for group, numbers in some.items()}
    if "old" in some:
        among = _some(rows.groups["old"], len(anchors))
        others = rows.z[among].detach().cpu().double() - center
        found["rows"] = _nearest_other(points["old"], rows.ids[some["old"]], others, rows.ids[among])
    return {group: value / size for group, value in found.items()}


def elsewhere(found: Mapping[str, float]) -> str | None:
    """Why the old rows are no rows of the anchors' space, by :func:`distances`; ``None`` if they may be."""
    far, usual = found.get("old", 0.0), found.get("rows", 0.0)
    if not far > ELSEWHERE * usual:
        return None
    times = f"{far / usual:.1f} times" if usual > 0 else "infinitely"
    return f"old rows are {times} as far from the nearest anchor as from one another"


def _some(numbers: Tensor, most: int) -> Tensor:
    """So many of the row numbers at most, evenly spaced."""
    count = min(most, len(numbers))
    return numbers[torch.arange(count) * len(numbers) // max(count, 1)]


def _nearest_other(points: Tensor, ids: Tensor, others: Tensor, other_ids: Tensor) -> float:
    """Mean distance to the nearest of the others that is not the point itself; infinite if there is none."""
    apart = torch.cdist(points, others)
    own, place = shared_ids(other_ids, ids)
    apart[place, own] = torch.inf
    return float(apart.amin(dim=1).mean())
