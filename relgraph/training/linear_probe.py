"""Linear probe: a new linear head on fixed vectors, such as those of a frozen encoder."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from relgraph.maps.modules import frozen_linear
from relgraph.threads import thread_pools

STRENGTHS = (0.1, 1.0, 10.0, 100.0, 1000.0)
MOST_ROWS = 20_000
"""More training rows are sampled down to this number; a head for 170,000 nodes would otherwise take minutes."""


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

    Example:
        >>> r = torch.tensor([[0.0], [0.2], [0.9], [1.0]])
        >>> y, rows = torch.tensor([0, 0, 1, 1]), torch.arange(4)
        >>> fit_linear_head(r, y, rows, rows, num_classes=2)(r).argmax(-1)
        tensor([0, 0, 1, 1])
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    values, labels = r.detach().cpu().double(), y.cpu()
    train, validation = _sample(train.cpu(), labels), validation.cpu()
    classes = torch.bincount(labels[train], minlength=num_classes).nonzero().view(-1)
    heads = []
    for strength in strengths if classes.numel() > 1 else ():
        model = LogisticRegression(C=strength, max_iter=1000)
        # The problem is too small for a second thread of the linear algebra.
        with warnings.catch_warnings(), thread_pools("sklearn").limit(limits=1):
            # Weak penalties may stop at the last iteration; the validation accuracy then decides.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(values[train].numpy(), labels[train].numpy())
        weight, bias = torch.from_numpy(model.coef_), torch.from_numpy(model.intercept_)
        if classes.numel() == 2:  # scikit-learn returns only the difference of the two
            weight, bias = torch.cat([-weight / 2, weight / 2]), torch.cat([-bias / 2, bias / 2])
        heads.append(_linear(weight, bias, classes, num_classes))
    if not heads:  # a single class
        return _linear(values.new_zeros(1, values.size(1)), values.new_zeros(1), classes, num_classes).to(r)
    correct = [float((head(values[validation]).argmax(-1) == labels[validation]).double().mean()) for head in heads]
    return heads[int(np.argmax(correct))].to(r)


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
