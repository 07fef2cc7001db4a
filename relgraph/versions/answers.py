"""What each way to go on answers to the rows of a new version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from relgraph.anchors.matching import shared_ids
from relgraph.versions.fit import Fit
from relgraph.versions.rows import AnsweredRows

SAME = 5e-3
"""Differences of logits, relative to the largest one, that are rounding: half a step of bfloat16 and more."""


@dataclass(frozen=True, eq=False)
class Answers:
    """Answers of each way to go on, and what is known of them.

    Args:
        outputs: Of each way, ``(N, C)``.
        predictions: Classes of the measured rows, of a way whose answers these rows' labels have chosen.
        stored: Whether the kept answers at the anchors are those that the head published, which then tell nothing of
            kept answers to new rows.
    """

    outputs: Mapping[str, Tensor]
    predictions: Mapping[str, Tensor]
    stored: bool = False

    @classmethod
    def of(cls, fit: Fit, rows: AnsweredRows) -> Answers:
        """Those of the converted head, the old ones, and those of a new head, which is trained if none is given."""
        outputs, predictions = {"convert": fit.converted(rows.z)}, {}
        if rows.kept is not None:
            outputs["keep"] = rows.kept
        if rows.retrained is not None:
            outputs["retrain"] = rows.retrained
            if rows.predictions is not None:
                predictions["retrain"] = rows.predictions
        elif rows.y is not None and len(rows.train):
            outputs["retrain"], predictions["retrain"] = _retrained(rows, fit.head.outputs.size(1))
        return cls(outputs, predictions, _stored(fit, rows))


def _stored(fit: Fit, rows: AnsweredRows) -> bool:
    """Whether the kept answers are those that the head published, at all anchors among the rows.

    Logits that differ by a constant in each row, such as logarithms of probabilities, are the same answers.
    """
    if rows.kept is None:
        return False
    here, there = shared_ids(fit.matched.ids, rows.ids)
    if not len(here):
        return False
    kept, published = (
        one - one.mean(dim=1, keepdim=True) for one in (rows.kept[there].cpu().double(), fit.matched.values[here])
    )
    return bool(torch.allclose(kept, published, rtol=0, atol=SAME * float(published.abs().max())))


def _retrained(rows: AnsweredRows, num_classes: int) -> tuple[Tensor, Tensor]:
    """Answers of a new head on all rows, and predictions of the measured ones that their labels did not choose."""
    from relgraph.training.linear_probe import measurable_head  # imports PyG, which no other way needs

    assert rows.y is not None
    found, predictions = measurable_head(rows.z, rows.y, rows.train, rows.check, num_classes)
    return torch.as_tensor(found(rows.z)), predictions
