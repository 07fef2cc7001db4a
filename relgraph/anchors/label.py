"""Anchors by label: equally many of each class, from the labels that training may see."""

from __future__ import annotations

import torch
from torch import Tensor

from relgraph.errors import InputError


def class_stratified(
    y: Tensor, train_mask: Tensor, num_anchors: int, generator: torch.Generator | None = None
) -> Tensor:
    """Training nodes, as equally many of each class as there are.

    The classes take turns, in an order drawn once; a class that has no node left is passed over. So every first part
    of the anchors is as balanced as it can be.

    Args:
        y: Class of every node, shape ``(N,)`` or ``(N, 1)``; a negative one is unknown.
        train_mask: Nodes whose label may be used, boolean, shape ``(N,)``.
        num_anchors: How many anchors.
        generator: Source of chance.

    Returns:
        Rows, shape ``(num_anchors,)``.

    Raises:
        InputError: If there are fewer labelled training nodes than anchors, or the shapes do not fit.

    Example:
        >>> y, train_mask = torch.tensor([0, 0, 0, 1, 1, 2]), torch.ones(6, dtype=torch.bool)
        >>> y[class_stratified(y, train_mask, 5)].bincount()
        tensor([2, 2, 1])
    """
    labels = y.view(-1).cpu()
    if train_mask.shape != labels.shape or train_mask.dtype != torch.bool or labels.is_floating_point():
        raise InputError(
            "",
            f"'class-stratified' anchors need one class per node and one boolean train_mask (got y of shape "
            f"{tuple(y.shape)}, {y.dtype}, and train_mask of shape {tuple(train_mask.shape)}, {train_mask.dtype}); "
            "choose one split",
        )
    rows = (train_mask.cpu() & (labels >= 0)).nonzero().view(-1)
    if num_anchors > rows.numel():
        raise InputError(
            "num_anchors",
            f"must be at most {rows.numel()}, the number of labelled training nodes, for the strategy "
            f"'class-stratified' (got {num_anchors}); take fewer anchors or another strategy",
        )
    rows = rows[torch.randperm(rows.numel(), generator=generator)]
    num_classes = int(labels[rows].max()) + 1
    turn_of_class = torch.randperm(num_classes, generator=generator)
    # Sorting by class, stably, tells each node its place among its class's nodes: that is the round it is taken in.
    classes, order = labels[rows].sort(stable=True)
    first_of_class = torch.searchsorted(classes, classes)
    round_taken = torch.arange(rows.numel()) - first_of_class
    taken = (round_taken * num_classes + turn_of_class[classes]).argsort()
    return rows[order[taken]][:num_anchors]
