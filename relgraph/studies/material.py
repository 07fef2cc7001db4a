"""What the sections of a study are computed from."""

from __future__ import annotations

from dataclasses import dataclass

from relgraph.problems import Problem
from relgraph.studies.runs import PredictionRuns
from relgraph.training import TrainedRun, TrainSettings


@dataclass(frozen=True, eq=False)
class Material:
    """Predictions of runs and, if relgraph trained them, the models.

    Args:
        runs: The predictions.
        problem: What the models were trained on; ``None`` for predictions alone.
        trained: The models, in the order of the runs; empty for predictions alone.
        train: Settings of every training run.
        paired: Whether two models are compared seed by seed; ``None`` to do so where their runs have the same names.
    """

    runs: PredictionRuns
    problem: Problem | None = None
    trained: tuple[TrainedRun, ...] = ()
    train: TrainSettings | None = None
    paired: bool | None = None
