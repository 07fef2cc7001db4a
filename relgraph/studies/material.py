"""What the sections of a study are computed from."""

from __future__ import annotations

from dataclasses import dataclass

from relgraph.nn.model import Model
from relgraph.problems import Problem
from relgraph.studies.runs import PredictionRuns
from relgraph.training import TrainedRun, TrainSettings


@dataclass(frozen=True, eq=False)
class Material:
    """Predictions of runs and, if they are there, the models.

    Args:
        runs: The predictions.
        problem: What the models predict; ``None`` for predictions alone.
        trained: The runs that relgraph trained, in the order of the runs; empty for others.
        train: Settings of every training run.
        paired: Whether two models are compared seed by seed; ``None`` to do so where their runs have the same names.
        given: Models of the user, in the order of the runs; empty for others, and where one has no embeddings.
        whole: Why a model of the user has no embeddings; empty if all have some.
        measures: Names of the measures of representations; ``None`` for the default.
    """

    runs: PredictionRuns
    problem: Problem | None = None
    trained: tuple[TrainedRun, ...] = ()
    train: TrainSettings | None = None
    paired: bool | None = None
    given: tuple[Model, ...] = ()
    whole: str = ""
    measures: tuple[str, ...] | None = None

    @property
    def models(self) -> tuple[Model, ...]:
        """The models, in the order of the runs; empty if there are none, or some without embeddings."""
        return self.given or tuple(run.model for run in self.trained)
