"""Which nodes train, choose and test: the protocols, never mixed and always named."""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from relgraph.errors import InputError, unknown_name
from relgraph.graph import num_nodes
from relgraph.names import SPLITS

if TYPE_CHECKING:
    from torch_geometric.data import Data

TRAIN_PER_CLASS = 20
VALIDATION_PER_CLASS = 30


@dataclass(frozen=True)
class Protocol:
    """Name and sizes of a split, and the seed it was drawn with (``None`` if it came with the data set)."""

    name: str
    train: int
    validation: int
    test: int
    seed: int | None
    note: str

    def to_dict(self) -> dict[str, Any]:
        """The protocol as plain values for JSON."""
        return asdict(self)


def has_masks(data: Data) -> bool:
    """Whether the graph brings a usable split of its own: three one-dimensional masks."""
    masks = [data.get(name) for name in ("train_mask", "val_mask", "test_mask")]
    return all(isinstance(mask, Tensor) and mask.dim() == 1 and bool(mask.any()) for mask in masks)


def apply_protocol(data: Data, name: str | None = None, *, seed: int = 0) -> tuple[Data, Protocol]:
    """A copy of the graph with the masks of a protocol, and what to say of it.

    * ``public``: the masks that the graph brings.
    * ``ogb``: the same of a set of OGB: its own split, and accuracy as its Evaluator has it.
    * ``random``: 20 nodes of each class for training, 30 for validation, the rest for testing. A class of fewer than
      100 nodes gives a fifth and three tenths instead. One split for all runs, drawn from ``seed``.
    * ``paper``: the original paper's, 90 % of all nodes for training and the rest for validation; there are no test
      nodes, accuracy is the best validation accuracy over epochs, which is optimistic.

    Args:
        data: A graph with labels ``y``.
        name: The protocol; ``None`` takes ``ogb`` for a set of OGB, ``public`` for another graph with masks, else
            ``random``.
        seed: Seed of a split that is drawn.

    Raises:
        InputError: If the graph has no labels, ``public`` is asked of a graph without masks, or ``ogb`` of one that is
            none of OGB's.

    Example:
        >>> from torch_geometric.data import Data
        >>> data = Data(x=torch.zeros(200, 1), y=torch.arange(200) % 2)
        >>> split, protocol = apply_protocol(data, "random")
        >>> protocol.train, protocol.validation, protocol.test
        (40, 60, 100)
    """
    y = labels(data)
    of_ogb = str(data.get("dataset_name", "")).startswith("ogbn-") and has_masks(data)
    if name is None:
        name = "ogb" if of_ogb else "public" if has_masks(data) else "random"
    if name not in SPLITS:
        raise unknown_name("split", name, SPLITS)
    if name == "ogb" and not of_ogb:
        raise InputError(
            "split", "must be 'public', 'random' or 'paper' for a graph that is no set of OGB (got 'ogb'); leave it out"
        )
    data = copy.copy(data)
    if name in ("public", "ogb"):
        if not has_masks(data):
            raise InputError(
                "split", "must be 'random' or 'paper' for a graph that brings no masks of its own (got 'public')"
            )
        note = "the split that comes with the data set; test nodes choose nothing"
        if name == "ogb":
            note += "; accuracy as OGB's Evaluator has it, standard deviations over seeds unbiased"
        drawn = None
    else:
        generator = torch.Generator().manual_seed(seed)
        train, validation = (_per_class if name == "random" else _ninety_ten)(y, generator)
        rest = y >= 0
        rest[train] = False
        rest[validation] = False
        data.train_mask, data.val_mask = _mask(train, y), _mask(validation, y)
        data.test_mask = rest if name == "random" else data.val_mask.clone()
        note = (
            "one random split for all runs; test nodes choose nothing"
            if name == "random"
            else "accuracy is the best validation accuracy over epochs, as in the original paper: optimistic"
        )
        drawn = seed
    sizes = [int(data[mask].sum()) for mask in ("train_mask", "val_mask", "test_mask")]
    return data, Protocol(name, sizes[0], sizes[1], sizes[2], drawn, note)


def labels(data: Data) -> Tensor:
    """Class labels ``(N,)``, or an error that says what they must look like; a negative label means unlabelled."""
    y = data.y if "y" in data else None
    if not isinstance(y, Tensor):
        raise InputError("data", "must have class labels 'y' (got a graph without); node classification needs them")
    if y.dim() == 2 and y.size(1) == 1:
        y = y.view(-1)
    if y.dim() != 1 or y.numel() != num_nodes(data) or y.is_floating_point():
        raise InputError("y", f"must hold one integer class per node (got shape {tuple(y.shape)} of {y.dtype})")
    return y


def num_classes(data: Data) -> int:
    """Number of classes: one more than the largest label, so that a class without training nodes counts."""
    return int(labels(data).max()) + 1


def _mask(rows: Tensor, y: Tensor) -> Tensor:
    mask = torch.zeros(y.numel(), dtype=torch.bool, device=y.device)
    mask[rows] = True
    return mask


def _per_class(y: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    train, validation = [], []
    for label in range(int(y.max()) + 1):
        rows = (y == label).nonzero().view(-1)
        rows = rows[torch.randperm(rows.numel(), generator=generator).to(rows.device)]
        first = min(TRAIN_PER_CLASS, rows.numel() // 5)
        second = min(VALIDATION_PER_CLASS, rows.numel() * 3 // 10)
        train.append(rows[:first])
        validation.append(rows[first : first + second])
    return torch.cat(train), torch.cat(validation)


def _ninety_ten(y: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    rows = (y >= 0).nonzero().view(-1)
    rows = rows[torch.randperm(rows.numel(), generator=generator).to(rows.device)]
    cut = rows.numel() // 10
    return rows[cut:], rows[:cut]
