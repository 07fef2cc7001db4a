"""What the sections of a study are computed from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from relgraph.nn.model import Model
from relgraph.problems import Problem
from relgraph.studies.runs import Array, PredictionRuns
from relgraph.studies.sources import Varied
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
        varied: For each encoder, further runs by the source of variation; empty if none were asked for.
        further: For each encoder, classes that models trained for remedies predict for the rows, by the remedy;
            likewise.
        given: Models of the user, in the order of the runs; empty for others, and where one has no embeddings.
        whole: Why a model of the user has no embeddings; empty if all have some.
        measures: Names of the measures of representations; ``None`` for the default.
    """

    runs: PredictionRuns
    problem: Problem | None = None
    trained: tuple[TrainedRun, ...] = ()
    train: TrainSettings | None = None
    paired: bool | None = None
    varied: Mapping[str, Mapping[str, Varied]] = field(default_factory=dict)
    further: Mapping[str, Mapping[str, Array]] = field(default_factory=dict)
    given: tuple[Model, ...] = ()
    whole: str = ""
    measures: tuple[str, ...] | None = None

    @property
    def models(self) -> tuple[Model, ...]:
        """The models, in the order of the runs; empty if there are none, or some without embeddings."""
        return self.given or tuple(run.model for run in self.trained)
