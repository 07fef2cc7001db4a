"""Methods: ways to evaluate the encoder of one run with the head of another, without training on the pair.

Every method sees two runs through the same anchors. Controls must fail; baselines are simple and have to be beaten.
A new method is a subclass of :class:`Method`, registered in :data:`relgraph.registry.METHODS`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from relgraph.anchors import AnchorSet, PublishedHead
from relgraph.maps import Estimator, Shrinkage, TranslatedHead, fit_map, resolve_shrinkage, ridge_coefficients
from relgraph.nn.relative import RelativeLayer
from relgraph.problems import Head, Problem
from relgraph.registry import MAPS
from relgraph.stitching.run import View, one_thread
from relgraph.task import Mode
from relgraph.training import fit_linear_head

Kind = Literal["method", "baseline", "control"]


@dataclass(frozen=True)
class Method(ABC):
    """One way to evaluate an encoder with a foreign head.

    Attributes:
        kind: Method, baseline or control.
        trains: What is trained or fitted with more than a closed form, as a short word.
        head: Kind of the models that it is evaluated on; ``"linear"`` for the absolute models that most methods share.
        draws: Fewest draws of a method that uses the generator.
        modes: Modes of the tasks that it applies to.
    """

    kind: ClassVar[Kind] = "method"
    trains: ClassVar[str] = "nothing"
    head: ClassVar[Head] = "linear"
    draws: ClassVar[int] = 0
    modes: ClassVar[tuple[Mode, ...]] = get_args(Mode)

    def why_not(self, problem: Problem, at: int | None = None) -> str:
        """Why the method does not apply to a problem behind a layer; empty if it does."""
        if problem.task.mode not in self.modes:
            return f"it needs a task that is {' or '.join(self.modes)}"
        return ""

    def prepare(self, view: View) -> View:
        """What is computed once per run: a view whose space or head are computed or replaced."""
        return view

    @abstractmethod
    def predict(self, source: View, target: View, rows: Tensor, generator: torch.Generator) -> Tensor | None:
        """Outputs ``(n, C)`` of the source's encoder with the target's head, ``None`` where widths do not fit.

        Both views come from :meth:`prepare`; ``rows`` are predicted rows ``(n,)``. Methods that draw use the generator.
        """


class Absolute(Method):
    """The foreign head on the source's own coordinates."""

    def predict(self, source: View, target: View, rows: Tensor, generator: torch.Generator) -> Tensor | None:
        """Defined where both spaces are equally wide."""
        if source.run.z.size(1) != target.run.z.size(1):
            return None
        return source.read(target.run.head, rows)


@dataclass(frozen=True)
class Mapped(Method):
    """The foreign head behind a map that is fitted on the anchors.

    A linear head that reads one row at a time is converted: the map goes from the source's space to the head's outputs.
    For every other head, the source's space is translated into the target's, and the head reads the result.

    Args:
        map: A name in :data:`relgraph.registry.MAPS`.
        shrinkage: Of the fit; ``None`` for leave-one-out, if the map has one.
        translated_shrinkage: The same of a translation; by default ``shrinkage``.
    """

    map: str
    shrinkage: Shrinkage | None = None
    translated_shrinkage: Shrinkage | None = None

    def why_not(self, problem: Problem, at: int | None = None) -> str:
        """A map that is fitted to predictions needs a head that reads one row at a time, and no regression."""
        if self._estimator.targets == "outputs":
            if not problem.pointwise(at):
                return "it needs a head that reads one row at a time"
            if problem.task.mode == "regression":
                return "it needs a task that is multiclass or multilabel"
        return super().why_not(problem, at)

    def prepare(self, view: View) -> View:
        """Publish the space, and the head if it is converted."""
        self._seen(view)
        return view

    def predict(self, source: View, target: View, rows: Tensor, generator: torch.Generator) -> Tensor | None:
        """The converted or translated head on the source's states."""
        return source.read(self._rewritten(source, self._seen(target), target.run.head), rows)

    @property
    def _estimator(self) -> Estimator:
        estimator: Estimator = MAPS.resolve(self.map)
        return estimator

    def _seen(self, view: View) -> AnchorSet | PublishedHead:
        """What a run publishes for this method: its head if that is converted, else its space."""
        targets = self._estimator.targets
        if targets == "embeddings" or not view.pointwise:
            return view.space
        linear = view.published.mean_from == "center"
        return view.published if linear or targets == "outputs" else view.space

    def _rewritten(self, source: View, target: AnchorSet | PublishedHead, head: nn.Module) -> nn.Module:
        converts, shrinkage = isinstance(target, PublishedHead), self.shrinkage
        if not converts and self.translated_shrinkage is not None:
            shrinkage = self.translated_shrinkage
        with one_thread():
            fitted, _ = fit_map(source.space, target, self.map, shrinkage=shrinkage)
        return fitted if converts else TranslatedHead(fitted, head)


class Fitted(Mapped):
    """The same, by a map whose fit is iterative."""

    trains = "map"


class PermutedAnchors(Mapped):
    """The same after the target's rows are shuffled over the anchors: what still works is not due to matching rows."""

    kind = "control"
    draws = 20

    def predict(self, source: View, target: View, rows: Tensor, generator: torch.Generator) -> Tensor | None:
        """A new shuffle at every call."""
        seen = self._seen(target)
        order = torch.randperm(len(seen), generator=generator).to(seen.values.device)
        values = seen.values[order]
        shuffled: AnchorSet | PublishedHead
        if isinstance(seen, PublishedHead):
            shuffled = PublishedHead(seen.ids, values, seen.mean, seen.mode, seen.mean_from, seen.fingerprint)
        else:
            shuffled = AnchorSet(seen.ids, values, seen.mean, seen.fingerprint)
        return source.read(self._rewritten(source, shuffled, target.run.head), rows)


