"""Measures of two spaces relative to rows that are anchors in both, and measured on the other rows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from relgraph.anchors.values import AnchorSet
from relgraph.maps import fit_map
from relgraph.measures.base import Measure, Null, Statistic, check_pair, clamp, same_rows, undetermined, wide
from relgraph.measures.nulls import assignment_null, matched_null, permutation
from relgraph.similarity import relative

ANCHORS = 256
ROWS = 1024
"""Rows that are no anchors, on which a measure is computed."""


@dataclass(frozen=True, eq=False)
class _Sample:
    """Anchors ``(K, *)`` and other rows ``(M, *)`` of two spaces in float64, drawn at random, at least two each."""

    x: Tensor
    y: Tensor
    anchors: int

    @classmethod
    def of(cls, a: Tensor, b: Tensor, generator: torch.Generator) -> _Sample:
        count = min(ANCHORS, len(a) // 2)
        rows = permutation(len(a), generator)[: count + ROWS]
        return cls(_unit_sized(wide(a[rows])), _unit_sized(wide(b[rows])), count)

    @property
    def others(self) -> int:
        """Number of rows that are no anchors."""
        return len(self.x) - self.anchors


def _unit_sized(rows: Tensor) -> Tensor:
    """Rows whose largest number is 1, since similarities count very short rows as zero."""
    largest = float(rows.abs().amax())
    return rows / largest if largest > 0 else rows


def relative_distance(x: Tensor, y: Tensor, *, similarity: str = "cosine", seed: int = 0) -> float:
    r"""Mean distance of the relative representations of every row in two spaces ``(N, F)`` and ``(N, G)``.

    .. math:: 1 - \tfrac1M \textstyle\sum_i \cos(r_i(X), r_i(Y)), \qquad r_{ik}(X) = s(x_i, x_{a_k})

    `Moschella et al. (2023) <https://arxiv.org/abs/2209.15430>`_. Anchors are :math:`\min(256, \lfloor N / 2 \rfloor)`
    rows drawn at random, and the mean is over the others, at most 1,024. Cosines to anchors are close to each other
    where all rows point in similar directions, even of unrelated rows: read the distance beside its null, for which
    the rows that are no anchors are permuted. Between 0 and 2; 1 if the representation is the same in all rows of a
    space, and for fewer than four rows.

    Args:
        x, y: The spaces.
        similarity: One of :data:`relgraph.registry.SIMILARITIES`, such as ``"cosine"`` or ``"whitened"``.
        seed: Of the anchors, and of the other rows.

    Raises:
        InputError: If the two do not have equally many rows, at least one, a number is not finite, or the similarity
            is unknown.

    Example:
        >>> x = torch.randn(50, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        >>> relative_distance(x, 2 * x.flip(1)) < 1e-12, 0.5 < relative_distance(x, x.flip(0)) < 1.5
        (True, True)
    """
    return _relative(*check_pair(x, y), torch.Generator().manual_seed(seed), similarity).value


def translated_retrieval(x: Tensor, y: Tensor, *, seed: int = 0) -> float:
    r"""Mean reciprocal rank of the own row in one space, of rows that were translated into it from the other.

    The affine map from ``x`` ``(N, F)`` to ``y`` ``(N, G)`` is fitted by ridge regression
    (:func:`relgraph.translate`) to :math:`\min(256, \lfloor N / 2 \rfloor)` anchors drawn at random. The other rows, at
    most 1,024, are translated, and search each other by Euclidean distance: what remains usable of a table whose model
    was trained anew. Rows at the same distance are in a random order, as of :func:`relgraph.retrieval`. Of unrelated
    rows it is the mean of :math:`1 / 1, \dots, 1 / M`. Between 0 and 1; 0 for fewer than four rows.

    Args:
        x, y: The spaces.
        seed: Of the anchors, and of the other rows.

    Raises:
        InputError: If the two do not have equally many rows, at least one, or a number is not finite.

    Example:
        >>> x = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
        >>> translated_retrieval(x, 2 * x.flip(1)), translated_retrieval(x, x.flip(0)) < 0.5
        (1.0, True)
    """
    return _translated(*check_pair(x, y), torch.Generator().manual_seed(seed)).value


def _relative(a: Tensor, b: Tensor, generator: torch.Generator, similarity: str = "cosine") -> Statistic:
    if len(a) < 4:
        return undetermined(1.0, len(a))
    sample = _Sample.of(a, b, generator)
    found = []
    for rows, given in ((sample.x, a), (sample.y, b)):
        center = rows.mean(dim=0) if similarity == "whitened" else None
        vectors = relative(rows[sample.anchors :], rows[: sample.anchors], similarity, center=center)
        norms = vectors.norm(dim=1, keepdim=True)
        units = vectors / norms.where(norms > 0, 1)
        if same_rows(units, given.dtype) or same_rows(rows, given.dtype):
            return undetermined(1.0, sample.others)
        found.append(units)
    u, v = found

    def draw(generator: torch.Generator) -> float:
        order = permutation(sample.others, generator)
        return clamp(1 - float((u * v[order]).sum(dim=1).mean()), 0.0, 2.0)

    null = matched_null(u, v)
    value = clamp(1 - float((u * v).sum(dim=1).mean()), 0.0, 2.0)
    return Statistic(value, sample.others, draw, Null(1 - null.mean, null.std))


def _whitened(a: Tensor, b: Tensor, generator: torch.Generator) -> Statistic:
    return _relative(a, b, generator, "whitened")


def _translated(a: Tensor, b: Tensor, generator: torch.Generator) -> Statistic:
    if len(a) < 4:
        return undetermined(0.0, len(a))
    sample = _Sample.of(a, b, generator)
    ids = torch.arange(sample.anchors)
    source, target = (AnchorSet(ids, rows[: sample.anchors], rows.mean(dim=0)) for rows in (sample.x, sample.y))
    with torch.no_grad():
        translated = fit_map(source, target, "ridge")[0](sample.x[sample.anchors :])
    scores = _reciprocal_ranks(translated, sample.y[sample.anchors :])

    def draw(generator: torch.Generator) -> float:
        return float(scores.gather(1, permutation(sample.others, generator).unsqueeze(1)).mean())

    return Statistic(float(scores.diag().mean()), sample.others, draw, assignment_null(scores))


def _reciprocal_ranks(queries: Tensor, keys: Tensor) -> Tensor:
    """Expected reciprocal rank of every key for every query ``(M, M)``, over a random order of equal distances."""
    from scipy.stats import rankdata

    distances = torch.cdist(queries, keys, compute_mode="donot_use_mm_for_euclid_dist").cpu().numpy()
    first, last = (torch.from_numpy(rankdata(distances, method=end, axis=1)).double() for end in ("min", "max"))
    sums = torch.cat([torch.zeros(1, dtype=torch.float64), torch.arange(1, len(keys) + 1).double().pow(-1).cumsum(0)])
    return (sums[last.long()] - sums[first.long() - 1]) / (last - first + 1)


_SIMILAR = frozenset({"rotation", "translation", "scaling"})
RELATIVE_COSINE = Measure(
    "relative-cosine", _relative, "representations", "lower", 0.0, 2.0, True,
    frozenset({"rotation", "scaling", "node-scaling"}), "Moschella et al. 2023", "K S (F + G)",
)  # fmt: skip
RELATIVE_WHITENED = Measure(
    "relative-whitened", _whitened, "representations", "lower", 0.0, 2.0, True, _SIMILAR, "Moschella et al. 2023",
    "K S (F + G)",
)  # fmt: skip
RETRIEVAL = Measure(
    "retrieval", _translated, "representations", "higher", 0.0, 1.0, False, _SIMILAR, "Moschella et al. 2023",
    "S^2 G + K F^2",
)  # fmt: skip
