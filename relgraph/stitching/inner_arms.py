"""The arms behind an inner layer: the foreign head is the rest of a network, which passes messages.

Such a head is not seen through its values on the anchors. It comes as a module, with the anchors of the space that it
reads; the source's space is translated into that one, and the module is called on the graph at hand. It is given the
states of all nodes, as a test node's output depends on its neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from relgraph.anchors import AnchorSet
from relgraph.stitching.arms import ARMS, Arm, Nodes, PermutedAnchors, Run
from relgraph.translation import translate_then


@dataclass(frozen=True, eq=False)
class _Inner:
    """States of all nodes, the edges they pass messages along, and the test rows; the space, and what reads it."""

    h: Tensor
    edges: tuple[Tensor, ...]
    test: Tensor
    space: AnchorSet
    head: nn.Module

    @classmethod
    def of(cls, run: Run, nodes: Nodes) -> _Inner:
        return cls(run.z, run.edges, nodes.test, run.space, run.head)

    @torch.no_grad()
    def read_by(self, head: nn.Module) -> Tensor:
        """Logits of the test nodes, ``(n, C)``."""
        out: Tensor = head(self.h, *self.edges)
        return out[self.test]


class InnerAbsolute(Arm):
    """The rest of the foreign network on the source's own states: what happens without relgraph."""

    def publish(self, run: Run, nodes: Nodes) -> _Inner:
        """States and the rest of the network."""
        return _Inner.of(run, nodes)

    def meet(self, source: _Inner, target: _Inner) -> Tensor | None:
        """Defined only where both spaces are equally wide."""
        if target.space.num_features != source.space.num_features:
            return None
        return source.read_by(target.head)


class Translated(Arm):
    """The source's states translated by the anchors, then the rest of the foreign network.

    Args:
        method: Of :func:`relgraph.translation.translate_then`.
        **options: Of its fit.
    """

    def __init__(self, method: str, **options: Any) -> None:
        self.method = method
        self.options = options

    def publish(self, run: Run, nodes: Nodes) -> _Inner:
        """States, the space through its anchors, and the rest of the network."""
        return _Inner.of(run, nodes)

    def meet(self, source: _Inner, target: _Inner) -> Tensor | None:
        """The rest of the foreign network on the translated states."""
        return source.read_by(translate_then(target.head, source.space, target.space, self.method, **self.options))


class InnerPermutedAnchors(PermutedAnchors):
    """Translation after the target's anchors were shuffled: what it scores does not come from the correspondence."""

    def publish(self, run: Run, nodes: Nodes) -> _Inner:  # type: ignore[override]
        """States, the space through its anchors, and the rest of the network."""
        return _Inner.of(run, nodes)

    def meet(self, source: _Inner, target: _Inner) -> Tensor | None:  # type: ignore[override]
        """The rest of the foreign network on states that were translated into nowhere."""
        shuffled = replace(target.space, embeddings=target.space.embeddings[self.order(target.space.embeddings)])
        return Translated("ridge-affine", shrinkage="loo").meet(source, replace(target, space=shuffled))


INNER_ARMS: dict[str, Arm] = {
    "absolute": InnerAbsolute(),
    "converted": Translated("ridge-affine", shrinkage="loo"),
    # States of a GCN grow with the number of neighbours; well connected anchors must not decide for all others.
    "converted-rbf": Translated("kernel-ridge", robust=True),
    "procrustes": Translated("procrustes"),
    "class-centroid": ARMS["class-centroid"],
    "permuted-anchors": InnerPermutedAnchors(),
}


def arms_at(layer: int | None) -> dict[str, Arm]:
    """The arms that can meet behind a layer: all at the last (``None``), fewer at one that is named.

    Example:
        >>> sorted(set(arms_at(None)) - set(arms_at(1)))  # these need what the last layer's head says on the anchors
        ['converted-auto', 'converted-kl', 'relative-cosine', 'relative-cosine-posthoc']
    """
    return ARMS if layer is None else INNER_ARMS
