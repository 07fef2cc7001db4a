"""Conversion by least squares on the logits: a closed form, and a linear layer."""

from __future__ import annotations

from torch import nn

from relgraph.conversion.pairing import Pairing
from relgraph.translation import Shrinkage, ridge
from relgraph.translation.leave_one_out import resolve_shrinkage


def linear(pairing: Pairing, shrinkage: Shrinkage | None = None) -> nn.Linear:
    """The linear layer of :func:`relgraph.convert` with ``method="linear"``; the shrinkage is 0.01 unless given."""
    offset = pairing.logits - pairing.mean
    number = resolve_shrinkage(pairing.anchors, offset, 0.01 if shrinkage is None else shrinkage)
    # S^-1 Ac' (L - l) / K, with the K of S and of r cancelled.
    return pairing.linear(ridge(pairing.anchors, offset, number), pairing.mean)
