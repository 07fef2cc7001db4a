"""Does conversion hold on random splits? Ten splits of Photo, a graph of goods and not of papers.

    python benchmarks/stitching/photo.py --data-root DIR

For each split two GCNs, GraphSAGEs, GATs, GINs and GCNIIs are trained on it and stitched to each other, never to runs
of another split, whose training nodes would be their test nodes. The last three take minutes each on a processor;
``trained.py --device cuda --datasets photo-split0 ...`` trains them ahead in seconds. Intervals are over splits.
Writes ``photo.json``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from cases import anchor_rows, graph, rounded, write
from meetings import absolute, class_centroid, converted, permuted, rotated, said_by, square
from trained import CACHE, trained

from relgraph.stitching import intervals, scores

HERE = Path(__file__).parent
COMMAND = "python benchmarks/stitching/photo.py --data-root DIR"
SPLITS, COUNTS = range(10), (32, 128, 512)
RUNS = 2


def measure(split, root, cache, encoders):
    """Means over the pairs of one split."""
    data = graph("photo", root, split)
    runs, kinds = [], []
    for encoder in encoders:
        runs += trained(data, f"photo-split{split}", encoder, range(RUNS), cache)
        kinds += [encoder] * RUNS
    look, classes = data.test_mask, int(data.y.max()) + 1
    y, said = data.y[look].numpy(), said_by(runs, look)
    own, floor = (said == y).mean(1), scores.accuracy_floor(y)
    rows, several = [], np.array(kinds)
    groups = {"seeds": scores.cross_seed(kinds), "encoders": scores.cross_encoder(kinds)}
    for source in encoders:  # and every ordered pair of kinds
        for target in encoders:
            cell = (several[:, None] == source) & (several == target)
            groups[f"{source} > {target}"] = cell & ~np.eye(len(runs), dtype=bool)
    for count in COUNTS:
        draws = [anchor_rows(data, count, seed=split)] * len(runs)
        for arm, meet in {
            "absolute": absolute,
            "converted": converted(),
            "converted, leave-one-out": converted(shrinkage="loo"),
            "converted-kl": converted("kl"),
            "procrustes": rotated,
            "class-centroid": class_centroid(data.y, data.train_mask, classes),
            "permuted-anchors": permuted(),
        }.items():
            predictions = square(meet, runs, runs, draws, look)
            matrices = {
                "retention": scores.retention_matrix(scores.accuracy_matrix(predictions, y), own, floor, kinds),
                "fidelity": scores.fidelity_matrix(predictions, said),
                "decisive": scores.decisive_fidelity_matrix(predictions, said),
            }
            for which, pairs in groups.items():
                row = {
                    "split": split,
                    "anchors": count,
                    "arm": arm,
                    "across": which,
                    "own": float(own.mean()),
                }
                for what, matrix in matrices.items():
                    values = matrix[pairs]
                    row[what] = float(np.nanmean(values)) if not np.isnan(values).all() else None
                    if what == "retention":
                        row["worst"] = float(np.nanmin(values)) if row[what] is not None else None
                rows.append(row)
    return rows


def summary(rows):
    """Mean and interval over splits, and the worst pair of all."""
    keys = dict.fromkeys((row["anchors"], row["arm"], row["across"]) for row in rows)
    result = []
    for count, arm, across in keys:
        these = [row for row in rows if (row["anchors"], row["arm"], row["across"]) == (count, arm, across)]
        line = {"anchors": count, "arm": arm, "across": across, "splits": len(these)}
        for what in ("own", "retention", "fidelity", "decisive"):
            values = np.array([np.nan if row[what] is None else row[what] for row in these])
            line[what] = intervals.run_figure(values, ["photo"] * len(values))
        known = [row["worst"] for row in these if row["worst"] is not None]
        line["worst"] = min(known) if known else None
        result.append(line)
    return result


def main():
    """Run and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", required=True)
    parser.add_argument("--encoders", nargs="+", default=["gcn", "sage", "gat", "gin", "gcn2"])
    parser.add_argument("--cache", type=Path, default=CACHE)
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for split in SPLITS:
        rows += measure(split, args.data_root, args.cache, args.encoders)
        print(split, flush=True)
        document = {"command": COMMAND, "encoders": args.encoders, "summary": summary(rows)}
        write(HERE / "photo.json", rounded(document, 5))


if __name__ == "__main__":
    main()
