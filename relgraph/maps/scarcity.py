"""Warnings of maps that their anchors can hardly determine: too few anchors, or all of them alike."""

from __future__ import annotations

import warnings

from relgraph.errors import RelgraphWarning
from relgraph.maps.matched import MatchedAnchors


class FewAnchorsWarning(RelgraphWarning):
    """A map is hardly determined by its anchors, because they are too few or all alike."""


def warn_if_scarce(matched: MatchedAnchors, stacklevel: int = 1) -> None:
    """Warn if a map fitted on these anchors is hardly determined."""
    if reason := scarcity(matched):
        warnings.warn(f"{reason}; take more or other anchors", FewAnchorsWarning, stacklevel=stacklevel + 1)


def scarcity(matched: MatchedAnchors) -> str:
    """Why a map fitted on these anchors is hardly determined; empty if it is not so.

    Example:
        >>> import torch
        >>> from relgraph.anchors import AnchorSet, PublishedHead
        >>> ids, z = torch.arange(3), torch.tensor([[1.0], [2.0], [3.0]])
        >>> scarcity(MatchedAnchors.match(AnchorSet(ids, z, z.mean(0)), PublishedHead(ids, z, z.mean(0))))
        ''
        >>> scarcity(MatchedAnchors.match(AnchorSet(ids, 0 * z, 0 * z[0]), PublishedHead(ids, z, z.mean(0))))
        'all 3 anchors are at the center of the source space, so that a map is constant'
    """
    count, outputs = matched.values.shape
    if matched.mode is not None and count < outputs:
        return few(count, outputs)
    if count <= 2:
        counted = "1 anchor determines" if count == 1 else f"{count} anchors determine"
        return f"{counted} a map in no more than {count} of {matched.offsets.size(1)} dimensions"
    if not bool(matched.offsets.any()):
        return f"all {count} anchors are at the center of the source space, so that a map is constant"
    if bool((matched.values == matched.values[0]).all()):
        return f"the target has the same values on all {count} anchors, so that a map can tell nothing apart"
    if matched.decides and bool(((found := matched.predict(matched.values)) == found[0]).all()):
        return f"the head predicts the same on all {count} anchors, so that a map can hardly tell anything else"
    return ""


def few(count: int, outputs: int) -> str:
    """The reason if there are fewer anchors than outputs."""
    counted = "1 anchor is" if count == 1 else f"{count} anchors are"
    return f"{counted} fewer than the {outputs} outputs of a head, so that no map can tell all of them apart"
