"""The arms: every way for one run's encoder and another run's head to meet.

An arm has two halves. :meth:`Arm.publish` looks at one run alone and returns what that run hands out; :meth:`Arm.meet`
sees what two runs handed out, and nothing else of them, and returns the logits of the source's test nodes. For N
encoders and M heads the first half is done N + M times.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from relgraph.anchors import AnchorSet
from relgraph.conversion import Outputs, PublishedHead, publish
from relgraph.conversion.methods import converted
from relgraph.similarity import cosine_similarity
from relgraph.training.posthoc import fit_linear_head
from relgraph.translation import Shrinkage, procrustes

Kind = Literal["method", "baseline", "control"]


@dataclass(frozen=True, eq=False)
class Nodes:
    """Which nodes train, choose and test, their classes, and which are anchors; shared by all runs.

    Of graph-level runs the rows are whole graphs, and ``y`` holds a column for each of the ``num_classes`` tasks.

    Args:
        y: Classes ``(N,)``.
        train: Rows of the training nodes.
        validation: Rows of the validation nodes.
        test: Rows of the test nodes.
        anchors: Rows of the anchors in rank order.
        num_classes: Number of classes.
    """

    y: Tensor
    train: Tensor
    validation: Tensor
    test: Tensor
    anchors: Tensor
    num_classes: int


@dataclass(frozen=True, eq=False)
class Run:
    """What a trained run shows to an arm: embeddings of all nodes ``(N, F)``, its head, and its anchors.

    Behind an inner layer the embeddings are the states there, and the head is the rest of the network, which is called
    with the edges (and their weights) as well. ``outputs`` says what the head's outputs are (:class:`PublishedHead`).
    """

    z: Tensor
    head: nn.Module
    space: AnchorSet
    edges: tuple[Tensor, ...] = ()
    outputs: Outputs = "classes"


class Arm(ABC):
    """One way for an encoder and a foreign head to meet.

    Attributes:
        kind: Method, baseline (simple, to be beaten) or control (must fail).
        trains: What is trained for it, in words.
        end_to_end: Whether encoder and head were trained for this arm; its runs are then models of their own.
    """

    kind: Kind = "method"
    trains: str = "nothing"
    end_to_end: bool = False

    @abstractmethod
    def publish(self, run: Run, nodes: Nodes) -> Any:
        """What one run hands out."""

    @abstractmethod
    def meet(self, source: Any, target: Any) -> Tensor | None:
        """Logits ``(n, C)`` of the source's test nodes by the target's head; ``None`` where widths forbid it."""


@dataclass(frozen=True, eq=False)
class _Embedded:
    z: Tensor
    head: nn.Module


class Absolute(Arm):
    """The foreign head on the source's own coordinates: what happens without relgraph."""

    def publish(self, run: Run, nodes: Nodes) -> _Embedded:
        """Test embeddings and head."""
        return _Embedded(run.z[nodes.test], run.head)

    def meet(self, source: _Embedded, target: _Embedded) -> Tensor | None:
        """Defined only where both spaces are equally wide."""
        if isinstance(target.head, nn.Linear) and target.head.in_features != source.z.size(1):
            return None
        return _apply(target.head, source.z)


class RelativeCosine(Arm):
    """Encoder, cosine layer and head trained together, as Moschella et al. (2023) do."""

    trains = "encoder, relative layer and head together"
    end_to_end = True

    def publish(self, run: Run, nodes: Nodes) -> _Embedded:
        """Relative test vectors and the head that reads them."""
        return _Embedded(cosine_similarity(run.z[nodes.test], run.z[nodes.anchors]), run.head)

    def meet(self, source: _Embedded, target: _Embedded) -> Tensor | None:
        """The foreign head on the source's relative vectors."""
        return _apply(target.head, source.z)


class RelativeCosinePosthoc(Arm):
    """A frozen encoder, and a new head trained on its cosine vectors."""

    trains = "a head on relative vectors"

    def publish(self, run: Run, nodes: Nodes) -> _Embedded:
        """Relative test vectors and a head trained on relative training vectors."""
        r = cosine_similarity(run.z, run.z[nodes.anchors])
        head = fit_linear_head(r, nodes.y, nodes.train, nodes.validation, nodes.num_classes)
        return _Embedded(r[nodes.test], head)

    def meet(self, source: _Embedded, target: _Embedded) -> Tensor | None:
        """The foreign head on the source's relative vectors."""
        return _apply(target.head, source.z)


