"""A metric for retrieval: distances in units of the errors that a translation makes on rows it was not fitted on."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from relgraph.anchors.values import AnchorSet
from relgraph.errors import InputError, require
from relgraph.maps.expected import fold_outputs
from relgraph.maps.folding import fold_translation
from relgraph.maps.kernel import left_out_errors
from relgraph.maps.leave_one_out import SHRINKAGES, Shrinkage, Smoother
from relgraph.maps.matched import MatchedAnchors
from relgraph.maps.methods import fit_map
from relgraph.maps.modules import AffineMap, KernelMap
from relgraph.maps.scarcity import warn_if_scarce
from relgraph.registry import MAPS
from relgraph.similarity import check_shrinkage

SHRINKAGE = 0.1
MIN_ANCHORS = 3
SMALLEST = 1e-10
"""The smallest variance of a direction, as a share of the largest."""


class ResidualMetric(nn.Module):
    r"""Two linear maps into one space, in which Euclidean distance compares source rows with target rows.

    .. math:: d(x, y)^2 = (f(x) - y) \, C^{-1} (f(x) - y)' = \lVert (f(x) - m) W - (y - m) W \rVert^2, \qquad
        W W' = C^{-1}

    Made by :func:`residual_metric`.

    Args:
        source: From source rows ``(N, F)`` to the common space, ``(N, G)``: the translation ``f``, then ``W``.
        target: From target rows ``(N, G)`` to the common space: ``W``.
    """

    def __init__(self, source: nn.Module, target: nn.Module) -> None:
        super().__init__()
        self.source = source
        self.target = target

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Squared distances ``(N,)`` of paired rows ``(N, F)`` and ``(N, G)``."""
        distances: Tensor = (self.source(x) - self.target(y)).square().sum(dim=-1)
        return distances


@torch.no_grad()
def residual_metric(
    source: AnchorSet, target: AnchorSet, method: str = "ridge", *, shrinkage: Shrinkage = SHRINKAGE
) -> ResidualMetric:
    r"""The metric of a translation's residuals, to search a table of one run for rows of another.

    .. math:: C = \tfrac1K \textstyle\sum_k r_k' r_k + g \, \tfrac{t}{G} I, \qquad r_k = f_{-k}(a_k) - b_k

    with the residual of each anchor under a translation ``f`` fitted without it (exact leave-one-out for ``"ridge"``,
    ten folds otherwise), the trace ``t`` of the first term and the shrinkage ``g``. Under the Mahalanobis distance
    (Mahalanobis, 1936) with ``C``, directions in which the translation is exact count more than those in which it is
    not. It is an ordinary Euclidean index after one linear map of both sides.

    The direction matters. A query ``x`` of a new model has the likelihood ``p(x | y)`` under each row ``y`` of the old
    table; for normal errors the most likely row is the nearest by the residuals of the translation *from the table to
    the queries*. So let the table be the ``source``: it is mapped once, by one matrix product, and queries are only
    multiplied by ``W``.

    Args:
        source: The space of the table that is searched, width ``F``.
        target: The space of the queries, width ``G``.
        method: One of :data:`relgraph.registry.MAPS` that maps to embeddings.
        shrinkage: ``g``, a number of at least 0, or ``"loo"``, :func:`choose_metric_shrinkage`.

    Returns:
        The two maps in the type and on the device of ``source``; linear layers, if the translation is affine.

    Raises:
        InputError: As :func:`relgraph.translate`, if ``shrinkage`` is negative or another word, or if fewer than three
            anchors are shared.

    Example:
        >>> z = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
        >>> new = z.flip(1) * torch.tensor([1.0, 10.0, 1.0])
        >>> table, queries = (AnchorSet(torch.arange(9), x[:9], x.mean(0)) for x in (z, new))
        >>> metric = residual_metric(table, queries)
        >>> torch.cdist(metric.target(new), metric.source(z)).argmin(1).equal(torch.arange(40))
        True
    """
    require("source", source, AnchorSet, "the order is residual_metric(source, target), the table first")
    require("target", target, AnchorSet, "publish the space of the queries")
    check_shrinkage(shrinkage, "loo")
    translation, matched = fit_map(source, target, method, stacklevel=2)
    warn_if_scarce(matched, stacklevel=2)
    if len(matched) < MIN_ANCHORS:
        raise InputError("source", f"must share {MIN_ANCHORS} anchors or more with 'target' (got {len(matched)})")
    residuals = left_out_residuals(matched, method)
    number = choose_metric_shrinkage(residuals) if shrinkage == "loo" else float(shrinkage)
    weight = inverse_root(residuals, number).to(source.embeddings)
    center = matched.origin.to(weight)
    whiten = AffineMap(weight, center, torch.zeros_like(center)).eval()
    first = nn.Sequential(translation, whiten)
    affine = not isinstance(translation, KernelMap) or translation.weight is not None
    return ResidualMetric(fold_translation(first) if affine else first, fold_translation(whiten))


