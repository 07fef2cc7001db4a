"""Zero-shot stitching of GCN and GraphSAGE on ogbn-arxiv: across seeds and encoders, last layer and one earlier.

    python benchmarks/ogb/run.py --data-root DIR [--features spectral | fastrp | file] [--encoders gcn sage gat]

Four runs of each encoder (three layers, trained on the whole graph, one after the other, kept in ``--runs`` and read
from there the next time), all ordered pairs, anchors drawn three times. Losses are in points of accuracy on the test
nodes of the time split: that of the head's own model minus stitched. Writes ``results.json``, or one named after other
features and encoders; finished choices of anchors are kept unless ``--again`` is given. GAT, which has two layers, is
trained by passing messages, which takes much longer.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import torch
from graph import NAME, RUNS, SETTINGS, arxiv, part, trained, whole
from rich.console import Console
from rich.progress import Progress, TimeRemainingColumn
from sklearn.metrics import cohen_kappa_score

import relgraph as rg
from relgraph.conversion import kl
from relgraph.datasets.evaluate import evaluate
from relgraph.stitching import intervals, scores
from relgraph.translation import kernel_ridge, ridge_affine

from cases import anchor_rows, rounded, space_of, write  # isort: skip  # the folder that graph.py put on the path
from meetings import (  # isort: skip
    absolute, class_centroid, converted, learned_from_labels, learned_from_predictions, permuted, rotated, said_by,
    short, square,
)  # fmt: skip

HERE = Path(__file__).parent
SEEDS, DRAWS, ANCHORS = range(4), range(3), 512
FEWER_AND_MORE = (128, 2048)
# Arms that take long meet the heads of the next few runs only, other numbers of anchors the next two.
SLOW = {
    "converted-rbf": 3,
    "translated, then ReLU": 3,
    "translated by a kernel, then ReLU": 3,
    "linear head on the anchors' labels": 1,
    "linear head on the head's predictions": 1,
}
# One draw of anchors is enough of what takes long, of controls and references, and of what does not depend on anchors.
ONCE = {*SLOW, "absolute", "class-centroid", "permuted-anchors"}
COMPARED = ("converted, leave-one-out", "converted-kl")
STRATEGIES = {
    "random training nodes": "training",
    "random nodes": "random",
    "k-means medoids of propagated features": "kmeans",
}


def anchors(data, count, strategy, seed):
    """Rows of the anchors; none of these choices looks at a label or a run."""
    if strategy != "training":
        return anchor_rows(data, count, strategy, seed)
    rows = data.train_mask.nonzero().view(-1)
    return rows[torch.randperm(rows.numel(), generator=torch.Generator().manual_seed(seed))[:count]]


def last_layer(data):
    """Arms at the last layer: name to a meeting of a source, a target, anchors and the nodes to predict."""
    classes = int(data.y.max()) + 1
    return {
        "absolute": absolute,
        "converted": converted(),
        "converted, leave-one-out": converted(shrinkage="loo"),
        "converted-rbf": converted("rbf"),
        "converted-kl": converted("kl"),
        "procrustes": rotated,
        "permuted-anchors": permuted(),
        "class-centroid": class_centroid(data.y, data.train_mask, classes),
        "linear head on the anchors' labels": learned_from_labels(data.y),
        "linear head on the head's predictions": learned_from_predictions,
    }


def one_layer_earlier(graph):
    """Arms one layer earlier, where the head is the last propagation and the linear map behind it."""

    def back(target, h, look):
        last = target.model.encoder.num_layers
        return target.head(part(graph, target.model.encoder, h, last - 1, last)[look])

    def spaces(source, target, rows):
        return [space_of(run.inner, rows) for run in (source, target)]

    def translated(fit, shuffled=None):
        def meet(source, target, rows, look):
            here, there = spaces(source, target, rows)
            if shuffled is not None:
                there = rg.AnchorSet(
                    rows, there.embeddings[torch.randperm(len(rows), generator=shuffled)], there.center
                )
            return back(target, fit(here, there)(source.inner).relu(), look)

        return meet

    ridge = partial(ridge_affine, shrinkage="loo")
    return {
        "absolute": lambda source, target, rows, look: back(target, source.inner, look),
        "translated, then ReLU": translated(ridge),
        "translated by a kernel, then ReLU": translated(partial(kernel_ridge, robust=True)),
        "permuted-anchors": translated(ridge, shuffled=torch.Generator().manual_seed(0)),
    }


def measure(arms, runs, draws, look, y, said, kinds, tell, reach=None):
    """Losses, accuracy and fidelity of every arm, across seeds and encoders; means over draws, worst over all."""
    own = (said == y).mean(1)
    groups = {"seeds": scores.cross_seed(kinds), "encoders": scores.cross_encoder(kinds)}
    rows = []
    for arm, meet in arms.items():
        start, found, kappas = time.perf_counter(), [], []
        for draw in draws[: 1 if arm in ONCE else None]:
            predictions = square(meet, runs, runs, [draw] * len(runs), look, reach or SLOW.get(arm))
            accuracy = scores.accuracy_matrix(predictions, y)
            found.append((accuracy, own[None, :] - accuracy, scores.fidelity_matrix(predictions, said)))
            if arm == "permuted-anchors":
                defined = [(i, j) for i in range(len(runs)) for j in range(len(runs)) if i != j]
                kappas += [cohen_kappa_score(predictions[i, j], y) for i, j in defined]
        spent = time.perf_counter() - start
        pairs = int(np.isfinite(found[0][0]).sum()) * len(found)
        for across, which in groups.items():
            row = {"arm": arm, "across": across, "seconds": spent / max(pairs, 1)}
            stacked = [np.stack(matrices) for matrices in zip(*found, strict=True)]
            for what, values in zip(("accuracy", "loss", "fidelity"), stacked, strict=True):
                row[what] = short(intervals.pair_figure(values.mean(0), which, kinds))
            if row["loss"] is not None:
                row["worst"] = float(np.nanmax(np.where(which, stacked[1], np.nan)))
            if kappas:
                row["kappa"] = {"mean": np.mean(kappas), "std": np.std(kappas), "max": np.max(kappas), "n": len(kappas)}
            rows.append(row)
        tell(f"{arm}: {spent:.0f} s")
    return rows


def train_all(graph, args, console):
    """All runs, with progress over their epochs and the time that is left."""
    total = len(args.encoders) * args.seeds * SETTINGS.epochs
    runs = []
    with Progress(*Progress.get_default_columns()[:3], TimeRemainingColumn(), console=console) as bar:
        task = bar.add_task("training", total=total)
        for encoder in args.encoders:
            told = lambda done: bar.advance(task, done)  # noqa: E731
            runs += trained(graph, encoder, range(args.seeds), args.runs, progress=told)
    return runs


def leaderboard(values):
    """Mean and unbiased standard deviation over seeds, as OGB's leaderboard wants them."""
    return {"mean": float(np.mean(values)), "std": float(np.std(values, ddof=1))}


