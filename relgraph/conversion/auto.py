"""Choosing a conversion by what it says of anchors that it has not seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from relgraph.conversion.kernel import rbf
from relgraph.conversion.kl import kl, weighted
from relgraph.conversion.left_out import decided
from relgraph.conversion.linear import linear
from relgraph.conversion.pairing import Pairing
from relgraph.translation import Shrinkage
from relgraph.translation.leave_one_out import resolve_shrinkage

FOLDS = 5
FEWEST = 10


@dataclass(frozen=True)
class Choice:
    """Which conversion was chosen, and why.

    Args:
        method: The one chosen.
        scores: Cross-validated fidelity of each, the one preferred first: the share of held-out anchors on which it
            predicts what the head predicts. Empty if nothing could be compared.
        reason: In words.

    Example:
        >>> print(Choice("kl", {"linear": 0.8, "kl": 0.9}, "highest fidelity"))
        kl (highest fidelity; linear 0.800, kl 0.900)
    """

    method: str
    scores: Mapping[str, float]
    reason: str

    def __str__(self) -> str:
        return f"{self.method} ({'; '.join([self.reason, *self._figures()])})"

    def _figures(self) -> list[str]:
        return [", ".join(f"{name} {score:.3f}" for name, score in self.scores.items())] if self.scores else []


class ChosenConversion(nn.Module):
    """The conversion that was chosen, with the record of the choice; made by ``convert(..., method="auto")``.

    Args:
        conversion: The module chosen.
        choice: What was chosen and why.

    Example:
        >>> ChosenConversion(nn.Linear(2, 3), Choice("linear", {}, "too few anchors to compare"))
        ChosenConversion(
          chose linear (too few anchors to compare)
          (conversion): Linear(in_features=2, out_features=3, bias=True)
        )
    """

    def __init__(self, conversion: nn.Module, choice: Choice) -> None:
        super().__init__()
        self.conversion = conversion
        self.choice = choice

    def forward(self, z: Tensor) -> Tensor:
        """Logits ``(N, C)`` of embeddings ``(N, F)``."""
        out: Tensor = self.conversion(z)
        return out

    def extra_repr(self) -> str:
        """The choice."""
        return f"chose {self.choice}"


def auto(pairing: Pairing, shrinkage: Shrinkage | None = None) -> ChosenConversion:
    """The module of :func:`relgraph.convert` with ``method="auto"``.

    The anchors are dealt into five folds. Each method reads each fold after a fit on the others, and its fidelity is
    the share of all anchors on which its arg max is the head's (of labels, the share of signs that are the head's).
    The highest is taken, of equals ``kl`` before ``rbf`` before ``linear``, the order of their mean fidelity on Cora's
    validation nodes (``benchmarks/stitching/choose.py``, which tells what margins would do as well). Similarity, width
    and shrinkage are chosen once, by leave-one-out on all anchors, and kept in the folds.

    Args:
        pairing: Anchors and logits.
        shrinkage: For all methods alike; ``None`` stands for ``"loo"``.
    """
    shrinkage = "loo" if shrinkage is None else shrinkage
    number = resolve_shrinkage(pairing.anchors, pairing.logits - pairing.mean, shrinkage)
    why_not = _incomparable(pairing)
    if why_not:
        return ChosenConversion(linear(pairing, number), Choice("linear", {}, why_not)).eval()
    prior = resolve_shrinkage(*weighted(pairing), shrinkage)
    methods: dict[str, Callable[[Pairing], nn.Module]] = {"kl": lambda part: kl(part, prior)}
    bent = None if number == 0 else rbf(pairing, shrinkage)  # a kernel cannot do without shrinkage
    if bent is not None:
        using, bent_shrinkage = (bent.similarity, bent.width), bent.shrinkage
        methods["rbf"] = lambda part: rbf(part, bent_shrinkage, using=using)
    methods["linear"] = lambda part: linear(part, number)
    said = decided(pairing.logits, pairing.outputs)
    scores = {name: float((held_out(pairing, method) == said).double().mean()) for name, method in methods.items()}
    chosen = max(scores, key=lambda name: scores[name])  # of equals the first
    conversion = bent if bent is not None and chosen == "rbf" else methods[chosen](pairing)
    return ChosenConversion(conversion, Choice(chosen, scores, "highest fidelity on held-out anchors")).eval()


def held_out(pairing: Pairing, method: Callable[[Pairing], nn.Module]) -> Tensor:
    """What a method predicts for every anchor after a fit on the folds that it is not in; see :func:`decided`."""
    points = pairing.anchors + pairing.center
    folds = deal(pairing.ids)
    logits = torch.empty_like(pairing.logits)
    for fold in range(FOLDS):
        held = folds == fold
        logits[held] = method(pairing.take((~held).nonzero().view(-1)))(points[held])
    return decided(logits, pairing.outputs)


def deal(ids: Tensor) -> Tensor:
    """The fold of each anchor, ``(K,)``: by its place among the ids, shuffled once and for all.

    Not by its row, so that the order in which anchors are published changes nothing; shuffled, because ids and ranks
    may go by class.

    Example:
        >>> deal(torch.tensor([30, 10, 20])).tolist() == deal(torch.tensor([10, 20, 30]))[[2, 0, 1]].tolist()
        True
    """
    shuffled = torch.randperm(ids.numel(), generator=torch.Generator().manual_seed(0))
    return shuffled[ids.argsort().argsort()] % FOLDS


def _incomparable(pairing: Pairing) -> str:
    if pairing.outputs == "values":
        return "values have no arg max to compare"
    if pairing.outputs == "classes" and pairing.logits.size(1) < 2:
        return "a single output has no arg max to compare"
    if len(pairing.ids) < FEWEST:
        return f"fewer than {FEWEST} anchors are too few to compare"
    return ""
