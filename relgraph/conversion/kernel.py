"""Conversion by kernel ridge regression: any similarity, an intercept, a closed form."""

from __future__ import annotations

from relgraph.conversion.pairing import Pairing
from relgraph.translation import KernelRidge, Shrinkage
from relgraph.translation.kernel_regression import fit_kernel_ridge


class KernelConversion(KernelRidge):
    r"""A head as similarities to the anchors of a space; made by :func:`relgraph.convert` with ``method="rbf"``.

    .. math:: \text{logits}(z) = s(z - m, A_c) \, R L + b

    Example:
        >>> import torch
        >>> KernelConversion(torch.zeros(2), torch.eye(2), torch.eye(2), torch.zeros(2), "cosine", shrinkage=0.01)
        KernelConversion(2 -> 2, 2 anchors, similarity=cosine, shrinkage=0.01)
    """


def rbf(
    pairing: Pairing, shrinkage: Shrinkage | None = None, *, using: tuple[str, float] | None = None
) -> KernelConversion:
    """The module of :func:`relgraph.convert` with ``method="rbf"``.

    Anchors count as :meth:`relgraph.conversion.pairing.Pairing.weights` says, in the fit and in the leave-one-out error
    that chooses: a few enormous logits would else be all that either of them sees.

    Args:
        pairing: Anchors and logits.
        shrinkage: A number above 0, or ``"loo"``, which ``None`` stands for.
        using: A similarity and its width, instead of choosing them by leave-one-out.
    """
    fit = fit_kernel_ridge(
        pairing.anchors,
        pairing.logits,
        center=pairing.mean,
        shrinkage="loo" if shrinkage is None else shrinkage,
        using=using,
        weights=pairing.weights(),
    )
    module = KernelConversion(
        pairing.center, pairing.anchors, fit.coefficients, fit.bias, fit.similarity, fit.width, fit.shrinkage
    )
    return module.placed(pairing.like).eval()
