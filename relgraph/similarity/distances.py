"""Distances from nodes to anchors, and the Gaussian kernel of the Euclidean one.

No function holds an ``(N, K, F)`` tensor, neither forward nor backward.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from relgraph.errors import InputError
from relgraph.similarity.checks import compare, no_autocast

#: Number of coordinate differences held at once.
CHUNK = 1 << 22


def euclidean_distance(x: Tensor, anchors: Tensor) -> Tensor:
    r"""Euclidean distance from each node to each anchor, computed from the differences of the coordinates.

    .. math:: r_{ik} = \|x_i - a_k\|

    The faster :math:`\|x\|^2 + \|a\|^2 - 2 x a'` loses all digits far from the origin. At distance 0 the gradient is 0.

    Example:
        >>> euclidean_distance(torch.tensor([[1000.0, 1000.0]]), torch.tensor([[1000.0, 1000.0], [1003.0, 1004.0]]))
        tensor([[0., 5.]])
    """
    return compare(_Euclidean.apply, x, anchors)


def l1_distance(x: Tensor, anchors: Tensor) -> Tensor:
    r"""Manhattan distance from each node to each anchor (Minkowski 1896; order 1 of Deza & Deza 2009).

    .. math:: r_{ik} = \sum_f |x_{if} - a_{kf}|

    Example:
        >>> l1_distance(torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 2.0], [4.0, -2.0]]))
        tensor([[0., 7.]])
    """
    return compare(lambda x, anchors: _Minkowski.apply(x, anchors, 1.0), x, anchors)  # type: ignore[no-untyped-call]


def linf_distance(x: Tensor, anchors: Tensor) -> Tensor:
    r"""Chebyshev distance from each node to each anchor (order infinity of Deza & Deza 2009).

    .. math:: r_{ik} = \max_f |x_{if} - a_{kf}|

    Coordinates that share the maximum share its gradient.

    Example:
        >>> linf_distance(torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 2.0], [4.0, -2.0]]))
        tensor([[0., 4.]])
    """
    return compare(lambda x, anchors: _Minkowski.apply(x, anchors, math.inf), x, anchors)  # type: ignore[no-untyped-call]


def rbf_similarity(x: Tensor, anchors: Tensor, *, width: float | None = None) -> Tensor:
    r"""Gaussian kernel of the Euclidean distance (radial basis function; Schölkopf & Smola 2002).

    .. math:: r_{ik} = \exp\left(-\frac{\|x_i - a_k\|^2}{2 w^2}\right)

    The default width is the median distance between anchors (Gretton et al. 2012, JMLR 13, "median heuristic"), which
    makes the values, in [0, 1], invariant to scaling.

    Raises:
        InputError: If ``width`` is not positive.

    Example:
        >>> rbf_similarity(torch.tensor([[0.0], [2.0]]), torch.tensor([[0.0], [2.0]]))
        tensor([[1.0000, 0.6065],
                [0.6065, 1.0000]])
    """
    if width is not None and not 0 < width < math.inf:
        raise InputError("width", f"must be positive and finite (got {width}); None takes the anchors' median distance")

    def kernel(x: Tensor, anchors: Tensor) -> Tensor:
        scale = median_distance(anchors)[..., None, None] if width is None else width
        return (-(euclidean_distance(x, anchors) / scale).square() / 2).exp()

    return compare(kernel, x, anchors)


def median_distance(anchors: Tensor) -> Tensor:
    """Median Euclidean distance between distinct anchors ``(..., K, F)``, ``(...)``; 1 if none differ.

    Of an even number of pairs it is the lower median. Pairs at distance 0 are left out, which keeps it positive.

    Example:
        >>> median_distance(torch.tensor([[0.0], [0.0], [3.0]]))
        tensor(3.)
    """
    distance = euclidean_distance(
        anchors, anchors.clone()
    )  # torch.compile cannot trace a function of one tensor given twice
    apart = torch.where(distance > torch.finfo(distance.dtype).tiny, distance, math.nan).flatten(-2)
    median = apart.nanmedian(-1).values
    return torch.where(median.isnan(), 1, median)


class _Euclidean(torch.autograd.Function):
    """Distances with a gradient of two matrix products; that of torch holds ``(N, K, F)`` numbers on a GPU."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, anchors: Tensor) -> Tensor:
        distance = torch.cdist(x, anchors, compute_mode="donot_use_mm_for_euclid_dist")
        ctx.save_for_backward(x, anchors, distance)
        return distance

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        x, anchors, distance = ctx.saved_tensors
        with no_autocast(x):
            middle = anchors.mean(-2, keepdim=True)  # keeps digits far from the origin; differences stay the same
            x, anchors = x - middle, anchors - middle
            weight = torch.where(distance > torch.finfo(distance.dtype).tiny, grad / distance, 0)
            to_x = weight.sum(-1)[..., None] * x - weight @ anchors
            return to_x, weight.sum(-2)[..., None] * anchors - weight.mT @ x


class _Minkowski(torch.autograd.Function):
    """Distances of order 1 and infinity; the gradient needs all differences, and holds those of a few nodes."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, anchors: Tensor, order: float) -> Tensor:
        ctx.save_for_backward(x, anchors)
        ctx.order = order
        return torch.cdist(x, anchors, p=order)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        x, anchors = ctx.saved_tensors
        step = max(1, CHUNK // max(1, anchors.numel()))
        # Written in place: a list of parts between large temporaries would fragment the heap.
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
