"""Do heads of other tasks pass between class-trained encoders? Regression heads, GCN to GCN, last layer, width 64.

    python benchmarks/stitching/tasks.py --data-root DIR

Ten tasks that the encoders were never trained on: log-PageRank, log-degree, and the first eight principal components of
propagated features (known for every node, no label). A random 60 % of the nodes fit a ridge regression on each run's
frozen embeddings, 20 % choose its penalty, and R2 is taken on the other 20 %. The head is then read by every other
run's encoder through 8 to 512 anchors; beside it stand the mean of the target over the source's predicted classes, the
nearest anchor's value, Procrustes, and, as a control, the head's values shuffled over the anchors and then converted.
Writes ``tasks.json``.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from cases import NAMES, anchor_rows, finished, graph, rounded, space_of, write
from meetings import short
from sklearn.linear_model import Ridge
from torch import nn
from torch_geometric.utils import degree, to_networkx
from trained import CACHE, trained

import relgraph as rg
from relgraph.anchors import propagated_features
from relgraph.stitching import intervals
from relgraph.translation import procrustes

HERE = Path(__file__).parent
COMMAND = "python benchmarks/stitching/tasks.py --data-root DIR"
SEEDS = range(10)
COUNTS = (8, 16, 32, 64, 128, 256, 512)
COMPONENTS = 8
ARMS = ("converted", "nearest anchor", "procrustes", "permuted-anchors")
PENALTIES = tuple(10.0**power for power in range(-6, 4))


def targets(data):
    """Every task's name and its value at every node, standardised."""
    import networkx as nx

    ranks = nx.pagerank(to_networkx(data))
    columns = {
        "log-PageRank": torch.tensor([ranks[node] for node in range(data.num_nodes)]).log(),
        "log-degree": (degree(data.edge_index[0], data.num_nodes) + 1).log(),
    }
    points = propagated_features(data, generator=torch.Generator().manual_seed(0)).double()
    points = points - points.mean(dim=0)
    left, values, _ = torch.linalg.svd(points, full_matrices=False)
    for number in range(COMPONENTS):
        columns[f"component {number + 1}"] = left[:, number] * values[number]
    return {name: ((x - x.mean()) / x.std()).double() for name, x in columns.items()}


def fitted(z, y, fit, choose):
    """A linear head of one output: ridge regression, the penalty by the squared error on ``choose``."""
    points = z.double().numpy()
    scale = np.square(points[fit] - points[fit].mean(0)).sum() / points.shape[1]
    best = None
    for penalty in PENALTIES:
        model = Ridge(alpha=penalty * scale).fit(points[fit], y[fit].numpy())
        error = np.square(model.predict(points[choose]) - y[choose].numpy()).mean()
        if best is None or error < best[0]:
            best = error, model
    head = nn.Linear(points.shape[1], 1)
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(best[1].coef_).view(1, -1))
        head.bias.copy_(torch.tensor([best[1].intercept_]))
    return head.requires_grad_(False)


def r2(predicted, truth):
    """Coefficient of determination."""
    return float(1 - (predicted - truth).square().sum() / (truth - truth.mean()).square().sum())


@torch.no_grad()
def measure(name, root, cache):
    """All tasks of one graph."""
    data = graph(name, root)
    runs = trained(data, name, "gcn", SEEDS, cache)
    order = torch.randperm(data.num_nodes, generator=torch.Generator().manual_seed(0))
    cut = data.num_nodes // 5
    look, choose, fit = order[:cut], order[cut : 2 * cut], order[2 * cut :]
    draws = {count: [anchor_rows(data, count, "kmeans", seed) for seed in SEEDS] for count in COUNTS}
    spaces = {
        count: [[space_of(run.z, rows) for run in runs] for rows in drawn] for count, drawn in draws.items()
    }  # [draw][run]
    said = [run.head(run.z).argmax(1) for run in runs]
    kinds, size = ["gcn"] * len(runs), len(runs)
    found = {}
    for task, y in targets(data).items():
        heads = [fitted(run.z, y, fit, choose) for run in runs]
        own = np.array([r2(h(run.z[look]).view(-1).double(), y[look]) for h, run in zip(heads, runs, strict=True)])
        means = np.array([r2(_class_means(run_said, y, fit)[run_said[look]], y[look]) for run_said in said])
        rows = []
        for count in COUNTS:
            square = {what: np.full((size, size), np.nan) for what in ARMS}
            for i, source in enumerate(runs):
                nearest = torch.cdist(source.z[look], source.z[draws[count][i]]).argmin(1)
                for j, head in enumerate(heads):
                    if i == j:
                        continue
                    here, there = spaces[count][i][i], spaces[count][i][j]
                    published = rg.publish(head, there)
                    order = torch.randperm(count, generator=torch.Generator().manual_seed(size * i + j))
                    shuffled = replace(published, logits=published.logits[order])
                    turned = head(procrustes(here, there)(source.z[look]))
                    for what, value in (
                        ("converted", rg.convert(published, here, shrinkage="loo")(source.z[look])),
                        ("nearest anchor", published.logits[nearest]),
                        ("procrustes", turned),
                        ("permuted-anchors", rg.convert(shuffled, here, shrinkage="loo")(source.z[look])),
                    ):
                        square[what][i, j] = r2(value.view(-1).double(), y[look])
            pairs = ~np.eye(size, dtype=bool)
            row = {what: short(intervals.pair_figure(values, pairs, kinds)) for what, values in square.items()}
            rows.append({"anchors": count} | row)
        found[task] = {
            "own": short(intervals.run_figure(own, kinds)),
            "class means": short(intervals.run_figure(means, kinds)),
            "rows": rows,
        }
        last = {row["anchors"]: round(row["converted"]["mean"], 3) for row in rows}
        print(f"{name} {task}: own {own.mean():.3f}, stitched {last}", flush=True)
    return found


def _class_means(said, y, fit):
    """Mean of the target over the nodes of every predicted class."""
    count = int(said.max()) + 1
    total = torch.zeros(count, dtype=y.dtype).index_add_(0, said[fit], y[fit])
    return total / torch.bincount(said[fit], minlength=count).clamp(min=1)


def main():
    """Run and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", required=True)
    parser.add_argument("--datasets", nargs="+", default=list(NAMES))
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--again", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    path = HERE / "tasks.json"
    document = finished(path, args.again)
    document |= {"command": COMMAND, "seeds": len(SEEDS), "strategy": "kmeans"}
    for name in args.datasets:
        if name not in document["graphs"]:
            document["graphs"][name] = rounded(measure(name, args.data_root, args.cache), 5)
            write(path, document)


if __name__ == "__main__":
    main()
