"""A published head: what it says about the anchors, and nothing else of the model that it belongs to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from relgraph.anchors import AnchorSet
from relgraph.anchors.anchor_set import check_ids, check_rows
from relgraph.anchors.published_file import read_published, write_published
from relgraph.errors import DataError, InputError, unknown_name

FORMAT = "relgraph.head/1"

# What a head's outputs are: logits of classes of which one is true, logits of labels each of which is true or not, or
# the predicted values themselves.
Outputs = Literal["classes", "labels", "values"]


@dataclass(frozen=True, eq=False, repr=False)
class PublishedHead:
    """A published head: what it says about the anchors of its own space, and on average.

    Args:
        ids: Stable ids of the anchor nodes, shape ``(K,)``, without repeats.
        logits: The head's logits on its own run's embeddings of them, shape ``(K, C)``, finite.
        mean_logits: The head's mean logits over all nodes, shape ``(C,)``.
        mean_from: Where that mean comes from: ``"head at the centre"`` (exact for a linear head), ``"embeddings
            given"``, or ``"anchors' mean"`` (the roughest).
        fingerprint: Of the graph; empty if unknown.
        space: Name of the :class:`relgraph.AnchorSet` it was published from.
        outputs: What the logits are: ``"classes"`` (softmax), ``"labels"`` (a sigmoid each), or ``"values"`` (of a
            regression, which are no logits). All methods of :func:`relgraph.convert` but ``"linear"`` ask.

    Raises:
        InputError: If shapes or types do not fit, ``outputs`` is unknown, an id is repeated, or a number is not finite.

    Example:
        >>> PublishedHead(torch.tensor([7, 3]), torch.eye(2), torch.zeros(2), "head at the centre")
        PublishedHead(2 anchors, 2 outputs, mean from the head at the centre, graph unknown, space unknown)
    """

    ids: Tensor
    logits: Tensor
    mean_logits: Tensor
    mean_from: str
    fingerprint: str = ""
    space: str = ""
    outputs: Outputs = "classes"

    def __post_init__(self) -> None:
        if self.outputs not in get_args(Outputs):
            raise unknown_name("outputs", self.outputs, get_args(Outputs))
        check_ids(self.ids)
        check_rows("logits", self.logits)
        if self.logits.size(0) != self.ids.numel() or self.mean_logits.shape != self.logits.shape[1:]:
            raise InputError(
                "logits",
                f"must hold one row per id and 'mean_logits' one row alone (got shapes "
                f"{tuple(self.logits.shape)} and {tuple(self.mean_logits.shape)} for {self.ids.numel()} ids)",
            )
        check_rows("mean_logits", self.mean_logits.unsqueeze(0))
        object.__setattr__(self, "ids", self.ids.detach().to(self.logits.device, torch.int64))
        object.__setattr__(self, "logits", self.logits.detach())
        object.__setattr__(self, "mean_logits", self.mean_logits.detach().to(self.logits))

    def __len__(self) -> int:
        return self.ids.numel()

    def __repr__(self) -> str:
        mean = self.mean_from if self.mean_from.startswith("anchors") else f"the {self.mean_from}"
        return (
            f"PublishedHead({len(self)} anchors, {self.logits.size(1)} outputs, mean from {mean}, "
            f"graph {self.fingerprint or 'unknown'}, space {self.space or 'unknown'})"
        )

    def to(self, *args: Any, **kwargs: Any) -> PublishedHead:
        """The same head on another device or in another floating-point type; arguments as of ``Tensor.to``."""
        logits = self.logits.to(*args, **kwargs)
        return replace(self, logits=logits, mean_logits=self.mean_logits.to(logits))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the head to one safetensors file, whole or not at all.

        Raises:
            DataError: If the file cannot be written.
        """
        header = {"mean_from": self.mean_from, "fingerprint": self.fingerprint, "space": self.space}
        header["outputs"] = self.outputs
        tensors = {"ids": self.ids, "logits": self.logits, "mean_logits": self.mean_logits}
        write_published(path, FORMAT, tensors, header)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> PublishedHead:
        """Read a head that :meth:`save` wrote, onto the CPU.

        Raises:
            DataError: If the file is missing, damaged, or holds something else.
        """
        tensors, header = read_published(path, FORMAT, ("ids", "logits", "mean_logits"))
        try:
            return cls(
                tensors["ids"],
                tensors["logits"],
                tensors["mean_logits"],
                header.get("mean_from", ""),
                header.get("fingerprint", ""),
                header.get("space", ""),
                header.get("outputs", "classes"),  # type: ignore[arg-type]  # checked there; older files have classes
            )
        except InputError as error:
            raise DataError(f"'{path}' holds no usable head: {error}") from error


def publish(
    head: nn.Module, anchors: AnchorSet, *, embeddings: Tensor | None = None, outputs: Outputs = "classes"
) -> PublishedHead:
    """Publish a head: its logits on the anchors of its own space, and its mean.

    Args:
        head: Module from representations ``(N, F)`` to logits ``(N, C)``. It runs in eval mode without gradients, on
            its own device, and is left as it was.
        anchors: The space that the head was trained on, as its own run publishes it.
        embeddings: That run's representations of all nodes, shape ``(N, F)``. They give the mean logits of a head that
            is not linear; a linear head needs none, since its mean is its value at the centre. Without them the mean
            over the anchors has to do, and :attr:`PublishedHead.mean_from` says so.
        outputs: What the head's outputs are, see :class:`PublishedHead`.

    Raises:
        InputError: If widths do not fit, ``outputs`` is unknown, or the head's output is not a finite matrix.

    Example:
        >>> space = AnchorSet(torch.tensor([7, 3]), torch.eye(2), torch.zeros(2), space="mine")
        >>> publish(torch.nn.Linear(2, 3), space)
        PublishedHead(2 anchors, 3 outputs, mean from the head at the centre, graph unknown, space mine)
    """
    if isinstance(width := getattr(head, "in_features", None), int) and width != anchors.num_features:
        raise InputError(
            "head",
            f"must read what 'anchors' holds (got a head of {width} features and anchors of "
            f"{anchors.num_features}); publish it on its own run's anchors",
        )
    home = next(head.parameters(), anchors.embeddings)
    with evaluating(head):
        logits = head(anchors.embeddings.to(home))
        if not isinstance(logits, Tensor) or logits.dim() != 2:
            raise InputError(
                "head",
                f"must give one row of logits per node (got "
                f"{tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__} for "
                f"{len(anchors)} anchors)",
            )
        if _is_linear(head):
            mean, mean_from = head(anchors.center.to(home).unsqueeze(0)).squeeze(0), "head at the centre"
        elif embeddings is not None:
            check_rows("embeddings", embeddings)
            mean, mean_from = head(embeddings.to(home)).mean(dim=0), "embeddings given"
        else:
            mean, mean_from = logits.mean(dim=0), "anchors' mean"
    return PublishedHead(anchors.ids, logits, mean, mean_from, anchors.fingerprint, anchors.space, outputs)


def _is_linear(head: nn.Module) -> bool:
    # Not by isinstance alone: a subclass may do anything in a forward of its own.
    if isinstance(head, nn.Linear):
        return type(head).forward is nn.Linear.forward
    from torch_geometric.nn.dense.linear import Linear

    return isinstance(head, Linear) and type(head).forward is Linear.forward


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode and no gradients inside; every submodule's own mode is restored after."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part, training in modes:  # one by one: a frozen part of a head in training stays frozen
            part.training = training
