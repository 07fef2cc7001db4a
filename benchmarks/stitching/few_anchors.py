"""How many anchors does a conversion need, which ones, and by which method? GCN to GCN, last layer, width 64.

    python benchmarks/stitching/few_anchors.py --data-root DIR

Ten runs, all 90 ordered pairs (10 of them for ``converted-rbf`` and ``converted-auto``), anchors drawn anew for each
source; 4 to 512 of them, by every strategy and method. Writes ``few_anchors.json``; finished graphs are kept unless
``--again`` is given.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from cases import NAMES, anchor_rows, finished, graph, rounded, write
from meetings import (
    SLOW,
    absolute,
    class_centroid,
    converted,
    counter,
    figures,
    permuted,
    rotated,
    said_by,
    square,
)
from trained import CACHE, trained

from relgraph.stitching import scores

HERE = Path(__file__).parent
COMMAND = "python benchmarks/stitching/few_anchors.py --data-root DIR"
SEEDS = range(10)
COUNTS = (4, 8, 16, 24, 32, 48, 64, 80, 128, 256, 512)
STRATEGIES = ("random", "kmeans", "farthest-point", "k-center", "degree", "pagerank", "class-stratified")
WIDTH = 64


def methods(strategy, chosen):
    """The arms that are compared on the anchors of a strategy."""
    found = {"converted": converted(), "converted, leave-one-out": converted(shrinkage="loo")}
    if strategy in ("random", "kmeans"):
        found["converted-kl"] = converted("kl")
        found["converted-rbf"] = converted("rbf")
        found["converted-auto"] = converted("auto", chosen=chosen)
        found["procrustes"] = rotated
    if strategy == "random":
        found["permuted-anchors"] = permuted()
    return found


def measure(name, root, cache, only=()):
    """All rows of one graph; with ``only``, those of these methods alone."""
    data = graph(name, root)
    runs = trained(data, name, "gcn", SEEDS, cache)
    look, kinds = data.test_mask, ["gcn"] * len(runs)
    y, said = data.y[look].numpy(), said_by(runs, data.test_mask)
    classes = int(data.y.max()) + 1
    rows = []

    def add(strategy, count, method, meet, draws):
        start = time.perf_counter()
        predictions = square(meet, runs, runs, draws, look, SLOW.get(method))
        row = {"strategy": strategy, "anchors": count, "method": method, **figures(predictions, said, said, y, kinds)}
        row["seconds"] = (time.perf_counter() - start) / row["accuracy"]["n"]
        rows.append(row)

    nothing = [None] * len(runs)
    if not only:
        add("-", 0, "absolute", absolute, nothing)
        add("-", 0, "class-centroid", class_centroid(data.y, data.train_mask, classes), nothing)
    for strategy in STRATEGIES:
        if only and not set(only) & set(methods(strategy, None)):
            continue
        for count in COUNTS:
            if strategy == "class-stratified" and count > int(data.train_mask.sum()):
                continue
            start = time.perf_counter()
            fixed = strategy in ("degree", "pagerank", "k-center")  # these draw nothing
            draws = [anchor_rows(data, count, strategy, 0 if fixed else seed) for seed in SEEDS[: 1 if fixed else None]]
            draws = draws * len(runs) if fixed else draws
            chosen = counter()
            for method, meet in methods(strategy, chosen).items():
                if not only or method in only:
                    add(strategy, count, method, meet, draws)
                    if method == "converted-auto":
                        rows[-1]["chosen"] = dict(chosen)
            print(f"{name} {strategy} {count}: {time.perf_counter() - start:.0f} s", flush=True)
    own = float((said == y).mean())
    agreement = 1 - float(scores.disagreement_matrix(said)[~torch.eye(len(runs), dtype=torch.bool).numpy()].mean())
    return {"own": own, "agreement": agreement, "rows": rows}


def main():
    """Run what is missing and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", required=True)
    parser.add_argument("--datasets", nargs="+", default=list(NAMES))
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--redo", nargs="+", default=[], help="measure these methods anew, on finished graphs too")
    args = parser.parse_args()
    torch.set_num_threads(1)
    path = HERE / "few_anchors.json"
    document = finished(path, args.again)
    document |= {"command": COMMAND, "width": WIDTH, "seeds": len(SEEDS)}
    for name in args.datasets:
        if name not in document["graphs"]:
            document["graphs"][name] = rounded(measure(name, args.data_root, args.cache), 5)
            write(path, document)
        elif args.redo:
            fresh = rounded(measure(name, args.data_root, args.cache, args.redo), 5)["rows"]
            where = {(row["strategy"], row["anchors"], row["method"]): row for row in fresh}
            rows = document["graphs"][name]["rows"]
            rows[:] = [where.pop((row["strategy"], row["anchors"], row["method"]), row) for row in rows]
            rows += where.values()
            write(path, document)


if __name__ == "__main__":
    main()
