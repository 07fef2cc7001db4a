"""Can a head be read by a source that was never told its classes? GCN to GCN, last layer, width 64.

    python benchmarks/stitching/untold.py --data-root DIR

Sources were trained on two superclasses (label mod 2; on PubMed the first class against the rest), or on half of the
classes, drawn anew for each seed. The heads are those of full models. Beside the conversions stand what needs no head
(class-centroid and a linear probe, both with all public labels) and what needs no logits: the nearest anchor's
prediction, and the rivals, logistic regression and least squares on the head's predictions at the anchors. *Kept* is
stitched accuracy over that of the head's own model, over all 90 pairs of different seeds (10 of them for
``converted-rbf`` and ``converted-auto``, 30 for logistic regression, which take long), on all test nodes and on those
that are no anchors. Writes ``untold.json``; finished parts are kept unless ``--again`` is given.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from cases import NAMES, anchor_rows, coarse, finished, graph, halved, rounded, write
from meetings import (
    SLOW,
    absolute,
    class_centroid,
    converted,
    counter,
    figures,
    learned_from_predictions,
    least_squares_on_predictions,
    nearest_anchor,
    permuted,
    rotated,
    said_by,
    square,
)
from trained import CACHE, trained

from relgraph.training.posthoc import fit_linear_head

HERE = Path(__file__).parent
COMMAND = "python benchmarks/stitching/untold.py --data-root DIR"
SEEDS = range(10)
COUNTS = (16, 32, 128, 512)
STRATEGIES = {"superclasses": ("random", "kmeans"), "half": ("random",)}


def probe(data, classes):
    """A linear head trained on the source's embeddings with all public labels."""
    rows = [mask.nonzero().view(-1) for mask in (data.train_mask, data.val_mask)]
    heads = {}

    def meet(source, target, anchors, look):
        if source.seed not in heads:
            heads[source.seed] = fit_linear_head(source.z, data.y, *rows, classes)
        return heads[source.seed](source.z[look])

    return meet


def sources_of(kind, data, name, cache):
    """The runs that were told less."""
    if kind == "superclasses":
        return trained(coarse(data, name), f"{name}-coarse", "gcn", SEEDS, cache)
    return [trained(halved(data, seed)[0], f"{name}-half{seed}", "gcn", [seed], cache)[0] for seed in SEEDS]


def own(data, name, cache):
    """Mean accuracy of the models whose heads are read."""
    runs, look = trained(data, name, "gcn", SEEDS, cache), data.test_mask
    return float((said_by(runs, look) == data.y[look].numpy()).mean())


def measure(data, name, kind, strategy, cache, only=()):
    """All rows of one graph, one kind of source and one strategy; of none, the arms that have no anchors.

    With ``only``, the rows of these methods alone.
    """
    full, sources = trained(data, name, "gcn", SEEDS, cache), sources_of(kind, data, name, cache)
    look, classes, kinds = data.test_mask, int(data.y.max()) + 1, ["gcn"] * len(full)
    y, said = data.y[look].numpy(), said_by(full, look)
    rows = []

    def add(count, method, meet, draws):
        start = time.perf_counter()
        predictions = square(meet, sources, full, draws, look, SLOW.get(method))
        row = {"strategy": strategy, "anchors": count, "method": method}
        rows.append(row | figures(predictions, None, said, y, kinds, draws=draws, look=look))
        rows[-1]["seconds"] = (time.perf_counter() - start) / rows[-1]["accuracy"]["n"]

    if strategy == "-":
        nothing = [None] * len(full)
        add(0, "absolute", absolute, nothing)
        add(0, "class-centroid", class_centroid(data.y, data.train_mask, classes), nothing)
        add(0, "linear probe", probe(data, classes), nothing)
        return rows
    for count in COUNTS:
        start = time.perf_counter()
        draws = [anchor_rows(data, count, strategy, seed) for seed in SEEDS]
        chosen = counter()
        for method, meet in {
            "converted": converted(),
            "converted, leave-one-out": converted(shrinkage="loo"),
            "converted-kl": converted("kl"),
            "converted-rbf": converted("rbf"),
            "converted-auto": converted("auto", chosen=chosen),
            "procrustes": rotated,
            "nearest anchor's prediction": nearest_anchor,
            "logistic regression on predictions": learned_from_predictions,
            "least squares on predictions": least_squares_on_predictions,
            "permuted-anchors": permuted(),
        }.items():
            if only and method not in only:
                continue
            add(count, method, meet, draws)
            if method == "converted-auto":
                rows[-1]["chosen"] = dict(chosen)
        print(f"{name} {kind} {strategy} {count}: {time.perf_counter() - start:.0f} s", flush=True)
    return rows


def main():
    """Run what is missing and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", required=True)
    parser.add_argument("--datasets", nargs="+", default=[*NAMES, "photo"])
    parser.add_argument("--kinds", nargs="+", default=["superclasses", "half"])
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--redo", nargs="+", default=[], help="measure these methods anew, in finished parts too")
    parser.add_argument("--again", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    path = HERE / "untold.json"
    document = finished(path, args.again)
    document |= {"command": COMMAND, "width": 64, "seeds": len(SEEDS)}
    for kind in args.kinds:
        for name in args.datasets:
            found = document["graphs"].setdefault(name, {})
            rows = found.setdefault(kind, {"rows": []})["rows"]
            for strategy in ("-", *STRATEGIES[kind]):
                there = [row for row in rows if row["strategy"] == strategy]
                redo = args.redo if there and strategy != "-" else []
                if not there or redo:
                    data = graph(name, args.data_root)
                    fresh = rounded(measure(data, name, kind, strategy, args.cache, redo), 5)
                    where = {(row["strategy"], row["anchors"], row["method"]): row for row in fresh}
                    rows[:] = [where.pop((r["strategy"], r["anchors"], r["method"]), r) for r in rows]
                    rows += where.values()
                    found[kind]["own"] = rounded(own(data, name, args.cache), 5)
                    write(path, document)


if __name__ == "__main__":
    main()
