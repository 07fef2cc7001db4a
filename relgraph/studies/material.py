"""What the sections of a study are computed from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from relgraph.problems import Problem
from relgraph.studies.runs import Array, PredictionRuns
from relgraph.studies.sources import Varied
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
        varied: For each encoder, further runs by the source of variation; empty if none were asked for.
        further: For each encoder, classes that models trained for remedies predict for the rows, by the remedy;
            likewise.
    """

    runs: PredictionRuns
    problem: Problem | None = None
    trained: tuple[TrainedRun, ...] = ()
    train: TrainSettings | None = None
    paired: bool | None = None
    varied: Mapping[str, Mapping[str, Varied]] = field(default_factory=dict)
    further: Mapping[str, Mapping[str, Array]] = field(default_factory=dict)
