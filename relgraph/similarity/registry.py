"""The registry of similarities: what is known of each, and the two ways to compute it.

Between every node and every anchor a similarity is one function. Along some edges only, it is two: ``prepare`` turns
nodes and anchors into vectors once, and ``pairwise`` compares two vectors, so that an edge costs O(F).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from relgraph.similarity.checks import no_autocast
from relgraph.similarity.distances import (
    euclidean_distance,
    l1_distance,
    linf_distance,
    median_distance,
    rbf_similarity,
)
from relgraph.similarity.functions import (
    angle_share,
    angular_similarity,
    cosine_similarity,
    dot_similarity,
    unit_rows,
    whitened_similarity,
)
from relgraph.similarity.normalization import whitened_projection


def _unchanged(x: Tensor, anchors: Tensor) -> tuple[Tensor, Tensor]:
    return x, anchors


@dataclass(frozen=True)
class Similarity:
    """One way to compare a node with an anchor, and what is known of it.

    Args:
        name: The name users type.
        function: ``(x, anchors) -> (N, K)``; with ``whitens`` it also takes ``center`` and ``shrinkage``.
        invariant_to: The :data:`CHANGES` that the function ignores, apart from what its own whitening adds.
        bilinear: Whether it is linear in the node, up to one factor per node: then a linear head folds through.
        fill: The value of a coordinate that is absent: that of a node which has nothing to do with the anchor.
        pairwise: The same for prepared vectors in pairs, ``(E, F), (E, F) -> (E,)``.
        prepare: ``(x, anchors) -> (x, anchors)``, what ``pairwise`` compares, in float32 or wider; with ``whitens``
            it also takes ``center`` and ``shrinkage``.
        normed: Whether each node is divided by its norm (the factor that ``bilinear`` speaks of).
        whitens: Whether the function whitens the space itself; another normalization is then refused.
    """

    name: str
    function: Callable[..., Tensor]
    invariant_to: frozenset[str]
    bilinear: bool
    fill: float
    pairwise: Callable[[Tensor, Tensor], Tensor]
    prepare: Callable[..., tuple[Tensor, Tensor]] = _unchanged
    normed: bool = False
    whitens: bool = False

    @property
    def is_distance(self) -> bool:
        """Whether near means small: what has nothing to do with the anchor is then infinitely far."""
        return self.fill == math.inf


def _unit_both(x: Tensor, anchors: Tensor) -> tuple[Tensor, Tensor]:
    return unit_rows(x), unit_rows(anchors)


def _by_width(x: Tensor, anchors: Tensor) -> tuple[Tensor, Tensor]:
    width = median_distance(anchors)
    return x / width, anchors / width


def _whitened_parts(
    x: Tensor, anchors: Tensor, *, center: Tensor | None = None, shrinkage: float = 0.01
) -> tuple[Tensor, Tensor]:
    with no_autocast(x):
        shift, projection = whitened_projection(anchors, center=center, shrinkage=shrinkage)
    return x - shift.to(x.dtype), projection.mT.to(x.dtype)


def _dot(x: Tensor, anchors: Tensor) -> Tensor:
    return (x * anchors).sum(-1)


def _angle(x: Tensor, anchors: Tensor) -> Tensor:
    return angle_share(_dot(x, anchors))


def _euclidean(x: Tensor, anchors: Tensor) -> Tensor:
    distance: Tensor = torch.linalg.vector_norm(x - anchors, dim=-1)
    return distance


def _rbf(x: Tensor, anchors: Tensor) -> Tensor:
    return (-(x - anchors).square().sum(-1) / 2).exp()


def _l1(x: Tensor, anchors: Tensor) -> Tensor:
    return (x - anchors).abs().sum(-1)


def _linf(x: Tensor, anchors: Tensor) -> Tensor:
    return (x - anchors).abs().amax(-1)


_DIRECTIONS = frozenset({"rotation", "scaling", "node-scaling"})
_TURNS = frozenset({"rotation"})
_SHIFTS = frozenset({"translation"})

SIMILARITIES: dict[str, Similarity] = {
    entry.name: entry
    for entry in (
        Similarity("cosine", cosine_similarity, _DIRECTIONS, True, 0.0, _dot, _unit_both, normed=True),
        Similarity("angular", angular_similarity, _DIRECTIONS, False, 0.5, _angle, _unit_both),
        Similarity("dot", dot_similarity, _TURNS, True, 0.0, _dot),
        Similarity("euclidean", euclidean_distance, _TURNS | _SHIFTS, False, math.inf, _euclidean),
        Similarity("l1", l1_distance, _SHIFTS, False, math.inf, _l1),
        Similarity("linf", linf_distance, _SHIFTS, False, math.inf, _linf),
        Similarity("rbf", rbf_similarity, _TURNS | _SHIFTS | {"scaling"}, False, 0.0, _rbf, _by_width),
        Similarity("whitened", whitened_similarity, _TURNS, True, 0.0, _dot, _whitened_parts, whitens=True),
    )
}
