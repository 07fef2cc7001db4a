"""What a map estimator is: its fit, and what is known of every map that it fits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import nn

from relgraph.maps.leave_one_out import Shrinkage
from relgraph.maps.matched import MatchedAnchors

SIMILAR = frozenset({"rotation", "translation", "scaling"})


@dataclass(frozen=True)
class Estimator:
    """A way to fit a map on matched anchors; the entries of :data:`relgraph.registry.MAPS`.

    The changes are those of :data:`relgraph.similarity.CHANGES`, applied to all rows and the center of one space.

    Args:
        name: The name that users type.
        fit: From matched anchors and a shrinkage (ignored if it has none) to a frozen module.
        targets: What it accepts: ``"embeddings"`` of an AnchorSet, ``"outputs"`` of a PublishedHead, or ``"any"``.
        linear: Whether the map is affine.
        shrinks: Whether the fit has a shrinkage.
        invariant_to: Changes of the source space that do not change the mapped rows.
        follows: Changes of the target space that the mapped rows undergo as well.
    """

    name: str
    fit: Callable[[MatchedAnchors, Shrinkage], nn.Module]
    targets: Literal["any", "embeddings", "outputs"] = "any"
    linear: bool = True
    shrinks: bool = True
    invariant_to: frozenset[str] = SIMILAR
    follows: frozenset[str] = SIMILAR
