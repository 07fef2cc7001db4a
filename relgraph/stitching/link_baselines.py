"""Baselines of link prediction that read the training graph alone: no encoder, and no head."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from relgraph.problems import Problem
from relgraph.problems.link import LinkProblem
from relgraph.stitching.methods import Method
from relgraph.stitching.run import View

Nodes = NDArray[np.int64]
Score = Callable[[csr_array, Nodes, Nodes], NDArray[np.float64]]


@dataclass(frozen=True)
class GraphScore(Method):
    """A score of node pairs from the adjacency of the training graph and the two ends of every pair."""

    kind = "baseline"
    scores: Score

    def why_not(self, problem: Problem, at: int | None = None) -> str:
        """Only for pairs of nodes."""
        return "" if problem.task.level == "edge" else "it scores pairs of nodes"

    def predict(self, source: View, target: View, rows: Tensor, generator: torch.Generator) -> Tensor | None:
        """The scores ``(n, 1)`` of some pairs, for every encoder and head alike."""
        problem = source.run.problem
        assert isinstance(problem, LinkProblem)
        found = self.scores(problem.adjacency, *problem.pairs[:, rows].cpu().numpy())
        return torch.from_numpy(found.astype(np.float32)).view(-1, 1)


def common_neighbors(adjacency: csr_array, one: Nodes, other: Nodes) -> NDArray[np.float64]:
    """Numbers of neighbors that two nodes share: entries of the squared adjacency."""
    return np.asarray(adjacency[one].multiply(adjacency[other]).sum(axis=1), dtype=np.float64)


def preferential_attachment(adjacency: csr_array, one: Nodes, other: Nodes) -> NDArray[np.float64]:
    """Products of the degrees of two nodes (Barabási and Albert, 1999)."""
    degree = np.asarray(adjacency.sum(axis=1), dtype=np.float64).reshape(-1)
    return degree[one] * degree[other]


COMMON_NEIGHBORS = GraphScore(common_neighbors)
PREFERENTIAL_ATTACHMENT = GraphScore(preferential_attachment)
