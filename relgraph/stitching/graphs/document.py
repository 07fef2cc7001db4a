"""The result on whole graphs as one JSON document, described by ``graph_stitching.schema.json`` beside this file."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import numpy as np

from relgraph.stitching import intervals
from relgraph.stitching.document import versions
from relgraph.stitching.graphs import scores
from relgraph.stitching.graphs.arms import GRAPH_ARMS
from relgraph.stitching.graphs.experiment import GraphArmResult, GraphExperiment
from relgraph.stitching.scores import Bools, Floats, cross_encoder, cross_seed
from relgraph.training import Metric, metric_named

SCHEMA = "relgraph.graph-stitching/1"


def build_graph_document(experiment: GraphExperiment, *, command: str) -> dict[str, Any]:
    """The document of an experiment; values are in the unit of the metric.

    Args:
        experiment: A finished experiment.
        command: The command, or call, that regenerates it.
    """
    settings, dataset, kinds = experiment.settings, experiment.dataset, experiment.kinds
    metric = metric_named(dataset.metric)
    y = dataset.y[dataset.test].double().numpy()
    floor = metric.floor(dataset.y[dataset.train].double().numpy(), y)
    own = np.array([metric.value(y, outputs) for outputs in experiment.reference])
    agreement = scores.fidelity_matrix(
        np.broadcast_to(experiment.reference[:, None], (len(own), *experiment.reference.shape)),
        experiment.reference,
        dataset.task,
    )
    return {
        "schema": SCHEMA,
        "task": dataset.task,
        "metric": {"name": metric.title, "direction": metric.direction, "floor": floor, "perfect": metric.perfect},
        "dataset": {
            "name": dataset.name,
            "num_graphs": len(dataset),
            "num_tasks": dataset.num_tasks,
            "train": dataset.train.numel(),
            "validation": dataset.validation.numel(),
            "test": dataset.test.numel(),
            "source": dataset.source,
            "fingerprint": experiment.fingerprint,
        },
        "encoders": list(settings.encoders),
        "seeds": list(settings.seeds),
        "anchors": {
            "strategy": settings.strategy,
            "count": settings.num_anchors,
            "seed": settings.anchor_seed,
            "positions": experiment.anchors.tolist(),
            "labels_used": "no",
        },
        "train": settings.train.to_dict(),
        "intervals": {"level": intervals.LEVEL, "method": intervals.METHOD},
        "arms": {
            name: _arm(name, result, experiment, own, floor, metric, y) for name, result in experiment.arms.items()
        },
        "reference": {
            "own": _run_figure(own, kinds, metric),
            "agreement_cross_seed": intervals.pair_figure(agreement, cross_seed(kinds), kinds),
            "agreement_cross_encoder": intervals.pair_figure(agreement, cross_encoder(kinds), kinds),
        },
        "runs": [
            {
                "encoder": run.encoder,
                "seed": run.seed,
                "best_epoch": run.best_epoch,
                "validation": None if np.isnan(run.validation) else run.validation,
                "own": float(value),
                "collapsed": bool(scores.collapsed(np.array([value]), floor, metric)[0]),
                "train_seconds": round(run.seconds, 4),
            }
            for run, value in zip(experiment.runs, own, strict=True)
        ],
        "command": command,
        "versions": versions("torch", "torch-geometric", "ogb", "numpy", "relgraph"),
        "seconds": {name: round(value, 3) for name, value in experiment.seconds.items()},
    }


def graph_schema() -> dict[str, Any]:
    """The JSON Schema of the document."""
    text = files("relgraph.stitching.graphs").joinpath("graph_stitching.schema.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def _arm(
    name: str,
    result: GraphArmResult,
    experiment: GraphExperiment,
    absolute_own: Floats,
    floor: float,
    metric: Metric,
    y: Floats,
) -> dict[str, Any]:
    """All figures of one arm."""
    kinds, arm, task = experiment.kinds, GRAPH_ARMS[name], experiment.dataset.task
    values = scores.metric_matrix(result.outputs, y, metric)
    retention = scores.retention_matrix(values, absolute_own, floor, metric, kinds)
    agreement = scores.fidelity_matrix(result.outputs, experiment.reference, task)
    own = np.full(len(kinds), np.nan) if arm.kind == "control" else np.diagonal(values).copy()
    document: dict[str, Any] = {
        "kind": arm.kind,
        "trains": arm.trains,
        "own": _run_figure(own, kinds, metric),
    }
    for label, pairs in (("cross_seed", cross_seed(kinds)), ("cross_encoder", cross_encoder(kinds))):
        document[label] = _pair_figure(values, pairs, kinds, metric)
        document[f"retention_{label}"] = intervals.pair_figure(retention, pairs, kinds)
        document[f"fidelity_{label}"] = intervals.pair_figure(agreement, pairs, kinds)
    document["matrix"] = [[None if np.isnan(value) else float(value) for value in row] for row in values]
    if result.draws is not None:
        drawn = np.array([metric.value(y, draw) for draw in result.draws])
        document["draws"] = {
            "mean": float(drawn.mean()),
            "std": float(drawn.std(ddof=1)),
            "best": float(drawn.max() if metric.direction == "higher" else drawn.min()),
            "count": len(drawn),
        }
    return document


def _pair_figure(values: Floats, pairs: Bools, kinds: list[str], metric: Metric) -> dict[str, Any] | None:
    return _with_worst(intervals.pair_figure(values, pairs, kinds), values[pairs & ~np.isnan(values)], metric)


def _run_figure(values: Floats, kinds: list[str], metric: Metric) -> dict[str, Any] | None:
    return _with_worst(intervals.run_figure(values, kinds), values[~np.isnan(values)], metric)


def _with_worst(figure: dict[str, Any] | None, values: Floats, metric: Metric) -> dict[str, Any] | None:
    """The figure with its worst value, which is the largest where less is better."""
    if figure is None:
        return None
    return {**figure, "worst": float(values.min() if metric.direction == "higher" else values.max())}
