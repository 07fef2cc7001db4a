"""Problems: tasks on data, whose rows training, anchors and stitching work on."""

from __future__ import annotations

from typing import Any

from relgraph.problems.base import EncoderLike, Head, Problem
from relgraph.problems.splits import Split
from relgraph.registry import TASKS


def make_problem(data: Any, task: str | None = None, *, split: str | None = None, seed: int = 0) -> Problem:
    """The problem that data pose.

    Args:
        data: A PyG ``Data``, a :class:`relgraph.datasets.GraphDataset`, or a problem, which is returned as it is.
        task: A name in :data:`relgraph.registry.TASKS`; ``None`` for ``"graph"`` on a set of graphs and ``"node"`` on
            one graph.
        split: Name of the split; ``None`` for the one that comes with the data, else a random one.
        seed: Seed of a split that is drawn.

    Example:
        >>> import relgraph as rg
        >>> make_problem(rg.load_dataset("digits"), split="paper").split.note
        'optimistic'
    """
    if isinstance(data, Problem):
        return data
    if task is None:
        task = "graph" if hasattr(data, "graphs") else "node"
    problem: Problem = TASKS.resolve(task)(data, split, seed=seed)
    return problem


__all__ = ["EncoderLike", "Head", "Problem", "Split", "make_problem"]
