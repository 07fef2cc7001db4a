"""Splits of nodes into training, validation and test rows, each with a name that results carry."""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from relgraph.errors import InputError
from relgraph.graph import num_nodes
from relgraph.registry import SPLITS
from relgraph.task import Task

if TYPE_CHECKING:
    from torch_geometric.data import Data

MASKS = ("train_mask", "val_mask", "test_mask")
TRAIN_PER_CLASS = 20
VALIDATION_PER_CLASS = 30


@dataclass(frozen=True)
class Split:
    """Name and sizes of a split.

    Args:
        name: A name in :data:`relgraph.registry.SPLITS`.
        train: Number of training rows.
        validation: Number of validation rows.
        test: Number of test rows.
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

    * ``public``: the masks of the graph.
    * ``ogb``: the same for an OGB dataset.
    * ``random``: 20 nodes of each class for training, 30 for validation, the rest for testing. A class of fewer than
      100 nodes gives a fifth and three tenths instead, and so do the nodes of a task with several labels.
    * ``paper``: 90 % of the labeled nodes for training and the rest for validation, as in Moschella et al. (2023);
      there are no test nodes, and the best validation value over epochs is reported.

    Args:
        data: A graph.
        task: Its task, which says which nodes are labeled.
        y: Targets of all nodes.
        name: The split; ``None`` for ``ogb`` on an OGB dataset, ``public`` on another graph with masks, else
            ``random``.
        seed: Seed of a split that is drawn.

    Raises:
        InputError: If the name is unknown or does not apply, or the graph's masks are incomplete or overlap.

    Example:
        >>> from torch_geometric.data import Data
        >>> data = Data(x=torch.zeros(200, 1), y=torch.arange(200) % 2)
        >>> apply_split(data, Task.of("node", "multiclass"), data.y, "random")[1]
        Split(name='random', train=40, validation=60, test=100, seed=0, note='drawn')
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
        generator = torch.Generator().manual_seed(seed)
        if name == "paper":
            parts = _ninety_ten(labeled, generator)
        else:
            parts = _per_class(y, generator) if task.mode == "multiclass" else _fifth(labeled, generator)
        note = "drawn" if name == "random" else "optimistic"
        data.train_mask, data.val_mask = (_mask(rows, labeled) for rows in parts)
        data.test_mask = labeled & ~data.train_mask & ~data.val_mask if name == "random" else data.val_mask.clone()
    train, validation, test = (int((data[mask].to(labeled.device) & labeled).sum()) for mask in MASKS)
    return data, Split(name, train, validation, test, None if note == "given" else seed, note)


def class_labels(data: Data) -> Tensor:
    """Class labels ``(N,)`` of a graph, -1 where a node has none.

    Raises:
        InputError: If they are missing, or not integer classes counted from 0.
    """
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
        raise InputError(
            "y", f"must count classes from 0 (got {found}); number the classes from 0, and keep -1 for unlabeled nodes"
        )
    return y.to(torch.int64)


def label_matrix(data: Data) -> Tensor | None:
    """Labels ``(N, T)`` of a graph with several labels per node, in float32, NaN where unknown; ``None`` of classes.

    A single label ``(N, 1)`` is told from a column of classes by its type, which must be floating-point.

    Raises:
        InputError: If there is another number than 0 and 1 among them.
    """
    y = data.get("y")
    if not isinstance(y, Tensor) or y.dim() != 2 or y.size(0) != num_nodes(data):
        return None
    if y.size(1) < 2 and not y.is_floating_point():  # a column of classes
        return None
    labels = y.to(torch.float32)
    Task.of("node", "multilabel").check_targets(labels, labels.size(0))
    return labels


MOST_CLASSES = 1000
"""Labels up to this number are classes on a graph of any size; larger ones must be below the number of nodes."""


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
            raise InputError(
                other, f"must share no node with '{one}' (got {shared}); unmark them or take another split"
            )


def _mask(rows: Tensor, labeled: Tensor) -> Tensor:
    mask = torch.zeros_like(labeled)
    mask[rows] = True
    return mask


def _shuffled(rows: Tensor, generator: torch.Generator) -> Tensor:
    return rows[torch.randperm(rows.numel(), generator=generator).to(rows.device)]


def _per_class(y: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    train, validation = [], []
    for label in range(int(y.max()) + 1):
        rows = _shuffled((y == label).nonzero().view(-1), generator)
        first = min(TRAIN_PER_CLASS, rows.numel() // 5)
        second = min(VALIDATION_PER_CLASS, rows.numel() * 3 // 10)
        train.append(rows[:first])
        validation.append(rows[first : first + second])
    return torch.cat(train), torch.cat(validation)


def _fifth(labeled: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    rows = _shuffled(labeled.nonzero().view(-1), generator)
    first, second = rows.numel() // 5, rows.numel() // 2
    return rows[:first], rows[first:second]


def _ninety_ten(labeled: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    rows = _shuffled(labeled.nonzero().view(-1), generator)
    cut = rows.numel() // 10
    return rows[cut:], rows[:cut]
