"""Anchors by sampling: uniformly, or equally many of each class from the labels of the training nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from relgraph.errors import InputError
from relgraph.graph import num_nodes

if TYPE_CHECKING:
    from relgraph.anchors.select import Source


def random_nodes(source: Source, num_anchors: int, generator: torch.Generator | None = None) -> Tensor:
    """Nodes drawn uniformly without repeats, shape ``(num_anchors,)``.

    Args:
        source: A graph, or points ``(N, F)``.
        num_anchors: Number of anchors.
        generator: Source of randomness.

    Example:
        >>> random_nodes(torch.zeros(3, 1), 3).sort().values
        tensor([0, 1, 2])
    """
    count = source.size(0) if isinstance(source, Tensor) else num_nodes(source)
    return torch.randperm(count, generator=generator)[:num_anchors]


def class_stratified(source: Source, num_anchors: int, generator: torch.Generator | None = None) -> Tensor:
    """Labeled training nodes, as equally many of each class as possible.

    The classes take turns in an order drawn once; a class without remaining nodes is skipped. Every prefix of the
    anchors is thus as balanced as possible.

    Args:
        source: A graph with ``y``, the class of every node, shape ``(N,)`` or ``(N, 1)``, negative where unknown, and
            the boolean ``train_mask`` of the nodes whose label may be used, shape ``(N,)``.
        num_anchors: Number of anchors.
        generator: Source of randomness.

    Returns:
        Rows, shape ``(num_anchors,)``.

    Raises:
        InputError: If there are fewer labeled training nodes than anchors, or ``y`` or ``train_mask`` do not fit.

    Example:
        >>> from torch_geometric.data import Data
        >>> data = Data(y=torch.tensor([0, 0, 0, 1, 1, 2]), train_mask=torch.ones(6, dtype=torch.bool))
        >>> data.y[class_stratified(data, 5)].bincount()
        tensor([2, 2, 1])
    """
    y, train_mask = (None, None) if isinstance(source, Tensor) else (source.get("y"), source.get("train_mask"))
    if y is None or train_mask is None:
        raise InputError(
            "strategy",
            "must be another one for a graph without 'y' or 'train_mask' (got 'class-stratified'); make a split first",
        )
    labels = y.view(-1).cpu()
    if train_mask.shape != labels.shape or train_mask.dtype != torch.bool or labels.is_floating_point():
        raise InputError(
            "",
            "class-stratified anchors need one class per node and one boolean train_mask (got y of shape "
            f"{tuple(y.shape)}, {y.dtype}, and train_mask of shape {tuple(train_mask.shape)}, {train_mask.dtype}); "
            "choose one split",
        )
    rows = (train_mask.cpu() & (labels >= 0)).nonzero().view(-1)
    if num_anchors > rows.numel():
        raise InputError(
            "num_anchors",
            f"must be at most {rows.numel()}, the number of labeled training nodes, for the strategy "
            f"'class-stratified' (got {num_anchors}); take fewer anchors or another strategy",
        )
    rows = rows[torch.randperm(rows.numel(), generator=generator)]
    num_classes = int(labels[rows].max()) + 1
    turn_of_class = torch.randperm(num_classes, generator=generator)
    # A stable sort by class gives the place of each node among those of its class: the round in which it is taken.
    classes, order = labels[rows].sort(stable=True)
    first_of_class = torch.searchsorted(classes, classes)
    round_taken = torch.arange(rows.numel()) - first_of_class
    taken = (round_taken * num_classes + turn_of_class[classes]).argsort()
    chosen: Tensor = rows[order[taken]][:num_anchors]
    return chosen
