"""What else was tried: the number of anchors, the shrinkage, normalised embeddings, the divergence.

    python benchmarks/molecules/choose.py --data-root DIR

Reads the runs that ``run.py`` trained, lets every encoder meet every other head, and writes ``choice.json``: the metric
on validation graphs, which may choose, and on test graphs, which is looked at.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from run import DATASETS, HERE, rounded
from trained import CACHE, trained

import relgraph as rg
from relgraph.stitching.graphs import graph_anchors, graph_space
from relgraph.training import GraphTrainSettings, embed, metric_named

WAYS = (
    ("linear", 0.001, False),
    ("linear", 0.01, False),
    ("linear", 0.1, False),
    ("linear", 0.3, False),
    ("linear", 1.0, False),
    ("linear", "loo", False),
    ("linear", 0.01, True),
    ("kl", "loo", False),
)


def main():
    """Measure every way on every data set asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", required=True)
    parser.add_argument("--datasets", nargs="+", default=list(DATASETS), choices=DATASETS)
    parser.add_argument("--cache", type=Path, default=CACHE)
    args = parser.parse_args()
    torch.set_num_threads(1)
    path = HERE / "choice.json"
    found = json.loads(path.read_text()) if path.exists() else {}
    for name in args.datasets:
        dataset = rg.load_graphs(name, args.data_root)
        settings = GraphTrainSettings()
        runs = [run for kind in ("gcn", "gin") for run in trained(dataset, kind, range(5), settings, args.cache)]
        found[name] = rounded(measured(dataset, runs))
        path.write_text(json.dumps({one: found[one] for one in DATASETS if one in found}, indent=1) + "\n")
        print(name, *found[name]["rows"], sep="\n", flush=True)


@torch.no_grad()
def measured(dataset, runs):
    """Own values, and a row for each number of anchors and way: mean over all ordered pairs."""
    metric, parts = metric_named(dataset.metric), {"validation": dataset.validation, "test": dataset.test}
    y = {part: dataset.y[rows].double().numpy() for part, rows in parts.items()}
    spaces = [embed(run.model, dataset) for run in runs]
    heads = [run.model.head for run in runs]

    def value(part, outputs):
        return metric.value(y[part], outputs.double().numpy())

    own = {
        part: float(np.mean([value(part, head(z[rows])) for z, head in zip(spaces, heads, strict=True)]))
        for part, rows in parts.items()
    }
    rows = []
    for count in sorted({128, 256, 512, dataset.train.numel()}):
        if count > dataset.train.numel():
            continue
        anchors = graph_anchors(dataset, count)
        for method, shrinkage, unit in WAYS:
            slow = count > 512 and (shrinkage == "loo" or method == "kl")
            if slow or (method == "kl" and dataset.task == "regression"):
                continue
            points = [z / z.norm(dim=1, keepdim=True).clamp(min=1e-12) if unit else z for z in spaces]
            published = [
                rg.publish(head, graph_space(z, dataset, anchors), outputs="labels")
                for z, head in zip(spaces, heads, strict=True)
            ]
            values = {part: [] for part in parts}
            for i, z in enumerate(points):
                space = graph_space(z, dataset, anchors)
                for j, head in enumerate(published):
                    if i == j:
                        continue
                    module = rg.convert(head, space, method, shrinkage=shrinkage)
                    for part, at in parts.items():
                        values[part].append(value(part, module(z[at])))
            way = f"{method}, {'leave-one-out' if shrinkage == 'loo' else shrinkage}{', unit length' if unit else ''}"
            rows.append(
                {"anchors": count, "way": way, **{part: float(np.mean(found)) for part, found in values.items()}}
            )
    return {"metric": metric.title, "direction": metric.direction, "own": own, "rows": rows}


if __name__ == "__main__":
    main()
