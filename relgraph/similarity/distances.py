"""Distances from nodes to anchors, where smaller is nearer, and the Gaussian kernel of one of them."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from relgraph.errors import InputError
from relgraph.similarity.checks import check_pair, no_autocast

#: How many differences of coordinates are held at once where they have to be held at all.
CHUNK = 1 << 22


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


def l1_distance(x: Tensor, anchors: Tensor) -> Tensor:
    r"""Manhattan distance from each node to each anchor (Minkowski 1896; order 1 of Deza & Deza 2009).

    .. math:: r_{ik} = \sum_f |x_{if} - a_{kf}|

    No ``(N, K, F)`` tensor is held in either direction; the gradient takes some nodes at a time.

    Args:
        x: Embeddings ``(N, F)``, or ``(..., N, F)`` for many spaces at once.
        anchors: Embeddings of the anchors ``(K, F)``, or ``(..., K, F)``.

    Returns:
        Distances ``(N, K)``.

    Example:
        >>> l1_distance(torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 2.0], [4.0, -2.0]]))
        tensor([[0., 7.]])
    """
    return _coordinatewise(x, anchors, 1.0)


def linf_distance(x: Tensor, anchors: Tensor) -> Tensor:
    r"""Chebyshev distance from each node to each anchor: the largest difference of a coordinate.

    .. math:: r_{ik} = \max_f |x_{if} - a_{kf}|

    Minkowski's distance of order infinity (Deza & Deza 2009). Coordinates that share the maximum share its gradient.
    No ``(N, K, F)`` tensor is held in either direction.

    Args:
        x: Embeddings ``(N, F)``, or ``(..., N, F)`` for many spaces at once.
        anchors: Embeddings of the anchors ``(K, F)``, or ``(..., K, F)``.

    Returns:
        Distances ``(N, K)``.

    Example:
        >>> linf_distance(torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 2.0], [4.0, -2.0]]))
        tensor([[0., 4.]])
    """
    return _coordinatewise(x, anchors, math.inf)


def rbf_similarity(x: Tensor, anchors: Tensor, *, width: float | None = None) -> Tensor:
    r"""Gaussian kernel of the Euclidean distance (radial basis function; Schölkopf & Smola 2002).

    .. math:: r_{ik} = \exp\left(-\frac{\|x_i - a_k\|^2}{2 w^2}\right)

    The default width is the median distance between anchors (Gretton et al. 2012, JMLR 13, "median heuristic"), so a
    rescaled space gives the same values.

    Args:
        x: Embeddings ``(N, F)``, or ``(..., N, F)`` for many spaces at once.
        anchors: Embeddings of the anchors ``(K, F)``, or ``(..., K, F)``.
        width: The width ``w``; ``None`` takes :func:`median_distance` of the anchors.

    Returns:
        Similarities ``(N, K)`` in [0, 1].

    Raises:
        InputError: If ``width`` is not positive.

    Example:
        >>> rbf_similarity(torch.tensor([[0.0], [2.0]]), torch.tensor([[0.0], [2.0]]))
        tensor([[1.0000, 0.6065],
                [0.6065, 1.0000]])
    """
    dtype = check_pair(x, anchors, batched=True)
    if width is not None and not 0 < width < math.inf:
        raise InputError("width", f"must be positive and finite (got {width}); None takes the anchors' median distance")
    with no_autocast(x):
        rows = anchors.to(dtype)
        scale = median_distance(rows)[..., None, None] if width is None else width
        distance: Tensor = _Distance.apply(x.to(dtype), rows)  # type: ignore[no-untyped-call]
        return (-(distance / scale).square() / 2).exp().to(x.dtype)


def median_distance(anchors: Tensor) -> Tensor:
    """Median Euclidean distance between anchors that differ (of an even number, the lower one); 1 if none differ.

    Leaving out anchors that coincide keeps the width positive however many they are.

    Args:
        anchors: Embeddings of the anchors ``(K, F)``, or ``(..., K, F)``.

    Returns:
        The distance, a scalar, or one for each leading index.

    Example:
        >>> median_distance(torch.tensor([[0.0], [0.0], [3.0]]))
        tensor(3.)
    """
    # The copy is for torch.compile, which cannot trace a function of one tensor given twice.
    distance: Tensor = _Distance.apply(anchors, anchors.clone())  # type: ignore[no-untyped-call]
    apart = torch.where(distance > torch.finfo(distance.dtype).tiny, distance, math.nan).flatten(-2)
    median = apart.nanmedian(-1).values
    return torch.where(median.isnan(), 1, median)


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


def _coordinatewise(x: Tensor, anchors: Tensor, order: float) -> Tensor:
    dtype = check_pair(x, anchors, batched=True)
    with no_autocast(x):
        distance: Tensor = _Minkowski.apply(x.to(dtype), anchors.to(dtype), order)  # type: ignore[no-untyped-call]
        return distance.to(x.dtype)


class _Minkowski(torch.autograd.Function):
    """Distances of order 1 and infinity; their gradient needs all differences, and holds those of a few nodes."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, anchors: Tensor, order: float) -> Tensor:
        ctx.save_for_backward(x, anchors)
        ctx.order = order
        return torch.cdist(x, anchors, p=order)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        x, anchors = ctx.saved_tensors
        step = max(1, CHUNK // max(1, anchors.numel()))
        # Gradients of the parts, kept in a list between large temporaries, would scatter over the heap and hold it.
        to_x, to_anchors = torch.empty_like(x), torch.zeros_like(anchors)
        for first in range(0, x.size(-2), step):
            count = min(step, x.size(-2) - first)
            rows, weight, out = (t.narrow(-2, first, count) for t in (x, grad, to_x))
            difference = rows[..., :, None, :] - anchors[..., None, :, :]
            slope = difference.sign()
            if ctx.order != 1:
                size = difference.abs()
                largest = size == size.amax(-1, keepdim=True)
                slope = slope * largest / largest.sum(-1, keepdim=True)
            slope = slope * weight[..., None]
            out.copy_(slope.sum(-2))
            to_anchors = to_anchors - slope.sum(-3)
        return to_x, to_anchors, None
