"""Baselines of link prediction that read the training graph alone: no encoder, and no head."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from relgraph.problems import Problem
from relgraph.problems.link import LinkProblem
from relgraph.stitching.methods import Method
from relgraph.stitching.run import View


class _OfTheGraph(Method):
    """Scores of node pairs from the adjacency of the training graph."""

    kind = "baseline"

    def why_not(self, problem: Problem, at: int | None = None) -> str:
        """Only for pairs of nodes."""
        return "" if problem.task.level == "edge" else "it scores pairs of nodes"

    def predict(self, source: View, target: View, rows: Tensor, generator: torch.Generator) -> Tensor | None:
        """The scores ``(n, 1)`` of some pairs, for every encoder and head alike."""
        problem = source.run.problem
        assert isinstance(problem, LinkProblem)
        one, other = problem.pairs[:, rows].cpu().numpy()
        scores = self.scores(problem.adjacency, one, other)
        return torch.from_numpy(scores.astype(np.float32)).unsqueeze(1)

    def scores(self, adjacency: csr_array, one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.float64]:
        """Scores ``(n,)`` of pairs of nodes."""
        raise NotImplementedError


class CommonNeighbors(_OfTheGraph):
    """Number of neighbors that two nodes share."""

    def scores(self, adjacency: csr_array, one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.float64]:
        """Entries of the squared adjacency."""
        return np.asarray(adjacency[one].multiply(adjacency[other]).sum(axis=1), dtype=np.float64).reshape(-1)


class PreferentialAttachment(_OfTheGraph):
    """Product of the degrees of two nodes (Barabási and Albert, 1999)."""

    def scores(self, adjacency: csr_array, one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.float64]:
        """Products of row sums."""
        degree = np.asarray(adjacency.sum(axis=1), dtype=np.float64).reshape(-1)
        return degree[one] * degree[other]


COMMON_NEIGHBORS = CommonNeighbors()
PREFERENTIAL_ATTACHMENT = PreferentialAttachment()
