"""Would other settings than the published ones do better on Cora's validation nodes?

    python benchmarks/training/choose.py --data-root DIR

Trains a GCN from five seeds with every combination of a small grid and ranks them by mean validation accuracy at the
best epoch; then compares the first with the published settings (Kipf and Welling 2017) on CiteSeer's validation nodes
from fresh seeds. No test node is looked at. The defaults are the published settings whatever comes out; this file says
what was passed over. Writes ``choice.json``.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
from pathlib import Path

import torch

import relgraph as rg
from relgraph.training import TrainSettings, apply_protocol, fit_many

HERE = Path(__file__).parent
GRID = {
    "lr": (0.005, 0.01, 0.02),
    "weight_decay": (5e-4, 2e-3),
    "head_weight_decay": (0.0, 5e-4),
    "dropout": (0.5, 0.7),
    "input_dropout": (0.0, 0.5),
}
PUBLISHED = {name: getattr(TrainSettings(), name) for name in GRID}


def validation(data, options, seeds):
    """Mean and standard error over seeds of the best validation accuracy."""
    found = [run.validation for run in fit_many(data, "gcn", seeds, settings=TrainSettings(**options))]
    return {"mean": statistics.mean(found), "error": statistics.stdev(found) / len(found) ** 0.5}


def main():
    """Try the grid and write ``choice.json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    cora, citeseer = (apply_protocol(rg.load_dataset(n, args.data_root), "public")[0] for n in ("cora", "citeseer"))
    grid = [dict(zip(GRID, values, strict=True)) for values in itertools.product(*GRID.values())]
    tried = [{**options, **validation(cora, options, range(100, 105))} for options in grid]
    tried.sort(key=lambda row: -row["mean"])
    first = {name: tried[0][name] for name in GRID}
    published = next(row for row in tried if all(row[name] == PUBLISHED[name] for name in GRID))
    document = {
        "command": "python benchmarks/training/choose.py --data-root DIR",
        "cora": {"first": tried[0], "published": published, "rank_of_published": tried.index(published) + 1},
        "citeseer": {
            label: validation(citeseer, options, range(200, 205))
            for label, options in (("first", first), ("published", PUBLISHED))
        },
        "tried": tried,
    }
    (HERE / "choice.json").write_text(json.dumps(document, indent=1) + "\n")
    print(json.dumps({key: document[key] for key in ("cora", "citeseer")}, indent=1))


if __name__ == "__main__":
    main()