class RelativeCosine(Method):
    """Encoder, cosine layer and head trained together, as Moschella et al. (2023) do."""

    trains = "encoder-and-head"
    head: ClassVar[Head] = "relative-cosine"

    def why_not(self, problem: Problem, at: int | None = None) -> str:
        """Only at the last layer, and of problems whose models can have such a head."""
        if at is not None:
            return "its models have no inner layer that is stitched"
        if type(problem).with_anchors is Problem.with_anchors:
            return f"models of {problem.task.level}-level tasks have no relative layer"
        return super().why_not(problem, at)

    def predict(self, source: View, target: View, rows: Tensor, generator: torch.Generator) -> Tensor | None:
        """The foreign head on the source's cosines with its anchors."""
        layer = RelativeLayer("cosine").freeze(source.space.embeddings)
        return source.read(TranslatedHead(layer, target.run.head), rows)


class RelativeCosineProbe(RelativeCosine):
    """A frozen encoder, and a new linear head trained on its cosine vectors."""

    trains = "head"
    head = "linear"
    modes = ("multiclass",)

    def why_not(self, problem: Problem, at: int | None = None) -> str:
        """Only at the last layer, of classes, where every predicted row has an embedding."""
        if at is not None or not problem.pointwise(at):
            return "it trains a head of its own on the representation"
        return Method.why_not(self, problem, at)

    def prepare(self, view: View) -> View:
        """Train a head on relative training rows."""
        problem, r = view.run.problem, RelativeLayer("cosine").freeze(view.space.embeddings)(view.run.z)
        return view.with_head(fit_linear_head(r, problem.y, problem.train, problem.validation, problem.num_outputs))


class Baseline(Method):
    """A head from the source's own training rows and labels; no foreign head is used."""

    kind = "baseline"

    def why_not(self, problem: Problem, at: int | None = None) -> str:
        """Only where every predicted row has an embedding."""
        if problem.task.level == "edge":
            return "it needs an embedding of every predicted row"
        return super().why_not(problem, at)

    def predict(self, source: View, target: View, rows: Tensor, generator: torch.Generator) -> Tensor | None:
        """The source's own outputs, whatever the target."""
        return source.read(source.run.head, rows)


class ClassCentroid(Baseline):
    """Nearest class mean of the source's own training rows; of each label, its positive or its negative mean."""

    trains = "class-means"
    modes = ("multiclass", "multilabel")

    def prepare(self, view: View) -> View:
        """Class means."""
        problem = view.run.problem
        z, y = view.run.z[problem.train], problem.y[problem.train]
        if problem.task.mode == "multiclass":
            marks = F.one_hot(y, problem.num_outputs).to(z.dtype)
            means = (marks.mT @ z) / marks.sum(0).clamp(min=1).unsqueeze(1)
            unseen = marks.sum(0) == 0  # without training rows
            return view.with_head(_Computed(lambda z: (-_distances(z, means)).masked_fill(unseen, float("-inf"))))
        z, y = z.double(), y.double()
        negative, positive = (
            (marks.T @ z) / marks.sum(0).clamp(min=1).unsqueeze(1)
            for marks in ((y == value).double() for value in (0, 1))
        )
        return view.with_head(_Computed(lambda z: _distances(z.double(), negative) - _distances(z.double(), positive)))


class LabelRidge(Baseline):
    """Ridge regression on the source's own training rows and targets, shrinkage by leave-one-out."""

    trains = "ridge-on-targets"
    modes = ("regression",)

    def prepare(self, view: View) -> View:
        """One regression per target."""
        problem, parts = view.run.problem, []
        z, y = view.run.z.double(), problem.y.double()
        for target in range(y.size(1)):
            rows = problem.train[~y[problem.train, target].isnan()]
            center, mean = z[rows].mean(0), y[rows, target].mean()
            points, offset = z[rows] - center, (y[rows, target] - mean).unsqueeze(1)
            with one_thread():
                shrinkage = resolve_shrinkage(points, offset, "loo", strongest=True)
                parts.append((ridge_coefficients(points, offset, shrinkage), center, mean))
        return view.with_head(
            _Computed(lambda z: torch.cat([(z.double() - center) @ weight + mean for weight, center, mean in parts], 1))
        )


class _Computed(nn.Module):
    """A function of the states ``(N, F)`` as a head."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, z: Tensor) -> Tensor:
        return self.function(z)


def _distances(z: Tensor, means: Tensor) -> Tensor:
    return torch.cdist(z, means, compute_mode="donot_use_mm_for_euclid_dist")


ABSOLUTE = Absolute()
RELATIVE_COSINE = RelativeCosine()
RELATIVE_COSINE_PROBE = RelativeCosineProbe()
RIDGE = Mapped("ridge")
RIDGE_FIXED = Mapped("ridge", 0.01)
KERNEL_RIDGE = Mapped("kernel-ridge")
KL = Fitted("kl")
PROCRUSTES = Mapped("procrustes")
CLASS_CENTROID = ClassCentroid()
LABEL_RIDGE = LabelRidge()
PERMUTED_ANCHORS = PermutedAnchors("ridge", 0.01, "loo")
