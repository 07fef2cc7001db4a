"""The rows that are to be answered in a new version: checked, in groups, with old answers and labels."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from relgraph.anchors.matching import as_tensor, row_numbers
from relgraph.anchors.values import AnchorSet, PublishedHead, check_rows
from relgraph.errors import InputError
from relgraph.graph import integer_ids

FEWEST_LABELS = 50


@dataclass(frozen=True, eq=False)
class AnsweredRows:
    """Checked rows to be answered: row numbers of the groups and of labels, and old answers."""

    z: Tensor
    ids: Tensor
    old: Tensor
    new: Tensor
    kept: Tensor | None
    retrained: Tensor | None
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
        retrained: Tensor | None,
        y: Tensor | None,
        train: Tensor | None,
    ) -> AnsweredRows | None:
        """Check the arguments of :func:`relgraph.versions.upgrade`; ``None`` without rows."""
        if z is None:
            for name, given in (
                ("ids", ids), ("old", old), ("kept", kept), ("retrained", retrained), ("y", y), ("train", train),
            ):  # fmt: skip
                if given is not None:
                    raise InputError(name, "must be left out without 'z' (got it alone); pass the new embeddings")
            return None
        z = checked_embeddings(space, z)
        count = len(z)
        names = torch.arange(count) if ids is None else integer_ids(ids).cpu()
        if names.shape != (count,):
            raise InputError("ids", f"must have shape ({count},), one id per row of 'z' (got {tuple(names.shape)})")
        before = torch.arange(count) if old is None else row_numbers("old", old, count, fewest=0).cpu()
        after = torch.ones(count, dtype=torch.bool).index_fill_(0, before, False).nonzero().view(-1)
        kept, retrained = (
            _answers(name, given, (count, head.outputs.size(1)))
            for name, given in (("kept", kept), ("retrained", retrained))
        )
        known = torch.zeros(0, dtype=torch.int64)
        fit = known if train is None else row_numbers("train", train, count, fewest=0).cpu()
        if y is not None:
            y = as_tensor("y", y).detach().cpu()
            if y.shape != (count,) or y.is_floating_point():
                raise InputError(
                    "y", f"must hold one class per row of 'z', ({count},) (got {y.dtype} {tuple(y.shape)})"
                )
            fit = fit[y[fit] >= 0]
            measured = (y >= 0).index_fill_(0, fit, False).nonzero().view(-1)
            if len(measured) < FEWEST_LABELS:
                found = f"(got {len(measured)}); leave 'y' out for a verdict without labels"
                raise InputError("y", f"must have {FEWEST_LABELS} labels beside those trained on {found}")
            known = measured
        elif train is not None or retrained is not None:
            name = "retrained" if train is None else "train"
            raise InputError(name, "must be left out without 'y' (got it); pass the labels")
        return cls(z, names, before, after, kept, retrained, y, fit, known)

    @property
    def groups(self) -> dict[str, Tensor]:
        """Row numbers of the old and of the new rows, of those that there are."""
        return {name: rows for name, rows in (("old", self.old), ("new", self.new)) if len(rows)}


def checked_embeddings(space: AnchorSet, z: object) -> Tensor:
    """Embeddings of rows ``(N, F)`` in the type of the anchors, in which heads for the space are; checked."""
    found = check_rows("z", z)
    if found.size(1) != space.num_features:
        raise InputError("z", f"must be {space.num_features} wide, as the anchors (got {found.size(1)}); embed anew")
    return found.to(space.embeddings.dtype)


def _answers(name: str, given: Tensor | None, shape: tuple[int, int]) -> Tensor | None:
    """Outputs on all rows, checked."""
    if given is None:
        return None
    found = check_rows(name, given)
    if found.shape != shape:
        way_out = f"(got {tuple(found.shape)}); give every row one"
        raise InputError(name, f"must have shape {shape}, answers on the rows of 'z' {way_out}")
    return found
