"""The rows that are to be answered in a new version: checked, in groups, with old answers and labels."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from relgraph.anchors.matching import as_tensor, repeated_id, row_numbers, shared_ids
from relgraph.anchors.values import AnchorSet, PublishedHead, check_rows
from relgraph.errors import InputError, RelgraphWarning
from relgraph.graph import integer_ids

FEWEST_LABELS = 50
SAME = 1e-3
"""A row this near to an anchor, relative to the spread of the anchors, is the anchor; rounding is added to it."""
ROUNDINGS = 16
OTHERS = 0.25
"""Rows whose mean square distance to their anchors is this share of that of two different anchors are other rows.

Rows that were embedded again, with sampled neighbors or on a later graph, are nearer.
"""


class AnchorsMovedWarning(RelgraphWarning):
    """Rows with the ids of anchors are near the anchors' embeddings, but are not these."""


@dataclass(frozen=True, eq=False)
class AnsweredRows:
    """Checked rows to be answered: row numbers of the groups and of labels, and old answers."""

    z: Tensor
    ids: Tensor
    old: Tensor
    new: Tensor
    kept: Tensor | None
    retrained: Tensor | None
    predictions: Tensor | None
    y: Tensor | None
    train: Tensor
    check: Tensor

    @classmethod
    def of(
        cls,
        space: AnchorSet,
        head: PublishedHead,
        z: Tensor | None,
        *,
        ids: Tensor | None,
        old: Tensor | None,
        kept: Tensor | None,
        retrained: Tensor | tuple[Tensor, Tensor] | None,
        y: Tensor | None,
        train: Tensor | None,
        edge_index: Tensor | None,
    ) -> AnsweredRows | None:
        """Check the arguments of :func:`relgraph.versions.upgrade`; ``None`` without rows."""
        if z is None:
            given = {"ids": ids, "old": old, "kept": kept, "retrained": retrained, "y": y, "train": train}
            for name, value in (given | {"edge_index": edge_index}).items():
                if value is not None:
                    raise InputError(name, "must be left out without 'z' (got it alone); pass the new embeddings")
            return None
        given_z = as_tensor("z", z).detach()
        z = checked_embeddings(space, given_z)
        count = len(z)
        names = torch.arange(count) if ids is None else _checked_ids(ids, count)
        if ids is not None or kept is not None:  # nothing else is matched by ids
            check_anchor_rows(space, names, given_z)
        before = torch.arange(count) if old is None else row_numbers("old", old, count, fewest=0).cpu()
        after = torch.ones(count, dtype=torch.bool).index_fill_(0, before, False).nonzero().view(-1)
        shape = (count, head.outputs.size(1))
        kept = _answers("kept", kept, shape)
        own, predictions = retrained if isinstance(retrained, tuple | list) else (retrained, None)
        own = _answers("retrained", own, shape)
        fit = torch.zeros(0, dtype=torch.int64)
        if train is not None:
            fit = row_numbers("train", train, count, fewest=0).cpu()
        if y is None:
            for name, value in (("train", train), ("retrained", retrained)):
                if value is not None:
                    raise InputError(name, "must be left out without 'y' (got it); pass the labels")
            return cls(z, names, before, after, kept, None, None, None, fit, fit[:0])
        y = _classes(y, count)
        fit = fit[y[fit] >= 0]
        check = (y >= 0).index_fill_(0, fit, False).nonzero().view(-1)
        if len(check) < FEWEST_LABELS:
            found = f"(got {len(check)}); leave 'y' out for a verdict without labels"
            raise InputError("y", f"must have {FEWEST_LABELS} labels beside those trained on {found}")
        if predictions is not None:
            predictions = as_tensor("retrained", predictions).detach().cpu()
            if predictions.shape != (len(check),) or predictions.is_floating_point():
                rule = f"must have integers ({len(check)},) in second place, the classes predicted for measured rows"
                raise InputError("retrained", f"{rule} (got {predictions.dtype} {tuple(predictions.shape)})")
        return cls(z, names, before, after, kept, own, predictions, y, fit, check)

    @property
    def groups(self) -> dict[str, Tensor]:
        """Row numbers of the old and of the new rows, of those that there are."""
        return {name: rows for name, rows in (("old", self.old), ("new", self.new)) if len(rows)}

    def labeled(self, group: str) -> Tensor:
        """Which of the measured rows are of a group, ``(n,)``."""
        return torch.isin(self.check, self.groups[group])


