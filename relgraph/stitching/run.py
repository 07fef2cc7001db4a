"""A trained run as stitching sees it: embeddings, a head, and both seen through anchors."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from relgraph.anchors import AnchorSet, PublishedHead, publish
from relgraph.errors import RelgraphWarning
from relgraph.problems import Problem
from relgraph.training import TrainedRun


@dataclass(frozen=True, eq=False)
class Run:
    """States of all embeddable rows at the layer that is stitched, and the part of the network behind it.

    Args:
        problem: The problem; all runs of an experiment share it.
        z: States ``(N, F)`` of all embeddable rows.
        head: From states to outputs: the head, or the rest of a network.
        encoder, seed: Name of the encoder and seed of the run.
        at: The layer, from 1; ``None`` for the representation.
        trained: The trained run, if there is one.
    """

    problem: Problem
    z: Tensor
    head: nn.Module
    encoder: str = ""
    seed: int = 0
    at: int | None = None
    trained: TrainedRun | None = None

    @classmethod
    def of(cls, problem: Problem, trained: TrainedRun, at: int | None = None) -> Run:
        """A trained run, cut behind a layer; an error if the model cannot be cut there."""
        z, (_, head) = problem.embed(trained.model, at), problem.cut(trained.model, at)
        return cls(problem, z, head, trained.encoder, trained.seed, at, trained)

    def record(self, rows: Tensor) -> Any:
        """The run's own outputs for predicted rows, as :meth:`relgraph.task.Task.record` keeps them."""
        return self.problem.task.record(self.problem.read(self.head, self.z, rows))


@dataclass(frozen=True, eq=False)
class View:
    """A run seen through anchors, which are embeddable rows ``(K,)``."""

    run: Run
    anchors: Tensor

    @cached_property
    def space(self) -> AnchorSet:
        """The published space."""
        problem = self.run.problem
        return AnchorSet.from_rows(
            self.run.z, self.anchors, ids=problem.ids, center_over=problem.center_rows, fingerprint=problem.fingerprint
        )

    @cached_property
    def published(self) -> PublishedHead:
        """The published head; only of a head that reads one row at a time."""
        return publish(self.run.head, self.space, embeddings=self.run.z, mode=self.run.problem.task.mode)

    @property
    def pointwise(self) -> bool:
        """Whether the head reads one row at a time."""
        return self.run.problem.pointwise(self.run.at)

    def read(self, head: nn.Module, rows: Tensor) -> Tensor:
        """Outputs of any head for the states of this run, at predicted rows ``(n,)``."""
        return self.run.problem.read(head, self.run.z, rows)

    def with_head(self, head: nn.Module) -> View:
        """The same run with another head."""
        return View(replace(self.run, head=head), self.anchors)


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread for tiny linear algebra, which more threads make slower; afterwards as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class FewAnchorsWarning(RelgraphWarning):
    """There are fewer anchors than outputs, so that no map can tell all of them apart."""


def warn_few_anchors(num_anchors: int, num_outputs: int, stacklevel: int = 1) -> None:
    """Warn if there are fewer anchors than outputs."""
    if num_anchors < num_outputs:
        few = f"{num_anchors} anchors are fewer than the {num_outputs} outputs of a head"
        reason = "so that no map can tell all of them apart; take more"
        warnings.warn(f"{few}, {reason}", FewAnchorsWarning, stacklevel=stacklevel + 1)
