"""A head converted to a new version's space, and what speaks against it before any row is answered."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

from torch import nn

from relgraph.anchors.matching import GraphGrownWarning, shared_ids
from relgraph.anchors.values import AnchorSet, PublishedHead
from relgraph.diagnosis import suspicious_anchors
from relgraph.errors import InputError, require
from relgraph.maps import MatchedAnchors, NoCorrespondenceWarning, convert
from relgraph.maps.estimator import Estimator
from relgraph.maps.methods import estimator_for
from relgraph.task import Task

UNRELATED = "the anchors do not correspond: left-out ones are predicted no better than with permuted rows"
CONSTANT = "the old head answers all anchors alike, which every map does as well"


@dataclass(frozen=True, eq=False)
class Fit:
    """An old head converted to a new space.

    Args:
        space, head: The published pieces.
        converted: The head in the new space.
        matched: The anchors that both have.
        estimator: The map.
        unrelated: Whether left-out anchors are predicted no better than with permuted rows.
    """

    space: AnchorSet
    head: PublishedHead
    converted: nn.Module
    matched: MatchedAnchors
    estimator: Estimator
    unrelated: bool

    @classmethod
    def of(cls, space: AnchorSet, head: PublishedHead, method: str | None, *, stacklevel: int = 1) -> Fit:
        """Convert, and warn as :func:`relgraph.convert`, but not of a graph that has grown."""
        require("space", space, AnchorSet, "the order is upgrade(space, head)")
        require("head", head, PublishedHead, "make one with relgraph.publish")
        shared, fewest = len(shared_ids(space.ids, head.ids)[0]), space.num_features + 1
        if not shared:
            found = f"(got none, such as {int(space.ids[0])} and {int(head.ids[0])})"
            way_out = "check that both were published with the same ids, all text or all integers"
            raise InputError("space", f"must have ids of anchors in common with the head {found}; {way_out}")
        if shared < fewest:
            rule = f"must share at least {fewest} anchors, one more than the space has dimensions, with the head"
            raise InputError("space", f"{rule} for a verdict (got {shared}); publish more anchors")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            converted = convert(space, head, method)
            matched = MatchedAnchors.match(space, head)
        unrelated = any(issubclass(one.category, NoCorrespondenceWarning) for one in caught)
        for text, category in dict.fromkeys((str(one.message), one.category) for one in caught):
            if not issubclass(category, GraphGrownWarning):  # what an upgrade is for
                warnings.warn(text, category, stacklevel=stacklevel + 1)
        return cls(space, head, converted, matched, estimator_for(head, method), unrelated)

    @property
    def by_classes(self) -> bool:
        """Whether answers are one of several classes; others are judged by the anchors alone."""
        return self.head.mode == "multiclass" and self.matched.values.size(1) > 1

    @property
    def flaw(self) -> str | None:
        """Why the fidelity at the anchors says nothing; ``None`` if it does."""
        if self.unrelated:
            return UNRELATED
        answers = Task.of("node", self.head.mode).predict(self.matched.values)
        return CONSTANT if bool((answers == answers[:1]).all()) else None

    def misfits(self) -> str:
        """What a verdict against the conversion may be due to: anchors whose ids name other rows in one of the two."""
        count = len(suspicious_anchors(self.matched))
        fits = f"{count} of {len(self.matched):,} anchors {'does' if count == 1 else 'do'} not fit the others"
        return f"; {fits}: check that their ids name the same nodes in both versions" if count else ""