def left_out_residuals(matched: MatchedAnchors, method: str = "ridge", fitted: nn.Module | None = None) -> Tensor:
    """Predictions minus values of every anchor, by translations fitted without it, ``(K, G)`` in float64.

    Of ``"ridge"``, and of ``"kernel-ridge"`` if the map ``fitted`` on all anchors is given, they are the exact
    leave-one-out residuals at the kernel and shrinkage of all anchors; else each of ten folds is left out in turn.
    """
    if isinstance(fitted, KernelMap):
        return -left_out_errors(matched, fitted)
    if method == "ridge":
        rows, targets = matched.weighted_rows(matched.targets)
        smoother = Smoother.of_rows(rows)
        penalty = matched.shrinkage(rows, targets, "loo") * float(smoother.values.sum()) / rows.size(1)
        return -next(smoother.errors(targets, [penalty])) / matched.roots
    if len(matched) == 1:  # without it, only the mean is known
        return -matched.targets
    return fold_outputs(matched, MAPS.resolve(method)) - matched.origin - matched.values


def choose_metric_shrinkage(residuals: Tensor) -> float:
    r"""The shrinkage ``g`` under which left-out residuals ``(K, G)`` are the most likely.

    .. math:: \sum_k \log N\bigl(r_k \mid 0, C_{-k} + g \, \tfrac{t}{G} I\bigr), \qquad
        C_{-k} = \tfrac{1}{K - 1} \textstyle\sum_{j \ne k} r_j' r_j

    One of :data:`relgraph.maps.SHRINKAGES` by leave-one-out (`Hoffbeck and Landgrebe, 1996
    <https://doi.org/10.1109/34.506799>`_), exactly and by one decomposition, since every ``C_{-k}`` differs from the
    same matrix by one row.

    Example:
        >>> noise = torch.randn(2000, 3, generator=torch.Generator().manual_seed(0))
        >>> choose_metric_shrinkage(noise * torch.tensor([1.0, 10.0, 100.0])), choose_metric_shrinkage(noise[:4])
        (1e-05, 1.0)
    """
    count = len(residuals)
    values, vectors = torch.linalg.eigh(residuals.mT @ residuals / count)
    values = values.clamp(min=0)
    if not bool(values.any()):
        return SHRINKAGE  # without any error there is nothing to choose by
    squares = (residuals @ vectors).square()

    def likelihood(shrinkage: float) -> float:
        variances = count / (count - 1) * values + shrinkage * values.mean()
        sizes = squares @ variances.reciprocal()
        left = 1 - sizes / (count - 1)  # by the Sherman-Morrison formula and the determinant lemma
        return float(-(sizes / left + left.log()).mean() - variances.log().sum())

    return max(SHRINKAGES, key=likelihood)


def inverse_root(residuals: Tensor, shrinkage: float) -> Tensor:
    """``W`` with ``W W'`` the inverse of the covariance of residuals ``(K, G)``, plus shrinkage, ``(G, G)``."""
    covariance = residuals.mT @ residuals / len(residuals)
    values, vectors = torch.linalg.eigh(covariance)
    values = values.clamp(min=0) + shrinkage * values.clamp(min=0).mean()
    # Without any error there is nothing to weight by; a direction without errors has a large weight, but a finite one.
    largest = values.max()
    values = values.clamp(min=SMALLEST * float(largest)) if largest > 0 else torch.ones_like(values)
    root: Tensor = vectors * values.rsqrt()
    return root
