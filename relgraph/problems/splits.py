"""Splits of nodes into training, validation and test rows, each with a name that results carry."""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any, Literal

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.utils import index_to_mask

from relgraph.errors import InputError
from relgraph.graph import num_nodes
from relgraph.registry import SPLITS
from relgraph.task import Task

MASKS = ("train_mask", "val_mask", "test_mask")
TRAIN_PER_CLASS = 20
VALIDATION_PER_CLASS = 30
MOST_CLASSES = 1000
"""Labels up to this number are classes on a graph of any size; larger ones must be below the number of nodes."""


@dataclass(frozen=True)
class Split:
    """Name and sizes of a split.

    Args:
        name: A name in :data:`relgraph.registry.SPLITS`.
        train, validation, test: Numbers of rows.
        seed: Seed that the split was drawn with; ``None`` if it came with the data.
        note: ``"given"`` if it came with the data, ``"drawn"`` if it was drawn, both with test rows that choose
            nothing; ``"optimistic"`` if validation rows are the test rows.
    """

    name: str
    train: int
    validation: int
    test: int
    seed: int | None = None
    note: Literal["given", "drawn", "optimistic"] = "given"

    def to_dict(self) -> dict[str, Any]:
        """The split as plain values for JSON."""
        return asdict(self)


def has_masks(data: Data) -> bool:
    """Whether a graph comes with a split: with any of the three masks."""
    return any(data.get(name) is not None for name in MASKS)


def apply_split(data: Data, task: Task, y: Tensor, name: str | None = None, *, seed: int = 0) -> tuple[Data, Split]:
    """A copy of the graph with the masks of a split, and the split's description.

    * ``public``: the masks of the graph; ``ogb``: the same for an OGB dataset.
    * ``random``: 20 nodes of each class for training, 30 for validation, the rest for testing. A class of fewer than
      100 nodes gives a fifth and three tenths instead, and so do the nodes of a task with several labels.
    * ``paper``: 90 % of the labeled nodes for training and the rest for validation, as in Moschella et al. (2023);
      there are no test nodes, and the best validation value over epochs is reported.

    The default is ``ogb`` on an OGB dataset, ``public`` on another graph with masks, else ``random``. Nodes are labeled
    if the task finds a target in ``y`` ``(N,)`` or ``(N, T)``.

    Raises:
        InputError: If the name is unknown or does not apply, or the graph's masks are incomplete or overlap.
    """
    masks = has_masks(data)
    is_ogb = masks and str(data.get("dataset_name", "")).startswith("ogbn-")
    name = SPLITS.check(name or ("ogb" if is_ogb else "public" if masks else "random"))
    if name == "ogb" and not is_ogb:
        raise InputError("split", "must be 'public', 'random' or 'paper' for a graph not of OGB (got 'ogb')")
    if name == "public" and not masks:
        raise InputError("split", "must be 'random' or 'paper' for a graph without masks (got 'public')")
    data, labeled = copy.copy(data), task.labeled(y)
    note: Literal["given", "drawn", "optimistic"] = "given"
    if name in ("public", "ogb"):
        _check_masks(data, labeled.numel())
    else:
        parts = _drawn(name, task, y, labeled, torch.Generator().manual_seed(seed))
        note = "drawn" if name == "random" else "optimistic"
        data.train_mask, data.val_mask = (index_to_mask(rows, labeled.numel()) for rows in parts)
        data.test_mask = labeled & ~data.train_mask & ~data.val_mask if name == "random" else data.val_mask.clone()
    train, validation, test = (int((data[mask].to(labeled.device) & labeled).sum()) for mask in MASKS)
    return data, Split(name, train, validation, test, None if note == "given" else seed, note)


def class_labels(data: Data) -> Tensor:
    """Class labels ``(N,)`` of a graph, -1 where a node has none; an error if they are not counted from 0."""
    y = data.get("y")
    if not isinstance(y, Tensor):
        raise InputError("data", "must have class labels 'y' (got a graph without); node classification needs them")
    y = y.view(-1) if y.dim() == 2 and y.size(1) == 1 else y
    if y.dim() != 1 or y.numel() != num_nodes(data) or y.is_floating_point() or y.dtype == torch.bool:
        raise InputError("y", f"must hold one integer class per node (got shape {tuple(y.shape)} of {y.dtype})")
    if y.numel() == 0 or int(y.max()) < 0:
        raise InputError("y", "must hold the class of at least one node (got none); -1 stands for an unlabeled node")
    if int(y.max()) >= max(MOST_CLASSES, y.numel()):
        found = f"{int(y.max())} among {y.numel()} nodes"
        raise InputError("y", f"must count classes from 0 (got {found}); number them so, -1 for unlabeled nodes")
    return y.to(torch.int64)


def label_matrix(data: Data) -> Tensor | None:
    """Labels 0 and 1 ``(N, T)`` of a graph with several per node, float32, NaN where unknown; ``None`` of classes.

    A single label ``(N, 1)`` is told from a column of classes by its type, which must be floating-point.
    """
    y = data.get("y")
    if not isinstance(y, Tensor) or y.dim() != 2 or y.size(0) != num_nodes(data):
        return None
    if y.size(1) < 2 and not y.is_floating_point():  # a column of classes
        return None
    labels = y.to(torch.float32)
    Task.of("node", "multilabel").check_targets(labels, labels.size(0))
    return labels


def _check_masks(data: Data, count: int) -> None:
    """Refuse masks of which one is missing, empty or of another shape, or that overlap."""
    for name in MASKS:
        mask = data.get(name)
        if not isinstance(mask, Tensor):
            raise InputError(name, "must be set beside the other masks (got none); set it, or take the split 'random'")
        if mask.dtype != torch.bool or mask.shape != (count,):
            found = f"shape {tuple(mask.shape)} of {mask.dtype}"
            raise InputError(name, f"must hold one bool per node (got {found}); choose one column of several splits")
        if not bool(mask.any()):
            raise InputError(name, "must mark at least one node (got none); mark some, or take the split 'random'")
    for one, other in combinations(MASKS, 2):
        shared = int((data[one] & data[other]).sum())
        if shared:
            found = f"(got {shared}); unmark them or take another split"
            raise InputError(other, f"must share no node with '{one}' {found}")


def _drawn(name: str, task: Task, y: Tensor, labeled: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Training and validation rows of a split that is drawn."""
    by_class = name == "random" and task.mode == "multiclass"
    train, validation = [], []
    for group in [y == label for label in range(int(y.max()) + 1)] if by_class else [labeled]:
        rows = group.nonzero().view(-1)
        count = rows.numel()
        rows = rows[torch.randperm(count, generator=generator).to(rows.device)]
        if name == "paper":
            first, second = rows[count // 10 :], rows[: count // 10]
        elif by_class:
            share = min(TRAIN_PER_CLASS, count // 5)
            first, second = rows[:share], rows[share : share + min(VALIDATION_PER_CLASS, count * 3 // 10)]
        else:
            first, second = rows[: count // 5], rows[count // 5 : count // 2]
        train.append(first)
        validation.append(second)
    return torch.cat(train), torch.cat(validation)
