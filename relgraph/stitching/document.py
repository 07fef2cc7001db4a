"""The result as one JSON document, described by ``stitching.schema.json`` beside this file."""

from __future__ import annotations

import itertools
import json
import platform
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch

from relgraph.measures import cohen_kappa, linear_cka, matched_cosine
from relgraph.similarity import cosine_similarity
from relgraph.stitching import intervals, scores
from relgraph.stitching.arms import ARMS
from relgraph.stitching.experiment import ArmResult, Experiment
from relgraph.stitching.output import written_whole

SCHEMA = "relgraph.stitching/1"


def build_document(experiment: Experiment, *, command: str) -> dict[str, Any]:
    """The document of an experiment; accuracies are fractions of the test nodes.

    Args:
        experiment: A finished experiment.
        command: The command, or call, that regenerates it.
    """
    settings, data, nodes = experiment.settings, experiment.data, experiment.nodes
    y = nodes.y[nodes.test].cpu().numpy()
    floor = scores.accuracy_floor(y)
    own = np.asarray((experiment.reference == y).mean(-1, dtype=np.float64))
    arms = {name: _arm(name, result, experiment, own, floor) for name, result in experiment.arms.items()}
    return {
        "schema": SCHEMA,
        "task": "node-classification",
        "metric": {"name": "accuracy", "direction": "higher", "floor": floor},
        "dataset": {
            "name": data.dataset_name if "dataset_name" in data else "unnamed",
            "num_nodes": int(data.num_nodes),
            "num_edges": int(data.edge_index.size(1)),
            "num_features": int(data.x.size(1)),
            "features": data.features if "features" in data else "as given",
            "num_classes": nodes.num_classes,
            "source": data.source if "source" in data else "given in memory",
            "fingerprint": experiment.fingerprint,
        },
        "protocol": experiment.protocol.to_dict(),
        "encoders": list(settings.encoders),
        "seeds": list(settings.seeds),
        "stitch_at": settings.stitch_at,
        "anchors": {
            "strategy": settings.strategy,
            "count": settings.num_anchors,
            "seed": settings.anchor_seed,
            "ids": experiment.anchor_ids,
            "space": settings.anchor_space,
            "labels_used": settings.labels_used,
        },
        "train": settings.train.to_dict(),
        "intervals": {"level": intervals.LEVEL, "method": intervals.METHOD},
        "arms": arms,
        "runs": _runs(experiment, floor),
        "robustness": _robustness(experiment, own),
        "command": command,
        "versions": versions("torch", "torch-geometric", "numpy", "relgraph"),
        "seconds": {name: round(value, 3) for name, value in experiment.seconds.items()},
    }


def versions(*packages: str) -> dict[str, str]:
    """Python's version and those of packages, without what names a build."""
    return {"python": platform.python_version(), **{name: version(name).split("+")[0] for name in packages}}


