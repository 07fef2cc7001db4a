"""Kernel ridge regression with an intercept; kernel, width and shrinkage are selected by leave-one-out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from relgraph.errors import InputError
from relgraph.maps.estimator import Estimator
from relgraph.maps.leave_one_out import SHRINKAGES, Shrinkage, Smoother, half_standard_error_rule
from relgraph.maps.matched import MatchedAnchors
from relgraph.maps.modules import KernelMap, similarities
from relgraph.maps.ridge import positive_factor
from relgraph.similarity import check_shrinkage

WIDTHS = (4.0, 2.0, 1.0, 0.5)
"""Candidate widths, as multiples of the median distance between two anchors; the widest, nearly linear, first."""


def kernel_ridge(
    matched: MatchedAnchors,
    shrinkage: Shrinkage = "loo",
    *,
    kernel: tuple[str, float] | None = None,
    shrinkages: Sequence[float] = SHRINKAGES,
) -> KernelMap:
    r"""Kernel ridge regression of the values ``B`` on the anchors ``A_c`` (Saunders, Gammerman & Vovk, 1998).

    .. math:: f(z) = s(z - m, A_c) \, R \, B + \beta, \qquad
        R = G^{-1} - \frac{G^{-1} 1 1' G^{-1}}{1' G^{-1} 1}, \qquad
        \beta = \frac{1' G^{-1} B}{1' G^{-1} 1}, \qquad G = s(A_c, A_c) + \lambda I

    with :math:`\lambda = g \operatorname{tr}(J s(A_c, A_c) J) / F`, ``J`` the centering matrix. With the dot product
    the value at the center is known to be the mean of the target, where the mean of few anchors is a rough estimate of
    it: :math:`\beta` is that mean, subtracted from ``B``, :math:`R = G^{-1}`, and :math:`\lambda = g
    \operatorname{tr}(s(A_c, A_c)) / F`, which is the ridge regression with the same ``g``. The leave-one-out error of
    anchor ``i`` is :math:`(R B)_i / R_{ii}`, exactly, for fixed :math:`\lambda` and width. The simplest kernel whose
    least such error is within half a standard error of the least of all is used, and of its shrinkages the smallest by
    the same rule, for a regression the largest. With no more anchors than dimensions the kernel is the dot product.

    Anchors have the weights ``w`` of :meth:`relgraph.maps.MatchedAnchors.weights`, scaled to mean 1, because otherwise
    a few very large logits would dominate: ``G`` is :math:`s(A_c, A_c) + \lambda \operatorname{diag}(w)^{-1}`, the
    traces are those of :math:`W^{1/2} s(A_c, A_c) W^{1/2}`, ``J`` subtracts the weighted mean, and squared errors are
    weighted by ``w``.

    Args:
        matched: The anchors.
        shrinkage: ``g``, a number above 0, or ``"loo"``.
        kernel: A kernel and its width, instead of selecting them by leave-one-out.
        shrinkages: Candidates for ``"loo"``, the smallest first.

    Raises:
        InputError: If ``shrinkage`` is not a number above 0 or ``"loo"``.
    """
    check_shrinkage(shrinkage, "loo")
    if shrinkage == 0:
        raise InputError("shrinkage", "of a kernel must be above 0, or 'loo' (got 0); 0.001 is a good start")
    a, b, weights = matched.offsets, matched.values, matched.weights()
    straight = a.size(0) <= a.size(1)  # a linear map interpolates that many anchors
    constant = bool((b == matched.mean).all())  # then so is the map, and there is nothing to choose by
    pairs = [kernel] if kernel else [("dot", 1.0)] if straight else [] if constant else list(candidates(a))
    tried = (float(shrinkage),) if shrinkage != "loo" else shrinkages
    grams = [_Gram(a, pair, weights, matched.mean if pair[0] == "dot" else None) for pair in pairs]
    grams = [gram for gram in grams if gram.scale > 0 and not constant]  # 0: all anchors coincide
    pair, chosen, coefficients, bias = ("dot", 1.0), tried[0], torch.zeros_like(b), matched.mean
    if grams:
        errors = [gram.errors(b, tried) for gram in grams] if len(grams) > 1 or len(tried) > 1 else []
        gram = grams[0]
        if errors:
            place = half_standard_error_rule(torch.stack([rows[rows.mean(dim=1).argmin()] for rows in errors]))
            last = matched.mode == "regression"  # as MatchedAnchors.shrinkage
            gram, chosen = grams[place], tried[half_standard_error_rule(errors[place], last=last)]
        pair, (coefficients, bias) = gram.pair, gram.solve(b, chosen)
    module = KernelMap(matched.center, a, coefficients, bias + matched.origin, *pair, shrinkage=chosen)
    return module.to_like(matched.like).eval()


def left_out_errors(matched: MatchedAnchors, fitted: KernelMap) -> Tensor:
    """Values minus predictions of every anchor ``(K, G)`` by the regression fitted without it, exactly.

    Kernel, width and penalty are those of the map that was fitted on all of these anchors. Two Cholesky factorizations
    of their similarities serve all of them.
    """
    a, pair = matched.offsets, (fitted.similarity, fitted.width)
    gram = _Gram(a, pair, matched.weights(), matched.mean if pair[0] == "dot" else None)
    return gram.left_out(matched.values, fitted.shrinkage) if gram.scale > 0 else matched.targets


def candidates(a: Tensor) -> Iterator[tuple[str, float]]:
    """The kernels and widths to try on these anchors, the simplest first."""
    yield "dot", 1.0
    yield "cosine", 1.0
    distances = torch.pdist(a)
    # If most anchors coincide, the median is 0 and the mean is used.
    size = float(distances.median()) or float(distances.mean())
    yield from (("rbf", multiple * size) for multiple in WIDTHS if size > 0)


class _Gram:
    """Similarities between the anchors under one kernel, and the regressions with them.

    With a given constant, ``R = G^-1`` and the constant is subtracted from the targets; else it is fitted. Rows of
    weight ``w`` are rows multiplied by ``w^1/2``, the column of ones of the constant included.
    """

    def __init__(self, a: Tensor, pair: tuple[str, float], weights: Tensor, constant: Tensor | None) -> None:
        self.pair, self.constant = pair, constant
        ones = (weights / weights.mean()).sqrt()
        self.ones = ones.unsqueeze(1)
        self.similarities, num_features = self.ones * similarities(a, a, *pair) * ones, a.size(1)
        count, trace = a.size(0), self.similarities.diagonal().sum()
        spread = trace if constant is not None else trace - ones @ self.similarities @ ones / count
        self.scale = float(spread) / num_features if spread > 1e-12 * count * trace else 0.0

    def solve(self, b: Tensor, shrinkage: float) -> tuple[Tensor, Tensor]:
        """``R b`` and the constant, for one shrinkage."""
        ridged = self.similarities.clone()
        ridged.diagonal().add_(shrinkage * self.scale)
        factor = positive_factor(ridged, shrinkage)
        if self.constant is not None:
            return self.ones * torch.cholesky_solve(self.ones * (b - self.constant), factor), self.constant
        solved = torch.cholesky_solve(torch.cat([self.ones * b, self.ones], dim=1), factor)
        inner, ones = solved[:, :-1], solved[:, -1:]
        bias = (self.ones * inner).sum(dim=0) / (self.ones * ones).sum()
        return self.ones * (inner - ones * bias), bias

    def left_out(self, b: Tensor, shrinkage: float) -> Tensor:
        """Leave-one-out errors ``(K, G)`` for one shrinkage, ``(R b)_i / R_ii`` without the weights."""
        solved, _ = self.solve(b, shrinkage)
        ridged = self.similarities.clone()
        ridged.diagonal().add_(shrinkage * self.scale)
        inverse = torch.cholesky_inverse(positive_factor(ridged, shrinkage))
        own = inverse.diagonal().unsqueeze(1)
        if self.constant is None:
            ones = inverse @ self.ones
            own = own - ones.square() / (self.ones * ones).sum()
        return solved / (self.ones.square() * own)

    def errors(self, b: Tensor, shrinkages: Sequence[float]) -> Tensor:
        """Squared leave-one-out errors ``(S, K)``, weighted."""
        smoother = Smoother.of_kernel(self.similarities)
        penalties = [shrinkage * self.scale for shrinkage in shrinkages]
        if self.constant is not None:
            return smoother.squared_errors(self.ones * (b - self.constant), penalties)
        return smoother.squared_errors(self.ones * b, penalties, self.ones)


KERNEL_RIDGE = Estimator("kernel-ridge", kernel_ridge, linear=False)
