"""The outputs of a head on the anchors of its own space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from torch import Tensor

from relgraph.anchors.base import AnchorValues, checked_time
from relgraph.errors import unknown_name
from relgraph.fingerprints import short_fingerprint
from relgraph.task import Mode, check_mode

if TYPE_CHECKING:
    from datetime import date

MeanFrom = Literal["center", "run-embeddings", "anchors"]


@dataclass(frozen=True, eq=False, repr=False, init=False)
class PublishedHead(AnchorValues):
    """A published head: its outputs on the anchors of its own space, and their mean over all rows.

    Args:
        ids: Stable ids of the anchors, shape ``(K,)``, integers without repeats.
        outputs: The head's outputs on its own run's embeddings of the anchors, shape ``(K, C)``, finite.
        mean: Mean of the head's outputs over all rows, shape ``(C,)``.
        mode: What the outputs are: ``"multiclass"`` (logits of a softmax), ``"multilabel"`` (a logit of a sigmoid for
            each label), or ``"regression"`` (the values themselves).
        mean_from: How the mean was computed: ``"center"`` (the outputs at the center, exact for a linear head),
            ``"run-embeddings"`` (over all embeddings), or ``"anchors"`` (over the anchors, the roughest).
        fingerprint: Of the graph; empty if unknown.
        anchor_set: Id of the :class:`relgraph.AnchorSet` that it was published from; empty if unknown.
        version, time: Of the run that the head belongs to, as of :class:`relgraph.AnchorSet`.

    Raises:
        InputError: If shapes or types do not fit, a literal is unknown, an id is repeated, a number is not finite, or
            ``time`` is no time.

    Example:
        >>> import torch
        >>> PublishedHead(torch.tensor([7, 3]), torch.eye(2), torch.zeros(2))
        PublishedHead(2 anchors, 2 outputs, multiclass, mean from center, graph unknown, anchor set unknown)
    """

    _kind = "relgraph.head/2"
    _names = ("outputs", "mean")
    _header = ("mode", "mean_from", "fingerprint", "anchor_set")
    mode: Mode
    mean_from: MeanFrom
    anchor_set: str

    def __init__(
        self,
        ids: Tensor,
        outputs: Tensor,
        mean: Tensor,
        mode: Mode = "multiclass",
        mean_from: MeanFrom = "center",
        fingerprint: str = "",
        anchor_set: str = "",
        *,
        version: str = "",
        time: str | date = "",
    ) -> None:
        if mean_from not in get_args(MeanFrom):
            raise unknown_name("mean_from", mean_from, get_args(MeanFrom))
        object.__setattr__(self, "mode", check_mode(mode))
        object.__setattr__(self, "mean_from", mean_from)
        object.__setattr__(self, "anchor_set", anchor_set)
        super().__init__(ids, outputs, mean, fingerprint, version, checked_time(time))

    @property
    def outputs(self) -> Tensor:
        """Outputs on the anchors, shape ``(K, C)``."""
        return self.values

    def __repr__(self) -> str:
        graph, version = short_fingerprint(self.fingerprint), f", version {self.version}" if self.version else ""
        return (
            f"PublishedHead({len(self)} anchors, {self.values.size(1)} outputs, {self.mode}, mean from {self.mean_from}"
            f", graph {graph or 'unknown'}, anchor set {self.anchor_set or 'unknown'}{version})"
        )
