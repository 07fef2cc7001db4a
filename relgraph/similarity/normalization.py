"""Normalizations of a space by the statistics of its anchors: centered, standardized, whitened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from relgraph.errors import InputError
from relgraph.registry import NORMALIZATIONS
from relgraph.similarity.checks import check_shrinkage, exact, no_autocast, wide

Map = tuple[Tensor | None, Tensor | None]


def normalizing_map(anchors: Tensor, kind: str, *, center: Tensor | None = None, shrinkage: float = 0.01) -> Map:
    r"""The affine map that normalizes a space by statistics of its anchors, before a similarity is taken.

    .. math:: x' = (x - m) \, T

    with :math:`T = I` for ``"center"``, one over each coordinate's standard deviation for ``"standardize"`` and
    :math:`S^{-1/2}` (symmetric, ``S`` as in :func:`whitened_similarity`) for ``"whiten"``; deviations are taken from
    ``m`` and averaged over K. A coordinate in which no anchor differs from ``m`` is set to 0 by ``"standardize"``, a
    whole space by ``"whiten"``. Arguments and errors are those of :func:`relgraph.similarity.relative`.

    Returns:
        The shift ``m`` ``(F,)`` and the scale ``T`` ``(F, F)`` or its diagonal ``(F,)``; ``None`` for no change.

    Example:
        >>> normalizing_map(torch.tensor([[1.0], [5.0]]), "standardize")
        (tensor([3.]), tensor([0.5000]))
    """
    with no_autocast(anchors):
        found: Map = NORMALIZATIONS.resolve(kind).function(anchors, center, shrinkage)
        return found


def apply_map(x: Tensor, shift: Tensor | None, scale: Tensor | None) -> Tensor:
    """Apply a map of :func:`normalizing_map` to rows ``(N, F)``.

    Example:
        >>> apply_map(torch.tensor([[4.0, 4.0]]), torch.tensor([3.0, 2.0]), torch.tensor([0.5, 2.0]))
        tensor([[0.5000, 4.0000]])
    """
    if shift is not None:
        x = x - shift.to(x.dtype)
    if scale is None:
        return x
    return x * scale.to(x.dtype) if scale.dim() == 1 else x @ scale.to(x.dtype)


def whitened_projection(
    anchors: Tensor, *, center: Tensor | None = None, shrinkage: float = 0.01
) -> tuple[Tensor, Tensor]:
    """The center ``m`` ``(F,)`` and the matrix ``(F, K)`` with ``whitened_similarity(x) = (x - m) @ matrix``.

    Arguments and errors are those of :func:`whitened_similarity`; both results are in float32 or wider.

    Example:
        >>> center, matrix = whitened_projection(torch.tensor([[1.0], [3.0]]), shrinkage=0)
        >>> center, matrix
        (tensor([2.]), tensor([[-0.5000,  0.5000]]))
    """
    with no_autocast(anchors):
        shift, centered, covariance, varied = _covariance(anchors, center, shrinkage)
        try:
            factor = torch.linalg.cholesky(covariance)
        except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]
            raise _not_spanning(shrinkage) from error
        _check_spanning(factor.diagonal().square(), shrinkage)
        projection = torch.cholesky_solve(centered.T, factor) * varied / centered.size(0)
        return shift, projection.to(shift.dtype)


def _none(anchors: Tensor, center: Tensor | None, shrinkage: float) -> Map:
    return None, None


def _center(anchors: Tensor, center: Tensor | None, shrinkage: float) -> Map:
    return _statistics(anchors, center)[0], None


def _standardize(anchors: Tensor, center: Tensor | None, shrinkage: float) -> Map:
    shift, centered, varied = _statistics(anchors, center)
    variance = torch.where(varied, centered.square().mean(0), 1)
    return shift, (variance.rsqrt() * varied).to(shift.dtype)


def _whiten(anchors: Tensor, center: Tensor | None, shrinkage: float) -> Map:
    shift, _, covariance, varied = _covariance(anchors, center, shrinkage)
    if shrinkage == 0:
        _check_spanning(torch.linalg.eigvalsh(covariance.detach()), shrinkage)
    root: Tensor = _InverseRoot.apply(covariance)  # type: ignore[no-untyped-call]
    return shift, (root * varied).to(shift.dtype)


@dataclass(frozen=True)
class Normalization:
    """One normalization of a space: its affine map, and its effect on the invariances of a similarity.

    Args:
        name: The registered name.
        function: From anchors, center or ``None``, and shrinkage to the result of :func:`normalizing_map`.
        removes, adds: The changes to which a similarity is no longer, or becomes, invariant.
    """

    name: str
    function: Callable[[Tensor, Tensor | None, float], Map]
    removes: frozenset[str] = frozenset()
    adds: frozenset[str] = frozenset()


NONE = Normalization("none", _none)
CENTER = Normalization("center", _center, frozenset({"node-scaling"}), frozenset({"translation"}))
STANDARDIZE = Normalization(
    "standardize",
    _standardize,
    frozenset({"node-scaling", "rotation"}),
    frozenset({"translation", "scaling", "coordinate-scaling"}),
)
WHITEN = Normalization("whiten", _whiten, frozenset({"node-scaling"}), frozenset({"translation", "scaling"}))


def _statistics(anchors: Tensor, center: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Center ``(F,)``, centered anchors ``(K, F)`` in float64, and whether each coordinate varies ``(F,)``."""
    dtype = wide(anchors.dtype)
    precise = anchors.to(exact(anchors.device))
    shift = (precise.mean(0) if center is None else center).to(dtype)
    centered = precise - shift.to(precise.dtype)
    rounding = 8 * torch.finfo(dtype).eps * precise.detach().abs().amax(0)
    return shift, centered, centered.detach().square().mean(0) > rounding.square()


