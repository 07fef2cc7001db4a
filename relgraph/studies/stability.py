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
from relgraph.measures.compare import resolve_measures
from relgraph.problems import make_problem
from relgraph.problems.node import NodeProblem
from relgraph.report import Report
from relgraph.stitching.bootstrap import LEVEL
from relgraph.stitching.bootstrap import METHOD as INTERVALS
from relgraph.stitching.experiment import Progress
from relgraph.stitching.settings import StitchSettings
from relgraph.studies.accuracy import accuracies
from relgraph.studies.folder import read_runs
from relgraph.studies.further import check_sources, train_further
from relgraph.studies.material import Material
from relgraph.studies.models import model_runs
from relgraph.studies.predictions import grouped_disagreement
from relgraph.studies.properties import node_properties
from relgraph.studies.runs import PredictionRuns
from relgraph.studies.sections import SECTIONS
from relgraph.studies.summary import summary
from relgraph.studies.tables import accuracy_table, node_table, prediction_table
from relgraph.studies.training import train_runs
from relgraph.training import Executor, TrainSettings, open_executor

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

    def report(self) -> Report:
        """The report, to be written by :func:`relgraph.report.save_html` or :func:`relgraph.report.save_tables`."""
        from relgraph.report.stability import Drawn, stability_report

        runs, values = self.runs, accuracies(self.runs)
        shown = {model: values[runs.rows_of(model)].tolist() for model in runs.names} if runs.labeled else {}
        drawn = Drawn(shown, grouped_disagreement(runs.classes)[0], runs.models, runs.seeds)
        titles = {key: section.title for key, section in SECTIONS.items()}
        return stability_report(self.to_dict(), drawn, titles=titles)

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
    models: Any = None,
    labels: Any = None,
    ids: Any = None,
    task: str | None = None,
    split: str | None = None,
    split_seed: int = 0,
    settings: TrainSettings | str | None = None,
    epochs: int | None = None,
    paired: bool | None = None,
    sources: int | bool = False,
    remedies: bool = False,
    measures: Sequence[str] | None = None,
    skip_damaged: bool = False,
    cache: Path | None = None,
    executor: Executor | str = "local",
    progress: Progress | None = None,
    command: str = "",
) -> Stability:
    """Measure how far accuracy and predictions depend on the seed.

    Either ``data`` is given, and every encoder is trained from every seed, or also ``models`` that are trained already,
    or ``runs``, predictions that are there already. Test labels are used to describe the runs, and choose nothing.

    Args:
        data: A graph, a set of graphs, or a problem of one class for each row. With ``runs``, the graph whose nodes the
            rows are, matched by ids, for properties of the nodes and, if there are none, for labels.
        encoders: Name of the encoder, or several.
        seeds: Seeds of the runs, or their number.
        runs: Predictions: a folder (:func:`relgraph.studies.read_runs`), :class:`relgraph.studies.PredictionRuns`, or
            arrays as :meth:`PredictionRuns.of <relgraph.studies.PredictionRuns.of>` takes them.
        models: Your own trained models (:func:`relgraph.studies.model_runs`): a list of the runs of one architecture,
            or one for each name. Each is a torch module, a pair (encoder, head) or a :class:`relgraph.Model`, and is
            called with ``data``, whose test rows are predicted.
        labels: True classes of the rows of ``runs`` ``(n,)``, -1 where unknown; of a folder a file of them.
        ids: Ids of the rows of ``runs`` in memory.
        task, split, split_seed: As of :func:`relgraph.problems.make_problem`.
        settings: Settings of training, or the name of published ones; ``None`` for the defaults of the data.
        epochs: Epochs of training; ``None`` for those of the settings.
        paired: Whether two models are compared seed by seed; ``None`` to do so where their runs have the same names.
        sources: Runs of each source of variation (initialization, dropout and order, a split that is drawn), which are
            trained to vary it alone, and all together; ``True`` for as many as there are seeds, 0 to leave this out.
        remedies: Whether to train models of remedies that need further ones too: encoders with a frozen head, and
            distilled ensembles. The other remedies are measured in any case.
        measures: Names in :data:`relgraph.registry.MEASURES` by which representations are compared; ``None`` for
            those of :data:`relgraph.studies.representations.MEASURES`, and each takes its time for every pair of runs.
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
        <BLANKLINE>
        Note: Representations need models: only predictions were given.
    """
    if data is None and runs is None and models is None:
        raise InputError("data", "must be given unless 'runs' are (got neither); give a graph, or predictions")
    chosen = None if measures is None else tuple(one.name for one in resolve_measures(measures, outputs=False))
    _check_given(runs, models, labels=labels, ids=ids, settings=settings, epochs=epochs)
    for argument, wanted in (("sources", sources), ("remedies", remedies)):
        if wanted and not (runs is None and models is None):
            given = "models" if runs is None else "runs"
            raise InputError(argument, f"must be left out with '{given}' (got {wanted}); it trains further models")
    if models is not None:
        material = model_runs(models, data, task=task, split=split, split_seed=split_seed)
    elif runs is None:
        asked = StitchSettings(
            encoders=(encoders,) if isinstance(encoders, str) else tuple(encoders),
            seeds=_seeds(seeds),
            task=task,
            split=split,
            split_seed=split_seed,
            train=settings,
            epochs=epochs,
        )
        count = len(asked.seeds) if sources is True else check_sources(int(sources))
        with open_executor(executor) as trainer:  # for all of the study: a cluster takes seconds to start
            where: dict[str, Any] = {"cache": cache, "executor": trainer, "progress": progress}
            material = train_runs(data, asked, **where)
            material = train_further(material, sources=count, remedies=remedies, **where)
    else:
        material = Material(_given(runs, labels, ids, data, skip_damaged))
    if progress is not None and material.models:
        progress("compare", 0, 0)
    return study(replace(material, paired=paired, measures=chosen), command=command)


def _check_given(runs: Any, models: Any, **given: Any) -> None:
    """Refuse arguments that do not apply to predictions, or to models, that are there already."""
    if runs is not None and models is not None:
        raise InputError("models", f"must be left out with 'runs' (got {type(models).__name__}); give one of them")
    refused = {"labels": runs is None, "ids": runs is None}
    refused |= dict.fromkeys(("settings", "epochs"), models is not None)
    for argument, value in given.items():
        if value is not None and refused[argument]:
            why = "without 'runs'" if argument in ("labels", "ids") else "with 'models', which are trained already"
            raise InputError(argument, f"must be left out {why} (got {type(value).__name__})")


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
