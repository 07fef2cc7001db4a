"""The report of an experiment as one JSON document, described by ``report.schema.json`` beside this file."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from relgraph.io import PathLike, write_atomic
from relgraph.measures import linear_cka, matched_cosine
from relgraph.provenance import versions
from relgraph.registry import METHODS
from relgraph.similarity import cosine_similarity
from relgraph.stitching import bootstrap, metrics
from relgraph.stitching.bootstrap import Bools, Floats, pair_figure, run_figure
from relgraph.stitching.experiment import Crossing, Experiment
from relgraph.stitching.methods import Method

SCHEMA = "relgraph.stitching/2"


def build_report(experiment: Experiment, *, command: str = "") -> dict[str, Any]:
    """The report of a finished experiment; ``command``, or a call, regenerates it."""
    settings, problem = experiment.settings, experiment.problem
    task, metric, numbers = problem.task, problem.task.metric, _Numbers(experiment)
    return {
        "schema": SCHEMA,
        "task": {"level": task.level, "mode": task.mode},
        "metric": {
            "name": metric.title,
            "direction": metric.direction,
            "chance": numbers.chance,
            "constant": problem.constant,
            "optimum": metric.optimum,
        },
        "dataset": problem.describe(),
        "split": problem.split.to_dict(),
        "encoders": list(settings.encoders),
        "seeds": list(settings.seeds),
        "stitch_at": settings.at,
        "anchors": {
            "strategy": settings.strategy,
            "count": experiment.anchors.numel(),
            "seed": settings.anchor_seed,
            "ids": problem.ids.cpu()[experiment.anchors.cpu()].tolist(),
            "features": settings.measured_in,
            "labels_used": settings.labels_used,
        },
        "train": experiment.train.to_dict(),
        "intervals": {"level": bootstrap.LEVEL, "method": bootstrap.METHOD},
        "methods": {name: numbers.method(name, crossing) for name, crossing in experiment.stitched.items()},
        "runs": numbers.runs(),
        "robustness": numbers.robustness(),
        "warnings": experiment.warnings,
        "command": command,
        "versions": versions("torch", "torch-geometric", "numpy", "scikit-learn", "relgraph"),
        "seconds": {name: round(value, 3) for name, value in experiment.seconds.items()},
    }


def report_schema() -> dict[str, Any]:
    """The JSON Schema of the report."""
    schema: dict[str, Any] = json.loads(Path(__file__).with_suffix(".schema.json").read_text(encoding="utf-8"))
    return schema


def to_json(report: dict[str, Any]) -> str:
    """The report as text; a number that JSON does not have, such as NaN, is a ValueError."""
    return json.dumps(report, indent=1, allow_nan=False) + "\n"


def save(report: dict[str, Any], path: PathLike) -> None:
    """Write the report to a file, whole or not at all; a :class:`relgraph.errors.DataError` if that fails."""
    write_atomic(path, to_json(report))


class _Numbers:
    """Every number of the report, from the records of an experiment."""

    def __init__(self, experiment: Experiment) -> None:
        self.experiment, self.problem, self.encoders = experiment, experiment.problem, experiment.encoders
        self.task, self.chance = self.problem.task, self.problem.chance
        self.y = self.problem.y[self.problem.test].cpu().numpy()
        self.own = np.array([self.task.value(self.y, record) for record in experiment.own])
        self.pairs = {
            "cross_seed": metrics.cross_seed(self.encoders),
            "cross_encoder": metrics.cross_encoder(self.encoders),
        }

    def method(self, name: str, crossing: Crossing) -> dict[str, Any]:
        """All figures of one method."""
        method: Method = METHODS.resolve(name)
        control = method.kind == "control"
        rows, better = np.arange(len(self.encoders)), self.task.metric.higher_is_better
        reference = crossing.outputs[rows, rows] if method.head != "linear" else self.experiment.own
        values = metrics.metric_matrix(self.task, crossing.outputs, self.y)
        own = np.full(len(values), np.nan) if control else np.diagonal(values).copy()
        retention = self.task.retention(values, self.own[None, :], self.chance)
        fidelity = metrics.fidelity_matrix(self.task, crossing.outputs, reference)
        decisive = metrics.decisive_matrix(self.task, crossing.outputs, reference)
        found: dict[str, Any] = {"kind": method.kind, "trains": method.trains}
        found["own"] = run_figure(own, self.encoders, lower_is_worse=better)
        for pairs, mask in self.pairs.items():
            found[pairs] = pair_figure(values, mask, self.encoders, lower_is_worse=better)
        for label, matrix in (("retention", retention), ("fidelity", fidelity), ("decisive", decisive)):
            for pairs, mask in self.pairs.items():
                found[f"{label}_{pairs}"] = pair_figure(matrix, mask, self.encoders)
        found["collapsed"] = None if control else int(self._collapsed(own).sum())
        found["per_encoder"] = {one: self._of_encoder(one, values, own) for one in dict.fromkeys(self.encoders)}
        found["matrix"] = [[_number(value) for value in row] for row in values]
        found["draws"] = self._draws(crossing)
        found["seconds"] = round(crossing.seconds, 4)
        return found

    def runs(self) -> list[dict[str, Any]]:
        """One entry for each absolute model."""
        trained = [run.trained for run in self.experiment.runs if run.trained is not None]
        return [
            {
                "encoder": run.encoder,
                "seed": run.seed,
                "backend": run.backend,
                "best_epoch": run.best_epoch,
                "validation": _number(run.validation),
                "own": _number(own),
                "collapsed": bool(collapsed),
                "train_seconds": round(run.seconds, 4),
            }
            for run, own, collapsed in zip(trained, self.own, self._collapsed(self.own), strict=True)
        ]

    def robustness(self) -> dict[str, Any]:
        """How much the absolute models and their spaces differ from seed to seed, within each encoder."""
        names = np.asarray(self.encoders)
        variances = [self.own[names == name].var(ddof=1) for name in dict.fromkeys(self.encoders)]
        agreement = metrics.agreement_matrix(self.task, self.experiment.own)
        disagreement = metrics.disagreement_matrix(self.task, self.experiment.own)
        once = np.triu(self.pairs["cross_seed"])  # both matrices are symmetric
        return {
            "value_std": _number(np.sqrt(np.mean(variances))),
            "agreement": pair_figure(agreement, once, self.encoders),
            "disagreement": pair_figure(disagreement, once, self.encoders, lower_is_worse=False),
            **self._similarities(),
        }

    def _similarities(self) -> dict[str, float]:
        """Means over pairs of seeds, of matched rows and, for relative representations, of shuffled rows as well."""
        problem, anchors = self.problem, self.experiment.anchors
        embedded = torch.arange(problem.ids.numel(), device=problem.device)
        rows = embedded if problem.task.level == "edge" else problem.test
        order = torch.randperm(rows.numel(), generator=torch.Generator().manual_seed(0)).to(rows.device)
        spaces = [run.z[rows] for run in self.experiment.runs]
        relative = [cosine_similarity(run.z[rows], run.z[anchors]) for run in self.experiment.runs]
        pairs = [p for p in itertools.combinations(range(len(spaces)), 2) if self.encoders[p[0]] == self.encoders[p[1]]]
        measured = {
            "absolute_similarity": [matched_cosine(spaces[i], spaces[j]) for i, j in pairs],
            "relative_similarity": [matched_cosine(relative[i], relative[j]) for i, j in pairs],
            "relative_similarity_shuffled": [matched_cosine(relative[i], relative[j][order]) for i, j in pairs],
            "linear_cka": [linear_cka(spaces[i], spaces[j]) for i, j in pairs],
        }
        return {name: float(np.mean(values)) for name, values in measured.items()}

    def _draws(self, crossing: Crossing) -> dict[str, Any] | None:
        """The metric over the draws of a control."""
        if crossing.draws is None:
            return None
        drawn = np.array([self.task.value(self.y, draw) for draw in crossing.draws])
        best = float(drawn.max() if self.task.metric.higher_is_better else drawn.min())
        return {"mean": float(drawn.mean()), "std": float(drawn.std(ddof=1)), "best": best, "count": len(drawn)}

    def _of_encoder(self, encoder: str, values: Floats, own: Floats) -> dict[str, Any]:
        rows, better = np.flatnonzero(np.asarray(self.encoders) == encoder), self.task.metric.higher_is_better
        inner, names = values[np.ix_(rows, rows)], [encoder] * len(rows)
        pairs = pair_figure(inner, metrics.cross_seed(names), names, lower_is_worse=better)
        return {"own": run_figure(own[rows], names, lower_is_worse=better), "cross_seed": pairs}

    def _collapsed(self, own: Floats) -> Bools:
        return self.task.collapsed(own, self.problem.constant)


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
