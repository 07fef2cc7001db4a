"""The similarities themselves, each with what it ignores, and the registry that names them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from relgraph.similarity.checks import check_pair, no_autocast, wide
from relgraph.similarity.normalization import whitened_projection


def cosine_similarity(x: Tensor, anchors: Tensor, *, eps: float = 1e-8) -> Tensor:
    r"""Cosine of the angle between each node and each anchor (Moschella et al. 2023, arXiv 2209.15430).

    .. math:: r_{ik} = \frac{x_i \cdot a_k}{\|x_i\| \, \|a_k\|}

    A row no longer than ``eps`` counts as zero: it is similar to nothing, and its gradient stays bounded.

    Args:
        x: Embeddings ``(N, F)``, or ``(..., N, F)`` for many spaces at once.
        anchors: Embeddings of the anchors ``(K, F)``, or ``(..., K, F)``.
        eps: Norm up to which a row counts as zero.

    Returns:
        Similarities ``(N, K)`` in [-1, 1].

    Example:
        >>> cosine_similarity(torch.tensor([[3.0, 0.0], [0.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 5.0]]))
        tensor([[1., 0.],
                [0., 0.]])
    """
    dtype = check_pair(x, anchors, batched=True)
    with no_autocast(x):
        return (_unit_rows(x.to(dtype), eps) @ _unit_rows(anchors.to(dtype), eps).mT).to(x.dtype)


def euclidean_distance(x: Tensor, anchors: Tensor) -> Tensor:
    r"""Euclidean distance from each node to each anchor, taken from the differences of the coordinates.

    .. math:: r_{ik} = \|x_i - a_k\|

    The quicker way through :math:`\|x\|^2 + \|a\|^2 - 2 x a'` loses all digits far from the origin, so it is not
    taken. At distance 0 the gradient is 0. Neither direction holds an ``(N, K, F)`` tensor.

    Args:
        x: Embeddings ``(N, F)``, or ``(..., N, F)`` for many spaces at once.
        anchors: Embeddings of the anchors ``(K, F)``, or ``(..., K, F)``.

    Returns:
        Distances ``(N, K)``.

    Example:
        >>> euclidean_distance(torch.tensor([[1000.0, 1000.0]]), torch.tensor([[1000.0, 1000.0], [1003.0, 1004.0]]))
        tensor([[0., 5.]])
    """
    dtype = check_pair(x, anchors, batched=True)
    with no_autocast(x):
        distance: Tensor = _Distance.apply(x.to(dtype), anchors.to(dtype))  # type: ignore[no-untyped-call]
        return distance.to(x.dtype)


def whitened_similarity(x: Tensor, anchors: Tensor, *, center: Tensor | None = None, shrinkage: float = 0.01) -> Tensor:
    r"""Dot product after whitening the space with the anchors' covariance, over the number of anchors.

    .. math:: r = (x - m) S^{-1} (A - m)' / K, \qquad
              S = A_c' A_c / K + g \, \frac{\mathrm{tr}(A_c' A_c / K)}{F} \, I, \quad A_c = A - m

    A linear map of ``r`` is the ridge-regularised affine map of ``x`` fitted on the anchors (Hoerl & Kennard 1970), so
    these coordinates lose nothing that the anchors can see. In a constant space every value is 0.

    Args:
        x: Embeddings ``(N, F)``.
        anchors: Embeddings of the anchors ``(K, F)``.
        center: The centre ``m`` ``(F,)``, at best the mean of all nodes; ``None`` takes the anchors' mean.
        shrinkage: The share ``g`` of the mean variance that is added to each direction.

    Returns:
        Similarities ``(N, K)``.

    Raises:
        InputError: If ``shrinkage`` is 0 and the anchors do not span the space.

    Example:
        >>> anchors = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]])
        >>> whitened_similarity(torch.tensor([[2.0, 2.0]]), anchors, shrinkage=0)
        tensor([[ 1.0000, -1.0000,  0.5000, -0.5000]])
    """
    dtype = check_pair(x, anchors, center)
    with no_autocast(x):
        shift, projection = whitened_projection(anchors, center=center, shrinkage=shrinkage)
        return ((x.to(dtype) - shift.to(dtype)) @ projection.to(dtype)).to(x.dtype)


@dataclass(frozen=True)
class Similarity:
    """One way to compare a node with an anchor, and what is known of it.

    Args:
        name: The name users type.
        function: ``(x, anchors) -> (N, K)``; with ``whitens`` it also takes ``center`` and ``shrinkage``.
        invariant_to: The :data:`CHANGES` that the function ignores, apart from what its own whitening adds.
        bilinear: Whether it is linear in the node, up to one factor per node: then a linear head folds through.
        fill: The value of a coordinate that is absent: that of a node which has nothing to do with the anchor.
        normed: Whether each node is divided by its norm (the factor that ``bilinear`` speaks of).
        whitens: Whether the function whitens the space itself; another normalization is then refused.
    """

    name: str
    function: Callable[..., Tensor]
    invariant_to: frozenset[str]
    bilinear: bool
    fill: float
    normed: bool = False
    whitens: bool = False


SIMILARITIES: dict[str, Similarity] = {
    entry.name: entry
    for entry in (
        Similarity(
            "cosine", cosine_similarity, frozenset({"rotation", "scaling", "node-scaling"}), True, 0.0, normed=True
        ),
        Similarity("euclidean", euclidean_distance, frozenset({"rotation", "translation"}), False, math.inf),
        Similarity("whitened", whitened_similarity, frozenset({"rotation"}), True, 0.0, whitens=True),
    )
}


def _unit_rows(x: Tensor, eps: float) -> Tensor:
    return x / safe_norm(x, eps)


def safe_norm(x: Tensor, eps: float = 1e-8) -> Tensor:
    """Norms of the rows ``(N, 1)``, at least float32, with 1 for rows that count as zero.

    Dividing by 1 and not by ``eps`` keeps the gradient of a zero row at the size of all others.

    Example:
        >>> safe_norm(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
        tensor([[5.],
                [1.]])
    """
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=wide(x.dtype))
    return torch.where(norm > eps, norm, 1)


class _Distance(torch.autograd.Function):
    """Distances whose gradient takes two matrix products: torch's own holds ``(N, K, F)`` numbers on a GPU."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, anchors: Tensor) -> Tensor:
        distance = torch.cdist(x, anchors, compute_mode="donot_use_mm_for_euclid_dist")
        ctx.save_for_backward(x, anchors, distance)
        return distance

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        x, anchors, distance = ctx.saved_tensors
        with no_autocast(x):
            middle = anchors.mean(
                -2, keepdim=True
            )  # Differences do not change, and far from the origin digits are kept.
            x, anchors = x - middle, anchors - middle
            weight = torch.where(distance > torch.finfo(distance.dtype).tiny, grad / distance, 0)
            to_x = weight.sum(-1)[..., None] * x - weight @ anchors
            return to_x, weight.sum(-2)[..., None] * anchors - weight.mT @ x
