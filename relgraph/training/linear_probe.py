"""Linear probe: a new linear head on fixed vectors, such as those of a frozen encoder."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from relgraph.errors import InputError
from relgraph.maps.modules import frozen_linear
from relgraph.threads import thread_pools

STRENGTHS = (0.1, 1.0, 10.0, 100.0, 1000.0)
MOST_ROWS = 20_000
"""More training rows are sampled down to this number; a head for 170,000 nodes would otherwise take minutes."""
FOLDS = 5


def fit_linear_head(
    r: Tensor, y: Tensor, train: Tensor, validation: Tensor, num_classes: int, strengths: Sequence[float] = STRENGTHS
) -> nn.Linear:
    """Frozen head by multinomial logistic regression on fixed vectors, with the penalty best on validation rows.

    Args:
        r, y: Vectors ``(N, K)`` and classes ``(N,)`` of all rows.
        train: Rows to train on; more than :data:`MOST_ROWS` are sampled, with at least one of each class and always the
            same sample of the same rows.
        validation: Rows to choose the penalty on; ties go to the stronger one.
        num_classes: Number of classes; one without training rows is never predicted.
        strengths: Inverse penalties to choose from, ascending: scikit-learn's ``C``.

    Raises:
        InputError: If a training row has a class that is not below ``num_classes``, or negative.

    Example:
        >>> r = torch.tensor([[0.0], [0.2], [0.9], [1.0]])
        >>> y, rows = torch.tensor([0, 0, 1, 1]), torch.arange(4)
        >>> fit_linear_head(r, y, rows, rows, num_classes=2)(r).argmax(-1)
        tensor([0, 0, 1, 1])
    """
    heads, correct = _candidates(r, y, train, validation, num_classes, strengths)
    return heads[int(correct.sum(1).argmax())].to(r)


def measurable_head(
    r: Tensor, y: Tensor, train: Tensor, check: Tensor, num_classes: int, strengths: Sequence[float] = STRENGTHS
) -> tuple[nn.Linear, Tensor]:
    """The head of :func:`fit_linear_head`, and predictions ``(n,)`` that measure it on the rows that chose its penalty.

    The rows ``check`` are dealt into five parts, and each part is predicted by the head whose penalty is the best on
    the other four: no row is predicted by a head that its own label chose.

    Args:
        r, y, train, num_classes, strengths: As for :func:`fit_linear_head`.
        check: Rows that choose the penalty and measure the head, ``(n,)``.

    Example:
        >>> r = torch.tensor([[0.0], [0.2], [0.9], [1.0]])
        >>> y, rows = torch.tensor([0, 0, 1, 1]), torch.arange(4)
        >>> head, predictions = measurable_head(r, y, rows, rows, num_classes=2)
        >>> head(r).argmax(-1), predictions
        (tensor([0, 0, 1, 1]), tensor([0, 0, 1, 1]))
    """
    heads, correct = _candidates(r, y, train, check, num_classes, strengths)
    values, total = r.detach().cpu().double()[check.cpu()], correct.sum(1)
    predictions = torch.empty(len(check), dtype=torch.int64)
    for part in torch.randperm(len(check), generator=torch.Generator().manual_seed(0)).chunk(FOLDS):
        best = heads[int((total - correct[:, part].sum(1)).argmax())]
        predictions[part] = best(values[part]).argmax(-1)
    return heads[int(total.argmax())].to(r), predictions


def _candidates(
    r: Tensor, y: Tensor, train: Tensor, check: Tensor, num_classes: int, strengths: Sequence[float]
) -> tuple[list[nn.Linear], Tensor]:
    """A head for each strength, and whether each answers each of the rows ``check`` correctly, ``(S, n)``."""
    values, labels, check = r.detach().cpu().double(), y.cpu().long(), check.cpu()
    train = _sample(train.cpu(), labels)
    _check_classes(labels[train], num_classes)
    heads = [_fitted(values, labels, train, num_classes, strength) for strength in strengths]
    return heads, torch.stack([head(values[check]).argmax(-1) == labels[check] for head in heads]).long()


def _fitted(values: Tensor, labels: Tensor, train: Tensor, num_classes: int, strength: float) -> nn.Linear:
    """The head of one penalty; of a single class, the constant one."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    classes = torch.bincount(labels[train], minlength=num_classes).nonzero().view(-1)
    if classes.numel() < 2:
        return _linear(values.new_zeros(1, values.size(1)), values.new_zeros(1), classes, num_classes)
    model = LogisticRegression(C=strength, max_iter=1000)
    # The problem is too small for a second thread of the linear algebra.
    with warnings.catch_warnings(), thread_pools("sklearn").limit(limits=1):
        # Weak penalties may stop at the last iteration; the accuracy on other rows then decides.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(values[train].numpy(), labels[train].numpy())
    weight, bias = torch.from_numpy(model.coef_), torch.from_numpy(model.intercept_)
    if classes.numel() == 2:  # scikit-learn returns only the difference of the two
        weight, bias = torch.cat([-weight / 2, weight / 2]), torch.cat([-bias / 2, bias / 2])
    return _linear(weight, bias, classes, num_classes)


def _check_classes(labels: Tensor, num_classes: int) -> None:
    wrong = labels[(labels < 0) | (labels >= num_classes)]
    if wrong.numel():
        classes = f"classes from 0 to {num_classes - 1}, one for each of {num_classes} outputs"
        found = f"(got {int(wrong[0])}); leave the rows of other classes out of 'train'"
        raise InputError("y", f"must have {classes}, in the rows to train on {found}")


def _sample(rows: Tensor, labels: Tensor) -> Tensor:
    if rows.numel() <= MOST_ROWS:
        return rows
    shuffled = rows[torch.randperm(rows.numel(), generator=torch.Generator().manual_seed(0))]
    first = np.unique(labels[shuffled].numpy(), return_index=True)[1]  # one row of every class
    return shuffled[torch.from_numpy(np.union1d(np.arange(MOST_ROWS), first))]


def _linear(weight: Tensor, bias: Tensor, classes: Tensor, num_classes: int) -> nn.Linear:
    """The linear map with rows for all classes; those not among ``classes`` are never the largest."""
    weights = weight.new_zeros(num_classes, weight.size(1)).index_copy(0, classes, weight)
    return frozen_linear(nn.Linear, weights, bias.new_full((num_classes,), -1e6).index_copy(0, classes, bias))
