"""Stability of predictions over seeds: the study as one call, and its result."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from relgraph.errors import InputError
from relgraph.problems import make_problem
from relgraph.problems.node import NodeProblem
from relgraph.stitching.bootstrap import LEVEL
from relgraph.stitching.bootstrap import METHOD as INTERVALS
from relgraph.stitching.experiment import Progress
from relgraph.stitching.settings import StitchSettings
from relgraph.studies.folder import read_runs
from relgraph.studies.material import Material
from relgraph.studies.properties import node_properties
from relgraph.studies.runs import PredictionRuns
from relgraph.studies.sections import SECTIONS
from relgraph.studies.summary import summary
from relgraph.studies.tables import accuracy_table, node_table, prediction_table
from relgraph.studies.training import train_runs
from relgraph.training import Executor, TrainSettings

SCHEMA = "relgraph.stability/1"


@dataclass(frozen=True, eq=False)
class Stability:
    """The result of :func:`stability`; printed, it is a short summary.

    Args:
        material: The runs, and the models if relgraph trained them.
        sections: Values of every section that applies, by the names in :data:`relgraph.studies.SECTIONS`.
        notes: What was left out, one sentence each.
        command: What regenerates the study; empty if unknown.
    """

    material: Material
    sections: Mapping[str, Mapping[str, Any]]
    notes: tuple[str, ...] = ()
    command: str = ""

    @property
    def runs(self) -> PredictionRuns:
        """The predictions."""
        return self.material.runs

    def accuracies(self) -> Any:
        """Accuracy of every run in long form, a pandas ``DataFrame``; see :func:`relgraph.studies.accuracy_table`."""
        return accuracy_table(self.runs)

    def predictions(self) -> Any:
        """Every prediction in long form, likewise; see :func:`relgraph.studies.prediction_table`."""
        return prediction_table(self.runs)

    def nodes(self) -> Any:
        """What the runs of each model say about each row, likewise; see :func:`relgraph.studies.node_table`."""
        return node_table(self.runs)

    def to_dict(self) -> dict[str, Any]:
        """The study as values of JSON; the same runs give the same document."""
        runs, problem, train = self.runs, self.material.problem, self.material.train
        models = {model: [runs.seeds[place] for place in runs.rows_of(model)] for model in runs.names}
        found = {
            "schema": SCHEMA,
            "data": {"name": runs.name} if problem is None else problem.describe(),
            "split": None if problem is None else problem.split.to_dict(),
            "train": None if train is None else train.to_dict(),
            "rows": len(runs.ids),
            "labeled_rows": 0 if runs.y is None else int((runs.y >= 0).sum()),
            "num_classes": runs.num_classes,
            "models": models,
            "intervals": {"level": LEVEL, "method": INTERVALS},
            "sections": self.sections,
            "notes": list(self.notes),
            "command": self.command,
            "versions": {name: version(name) for name in ("relgraph", "torch", "numpy")},
        }
        plain: dict[str, Any] = _plain(found)
        return plain

    def to_json(self) -> str:
        """The document as text."""
        return json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n"

    def __str__(self) -> str:
        return summary(self.to_dict())


def stability(
    data: Any = None,
    encoders: str | Sequence[str] = "gcn",
    seeds: int | Sequence[int] = 10,
    *,
    runs: Any = None,
    labels: Any = None,
    ids: Any = None,
    task: str | None = None,
    split: str | None = None,
    split_seed: int = 0,
    settings: TrainSettings | str | None = None,
    epochs: int | None = None,
    paired: bool | None = None,
    skip_damaged: bool = False,
    cache: Path | None = None,
    executor: Executor | str = "local",
    progress: Progress | None = None,
    command: str = "",
) -> Stability:
    """Measure how far accuracy and predictions depend on the seed.

    Either ``data`` is given, and every encoder is trained from every seed, or ``runs``, predictions that are there
    already. Test labels are used to describe the runs, and choose nothing.

    Args:
        data: A graph, a set of graphs, or a problem of one class for each row. With ``runs``, the graph whose nodes the
            rows are, matched by ids, for properties of the nodes and, if there are none, for labels.
        encoders: Name of the encoder, or several.
        seeds: Seeds of the runs, or their number.
        runs: Predictions: a folder (:func:`relgraph.studies.read_runs`), :class:`relgraph.studies.PredictionRuns`, or
            arrays as :meth:`PredictionRuns.of <relgraph.studies.PredictionRuns.of>` takes them.
        labels: True classes of the rows of ``runs`` ``(n,)``, -1 where unknown; of a folder a file of them.
        ids: Ids of the rows of ``runs`` in memory.
        task, split, split_seed: As of :func:`relgraph.problems.make_problem`.
        settings: Settings of training, or the name of published ones; ``None`` for the defaults of the data.
        epochs: Epochs of training; ``None`` for those of the settings.
        paired: Whether two models are compared seed by seed; ``None`` to do so where their runs have the same names.
        skip_damaged: Whether damaged files of a folder are left out.
        cache: Folder of finished training runs, which are found again by a study that was killed; ``None`` for the one
            of :func:`relgraph.io.cache_folder`.
        executor: Where runs are trained: ``"local"``, in this process, or ``"ray"``, each as a task of Ray, or an
            :class:`~relgraph.training.executors.Executor`. The study is the same.
        progress: Called with a stage, the steps done since its last call, and all steps of the stage.
        command: What regenerates the study, for the document.

    Raises:
        InputError: If an argument breaks a rule: one run of a model, or runs of different rows.
        DataError: If a file is missing or damaged, or the executor cannot train.

    Example:
        >>> import numpy as np
        >>> import relgraph as rg
        >>> print(rg.stability(runs=[[0, 1, 1, 2], [0, 1, 2, 2], [0, 1, 1, 2]], labels=[0, 1, 1, 1]))
        unnamed: 4 rows, 4 labeled, 3 classes
        model: 3 runs
        <BLANKLINE>
        Accuracy over seeds
          model         66.7 % (std 14.4), mean [30.8, 100.0]
        <BLANKLINE>
        Agreement of predictions
          model         d 16.7 %, d_norm 0.0 %, d_true 11.1 %, d_false 16.7 %, all agree 75.0 %
        <BLANKLINE>
        Rows that change
          model         right 66.7 % of 3 rows on which all agree, 100.0 % of 1 other row
    """
    if data is None and runs is None:
        raise InputError("data", "must be given unless 'runs' are (got neither); give a graph, or predictions")
    if runs is None:
        for argument, given in (("labels", labels), ("ids", ids)):
            if given is not None:
                raise InputError(argument, f"must be left out without 'runs' (got {type(given).__name__})")
        asked = StitchSettings(
            encoders=(encoders,) if isinstance(encoders, str) else tuple(encoders),
            seeds=_seeds(seeds),
            task=task,
            split=split,
            split_seed=split_seed,
            train=settings,
            epochs=epochs,
        )
        material = train_runs(data, asked, cache=cache, executor=executor, progress=progress)
    else:
        material = Material(_given(runs, labels, ids, data, skip_damaged))
    return study(replace(material, paired=paired), command=command)


def study(material: Material, *, command: str = "") -> Stability:
    """Compute every section that applies to some runs."""
    reasons = {key: section.why_not(material) for key, section in SECTIONS.items()}
    sections = {key: section.compute(material) for key, section in SECTIONS.items() if reasons[key] is None}
    notes = (*material.runs.notes, *(reason for reason in reasons.values() if reason))
    return Stability(material, sections, notes, command)


def _seeds(given: int | Sequence[int]) -> tuple[int, ...]:
    found = tuple(range(given)) if isinstance(given, int) else tuple(given)
    if len(found) < 2:
        raise InputError("seeds", f"must name at least two runs to compare with each other (got {len(found)})")
    return found


def _given(runs: Any, labels: Any, ids: Any, data: Any, skip_damaged: bool) -> PredictionRuns:
    if isinstance(runs, (str, Path)):
        if ids is not None:
            raise InputError("ids", f"must be left out for a folder (got {type(ids).__name__}); put them in its files")
        found = read_runs(runs, labels, skip_damaged=skip_damaged)
    elif isinstance(runs, PredictionRuns):
        for argument, given in (("labels", labels), ("ids", ids)):
            if given is not None:
                raise InputError(
                    argument, f"must be left out for PredictionRuns, which have them (got {type(given).__name__})"
                )
        found = runs
    else:
        found = PredictionRuns.of(runs, y=labels, ids=ids)
    if data is None:
        return found
    problem = make_problem(data)
    if not isinstance(problem, NodeProblem):
        raise InputError("data", f"must be the graph of the rows of 'runs' (got a {problem.task.level}-level problem)")
    y = problem.y if problem.task.mode == "multiclass" else None
    return found.with_rows(problem.ids, y=y, properties=node_properties(problem.data, y, problem.train))


def _plain(value: Any) -> Any:
    """Values of JSON: no tuples, no numpy numbers, and ``None`` for numbers that are not finite."""
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
