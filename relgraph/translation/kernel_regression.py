"""Kernel ridge regression on anchors, with an intercept: the map behind the kernel translation and conversion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from relgraph.errors import InputError, unknown_name
from relgraph.similarity import cosine_similarity, euclidean_distance
from relgraph.translation.leave_one_out import (
    CAUTIOUS,
    FEW_ANCHORS,
    SHRINKAGES,
    Shrinkage,
    cautious,
    check_shrinkage,
    smallest_good,
)

KERNELS = ("dot", "cosine", "rbf")
WIDTHS = (4.0, 2.0, 1.0, 0.5)
"""Widths that are tried, as multiples of the median distance between two anchors; wide ones, nearly linear, first."""

SIMILARITIES = 1 << 22
"""How many similarities are held at once, of the points that a map is given."""


class KernelRidge(nn.Module):
    r"""A weighted sum of similarities to anchors, and a constant.

    .. math:: y = s(x - m, A) \, C + b

    Args:
        center: The centre ``m``, shape ``(F,)``.
        anchors: The anchors ``A`` around it, shape ``(K, F)``.
        coefficients: ``C``, shape ``(K, G)``.
        bias: ``b``, shape ``(G,)``.
        similarity: ``s``: ``"dot"``, ``"cosine"`` or ``"rbf"``, :math:`\exp(-d^2 / 2 w^2)` of the distance ``d``.
        width: ``w``; of ``"rbf"`` only.
        shrinkage: The share of the mean variance that the fit added; kept to be shown.

    Example:
        >>> KernelRidge(torch.zeros(2), torch.eye(2), torch.ones(2, 1), torch.zeros(1), "dot")(torch.ones(1, 2))
        tensor([[2.]])
    """

    center: Tensor
    anchors: Tensor
    coefficients: Tensor
    bias: Tensor
    weight: Tensor | None

    def __init__(
        self,
        center: Tensor,
        anchors: Tensor,
        coefficients: Tensor,
        bias: Tensor,
        similarity: str,
        width: float = 1.0,
        shrinkage: float | None = None,
    ) -> None:
        super().__init__()
        if similarity not in KERNELS:
            raise unknown_name("similarity", similarity, KERNELS)
        # Buffers: fitted once and never trained, but moved with the module it is part of.
        self.register_buffer("center", center)
        # A dot product folds: the cost of a linear layer, and no large sums that nearly cancel.
        self.register_buffer("weight", anchors.mT @ coefficients if similarity == "dot" else None)
        self.register_buffer("anchors", anchors)
        self.register_buffer("coefficients", coefficients)
        self.register_buffer("bias", bias)
        self.similarity, self.width, self.shrinkage = similarity, width, shrinkage

    def forward(self, x: Tensor) -> Tensor:
        """Map points, shape ``(N, F)``, to ``(N, G)``."""
        offset = x.to(self.center.dtype) - self.center
        if self.weight is not None:
            return (offset @ self.weight + self.bias).to(x.dtype)
        rows = max(1, SIMILARITIES // self.anchors.size(0))
        parts = [
            kernel(part, self.anchors, self.similarity, self.width) @ self.coefficients
            for part in torch.split(offset, rows)
        ]
        return (torch.cat(parts) + self.bias).to(x.dtype)

    def placed(self, like: Tensor) -> Self:
        """The module on the device of a tensor, and in its type where that is precise enough.

        Curved similarities keep float64: their coefficients are large and nearly cancel, and in float32 what remains
        can be as large as the logits themselves.
        """
        exact = self.similarity != "dot" and like.device.type != "mps"  # that device has no double precision
        return self.to(torch.float64 if exact else like.dtype).to(like.device)

    def extra_repr(self) -> str:
        """Widths, similarity and ridge."""
        width = f", width={self.width:.4g}" if self.similarity == "rbf" else ""
        ridge = "" if self.shrinkage is None else f", shrinkage={self.shrinkage:g}"
        return (
            f"{self.anchors.size(1)} -> {self.coefficients.size(1)}, {self.anchors.size(0)} anchors, "
            f"similarity={self.similarity}{width}{ridge}"
        )


@dataclass(frozen=True, eq=False)
class KernelFit:
    """What a fit found: similarity, width and shrinkage, the coefficients ``(K, G)`` and the constant ``(G,)``."""

    similarity: str
    width: float
    shrinkage: float
    coefficients: Tensor
    bias: Tensor


def kernel(x: Tensor, anchors: Tensor, similarity: str, width: float = 1.0) -> Tensor:
    """Similarities ``(N, K)`` of points around the centre ``(N, F)`` to anchors around the centre ``(K, F)``."""
    if similarity == "dot":
        return x @ anchors.mT
    if similarity == "cosine":
        return cosine_similarity(x, anchors)
    if x is anchors or x.dtype != torch.float64:
        return (euclidean_distance(x, anchors) / width).square().div(-2).exp()
    # In double precision the quick way to distances is exact enough, from a point among the anchors.
    middle = anchors.mean(dim=0)
    x, anchors = x - middle, anchors - middle
    norms = x.square().sum(dim=1, keepdim=True) + anchors.square().sum(dim=1)
    return torch.addmm(norms, x, anchors.mT, alpha=-2).clamp(min=0).div(-2 * width**2).exp()


def candidates(a: Tensor) -> Iterator[tuple[str, float]]:
    """Every similarity and width to be tried on these anchors, the simplest first."""
    yield "dot", 1.0
    yield "cosine", 1.0
    if a.size(0) > 1:
        distances = torch.pdist(a)
        # Most anchors in one place: the median says nothing, the others still do.
        size = float(distances.median()) or float(distances.mean())
        yield from (("rbf", multiple * size) for multiple in WIDTHS if size > 0)


def fit_kernel_ridge(
    a: Tensor,
    b: Tensor,
    *,
    center: Tensor | None = None,
    shrinkage: Shrinkage = "loo",
    using: tuple[str, float] | None = None,
    shrinkages: Sequence[float] = SHRINKAGES,
    weights: Tensor | None = None,
) -> KernelFit:
    r"""Kernel ridge regression of ``b`` on ``a`` with an intercept, similarity and ridge by leave-one-out.

    .. math:: C = R \, b, \qquad R = G^{-1} - \frac{G^{-1} 1 1' G^{-1}}{1' G^{-1} 1}, \qquad
        \beta = \frac{1' G^{-1} b}{1' G^{-1} 1}, \qquad G = s(a, a) + \lambda I

    with :math:`\lambda = g \operatorname{tr}(J s(a, a) J) / F`, ``J`` the centring matrix; for the dot product and a
    known ``center``, :math:`R = G^{-1}`, :math:`\beta` the centre's value, taken off ``b``, and :math:`\lambda = g
    \operatorname{tr}(s(a, a)) / F`, which is the ridge regression with the same ``g``. The error on row ``i`` of the
    map fitted without it is :math:`(R b)_i / R_{ii}`, exactly, for fixed :math:`\lambda` and width. The simplest
    similarity whose least such error is within half a standard error of the least of all is taken, and of its
    shrinkages the smallest by the same rule (:func:`relgraph.translation.choose_shrinkage` says when not). With at most
    24 rows, or no more rows than dimensions, it is the dot product.

    With weights ``w`` of mean 1, ``G`` is :math:`s(a, a) + \lambda \operatorname{diag}(w)^{-1}`, the traces are those
    of :math:`W^{1/2} s(a, a) W^{1/2}`, ``J`` takes the weighted mean off, and squared errors count ``w`` times.

    Args:
        a: Rows around the centre, ``(K, F)``, float64.
        b: Rows to map to, ``(K, G)``, float64.
        center: What the centre maps to, ``(G,)``, where that is known. The dot product then goes through it instead of
            fitting a constant: with few anchors, their mean says little of the centre. A curved similarity is not 0
            there, and keeps its constant.
        shrinkage: ``g``, or ``"loo"``.
        using: A similarity and width, instead of choosing them.
        shrinkages: Those that ``"loo"`` chooses from, the smallest first.
        weights: How much each row counts, above 0, ``(K,)``; by default all the same. Only their ratios matter.

    Raises:
        InputError: If ``shrinkage`` is not a number above 0 or ``"loo"``.
    """
    check_shrinkage(shrinkage)
    if shrinkage == 0:
        raise InputError("shrinkage", "of a kernel must be above 0, or 'loo' (got 0); 0.001 is a good start")
    few = a.size(0) <= FEW_ANCHORS
    straight = few or a.size(0) <= a.size(1)  # a linear map goes through that many anchors already
    pairs = [using] if using else [("dot", 1.0)] if straight else list(candidates(a))
    tried = (float(shrinkage),) if shrinkage != "loo" else (CAUTIOUS,) if few else shrinkages
    grams = [_Gram(a, pair, center if pair[0] == "dot" else None, weights) for pair in pairs]
    grams = [gram for gram in grams if gram.scale > 0]  # 0: all anchors are one point, nothing to tell apart
    if not grams:
        constant = b.mean(dim=0) if center is None else center
        return KernelFit("dot", 1.0, tried[0], torch.zeros_like(b), constant)
    gram, chosen = grams[0], tried[0]
    if len(grams) > 1 or len(tried) > 1:
        errors = [one.errors(b, tried) for one in grams]
        place = smallest_good(torch.stack([rows[rows.mean(dim=1).argmin()] for rows in errors]))
        gram, chosen = grams[place], tried[smallest_good(errors[place])]
    if shrinkage == "loo":
        chosen = cautious(chosen, a.size(0), a.size(1))
    return KernelFit(*gram.pair, chosen, *gram.solve(b, chosen))


def kernel_errors(
    a: Tensor,
    b: Tensor,
    using: tuple[str, float],
    shrinkages: Sequence[float] = SHRINKAGES,
    weights: Tensor | None = None,
) -> Tensor:
    """Squared leave-one-out errors of the kernel ridge regression with an intercept of ``b`` on ``a``, ``(S, K)``.

    Each counted as often as the weights, scaled to mean 1, say.
    """
    return _Gram(a, using, weights=weights).errors(b, shrinkages)


class _Gram:
    """The anchors' similarities to each other under one similarity, and what the regression makes of them.

    With a constant given, ``R = G^-1`` and the constant is taken off the targets; else it is fitted. Rows of weight
    ``w`` are rows multiplied by ``w^1/2``, the column of ones that the constant stands on included.
    """

    def __init__(
        self, a: Tensor, pair: tuple[str, float], constant: Tensor | None = None, weights: Tensor | None = None
    ) -> None:
        self.pair, self.constant = pair, constant
        ones = a.new_ones(a.size(0)) if weights is None else (weights / weights.mean()).sqrt()
        self.ones = ones.unsqueeze(1)
        self.similarities, num_features = self.ones * kernel(a, a, *pair) * ones, a.size(1)
        count, trace = a.size(0), self.similarities.diagonal().sum()
        spread = trace if constant is not None else trace - ones @ self.similarities @ ones / count
        self.scale = float(spread) / num_features if spread > 1e-12 * count * trace else 0.0

    def solve(self, b: Tensor, shrinkage: float) -> tuple[Tensor, Tensor]:
        """``R b`` and the constant, for one ridge."""
        ridged = self.similarities.clone()
        ridged.diagonal().add_(shrinkage * self.scale)
        factor = torch.linalg.cholesky(ridged)
        if self.constant is not None:
            return self.ones * torch.cholesky_solve(self.ones * (b - self.constant), factor), self.constant
        solved = torch.cholesky_solve(torch.cat([self.ones * b, self.ones], dim=1), factor)
        inner, ones = solved[:, :-1], solved[:, -1:]
        bias = (self.ones * inner).sum(dim=0) / (self.ones * ones).sum()
        return self.ones * (inner - ones * bias), bias

    def errors(self, b: Tensor, shrinkages: Sequence[float]) -> Tensor:
        """Squared leave-one-out errors, one row per ridge: one decomposition serves all of them."""
        values, vectors = torch.linalg.eigh(self.similarities)
        values = values.clamp(min=0)  # what is below 0 is rounding
        inverse = 1 / (values + values.new_tensor(shrinkages).unsqueeze(1) * self.scale)  # one row per ridge
        diagonal = inverse @ vectors.square().mT  # of G^-1, and of R below
        if self.constant is not None:
            solved = vectors @ (inverse.unsqueeze(2) * (vectors.mT @ (self.ones * (b - self.constant))))
        else:
            sums = (vectors.mT @ self.ones).squeeze(1)
            inner = inverse.unsqueeze(2) * (vectors.mT @ (self.ones * b))
            ones = (inverse * sums) @ vectors.mT  # G^-1 1
            total = ones @ self.ones
            constants = (sums @ inner) / total
            solved = vectors @ inner - ones.unsqueeze(2) * constants.unsqueeze(1)
            diagonal = diagonal - ones.square() / total
        squares: Tensor = (solved / diagonal.unsqueeze(2)).square().sum(dim=2)
        return squares
