"""The outputs of a head on the anchors of its own space."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import torch
from torch import Tensor

from relgraph.anchors.base import AnchorValues, checked_time
from relgraph.anchors.matching import graph_warning, shared_ids
from relgraph.errors import InputError, unknown_name
from relgraph.fingerprints import short_fingerprint
from relgraph.task import Mode, check_mode

if TYPE_CHECKING:
    from datetime import date

MeanFrom = Literal["center", "run-embeddings", "anchors"]
FEWEST_SHARED = 3
"""One or two anchors determine no map, whatever the head."""


class _MeanOfHeads:
    """The name ``mean`` of the class; the tensor that a head stores under it comes first."""

    def __get__(self, head: object, kind: type) -> Callable[[Iterable[PublishedHead]], PublishedHead]:
        if head is not None:
            raise AttributeError("mean")
        return mean_head


@dataclass(frozen=True, eq=False, repr=False, init=False)
class PublishedHead(AnchorValues):
    """A published head: its outputs on the anchors of its own space, and their mean over all rows.

    ``PublishedHead.mean(heads)`` is the mean of several heads (:func:`relgraph.anchors.mean_head`). All tensors are
    copied.

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
    if not TYPE_CHECKING:  # type checkers know one type of a name, which is that of the tensor
        mean = _MeanOfHeads()

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


def mean_head(heads: Iterable[PublishedHead]) -> PublishedHead:
    r"""The mean of several heads on the anchors that all of them share: what their ensemble outputs there.

    .. math:: L_k = \frac{1}{R} \sum_r L^{(r)}_k, \qquad \bar l = \frac{1}{R} \sum_r \bar l^{(r)}

    The outputs of a run on an anchor do not depend on the coordinates of its space, so they are averaged as they are,
    each head's on its own run's embeddings. Of logits of a softmax that is the mean of log-probabilities up to a
    constant per anchor, to which a softmax is invariant, so that the result is the normalized geometric mean of the
    probabilities; of logits of a sigmoid it is the mean of the log-odds; of a regression, of the values. Every run
    counts the same.

    The anchors are in the order of the first head. Fingerprint, anchor set, version and time are those that all heads
    have in common, and empty where they differ; ``mean_from`` is the roughest.

    Args:
        heads: Published heads of one mode and width, as an iterable.

    Raises:
        InputError: If there is none, one is no published head, modes or widths differ, or different anchors have fewer
            ids in common than the heads have outputs, or fewer than 3.

    Warns:
        GraphChangedWarning: If the heads were published on different graphs.

    Example:
        >>> import torch
        >>> a = PublishedHead(torch.tensor([7, 3, 5]), torch.tensor([[2.0], [0.0], [4.0]]), torch.zeros(1))
        >>> b = PublishedHead(torch.tensor([3, 5, 7]), torch.tensor([[2.0], [4.0], [6.0]]), torch.ones(1))
        >>> both = PublishedHead.mean([a, b])
        >>> both.ids.tolist(), both.outputs.view(-1).tolist(), both.mean.tolist()
        ([7, 3, 5], [4.0, 1.0, 4.0], [0.5])
    """
    several = list(heads)
    strangers = [f"a {type(one).__name__}" for one in several if not isinstance(one, PublishedHead)]
    if strangers or not several:
        got = f"(got {strangers[0] if strangers else 'none'}); make them with relgraph.publish"
        raise InputError("heads", f"must hold at least one PublishedHead and nothing else {got}")
    first = several[0]
    for name, values in (
        ("mode", {one.mode for one in several}),
        ("number of outputs", {one.outputs.size(1) for one in several}),
    ):
        if len(values) > 1:
            got = f"got {' and '.join(map(str, sorted(values, key=str)))}"
            raise InputError("heads", f"must have the same {name} ({got}); average heads of one task")
    if (warning := graph_warning([one.fingerprint for one in several])) is not None:
        warnings.warn(warning, stacklevel=2)
    ids = _common_ids(several)
    outputs, means = (
        torch.stack([rows.cpu().to(torch.float64) for rows in part]).mean(dim=0).to(first.outputs)
        for part in ([one.take(ids).outputs for one in several], [one.mean for one in several])
    )
    roughest = max((one.mean_from for one in several), key=get_args(MeanFrom).index)
    common = {
        name: getattr(first, name) if len({getattr(one, name) for one in several}) == 1 else ""
        for name in ("fingerprint", "anchor_set", "version", "time")
    }
    return PublishedHead(ids, outputs, means, first.mode, roughest, **common)


def _common_ids(heads: list[PublishedHead]) -> Tensor:
    """Ids of the anchors that all heads have, in the order of the first; an error if different anchors share few."""
    ids = heads[0].ids
    for one in heads[1:]:
        ids = ids[shared_ids(ids, one.ids)[0]]
    sizes, needed = {len(one) for one in heads}, max(FEWEST_SHARED, heads[0].outputs.size(1))
    if sizes != {len(ids)} and len(ids) < needed:
        raise InputError(
            "heads",
            f"must share at least {needed} anchors by id if their anchors differ (got {len(ids)} of {min(sizes)} to "
            f"{max(sizes)}); choose the same anchors for all with relgraph.AddAnchors.from_ids",
        )
    return ids
