"""How far the rows of a new version lie from the anchors, beside how far these lie from one another."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from relgraph.anchors.matching import shared_ids
from relgraph.anchors.values import AnchorSet
from relgraph.errors import RelgraphWarning
from relgraph.versions.rows import AnsweredRows

MOST = 2000
"""More rows, or anchors, are represented by so many of them."""
ELSEWHERE = 2.0
"""Rows of the old version that are so many times as far from the anchors as these from one another are no rows of it.

A round number: embeddings of another seed are farther on every measured graph, and the rows themselves about as far.
"""


class RowsElsewhereWarning(RelgraphWarning):
    """Rows of the old version lie far from its anchors: they are probably embeddings of another run."""


def distances(space: AnchorSet, rows: AnsweredRows) -> dict[str, float]:
    """Mean distance of the anchors and of each group of rows to the nearest other anchor.

    They are divided by the mean distance of the rows of the first group to the center; empty if all of these are there.
    """
    center = space.center.cpu().double()
    anchors = space.embeddings.cpu().double() - center
    z = {group: _some(numbers) for group, numbers in rows.groups.items()}
    points = {group: rows.z[numbers].detach().cpu().double() - center for group, numbers in z.items()}
    size = float(next(iter(points.values())).norm(dim=1).mean())
    if not size > 0:
        return {}
    some = _some(torch.arange(len(anchors)))
    found = {"anchors": _nearest_other(anchors[some], space.ids.cpu()[some], anchors, space.ids.cpu())}
    for group, numbers in z.items():
        found[group] = _nearest_other(points[group], rows.ids[numbers], anchors, space.ids.cpu())
    return {group: value / size for group, value in found.items()}


def elsewhere(found: Mapping[str, float]) -> str | None:
    """Why rows of the old version are no rows of the anchors' space; ``None`` if they may be."""
    far, usual = found.get("old", 0.0), found.get("anchors", 0.0)
    if not far > ELSEWHERE * usual:
        return None
    times = f"{far / usual:.1f} times" if usual > 0 else "infinitely"
    return f"old rows are {times} as far from the nearest anchor as the anchors from one another"


def _some(numbers: Tensor) -> Tensor:
    """So many of the row numbers at most, evenly spaced."""
    step = max(1, -(-len(numbers) // MOST))
    return numbers[::step]


def _nearest_other(points: Tensor, ids: Tensor, anchors: Tensor, anchor_ids: Tensor) -> float:
    apart = torch.cdist(points, anchors)
    own, place = shared_ids(anchor_ids, ids)
    apart[place, own] = torch.inf
    nearest = apart.amin(dim=1)
    known = nearest.isfinite()  # a single anchor has no other one
    return float(nearest[known].mean()) if bool(known.any()) else 0.0