def schema() -> dict[str, Any]:
    """The JSON Schema of the document."""
    text = files("relgraph.stitching").joinpath("stitching.schema.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def to_json(document: dict[str, Any]) -> str:
    """The document as text; a number that JSON cannot hold is a mistake of relgraph's, and raises."""
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def write_document(document: dict[str, Any], folder: Path) -> Path:
    """Write ``stitching.json`` whole or not at all.

    Raises:
        DataError: If the folder cannot be written to.
    """
    path = folder / "stitching.json"
    with written_whole(path) as temporary:
        temporary.write_text(to_json(document), encoding="utf-8")
    return path


def _arm(
    name: str, result: ArmResult, experiment: Experiment, absolute_own: scores.Floats, floor: float
) -> dict[str, Any]:
    """All figures of one arm."""
    kinds, arm = experiment.kinds, ARMS[name]
    y = experiment.nodes.y[experiment.nodes.test].cpu().numpy()
    reference = experiment.relative_reference if arm.end_to_end else experiment.reference
    assert reference is not None
    accuracy = scores.accuracy_matrix(result.predictions, y)
    retention = scores.retention_matrix(accuracy, absolute_own, floor, kinds)
    fidelity = scores.fidelity_matrix(result.predictions, reference)
    decisive = scores.decisive_fidelity_matrix(result.predictions, reference)
    own = np.full(len(kinds), np.nan) if arm.kind == "control" else np.diagonal(accuracy).copy()
    seeds, encoders = scores.cross_seed(kinds), scores.cross_encoder(kinds)

    def pairs(matrix: scores.Floats, which: scores.Bools) -> dict[str, Any] | None:
        return intervals.pair_figure(matrix, which, kinds)

    document: dict[str, Any] = {
        "kind": arm.kind,
        "trains": arm.trains,
        "own": intervals.run_figure(own, kinds),
        "cross_seed": pairs(accuracy, seeds),
        "cross_encoder": pairs(accuracy, encoders),
        "retention_cross_seed": pairs(retention, seeds),
        "retention_cross_encoder": pairs(retention, encoders),
        "fidelity_cross_seed": pairs(fidelity, seeds),
        "fidelity_cross_encoder": pairs(fidelity, encoders),
        "decisive_fidelity_cross_seed": pairs(decisive, seeds),
        "per_encoder": {
            kind: {
                "own": intervals.run_figure(_only(own, kinds, kind), [kind] * kinds.count(kind)),
                "cross_seed": _within(accuracy, kinds, kind),
            }
            for kind in dict.fromkeys(kinds)
        },
        "matrix": [[None if np.isnan(value) else float(value) for value in row] for row in accuracy],
    }
    if result.draws is not None:
        truth = torch.from_numpy(y)
        kappas = np.array([cohen_kappa(torch.from_numpy(draw.astype(np.int64)), truth) for draw in result.draws])
        document["kappa"] = {
            "mean": float(kappas.mean()),
            "std": float(kappas.std(ddof=1)),
            "max_abs": float(np.abs(kappas).max()),
            "draws": len(kappas),
        }
    return document


def _only(values: scores.Floats, kinds: list[str], kind: str) -> scores.Floats:
    return np.asarray(values[np.asarray(kinds) == kind])


def _within(matrix: scores.Floats, kinds: list[str], kind: str) -> dict[str, Any] | None:
    rows = np.flatnonzero(np.asarray(kinds) == kind)
    names = [kind] * len(rows)
    return intervals.pair_figure(matrix[np.ix_(rows, rows)], scores.cross_seed(names), names)


def _runs(experiment: Experiment, floor: float) -> list[dict[str, Any]]:
    """One entry for each run: what every arm made of it by itself."""
    y = experiment.nodes.y[experiment.nodes.test].cpu().numpy()
    entries = []
    for row, (encoder, seed) in enumerate(zip(experiment.kinds, experiment.seeds, strict=True)):
        arms = {}
        for name, result in experiment.arms.items():
            own = float((result.predictions[row, row] == y).mean())
            group = experiment.relative if ARMS[name].end_to_end else experiment.absolute
            control = ARMS[name].kind == "control"
            arms[name] = {
                "own": None if control else own,
                "collapsed": None if control else bool(scores.collapsed(np.array([own]), floor)[0]),
                "seconds": round(result.seconds[row], 4),
                "path": group[row].path,
            }
        trained = experiment.absolute[row]
        entries.append(
            {
                "encoder": encoder,
                "seed": seed,
                "best_epoch": trained.best_epoch,
                "validation": trained.validation,
                "train_seconds": round(trained.seconds, 4),
                "arms": arms,
            }
        )
    return entries


def _robustness(experiment: Experiment, own: scores.Floats) -> dict[str, Any]:
    """How much the absolute models, and their spaces, differ from seed to seed (within each encoder)."""
    kinds, nodes = experiment.kinds, experiment.nodes
    variances = [_only(own, kinds, kind).var(ddof=1) for kind in dict.fromkeys(kinds)]
    spaces = [z[nodes.test] for z in experiment.embeddings]
    vectors = [cosine_similarity(z[nodes.test], z[nodes.anchors]) for z in experiment.embeddings]
    alike = [(i, j) for i, j in itertools.combinations(range(len(kinds)), 2) if kinds[i] == kinds[j]]
    absolute, relative, cka = (
        float(np.mean([measure(these[i], these[j]) for i, j in alike]))
        for measure, these in ((matched_cosine, spaces), (matched_cosine, vectors), (linear_cka, spaces))
    )
    matrix = scores.disagreement_matrix(experiment.reference)
    return {
        "accuracy_std": float(np.sqrt(np.mean(variances))),
        "disagreement": intervals.pair_figure(matrix, scores.cross_seed(kinds), kinds),
        "absolute_similarity": absolute,
        "relative_similarity": relative,
        "linear_cka": cka,
    }