def _covariance(anchors: Tensor, center: Tensor | None, shrinkage: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Center, centered anchors, shrunk covariance ``(F, F)`` (the identity in a constant space), whether it varies."""
    check_shrinkage(shrinkage)
    shift, centered, varied = _statistics(anchors, center)
    covariance = centered.T @ centered / centered.size(0)
    identity = torch.eye(covariance.size(0), dtype=covariance.dtype, device=covariance.device)
    covariance = covariance + shrinkage * covariance.diagonal().mean() * identity
    return shift, centered, torch.where(varied.any(), covariance, identity), varied.any()


def _check_spanning(variances: Tensor, shrinkage: float) -> None:
    # It reads values, which a compiled graph must not do; only an explicit shrinkage of 0 needs it.
    if shrinkage != 0 or torch.compiler.is_compiling():
        return
    least, most = torch.aminmax(variances.detach())
    if bool(least <= variances.numel() * torch.finfo(variances.dtype).eps * most):
        raise _not_spanning(shrinkage)


def _not_spanning(shrinkage: float) -> InputError:
    return InputError(
        "shrinkage",
        f"must be larger where the anchors do not span the space (got {shrinkage}); "
        "take the default 0.01 or more anchors",
    )


class _InverseRoot(torch.autograd.Function):
    """Symmetric inverse root; the gradient stays finite where eigenvalues coincide, as they do with few anchors."""

    @staticmethod
    def forward(ctx: Any, matrix: Tensor) -> Tensor:
        values, vectors = torch.linalg.eigh(matrix)
        floor = values.numel() * torch.finfo(values.dtype).eps * values[-1]
        root = torch.maximum(values, floor).sqrt()
        ctx.save_for_backward(root, vectors)
        inverse: Tensor = (vectors / root) @ vectors.T
        return inverse

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        root, vectors = ctx.saved_tensors
        with no_autocast(grad):
            # Divided differences of 1/sqrt, written without the difference of eigenvalues in the denominator.
            slope = -1 / (root[:, None] * root * (root[:, None] + root))
            result: Tensor = vectors @ (slope * (vectors.T @ grad @ vectors)) @ vectors.T
            return result
