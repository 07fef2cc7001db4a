"""Teams of runs: what several runs that share no seed with others say together, and how far two teams differ.

A team stands for a service whose models were all trained anew: two teams of one encoder have no seed in common.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from relgraph.anchors import AnchorSet, PublishedHead, mean_head, publish
from relgraph.maps import fit_map
from relgraph.problems import Problem
from relgraph.stitching import Run
from relgraph.stitching.bootstrap import Bools, pair_figure, run_figure
from relgraph.stitching.consensus_head import default_rows, fit_consensus
from relgraph.studies.runs import Array, Floats

Team = Sequence[Run]
LATER = (1, 2)
"""How many runs after its owner a kept head is served."""
LARGEST, HALVED = 10, 5


def team_size(runs: int) -> int:
    """Runs of a team: a fifth of all up to ten, but half of all up to five; below two there are no teams.

    From 25 runs on there are five teams, and so an interval; of ten runs the two teams are as large as they can be.

    Example:
        >>> [team_size(runs) for runs in (2, 4, 10, 25, 50, 100)]
        [1, 2, 5, 5, 10, 10]
    """
    return max(min(runs // 2, HALVED), min(runs // 5, LARGEST))


def teams_of(runs: Sequence[Run], size: int) -> list[Team]:
    """Disjoint teams of runs in their order; runs that make no whole team are left out."""
    return [runs[start : start + size] for start in range(0, len(runs) - size + 1, size)]


def ensemble_outputs(team: Team) -> Tensor:
    """The mean of the members' outputs for all rows, ``(N, C)``."""
    with torch.no_grad():
        return torch.stack([run.head(run.z) for run in team]).mean(dim=0)


def team_pieces(team: Team, rows: Tensor) -> tuple[list[AnchorSet], PublishedHead]:
    """The spaces of a team with these rows as anchors, and the mean of its heads."""
    spaces = [AnchorSet.from_rows(run.z, rows) for run in team]
    return spaces, mean_head([publish(run.head, space) for run, space in zip(team, spaces, strict=True)])


def consensus_outputs(team: Team, rows: Tensor | None = None, among: int | None = None) -> Tensor:
    """Outputs for all rows of a team's consensus (:func:`relgraph.consensus`), ``(N, C)``.

    Args:
        team: The runs.
        rows: Rows that the head is fitted on; ``None`` for all, at most 4,096.
        among: Choose the encoder among so many, the first ones; ``None`` for all.
    """
    spaces, head = team_pieces(team, default_rows(len(team[0].z)) if rows is None else rows)
    found = fit_consensus(spaces[:among], head)
    with torch.no_grad():
        out: Tensor = found.head(team[found.encoder].z)
    return out


def decided(problem: Problem, outputs: Sequence[Tensor]) -> Array:
    """Classes of the test rows, ``(M, n)``, from outputs for all rows of each model."""
    return np.stack([problem.task.record(one[problem.test]) for one in outputs])


def disagreement(ones: Array, others: Array) -> float:
    """Share of rows on which two models differ, mean over the models of two teams, ``(M, n)`` and ``(L, n)``.

    Example:
        >>> disagreement(np.array([[0, 1], [0, 0]]), np.array([[0, 1]]))
        0.25
    """
    return float(np.mean([(one != other).mean() for one in ones for other in others]))


def team_disagreements(records: Sequence[Array]) -> Floats:
    """:func:`disagreement` of every two teams, ``(T, T)``."""
    return np.array([[disagreement(one, other) for other in records] for one in records])


def accuracies_of(records: Sequence[Array], y: Array) -> Floats:
    """Accuracy of every team, mean over its models, ``(T,)``."""
    return np.array([(one == y).mean(dtype=np.float64) for one in records])


def later_runs(count: int, ahead: Sequence[int] = LATER) -> Bools:
    """Pairs of a run and a later one, ``(R, R)``; after the last run the first one follows.

    Example:
        >>> later_runs(3, [1]).astype(int)
        array([[0, 1, 0],
               [0, 0, 1],
               [1, 0, 0]])
    """
    steps = (np.arange(count)[None, :] - np.arange(count)[:, None]) % count
    return np.asarray(np.isin(steps, ahead) & (steps > 0))


def kept_heads(runs: Sequence[Run], pairs: Bools, rows: Tensor | None = None) -> tuple[Floats, Floats]:
    """The head of every run converted to the encoder of others.

    Args:
        runs: The runs.
        pairs: Which head (row) is converted to which encoder (column), ``(R, R)``.
        rows: Anchors; ``None`` for all rows, at most 4,096.

    Returns:
        Disagreement of each converted head with the head's own run on test rows, ``(R, R)``, NaN where there is none,
        and its accuracy there.
    """
    problem = runs[0].problem
    y = problem.y[problem.test].cpu().numpy()
    rows = default_rows(len(runs[0].z)) if rows is None else rows
    own = [decided(problem, [run.head(run.z)])[0] for run in runs]
    spaces = [AnchorSet.from_rows(run.z, rows) for run in runs]
    heads = [publish(run.head, space) for run, space in zip(runs, spaces, strict=True)]
    differs, right = np.full(pairs.shape, np.nan), np.full(pairs.shape, np.nan)
    for i, j in zip(*pairs.nonzero(), strict=True):
        found = decided(problem, [fit_map(spaces[j], heads[i])[0](runs[j].z)])[0]
        differs[i, j], right[i, j] = (found != own[i]).mean(), (found == y).mean()
    return differs, right


def kept_accuracies(own: Floats, right: Floats, pairs: Bools) -> Floats:
    """Accuracy of every run's encoder with kept heads, ``(R,)``, as if the heads were as good as the run's own.

    It is the run's own accuracy and the mean gain of the heads that it serves over their owners; NaN of a run that
    serves none.

    Args:
        own: Accuracy of every run, ``(R,)``.
        right: Of :func:`kept_heads`.
        pairs: Which head is served by which run, ``(R, R)``.
    """
    served = np.where(pairs.any(axis=0), pairs.sum(axis=0), np.nan)
    found: Floats = own + np.nansum(right - own[:, None], axis=0) / served
    return found


@dataclass(frozen=True)
class ArmFigures:
    """How far two teams differ under one way to serve them, beside plain models; values as of ``pair_figure``.

    Args:
        disagreement: Over pairs of teams.
        ratio: To the disagreement of plain models on the same pairs.
        accuracy: Over teams.
        gain: The difference to plain models of the same teams.
    """

    disagreement: Mapping[str, Any] | None
    ratio: Mapping[str, Any] | None
    accuracy: Mapping[str, Any] | None
    gain: Mapping[str, Any] | None

    @classmethod
    def of(
        cls, matrix: Floats, right: Floats, pairs: Bools, plain: tuple[Floats, Floats], names: Sequence[str]
    ) -> ArmFigures:
        """The figures of disagreements ``(T, T)`` and accuracies ``(T,)``.

        Args:
            matrix, right: Of the arm.
            pairs: Ordered pairs of teams that count, ``(T, T)``.
            plain: The same two of plain models.
            names: Encoder of every team.
        """
        base = float(plain[0][pairs].mean())
        ratio = float(matrix[pairs].mean()) / base if base else float("nan")
        # The interval of a ratio of two means over the same teams, to first order.
        linear = ratio + (matrix - ratio * plain[0]) / (base or 1)
        return cls(
            pair_figure(matrix, pairs, names, lower_is_worse=False),
            pair_figure(linear, pairs, names, lower_is_worse=False),
            run_figure(right, names),
            run_figure(right - plain[1], names),
        )
