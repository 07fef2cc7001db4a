"""Agreement of two runs on the same nodes: of their predictions, and of their embeddings."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from relgraph.anchors.matching import as_tensor
from relgraph.anchors.values import check_rows
from relgraph.errors import InputError
from relgraph.measures.base import Measure, Statistic, clamp, wide
from relgraph.measures.nulls import matched_null, permutation
from relgraph.task import Mode, Task, check_mode


def disagreement(p: Tensor, q: Tensor, *, mode: Mode = "multiclass") -> float:
    """Share of nodes on which two runs predict different classes; of labels, share of (node, label) pairs.

    Args:
        p, q: Predicted classes, shape ``(N,)``, or outputs, shape ``(N, C)``, in either form.
        mode: What outputs are: ``"multiclass"``, or ``"multilabel"``, where the sign of each is the prediction.

    Raises:
        InputError: If the two do not have equally many rows, at least one, an output is NaN, or ``mode`` is another.

    Example:
        >>> disagreement(torch.tensor([0, 1, 2, 2]), torch.tensor([0, 1, 1, 2]))
        0.25
        >>> disagreement(torch.tensor([[2.0, 1.0]]), torch.tensor([[2.0, -1.0]]), mode="multilabel")
        0.5
    """
    if check_mode(mode) == "regression":
        raise InputError("mode", "must be 'multiclass' or 'multilabel' (got 'regression'); use a correlation of values")
    p, q = as_tensor("p", p), as_tensor("q", q)
    for name, outputs in (("p", p), ("q", q)):
        if len(bad := outputs.isnan().nonzero()):
            raise InputError(name, f"must not hold NaN (got NaN in row {int(bad[0, 0])}); check the training")
    task = Task.of("node", mode)
    p, q = (task.predict(rows) if rows.dim() == 2 else rows for rows in (p.detach().cpu(), q.detach().cpu()))
    if p.dim() != (1 if mode == "multiclass" else 2) or p.shape != q.shape or p.numel() == 0:
        shapes = f"{tuple(p.shape)} and {tuple(q.shape)}"
        raise InputError("p", f"and 'q' must hold {mode} predictions for the same nodes, at least one (got {shapes})")
    return float((p != q).double().mean())


def matched_cosine(x: Tensor, y: Tensor) -> float:
    r"""Mean cosine between the two vectors of each node, rows ``(N, F)`` of two runs; a zero row counts as 0.

    .. math:: \tfrac{1}{N} \textstyle\sum_i \langle x_i, y_i \rangle / (\lVert x_i \rVert \, \lVert y_i \rVert)

    Used for relative representations by `Moschella et al. (2023) <https://arxiv.org/abs/2209.15430>`_. It saturates:
    vectors with a large common mean, such as cosines that are all positive, are close to 1 even if rows are shuffled.
    Report it beside the value for shuffled rows, or use :func:`linear_cka`, which subtracts the mean.

    Raises:
        InputError: If the shapes differ, there is no row, or a number is not finite.

    Example:
        >>> matched_cosine(torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[3.0, 0.0], [1.0, 0.0]]))
        0.5
    """
    x, y = check_rows("x", x), check_rows("y", y)
    if x.shape != y.shape or x.size(0) == 0:
        shapes = f"{tuple(x.shape)} and {tuple(y.shape)}"
        raise InputError("x", f"and 'y' must have the same shape with at least one row (got shapes {shapes})")
    x, y = (rows.detach().to(x.device, torch.promote_types(x.dtype, torch.float32)) for rows in (x, y))
    cosines = (functional.normalize(x, dim=1, eps=1e-8) * functional.normalize(y, dim=1, eps=1e-8)).sum(dim=1)
    return float(cosines.cpu().double().mean())


def _matched(a: Tensor, b: Tensor, generator: torch.Generator) -> Statistic:
    x, y = (functional.normalize(wide(rows), dim=1, eps=1e-8) for rows in (a, b))

    def value(order: Tensor | None) -> float:
        return clamp(float((x * (y if order is None else y[order])).sum(dim=1).mean()), -1.0, 1.0)

    return Statistic(value(None), len(x), lambda draw: value(permutation(len(x), draw)), matched_null(x, y))


MATCHED_COSINE = Measure(
    "matched-cosine", _matched, "representations", "higher", -1.0, 1.0, True, frozenset({"scaling", "node-scaling"}),
    "Moschella et al. 2023", "N F",
)  # fmt: skip
"""Of :func:`matched_cosine`. It is not registered, because it compares tables of one width and one basis only."""