@dataclass(frozen=True, eq=False)
class _Published:
    z: Tensor
    space: AnchorSet
    head: PublishedHead


class Converted(Arm):
    """The foreign head rewritten for the source's space, a closed form of what the two published."""

    def publish(self, run: Run, nodes: Nodes) -> _Published:
        """The space and the head, both seen through the anchors."""
        head = publish(run.head, run.space, embeddings=run.z, outputs=run.outputs)
        return _Published(run.z[nodes.test], run.space, head)

    def meet(self, source: _Published, target: _Published) -> Tensor | None:
        """The converted head on the source's embeddings."""
        return _apply(converted(target.head, source.space, "linear")[0], source.z)


class ConvertedBy(Converted):
    """The foreign head rewritten by another method or shrinkage of :func:`relgraph.convert`.

    Args:
        method: Of :func:`relgraph.convert`.
        trains: What is fitted for it, in words.
        shrinkage: ``None`` for the method's own.
    """

    def __init__(self, method: str, trains: str = "nothing", *, shrinkage: Shrinkage | None = None) -> None:
        self.method = method
        self.trains = trains
        self.shrinkage = shrinkage

    def meet(self, source: _Published, target: _Published) -> Tensor | None:
        """The converted head on the source's embeddings."""
        return _apply(converted(target.head, source.space, self.method, shrinkage=self.shrinkage)[0], source.z)


class PermutedAnchors(Converted):
    """Conversion after the head's anchors were shuffled: whatever it scores does not come from the correspondence.

    Args:
        seed: Of the shuffles; every meeting draws anew.
    """

    kind = "control"

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.generator = torch.Generator().manual_seed(seed)

    def meet(self, source: _Published, target: _Published) -> Tensor | None:
        """The converted head, its logits on the anchors shuffled before."""
        shuffled = replace(target.head, logits=target.head.logits[self.order(target.head.logits)])
        return _apply(converted(shuffled, source.space, "linear")[0], source.z)

    def order(self, rows: Tensor) -> Tensor:
        """The next shuffle of some rows, ``(K,)``."""
        return torch.randperm(rows.size(0), generator=self.generator).to(rows.device)


@dataclass(frozen=True, eq=False)
class _Rotated:
    z: Tensor
    space: AnchorSet
    head: nn.Module


class Procrustes(Arm):
    """The source's space rotated onto the target's by their anchors, then the foreign head."""

    def publish(self, run: Run, nodes: Nodes) -> _Rotated:
        """The space through its anchors, and the head itself."""
        return _Rotated(run.z[nodes.test], run.space, run.head)

    def meet(self, source: _Rotated, target: _Rotated) -> Tensor | None:
        """The foreign head on the rotated embeddings."""
        return _apply(target.head, procrustes(source.space, target.space)(source.z))


class ClassCentroid(Arm):
    """Nearest class mean of the source's own training embeddings: uses labels, and no foreign head at all."""

    kind = "baseline"
    trains = "class means of the source's own training nodes"

    def publish(self, run: Run, nodes: Nodes) -> Tensor:
        """Negative distances of the test nodes to the class means, ``(n, C)``; -inf for an unseen class."""
        y = F.one_hot(nodes.y[nodes.train], nodes.num_classes).to(run.z.dtype)
        counts = y.sum(0)
        means = (y.mT @ run.z[nodes.train]) / counts.clamp(min=1).unsqueeze(1)
        scores = -torch.cdist(run.z[nodes.test], means, compute_mode="donot_use_mm_for_euclid_dist")
        return scores.masked_fill(counts == 0, float("-inf"))

    def meet(self, source: Tensor, target: Tensor) -> Tensor | None:
        """The source's own scores, whoever the target is."""
        return source


ARMS: dict[str, Arm] = {
    "absolute": Absolute(),
    "relative-cosine": RelativeCosine(),
    "relative-cosine-posthoc": RelativeCosinePosthoc(),
    "converted": Converted(),
    "converted-rbf": ConvertedBy("rbf"),
    "converted-kl": ConvertedBy("kl", "a convex fit on the anchors' logits (fitted)"),
    "converted-auto": ConvertedBy("auto", "nothing, or a convex fit on the anchors' logits (fitted)"),
    "procrustes": Procrustes(),
    "class-centroid": ClassCentroid(),
    "permuted-anchors": PermutedAnchors(),
}


@torch.no_grad()
def _apply(head: nn.Module, z: Tensor) -> Tensor:
    out: Tensor = head(z)
    return out