def main():
    """Train what is missing, stitch, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", required=True)
    parser.add_argument("--features", default="spectral", choices=["spectral", "fastrp", "file"])
    parser.add_argument("--encoders", nargs="+", default=["gcn", "sage"], choices=["gcn", "sage", "gat"])
    parser.add_argument("--seeds", type=int, default=len(SEEDS))
    parser.add_argument("--runs", type=Path, default=RUNS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--strategies", nargs="+", default=list(STRATEGIES), choices=STRATEGIES)
    parser.add_argument("--again", action="store_true", help="measure finished choices of anchors anew")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    console, start = Console(), time.perf_counter()
    data = arxiv(args.data_root, args.features)
    graph = whole(data)
    seconds = {"load": time.perf_counter() - start}
    runs = train_all(graph, args, console)
    seconds["train"] = sum(run.seconds for run in runs)
    look, kinds, start = data.test_mask, [run.encoder for run in runs], time.perf_counter()
    y, said = data.y[look].numpy(), said_by(runs, look)
    own = np.array([evaluate(NAME, y, predicted) for predicted in said])
    assert np.allclose(own, (said == y).mean(1)), "OGB's evaluator and plain accuracy agree"
    apart = scores.disagreement_matrix(said)
    groups = {"seeds": scores.cross_seed(kinds), "encoders": scores.cross_encoder(kinds)}
    document = {
        "command": "python benchmarks/ogb/run.py --data-root DIR",
        "floor": scores.accuracy_floor(y),
        "features": data.features, "nodes": data.num_nodes, "edges": data.num_edges,
        "split": [int(data[mask].sum()) for mask in ("train_mask", "val_mask", "test_mask")],
        "settings": asdict(SETTINGS), "seeds": args.seeds, "anchors": ANCHORS, "draws": len(DRAWS),
        "threads": args.threads,
        "own": {
            kind: {
                "test": leaderboard(own[np.array(kinds) == kind]),
                "validation": leaderboard([run.validation for run in runs if run.encoder == kind]),
            }
            for kind in args.encoders
        },
        "agreement": {across: float(1 - apart[which].mean()) for across, which in groups.items() if which.any()},
    }  # fmt: skip
    asked = [] if args.features == "spectral" else [args.features]
    asked += [] if args.encoders == ["gcn", "sage"] else args.encoders
    path = HERE / f"{'-'.join(asked) or 'results'}.json"
    document["measured"] = {
        "arms": [[*last_layer(data)], [*one_layer_earlier(graph)]],
        "kl": [kl.ANCHORS_WORTH, kl.SHARPNESS, kl.CONSTANT_WORTH],
    }
    before = json.loads(path.read_text()) if path.exists() and not args.again else {}
    if before.get("measured") != document["measured"]:
        before = {}  # by other arms or constants: no part of these figures
    done = before.get("other_numbers", {})  # what is measured last of a choice of anchors
    kept = ("last", "earlier", "other_numbers")
    parts = {part: {name: rows for name, rows in before.get(part, {}).items() if name in done} for part in kept}
    document |= parts
    spent, most = (before["seconds"]["stitch"], before["peak_gib"]) if done else (0.0, 0.0)

    def save():
        seconds["stitch"] = spent + time.perf_counter() - start
        peak = max(most, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
        write(path, rounded(document | {"seconds": seconds, "peak_gib": peak}, 5))

    tell = console.print
    for name in [name for name in args.strategies if name not in parts["other_numbers"]]:
        strategy = STRATEGIES[name]
        draws = [anchors(data, ANCHORS, strategy, seed) for seed in DRAWS]
        tell(f"[bold]{name}")
        arms = last_layer(data)
        if strategy != "training":  # neither depends on how anchors are chosen
            arms = {arm: meet for arm, meet in arms.items() if arm not in ("absolute", "class-centroid")}
        document["last"][name] = measure(arms, runs, draws, look, y, said, kinds, tell)
        document["earlier"][name] = measure(one_layer_earlier(graph), runs, draws, look, y, said, kinds, tell)
        save()
        for count in FEWER_AND_MORE:
            some = {arm: arms[arm] for arm in COMPARED}
            draw = [anchors(data, count, strategy, 0)]
            rows = measure(some, runs, draw, look, y, said, kinds, tell, reach=2)
            document["other_numbers"].setdefault(name, {})[str(count)] = rows
        save()
    save()  # of finished parts alone as well
    console.print_json(json.dumps(rounded({"own": document["own"], "seconds": seconds}, 4)))


if __name__ == "__main__":
    main()
