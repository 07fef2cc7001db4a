"""Translation by kernel ridge regression: the one that can bend."""

from __future__ import annotations

import torch

from relgraph.anchors import AnchorSet
from relgraph.translation.affine import paired
from relgraph.translation.kernel_regression import KernelRidge, fit_kernel_ridge
from relgraph.translation.leave_one_out import Shrinkage
from relgraph.translation.weights import moderate_weights


def kernel_ridge(
    source: AnchorSet, target: AnchorSet, *, shrinkage: Shrinkage = "loo", robust: bool = False
) -> KernelRidge:
    r"""Kernel ridge regression of the target's anchors on the source's.

    .. math:: y = s(x - m_s, A_c) \, R \, B_c + \beta + m_t

    with ``R`` and :math:`\beta` of :func:`relgraph.translation.kernel_regression.fit_kernel_ridge` (Saunders, Gammerman
    & Vovk, 1998). Dot product, cosine or Gaussian, its width, and the ridge are chosen by the leave-one-out error. With
    the dot product the map takes centre to centre, and ``R`` and :math:`\beta` are those without an intercept.

    Args:
        source: Space to map from, width ``F``.
        target: Space to map to, width ``G``.
        shrinkage: ``g``, relative to the mean variance of the anchors under the similarity, or ``"loo"``.
        robust: Let anchors that lie far out in either space count less, by
            :func:`relgraph.translation.weights.moderate_weights` of both.

    Returns:
        The map, on the device of the source, whose type it gives back; fitted in float64, and a curved one stays so.

    Raises:
        InputError: If the two share too few anchors (:func:`relgraph.anchors.aligned_rows`), or ``shrinkage`` is not
            a number above 0.

    Example:
        >>> a = AnchorSet(torch.arange(40), torch.linspace(-3, 3, 40).unsqueeze(1), torch.zeros(1))
        >>> b = AnchorSet(torch.arange(40), a.embeddings.sin(), torch.zeros(1))
        >>> bent = kernel_ridge(a, b)
        >>> bent.similarity, torch.allclose(bent(torch.tensor([[1.234]])), torch.tensor([[1.234]]).sin(), atol=1e-2)
        ('rbf', True)
    """
    a, b = paired(source, target)
    fit = fit_kernel_ridge(
        a, b, center=b.new_zeros(b.size(1)), shrinkage=shrinkage, weights=moderate_weights(a, b) if robust else None
    )
    bias = fit.bias + target.center.cpu().to(torch.float64)
    center = source.center.cpu().to(torch.float64)
    module = KernelRidge(center, a, fit.coefficients, bias, fit.similarity, fit.width, fit.shrinkage)
    return module.placed(source.embeddings)
