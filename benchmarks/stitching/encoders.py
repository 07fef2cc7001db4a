"""Do encoders of different kinds and widths read each other's heads? Last layer, 128 random anchors.

    python benchmarks/stitching/encoders.py --data-root DIR

Two studies of each graph: GCN, GraphSAGE, GAT, GIN and GCNII of width 64, and GCN and GraphSAGE of widths 32, 64 and
128, ten runs each; all ordered pairs, anchors drawn anew for each source. Writes ``encoders.json``; finished graphs are
kept unless ``--again`` is given.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from cases import NAMES, anchor_rows, finished, graph, rounded, write
from meetings import absolute, class_centroid, converted, figures, permuted, rotated, said_by, square
from trained import CACHE, trained

from relgraph.stitching import scores

HERE = Path(__file__).parent
COMMAND = "python benchmarks/stitching/encoders.py --data-root DIR"
SEEDS = range(10)
ANCHORS = 128
STUDIES = {
    "encoders": [("gcn", 64), ("sage", 64), ("gat", 64), ("gin", 64), ("gcn2", 64)],
    "widths": [("gcn", 32), ("gcn", 64), ("gcn", 128), ("sage", 32), ("sage", 64), ("sage", 128)],
}


def measure(data, name, study, cache):
    """All arms of one study: figures across kinds and within them, and one cell for each ordered pair of kinds."""
    runs, kinds = [], []
    for encoder, hidden in STUDIES[study]:
        runs += trained(data, name, encoder, SEEDS, cache, hidden=hidden)
        kinds += [encoder if study == "encoders" else f"{encoder}-{hidden}"] * len(SEEDS)
    look, classes = data.test_mask, int(data.y.max()) + 1
    y, said = data.y[look].numpy(), said_by(runs, look)
    draws = [anchor_rows(data, ANCHORS, seed=run.seed) for run in runs]
    across = scores.cross_encoder(kinds)
    arms = {
        "absolute": absolute,
        "converted": converted(),
        "converted, leave-one-out": converted(shrinkage="loo"),
        "procrustes": rotated,
        "class-centroid": class_centroid(data.y, data.train_mask, classes),
        "permuted-anchors": permuted(),
    }
    own = (said == y).mean(1)
    names = list(dict.fromkeys(kinds))
    result = {"own": {kind: float(own[np.array(kinds) == kind].mean()) for kind in names}, "arms": {}}
    for arm, meet in arms.items():
        start = time.perf_counter()
        predictions = square(meet, runs, runs, draws, look)
        retention = scores.retention_matrix(
            scores.accuracy_matrix(predictions, y), own, scores.accuracy_floor(y), kinds
        )
        cells = {}
        for source in names:
            for target in names:
                cell = np.ix_(np.array(kinds) == source, np.array(kinds) == target)
                values = retention[cell]
                if source == target:
                    values = values[~np.eye(len(values), dtype=bool)]
                if not np.isnan(values).all():
                    cells[f"{source} > {target}"] = {"mean": np.nanmean(values), "min": np.nanmin(values)}
        result["arms"][arm] = {
            "across": figures(predictions, said, said, y, kinds, across),
            "within": figures(predictions, said, said, y, kinds, scores.cross_seed(kinds)),
            "cells": {key: {what: float(number) for what, number in cell.items()} for key, cell in cells.items()},
        }
        print(f"{name} {study} {arm}: {time.perf_counter() - start:.0f} s", flush=True)
    return result


def main():
    """Run what is missing and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", required=True)
    parser.add_argument("--datasets", nargs="+", default=list(NAMES))
    parser.add_argument("--studies", nargs="+", default=list(STUDIES))
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--again", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    path = HERE / "encoders.json"
    document = finished(path, args.again)
    document |= {"command": COMMAND, "anchors": ANCHORS, "seeds": len(SEEDS)}
    for name in args.datasets:
        found = document["graphs"].setdefault(name, {})
        for study in args.studies:
            if study not in found:
                found[study] = rounded(measure(graph(name, args.data_root), name, study, args.cache), 5)
                write(path, document)


if __name__ == "__main__":
    main()