def checked_embeddings(space: AnchorSet, z: object) -> Tensor:
    """Embeddings of rows ``(N, F)`` in the type of the anchors, in which heads for the space are; checked."""
    found = check_rows("z", z)
    if not len(found):
        raise InputError("z", "must have rows (got none); leave it out for a verdict on the anchors alone")
    if found.size(1) != space.num_features:
        raise InputError("z", f"must be {space.num_features} wide, as the anchors (got {found.size(1)}); embed anew")
    return found.to(space.embeddings.dtype)


def _checked_ids(ids: Tensor, count: int) -> Tensor:
    names = integer_ids(ids).cpu()
    if names.shape != (count,):
        raise InputError("ids", f"must have shape ({count},), one id per row of 'z' (got {tuple(names.shape)})")
    if (repeated := repeated_id(names)) is not None:
        raise InputError("ids", f"must not repeat an id (got {repeated} more than once); give every row its own")
    return names.to(torch.int64)


def check_anchor_rows(space: AnchorSet, ids: Tensor, z: Tensor) -> None:
    """Refuse ids whose rows of ``z`` are others than the anchors with the same ids; anchors without a row are fine.

    ``z`` is as it was given, since its type tells how far it is rounded.

    Raises:
        InputError: If the rows are as far from their anchors as other rows.

    Warns:
        AnchorsMovedWarning: If some differ from their anchors by more than rounding, but all in all less.
    """
    here, there = shared_ids(space.ids.cpu(), ids)
    if not len(here):
        return
    anchors, rows = space.embeddings.cpu(), z[there.to(z.device)].cpu()
    kind = max((anchors.dtype, z.dtype), key=lambda one: torch.finfo(one).eps)
    anchors, rows = anchors.double(), rows.double()
    spread = float((anchors - anchors.mean(dim=0)).square().sum(dim=1).mean().sqrt())
    distances = (rows - anchors[here]).norm(dim=1)
    rounding = ROUNDINGS * torch.finfo(kind).eps * anchors[here].norm(dim=1)
    moved = int((distances > SAME * spread + rounding).sum())
    if not moved:
        return
    found = f"other embeddings in {moved} of {len(here)} rows with an anchor's id"
    if float(distances.square().mean()) >= OTHERS * 2 * spread**2:
        rule = "must give every anchor's id to the row of that anchor"
        raise InputError("ids", f"{rule} (got {found}); pass the ids that the anchors were published with")
    warnings.warn(
        f"there are {found}, though near ones; publish the anchors from these rows, or check the ids",
        AnchorsMovedWarning,
        stacklevel=4,
    )


def _classes(y: Tensor, count: int) -> Tensor:
    found = as_tensor("y", y).detach().cpu()
    if found.shape != (count,) or found.is_floating_point() or found.dtype == torch.bool:
        got = f"(got {found.dtype} {tuple(found.shape)})"
        raise InputError("y", f"must hold one class per row of 'z', integers ({count},) {got}")
    return found


def _answers(name: str, given: Tensor | None, shape: tuple[int, int]) -> Tensor | None:
    """Outputs on all rows, checked."""
    if given is None:
        return None
    found = check_rows(name, given).detach()
    if found.shape != shape:
        way_out = f"(got {tuple(found.shape)}); give every row one"
        raise InputError(name, f"must have shape {shape}, answers on the rows of 'z' {way_out}")
    return found
