"""Similarities of nodes to anchors: the functions by dot products, and the record of every similarity."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from relgraph.similarity import distances
from relgraph.similarity.checks import check_pair, compare, no_autocast, wide
from relgraph.similarity.normalization import whitened_projection

EPS = 1e-8  # no longer rows count as zero


def cosine_similarity(x: Tensor, anchors: Tensor) -> Tensor:
    r"""Cosine of the angle between each node and each anchor (Moschella et al. 2023, arXiv 2209.15430).

    .. math:: r_{ik} = \frac{x_i \cdot a_k}{\|x_i\| \, \|a_k\|}

    A row no longer than 1e-8 counts as zero: its similarities are 0 and its gradient stays bounded.

    Example:
        >>> cosine_similarity(torch.tensor([[3.0, 0.0], [0.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 5.0]]))
        tensor([[1., 0.],
                [0., 0.]])
    """
    return compare(_cosine, x, anchors)


def angular_similarity(x: Tensor, anchors: Tensor) -> Tensor:
    r"""One minus the angle between each node and each anchor as a share of half a turn.

    .. math:: r_{ik} = 1 - \frac{1}{\pi} \arccos \frac{x_i \cdot a_k}{\|x_i\| \, \|a_k\|}

    One minus the normalized angular distance (Deza & Deza, Encyclopedia of Distances, 2009), a metric on directions.
    The slope of the arccosine is infinite at 1, the cosine of an anchor with itself; the cosine is clamped to eight
    steps of the precision inside (-1, 1), where the gradient is 0. A zero row is at a right angle to every row.

    Example:
        >>> angular_similarity(torch.tensor([[1.0, 1.0], [0.0, 0.0]]), torch.tensor([[1.0, 0.0], [-2.0, 2.0]]))
        tensor([[0.7500, 0.5000],
                [0.5000, 0.5000]])
    """
    return compare(lambda x, anchors: _angle_share(_cosine(x, anchors)), x, anchors)


def dot_similarity(x: Tensor, anchors: Tensor) -> Tensor:
    r"""Dot product of each node with each anchor: the linear kernel (Schölkopf & Smola 2002, Learning with Kernels).

    .. math:: r_{ik} = x_i \cdot a_k

    Example:
        >>> dot_similarity(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 0.0], [1.0, -1.0]]))
        tensor([[ 3., -1.]])
    """
    return compare(_dot, x, anchors)


def whitened_similarity(x: Tensor, anchors: Tensor, *, center: Tensor | None = None, shrinkage: float = 0.01) -> Tensor:
    r"""Dot product after whitening the space with the anchors' covariance, divided by the number of anchors.

    .. math:: r = (x - m) S^{-1} (A - m)' / K, \qquad
              S = A_c' A_c / K + g \, \frac{\mathrm{tr}(A_c' A_c / K)}{F} \, I, \quad A_c = A - m

    A linear map of ``r`` is the affine map of ``x`` fitted to the anchors by ridge regression (Hoerl & Kennard 1970).
    In a constant space every value is 0.

    Args:
        x: Embeddings ``(N, F)``.
        anchors: Embeddings of the anchors ``(K, F)``.
        center: The center ``m`` ``(F,)``, preferably the mean of all nodes; by default the anchors' mean.
        shrinkage: The share ``g`` of the mean variance that is added to each direction.

    Raises:
        InputError: If ``shrinkage`` is 0 and the anchors do not span the space.

    Example:
        >>> anchors = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]])
        >>> whitened_similarity(torch.tensor([[2.0, 2.0]]), anchors, shrinkage=0)
        tensor([[ 1.0000, -1.0000,  0.5000, -0.5000]])
    """
    dtype = check_pair(x, anchors, center)
    with no_autocast(x):
        return _dot(*_whitened_pairs(x.to(dtype), anchors.to(dtype), center, shrinkage)).to(x.dtype)


def safe_norm(x: Tensor) -> Tensor:
    """Norms of the rows ``(N, 1)``, at least float32, with 1 for rows that count as zero.

    Dividing by 1 instead of ``EPS`` keeps the gradient of a zero row at the size of all others.

    Example:
        >>> safe_norm(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
        tensor([[5.],
                [1.]])
    """
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=wide(x.dtype))
    return torch.where(norm > EPS, norm, 1)


def _dot(x: Tensor, anchors: Tensor) -> Tensor:
    return x @ anchors.mT


def _cosine(x: Tensor, anchors: Tensor) -> Tensor:
    return _dot(*_unit_rows(x, anchors))


def _angle_share(cosine: Tensor) -> Tensor:
    most = 1 - 8 * torch.finfo(cosine.dtype).eps
    return 1 - cosine.clamp(-most, most).arccos() / math.pi


# The form along edges: preparation of vectors, and comparison of prepared vectors in pairs, (E, F), (E, F) -> (E,).


def _unchanged(x: Tensor, anchors: Tensor) -> tuple[Tensor, Tensor]:
    return x, anchors


def _unit_rows(x: Tensor, anchors: Tensor) -> tuple[Tensor, Tensor]:
    return x / safe_norm(x), anchors / safe_norm(anchors)


def _over_width(x: Tensor, anchors: Tensor) -> tuple[Tensor, Tensor]:
    width = distances.median_distance(anchors)
    return x / width, anchors / width


def _whitened_pairs(x: Tensor, anchors: Tensor, center: Tensor | None, shrinkage: float) -> tuple[Tensor, Tensor]:
    shift, matrix = whitened_projection(anchors, center=center, shrinkage=shrinkage)
    return x - shift, matrix.mT


def _dot_pairs(x: Tensor, anchors: Tensor) -> Tensor:
    return (x * anchors).sum(-1)


def _angular_pairs(x: Tensor, anchors: Tensor) -> Tensor:
    return _angle_share(_dot_pairs(x, anchors))


def _rbf_pairs(x: Tensor, anchors: Tensor) -> Tensor:
    return (-(x - anchors).square().sum(-1) / 2).exp()


def _norm_pairs(x: Tensor, anchors: Tensor, order: float) -> Tensor:
    distance: Tensor = torch.linalg.vector_norm(x - anchors, order, dim=-1)
    return distance


@dataclass(frozen=True)
class Similarity:
    """One way to compare a node with an anchor, and its declared properties.

    Between all nodes and anchors it is ``function``. Along edges, ``prepare`` computes vectors of nodes and anchors
    once, and ``pairwise`` compares two vectors, so that an edge costs O(F). All are given checked tensors in float32 or
    wider.

    Args:
        name: The registered name.
        function: ``(x, anchors) -> (N, K)``; with ``whitens``, it takes ``center`` and ``shrinkage`` as well.
        pairwise: The similarity of prepared vectors in pairs, ``(E, F), (E, F) -> (E,)``.
        prepare: ``(x, anchors) -> (x, anchors)``, the vectors for ``pairwise``; with ``whitens``, as ``function``.
        invariant_to: Names in :data:`CHANGES` of the changes that leave the values the same; of whitening the
            invariances are added.
        bilinear: Whether it is linear in the node up to one factor per node, so that a linear head can be folded.
        fill: The value of an absent coordinate, that of an unrelated node; infinity marks a distance.
        normed: Whether each node is divided by its norm.
        whitens: Whether it whitens the space itself; no other normalization is then allowed.
    """

    name: str
    function: Callable[..., Tensor]
    pairwise: Callable[[Tensor, Tensor], Tensor]
    prepare: Callable[..., tuple[Tensor, Tensor]] = _unchanged
    invariant_to: frozenset[str] = frozenset()
    bilinear: bool = False
    fill: float = 0.0
    normed: bool = False
    whitens: bool = False

    @property
    def is_distance(self) -> bool:
        """Whether near means small."""
        return self.fill == math.inf


#: Changes of a space, applied to nodes, anchors and center alike; see :func:`relgraph.similarity.invariances`.
CHANGES = frozenset({"rotation", "scaling", "node-scaling", "translation", "coordinate-scaling", "affine"})

_ROTATION, _TRANSLATION = frozenset({"rotation"}), frozenset({"translation"})
_DIRECTION = frozenset({"rotation", "scaling", "node-scaling"})
_DISTANCE = _ROTATION | _TRANSLATION

COSINE = Similarity("cosine", cosine_similarity, _dot_pairs, _unit_rows, _DIRECTION, bilinear=True, normed=True)
ANGULAR = Similarity("angular", angular_similarity, _angular_pairs, _unit_rows, _DIRECTION, fill=0.5)
DOT = Similarity("dot", dot_similarity, _dot_pairs, _unchanged, _ROTATION, bilinear=True)
EUCLIDEAN = Similarity(
    "euclidean", distances.euclidean_distance, partial(_norm_pairs, order=2), _unchanged, _DISTANCE, fill=math.inf
)
L1 = Similarity("l1", distances.l1_distance, partial(_norm_pairs, order=1), _unchanged, _TRANSLATION, fill=math.inf)
LINF = Similarity(
    "linf", distances.linf_distance, partial(_norm_pairs, order=math.inf), _unchanged, _TRANSLATION, fill=math.inf
)
RBF = Similarity("rbf", distances.rbf_similarity, _rbf_pairs, _over_width, _DISTANCE | {"scaling"})
WHITENED = Similarity(
    "whitened", whitened_similarity, _dot_pairs, _whitened_pairs, _ROTATION, bilinear=True, whitens=True
)
