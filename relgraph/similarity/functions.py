"""Similarities that come from dot products: larger is nearer."""

from __future__ import annotations

import math

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
        return (unit_rows(x.to(dtype), eps) @ unit_rows(anchors.to(dtype), eps).mT).to(x.dtype)


def angular_similarity(x: Tensor, anchors: Tensor, *, eps: float = 1e-8) -> Tensor:
    r"""One minus the share of a half turn that lies between each node and each anchor.

    .. math:: r_{ik} = 1 - \frac{1}{\pi} \arccos \frac{x_i \cdot a_k}{\|x_i\| \, \|a_k\|}

    One minus the normalized angular distance (Deza & Deza, Encyclopedia of Distances, 2009), which unlike the cosine
    is a metric on directions. The arccosine has no finite slope at 1, where every anchor meets itself: the cosine is
    clamped to eight steps of the precision inside (-1, 1), so that its gradient there is 0 and its value .9996 in
    float32. A zero row is at a right angle to everything.

    Args:
        x: Embeddings ``(N, F)``, or ``(..., N, F)`` for many spaces at once.
        anchors: Embeddings of the anchors ``(K, F)``, or ``(..., K, F)``.
        eps: Norm up to which a row counts as zero.

    Returns:
        Similarities ``(N, K)`` in (0, 1), 0.5 for orthogonal rows.

    Example:
        >>> angular_similarity(torch.tensor([[1.0, 1.0], [0.0, 0.0]]), torch.tensor([[1.0, 0.0], [-2.0, 2.0]]))
        tensor([[0.7500, 0.5000],
                [0.5000, 0.5000]])
    """
    dtype = check_pair(x, anchors, batched=True)
    with no_autocast(x):
        return angle_share(unit_rows(x.to(dtype), eps) @ unit_rows(anchors.to(dtype), eps).mT).to(x.dtype)


def dot_similarity(x: Tensor, anchors: Tensor) -> Tensor:
    r"""Dot product of each node with each anchor: the linear kernel (Schölkopf & Smola 2002, Learning with Kernels).

    .. math:: r_{ik} = x_i \cdot a_k

    Args:
        x: Embeddings ``(N, F)``, or ``(..., N, F)`` for many spaces at once.
        anchors: Embeddings of the anchors ``(K, F)``, or ``(..., K, F)``.

    Returns:
        Similarities ``(N, K)``.

    Example:
        >>> dot_similarity(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 0.0], [1.0, -1.0]]))
        tensor([[ 3., -1.]])
    """
    dtype = check_pair(x, anchors, batched=True)
    with no_autocast(x):
        return (x.to(dtype) @ anchors.to(dtype).mT).to(x.dtype)


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


def unit_rows(x: Tensor, eps: float = 1e-8) -> Tensor:
    """Rows of length 1, and of length 0 where they count as zero.

    Example:
        >>> unit_rows(torch.tensor([[0.0, 5.0], [0.0, 0.0]]))
        tensor([[0., 1.],
                [0., 0.]])
    """
    return x / safe_norm(x, eps)


def angle_share(cosine: Tensor) -> Tensor:
    """The angular similarity that belongs to a cosine; see :func:`angular_similarity`.

    Example:
        >>> angle_share(torch.tensor([0.0, -0.5]))
        tensor([0.5000, 0.3333])
    """
    most = 1 - 8 * torch.finfo(cosine.dtype).eps
    return 1 - cosine.clamp(-most, most).arccos() / math.pi


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
