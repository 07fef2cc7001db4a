"""All methods on four datasets of molecules with GCN and GIN from five seeds each.

    python -m benchmarks.molecules.run --data-root DIR

Stitches every encoder to every other run's head with 256 random training graphs as anchors. Trained runs are read from
relgraph's cache where they are there. Beside ``results.csv`` it writes a picture of the matrix of each dataset.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

import relgraph as rg
from benchmarks.common import columns
from benchmarks.stitching.run import rows_of
from benchmarks.study import Row, Study
from relgraph.io import cache_folder
from relgraph.stitching import StitchSettings, build_report, run_experiment
from relgraph.stitching.plots import draw_matrix

DATASETS = ("ogbg-molbace", "ogbg-molbbbp", "ogbg-molesol", "ogbg-molfreesolv")


def measure(cell: Row, options: argparse.Namespace) -> Iterable[Row]:
    """Figures of every method across seeds and across encoders, and of the models themselves."""
    settings = StitchSettings(
        encoders=tuple(options.encoders),
        seeds=tuple(range(options.seeds)),
        num_anchors=options.anchors,
        epochs=options.epochs,
    )
    dataset = rg.load_dataset(cell["dataset"], options.data_root)
    experiment = run_experiment(dataset, settings, cache=cache_folder() / "runs")
    report = build_report(experiment, command="python -m benchmarks.molecules.run --data-root DIR")
    name = cell["dataset"].removeprefix("ogbg-mol")
    draw_matrix(report, Path(options.out).parent / f"{name}-matrix.png")
    common = {"metric": experiment.problem.task.metric.name, "chance": report["metric"]["chance"]}
    absolute, robust = report["methods"]["absolute"], report["robustness"]
    for encoder, part in absolute["per_encoder"].items():
        row = {"method": "own", "pairs": encoder, "n": part["own"]["n"], "own_std": part["own"]["std"]}
        yield common | row | columns("own", part["own"], worst=False)
    row = {"method": "own", "pairs": "all", "n": absolute["own"]["n"], "agreement": robust["agreement"]["mean"]}
    row |= {"collapsed": absolute["collapsed"]} | columns("own", absolute["own"], worst=False)
    seconds = report["seconds"]
    yield common | row | {"train_seconds": seconds["train"], "stitch_seconds": seconds["stitch"]}
    for row in rows_of(report, "value"):
        if row["pairs"] in ("seeds", "encoders"):
            yield common | row | {"own": absolute["own"]["mean"]}


STUDY = Study(
    __file__,
    measure,
    {"dataset": DATASETS},
    settings={"seeds": 5, "anchors": 256, "epochs": 40, "encoders": ("gcn", "gin")},
)

if __name__ == "__main__":
    STUDY.main()
