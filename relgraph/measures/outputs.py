"""Measures of the outputs of two models, logits or probabilities ``(N, C)`` of the same rows."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from relgraph.measures.base import Measure, Null, Statistic, check_pair, clamp, wide
from relgraph.measures.nulls import matched_null, permutation
from relgraph.measures.spaces import BLOCK


def expected_disagreement(x: Tensor, y: Tensor) -> float:
    r"""Share of rows on which two outputs ``(N, C)`` decide for different classes, ties decided at random.

    .. math:: 1 - \tfrac1N \textstyle\sum_i \sum_c p_{ic} q_{ic}

    where ``p`` and ``q`` are uniform over the classes of the largest output. Without ties it is
    :func:`disagreement`; outputs that are all equal disagree as often as guesses.

    Raises:
        InputError: If shapes differ, there is no row, fewer than two columns, or a number is not finite.

    Example:
        >>> expected_disagreement(torch.tensor([[2.0, 1.0], [0.0, 0.0]]), torch.tensor([[5.0, 1.0], [0.0, 0.0]]))
        0.25
    """
    return _disagreement(*check_pair(x, y, outputs=True), torch.Generator()).value


def jensen_shannon(x: Tensor, y: Tensor) -> float:
    r"""Mean Jensen-Shannon divergence, in bits, of the probabilities of two outputs ``(N, C)``.

    .. math:: \tfrac1N \textstyle\sum_i H(\tfrac12 (p_i + q_i)) - \tfrac12 H(p_i) - \tfrac12 H(q_i)

    `Lin (1991) <https://doi.org/10.1109/18.61115>`_. Rows that are nowhere negative and all have the sum 1 (up to
    0.001) are taken as probabilities, others as logits. Between 0 and 1.

    Raises:
        InputError: If shapes differ, there is no row, fewer than two columns, or a number is not finite.

    Example:
        >>> jensen_shannon(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]))
        1.0
    """
    return _jensen_shannon(*check_pair(x, y, outputs=True), torch.Generator()).value


def probabilities(rows: Tensor) -> Tensor:
    """Probabilities of classes ``(N, C)`` in float64, from probabilities or logits; see :func:`jensen_shannon`.

    Example:
        >>> probabilities(torch.tensor([[0.0, 0.0], [0.0, 0.0]]))
        tensor([[0.5000, 0.5000],
                [0.5000, 0.5000]], dtype=torch.float64)
    """
    found = wide(rows)
    sums = found.sum(dim=1)
    if bool((found >= 0).all()) and bool(((sums - 1).abs() <= 1e-3).all()):
        return found / sums.unsqueeze(1)
    return found.softmax(dim=1)


def _decisions(rows: Tensor) -> Tensor:
    """Probabilities that each class is decided for: equal over those of the largest output."""
    largest = (rows == rows.amax(dim=1, keepdim=True)).double()
    return largest / largest.sum(dim=1, keepdim=True)


def _disagreement(a: Tensor, b: Tensor, generator: torch.Generator) -> Statistic:
    p, q = _decisions(wide(a)), _decisions(wide(b))

    def value(other: Tensor) -> float:
        return clamp(1 - float((p * other).sum(dim=1).mean()), 0.0, 1.0)

    null = matched_null(p, q)
    return Statistic(
        value(q), len(p), lambda generator: value(q[permutation(len(q), generator)]), Null(1 - null.mean, null.std)
    )


def _jensen_shannon(a: Tensor, b: Tensor, generator: torch.Generator) -> Statistic:
    p, q = probabilities(a), probabilities(b)
    own = (_entropies(p) + _entropies(q)) / 2
    mean_own = float(own.mean())  # a permutation of the rows does not change it

    def value(order: Tensor | None) -> float:
        total, step = 0.0, max(1, BLOCK // p.size(1))
        for start in range(0, len(p), step):
            part = slice(start, start + step)
            total += float(_entropies((p[part] + q[part if order is None else order[part]]) / 2).sum())
        return clamp(total / len(p) - mean_own, 0.0, 1.0)

    return Statistic(value(None), len(p), lambda generator: value(permutation(len(p), generator)))


def _entropies(p: Tensor) -> Tensor:
    """Entropies of rows, in bits."""
    found: Tensor = -torch.special.xlogy(p, p).sum(dim=1) / math.log(2)
    return found


DISAGREEMENT = Measure(
    "disagreement", _disagreement, "outputs", "lower", 0.0, 1.0, True, frozenset({"scaling", "node-scaling"}),
    "Madani et al. 2004", "N C",
)  # fmt: skip
JENSEN_SHANNON = Measure(
    "jensen-shannon", _jensen_shannon, "outputs", "lower", 0.0, 1.0, True, frozenset(), "Lin 1991", "N C"
)
