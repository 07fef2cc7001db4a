"""Runs that relgraph trains, read from checkpoints where they are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from relgraph.errors import InputError
from relgraph.io import cache_folder
from relgraph.nn.model import Model
from relgraph.problems import Problem
from relgraph.problems.node import NodeProblem
from relgraph.stitching.experiment import Progress
from relgraph.stitching.settings import StitchSettings
from relgraph.studies.material import Material
from relgraph.studies.properties import node_properties
from relgraph.studies.runs import Floats, PredictionRuns
from relgraph.training import Executor, fit_grid, open_executor


def train_runs(
    data: Any,
    settings: StitchSettings,
    *,
    cache: Path | None = None,
    executor: Executor | str = "local",
    progress: Progress | None = None,
) -> Material:
    """Train every encoder from every seed and keep the outputs on the test rows.

    Args:
        data: A graph, a set of graphs, or a problem of one class for each row.
        settings: Encoders, seeds, task, split and training; what concerns anchors and methods is not used.
        cache: Folder of finished runs; ``None`` for the one of :func:`relgraph.io.cache_folder`. Runs are trained one
            after the other, and each is kept as soon as it is finished.
        executor: Where runs are trained, as of :func:`relgraph.training.fit_many`.
        progress: Called with ``"train"``, the epochs done since its last call, and all epochs.

    Raises:
        InputError: If a setting does not apply to the data, or a row has no one class.
        DataError: If the graph does not fit in memory as one batch, or the executor cannot train.
    """
    problem, report = settings.problem(data), progress or (lambda stage, done, total: None)
    check_task(problem)
    train = settings.training(problem)
    for encoder in settings.encoders:  # an encoder that does not fit is refused before anything is trained
        problem.build(encoder, settings.seeds[0], train)
    epochs = len(settings.encoders) * len(settings.seeds) * train.epochs
    with open_executor(executor) as trainer:  # a cluster takes seconds to start, which are no part of training
        report("train", 0, epochs)
        trained = fit_grid(
            problem,
            settings.encoders,
            settings.seeds,
            settings=train,
            cache=cache_folder() / "runs" if cache is None else cache,
            executor=trainer,
            progress=lambda done: report("train", done, epochs),
        )
    models: dict[str, list[Model]] = {}
    for run in trained:
        models.setdefault(run.encoder, []).append(run.model)
    runs = runs_of(problem, models, dict.fromkeys(models, settings.seeds))
    return Material(runs, problem, tuple(trained), train)


def check_task(problem: Problem) -> None:
    """Refuse a problem whose rows have no one class."""
    if problem.task.mode != "multiclass":
        raise InputError("task", f"must be to predict one class for each row (got a {problem.task.mode} task)")


def runs_of(
    problem: Problem, models: Mapping[str, Sequence[Model]], seeds: Mapping[str, Sequence[int]]
) -> PredictionRuns:
    """Outputs of models, by the names of encoders, on the test rows of their problem, with properties of the nodes."""
    test = problem.test.cpu()
    outputs = {
        name: [problem.outputs(model, problem.test).float().cpu().numpy() for model in group]
        for name, group in models.items()
    }
    return PredictionRuns.of(
        outputs,
        y=problem.y.cpu()[test],
        ids=problem.ids.cpu()[test],
        seeds=seeds,
        properties=row_properties(problem),
        name=problem.name,
    )


def row_properties(problem: Problem) -> dict[str, Floats]:
    """Properties of the test rows (:func:`node_properties`); none if rows are no nodes."""
    if not isinstance(problem, NodeProblem):
        return {}
    test = problem.test.cpu().numpy()
    found = node_properties(problem.data, problem.y, problem.train)
    return {name: np.asarray(values[test]) for name, values in found.items()}
