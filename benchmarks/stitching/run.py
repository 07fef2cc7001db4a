"""All methods on three citation graphs with GCN, GraphSAGE and GAT from ten seeds each.

    python -m benchmarks.stitching.run --data-root DIR

Stitches every encoder to every other run's head with 128 random anchors. Beside ``results.csv`` it writes for each
graph the full report with the matrices of all pairs (``cora.json``) and a picture of its matrix.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import relgraph as rg
from benchmarks.common import columns
from benchmarks.study import Row, Study
from relgraph.io import write_atomic
from relgraph.stitching import StitchSettings, build_report, run_experiment
from relgraph.stitching.plots import draw_matrix
from relgraph.stitching.report import to_json

METHODS = (
    "absolute", "relative-cosine", "relative-cosine-probe", "kl", "ridge", "ridge-0.01", "procrustes",
    "class-centroid", "permuted-anchors",
)  # fmt: skip


def measure(cell: Row, options: argparse.Namespace) -> Iterable[Row]:
    """Figures of every method across seeds, across encoders and within each encoder."""
    settings = StitchSettings(
        encoders=tuple(options.encoders),
        seeds=tuple(range(options.seeds)),
        methods=METHODS,
        num_anchors=128,
        split="public",
        train="kipf-welling",
        epochs=options.epochs,
    )
    experiment = run_experiment(rg.load_dataset(cell["dataset"], options.data_root), settings)
    report = build_report(experiment, command="python -m benchmarks.stitching.run --data-root DIR")
    folder = Path(options.out).parent
    write_atomic(folder / f"{cell['dataset']}.json", to_json(rounded(report)))
    draw_matrix(report, folder / f"{cell['dataset']}-matrix.png")
    yield from rows_of(report)


def rows_of(report: dict[str, Any], value: str = "accuracy") -> Iterator[Row]:
    """Rows of a report; ``value`` is the name of the metric's column."""
    kinds = ("cross_seed", "cross_encoder")
    for method, found in report["methods"].items():
        for pairs, label in zip(kinds, ("seeds", "encoders"), strict=True):
            if found[pairs] is None:
                continue
            row = {"method": method, "pairs": label, "n": found[pairs]["n"], "collapsed": found["collapsed"]}
            row |= columns("own", found["own"], worst=False) | columns(value, found[pairs])
            for name in ("retention", "fidelity", "decisive"):
                row |= columns(name, found[f"{name}_{pairs}"])
            if label == "seeds" and found["draws"]:
                draws = found["draws"]
                row |= {"draws": draws["count"], "draw": draws["mean"]}
                row |= {"draw_std": draws["std"], "draw_best": draws["best"]}
            if label == "seeds" and method == "absolute":
                row |= _spaces(report)
            yield row
        for encoder, part in found["per_encoder"].items():
            row = {"method": method, "pairs": encoder, "n": part["cross_seed"]["n"]}
            yield row | columns("own", part["own"], worst=False) | columns(value, part["cross_seed"])


def _spaces(report: dict[str, Any]) -> Row:
    robust = report["robustness"]
    return {
        "agreement": robust["agreement"]["mean"],
        "cka": robust["linear_cka"],
        "matched_cosine": robust["absolute_similarity"],
        "matched_cosine_relative": robust["relative_similarity"],
        "shuffled_cosine_relative": robust["relative_similarity_shuffled"],
        "train_seconds": float(np.median([run["train_seconds"] for run in report["runs"]])),
    }


def rounded(value: Any) -> Any:
    """The same with six decimals."""
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, list):
        return [rounded(one) for one in value]
    return {key: rounded(one) for key, one in value.items()} if isinstance(value, dict) else value


STUDY = Study(
    __file__,
    measure,
    {"dataset": ("cora", "citeseer", "pubmed")},
    settings={"seeds": 10, "epochs": 200, "encoders": ("gcn", "sage", "gat")},
)

if __name__ == "__main__":
    STUDY.main()
