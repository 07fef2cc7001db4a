"""Selecting a map by the agreement of its predictions with the head's on held-out anchors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from relgraph.maps.divergence import kl
from relgraph.maps.estimator import Estimator
from relgraph.maps.kernel import kernel_ridge
from relgraph.maps.leave_one_out import Shrinkage, resolve_shrinkage
from relgraph.maps.matched import MatchedAnchors
from relgraph.maps.ridge import ridge

FOLDS = 5
MIN_ANCHORS = 10


@dataclass(frozen=True)
class Choice:
    """The method that was selected, and the scores it was selected by.

    Args:
        method: The method.
        scores: Cross-validated fidelity of each method, in the order of preference: the share of held-out anchors on
            which it predicts what the head predicts. Empty if they could not be compared.
        reason: The reason in words.

    Example:
        >>> print(Choice("kl", {"ridge": 0.8, "kl": 0.9}, "highest fidelity"))
        kl (highest fidelity; ridge 0.800, kl 0.900)
    """

    method: str
    scores: Mapping[str, float]
    reason: str

    def __str__(self) -> str:
        scores = ", ".join(f"{name} {score:.3f}" for name, score in self.scores.items())
        return f"{self.method} ({'; '.join(filter(None, (self.reason, scores)))})"


class ChosenMap(nn.Module):
    """The map that was selected, with the record of the choice; made by ``convert(..., method="auto")``.

    Args:
        map: The fitted map.
        choice: The method and the scores.

    Example:
        >>> ChosenMap(nn.Linear(2, 3), Choice("ridge", {}, "too few anchors to compare"))(torch.zeros(5, 2)).shape
        torch.Size([5, 3])
    """

    def __init__(self, map: nn.Module, choice: Choice) -> None:
        super().__init__()
        self.map = map
        self.choice = choice

    def forward(self, z: Tensor) -> Tensor:
        """Outputs ``(N, C)`` for embeddings ``(N, F)``."""
        out: Tensor = self.map(z)
        return out

    def extra_repr(self) -> str:  # noqa: D102
        return str(self.choice)


def auto(matched: MatchedAnchors, shrinkage: Shrinkage = "loo") -> ChosenMap:
    """The map with the highest fidelity on held-out anchors: ``kl``, ``kernel-ridge`` or ``ridge``.

    The anchors are divided into five folds. Each method predicts each fold after a fit on the others; its fidelity is
    the share of all anchors with the head's prediction (of labels, the share of signs). Ties are broken in the order
    ``kl``, ``kernel-ridge``, ``ridge``, that of the mean fidelity on Cora's validation nodes
    (``benchmarks/stitching/tune.py``). Kernel, width and shrinkage (unless it is a number, which all methods then use)
    are selected once, by leave-one-out on all anchors, and used in all folds.
    """
    number = resolve_shrinkage(matched.offsets, matched.targets, shrinkage)
    if not matched.decides or len(matched) < MIN_ANCHORS:
        why = f"fewer than {MIN_ANCHORS} anchors are too few to compare" if matched.decides else "no classes to compare"
        return ChosenMap(ridge(matched, number), Choice("ridge", {}, why)).eval()
    prior = resolve_shrinkage(*matched.weighted_rows(), shrinkage)
    methods: dict[str, Callable[[MatchedAnchors], nn.Module]] = {"kl": lambda part: kl(part, prior)}
    if number > 0:  # a kernel needs shrinkage
        curved = kernel_ridge(matched, shrinkage)
        kernel = curved.similarity, curved.width
        methods["kernel-ridge"] = lambda part: kernel_ridge(part, curved.shrinkage, kernel=kernel)
    methods["ridge"] = lambda part: ridge(part, number)
    wanted = matched.predict(matched.values)
    scores = {
        name: float((cross_val_predict(matched, method) == wanted).double().mean()) for name, method in methods.items()
    }
    chosen = max(scores, key=lambda name: scores[name])  # the first in a tie
    return ChosenMap(methods[chosen](matched), Choice(chosen, scores, "highest fidelity on held-out anchors")).eval()


def cross_val_predict(matched: MatchedAnchors, method: Callable[[MatchedAnchors], nn.Module]) -> Tensor:
    """Predictions for every anchor by a map fitted on the folds that it is not in."""
    points = matched.offsets + matched.center
    folds = assign_folds(matched.ids)
    outputs = torch.empty_like(matched.values)
    for fold in range(FOLDS):
        held = folds == fold
        outputs[held] = method(matched.take((~held).nonzero().view(-1)))(points[held])
    return matched.predict(outputs)


def assign_folds(ids: Tensor) -> Tensor:
    """The fold of each anchor, ``(K,)``, by the position of its id among all ids, under a fixed permutation.

    Not by its row, so that the order in which anchors are published has no effect; permuted, because ids and ranks may
    be sorted by class.

    Example:
        >>> torch.equal(assign_folds(torch.tensor([30, 10, 20])), assign_folds(torch.tensor([10, 20, 30]))[[2, 0, 1]])
        True
    """
    shuffled = torch.randperm(ids.numel(), generator=torch.Generator().manual_seed(0))
    return shuffled[ids.argsort().argsort()] % FOLDS


AUTO = Estimator("auto", auto, targets="outputs", linear=False, weighted=True)
