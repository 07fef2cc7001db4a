"""Agreement of two runs on the same nodes: of what they predict, and of where they put the nodes."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from relgraph.anchors.anchor_set import check_rows
from relgraph.errors import InputError, unknown_name


def disagreement(p: Tensor, q: Tensor, *, outputs: Literal["classes", "labels"] = "classes") -> float:
    """Share of nodes on which two runs predict different classes, or of labels on which they do.

    Args:
        p: Predicted classes, shape ``(N,)``, or scores whose largest decides, shape ``(N, C)``. With
            ``outputs="labels"`` logits of labels that are each true or not, shape ``(N, C)``, whose signs decide.
        q: The other run's, in either form.
        outputs: What the scores are: ``"classes"`` of which one is true, or ``"labels"``; then the share is of all
            pairs of a node and a label.

    Returns:
        From 0 to 1.

    Raises:
        InputError: If the two do not speak of equally many nodes, at least one, a score is NaN, or ``outputs`` is
            unknown.

    Example:
        >>> disagreement(torch.tensor([0, 1, 2, 2]), torch.tensor([0, 1, 1, 2]))
        0.25
        >>> disagreement(torch.tensor([[2.0, 1.0]]), torch.tensor([[2.0, -1.0]]), outputs="labels")
        0.5
    """
    if outputs not in ("classes", "labels"):
        raise unknown_name("outputs", outputs, ("classes", "labels"))
    p, q = _labels(p, q) if outputs == "labels" else _predictions(p, q)
    return float((p != q).double().mean())


def cohen_kappa(p: Tensor, q: Tensor) -> float:
    r"""Agreement of two runs beyond what their class frequencies alone would give.

    .. math:: \kappa = (a - e) / (1 - e), \qquad e = \textstyle\sum_c p_c \, q_c

    with ``a`` the share of nodes they agree on and ``p_c``, ``q_c`` how often either predicts class ``c``
    (`Cohen, 1960 <https://doi.org/10.1177/001316446002000104>`_).

    Args:
        p: Predicted classes, shape ``(N,)``, or scores whose largest decides, shape ``(N, C)``.
        q: The other run's, or the truth, in either form.

    Returns:
        1 for full agreement, 0 for that of chance. Where both always say the same one class there is nothing beyond
        chance: 0 (the quotient itself is undefined).

    Raises:
        InputError: If the two do not speak of equally many nodes, at least one, or a score is NaN.

    Example:
        >>> cohen_kappa(torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 1, 1]))
        0.5
    """
    p, q = _predictions(p, q)
    low = int(torch.minimum(p, q).min())  # a class may be negative: unknown
    p_share, q_share = (
        (part - low).bincount(minlength=int(torch.maximum(p, q).max()) - low + 1).double() for part in (p, q)
    )
    agreed, expected = (p == q).double().mean(), (p_share @ q_share) / p.numel() ** 2
    return float((agreed - expected) / (1 - expected)) if expected < 1 else 0.0


def matched_cosine(x: Tensor, y: Tensor, *, eps: float = 1e-8) -> float:
    r"""Mean cosine between the two vectors of each node.

    .. math:: \tfrac{1}{N} \textstyle\sum_i \langle x_i, y_i \rangle / (\lVert x_i \rVert \, \lVert y_i \rVert)

    How alike relative representations of two runs are, as in `Moschella et al. (2023)
    <https://arxiv.org/abs/2209.15430>`_. It saturates: vectors that share a large mean, such as cosines that are all
    positive, come close to 1 even where the nodes are mixed up. Read it beside a value for shuffled rows, or beside
    :func:`linear_cka`, which takes the mean out.

    Args:
        x: Vectors of one run, shape ``(N, F)``.
        y: Of the other, the same shape, the same node in the same row.
        eps: Smallest norm divided by, so that a zero row counts as 0.

    Returns:
        From -1 to 1.

    Raises:
        InputError: If the shapes differ, there is no node, or a number is not finite.

    Example:
        >>> matched_cosine(torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[3.0, 0.0], [1.0, 0.0]]))
        0.5
    """
    if x.dim() != 2 or x.shape != y.shape or x.size(0) == 0:
        raise InputError(
            "x",
            f"and 'y' must be matrices of one shape with at least one row "
            f"(got shapes {tuple(x.shape)} and {tuple(y.shape)})",
        )
    check_rows("x", x)
    check_rows("y", y)
    x, y = x.detach(), y.detach().to(x)
    if x.dtype in (torch.float16, torch.bfloat16):
        x, y = x.float(), y.float()
    cosines = (functional.normalize(x, dim=1, eps=eps) * functional.normalize(y, dim=1, eps=eps)).sum(dim=1)
    return float(cosines.cpu().double().mean())


def _labels(p: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
    if p.dim() != 2 or p.shape != q.shape or p.numel() == 0:
        raise InputError(
            "p",
            f"and 'q' must be matrices of one shape with a row per node and a column per label where 'outputs' is "
            f"'labels' (got shapes {tuple(p.shape)} and {tuple(q.shape)})",
        )
    _refuse_nan(p, q)
    return p.detach().cpu() > 0, q.detach().cpu() > 0


def _predictions(p: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
    _refuse_nan(p, q)
    p, q = (part.argmax(dim=1) if part.dim() == 2 else part for part in (p.detach().cpu(), q.detach().cpu()))
    if p.dim() != 1 or p.shape != q.shape or p.numel() == 0:
        raise InputError(
            "p",
            f"and 'q' must hold predictions for the same nodes, at least one "
            f"(got shapes {tuple(p.shape)} and {tuple(q.shape)})",
        )
    return p, q


def _refuse_nan(p: Tensor, q: Tensor) -> None:
    for name, scores in (("p", p), ("q", q)):
        rows = scores.isnan().reshape(len(scores), -1).any(dim=1).nonzero() if scores.numel() else scores.new_zeros(0)
        if len(rows):
            raise InputError(name, f"must not hold NaN (got NaN in row {int(rows[0])}); check the training")
