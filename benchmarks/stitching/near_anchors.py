"""Does a relative representation gain or lose when only near anchors are kept?

    python benchmarks/stitching/near_anchors.py --data-root DIR

Ten frozen GCNs on each citation graph, 128 random anchors, cosine. Coordinates of anchors that are not among the k
nearest of a node (by cosine in its own space), or not within some hops on the graph, take the declared fill, 0. A new
linear head is trained on these vectors of each run, then read by every other run. Three draws of anchors, averaged pair
by pair before anything else. Writes ``near_anchors.json``. Test labels choose nothing: every choice is shown.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from cases import anchor_rows, graph, rounded
from trained import CACHE, trained

import relgraph as rg
from relgraph.nn.anchor_edges import complete_edges, nearest_anchor_edges, within_hops_edges
from relgraph.stitching.intervals import pair_figure, run_figure
from relgraph.stitching.scores import accuracy_floor, accuracy_matrix, cross_seed, retention_matrix
from relgraph.training.posthoc import STRENGTHS, fit_linear_head

HERE = Path(__file__).parent
ANCHORS = 128
ALL = ("all", ANCHORS)
CHOICES = (ALL, *(("nearest", k) for k in (4, 8, 16, 32, 64)), *(("hops", hops) for hops in (1, 2, 3)))
DRAWS = (0, 1, 2)


def edges_of(z, data, anchors, choice):
    """The pairs of anchor and node whose coordinate is kept."""
    kind, count = choice
    if kind == "nearest":
        return nearest_anchor_edges(z, z[anchors], count)
    if kind == "hops":
        return within_hops_edges(data.edge_index, anchors, count, len(z))
    return complete_edges(len(anchors), len(z))


def accuracies(heads, vectors, y, mask):
    """Accuracy of every head on every run's vectors, ``(R, R)``."""
    said = torch.stack([torch.stack([head(r[mask]).argmax(-1) for head in heads]) for r in vectors])
    return accuracy_matrix(said.numpy(), y[mask].numpy())


def draw(data, runs, anchors, choice, strengths=STRENGTHS):
    """One choice with one draw of anchors: accuracy of all pairs on test and validation nodes, and what was kept."""
    y, rows = data.y, [mask.nonzero().view(-1) for mask in (data.train_mask, data.val_mask)]
    vectors, heads, kept = [], [], []
    for run in runs:
        edges = edges_of(run.z, data, anchors, choice)
        vectors.append(rg.RelativeConv("cosine")(run.z, edges, anchors=run.z[anchors]))
        heads.append(fit_linear_head(vectors[-1], y, *rows, int(y.max()) + 1, strengths))
        kept.append(torch.zeros(len(y), len(anchors), dtype=torch.bool))
        kept[-1][edges[1], edges[0]] = True
    shared = [(one & other).sum() / one.sum() for i, one in enumerate(kept) for j, other in enumerate(kept) if i != j]
    return {
        "test": accuracies(heads, vectors, y, data.test_mask),
        "validation": accuracies(heads, vectors, y, data.val_mask),
        "joined": np.diag(accuracies(heads, vectors, y, data.test_mask & kept[0].any(1))),
        "anchors_per_node": float(kept[0].sum(1).double().mean()),
        "without": float((~kept[0][data.test_mask].any(1)).double().mean()),
        "shared": float(torch.stack(shared).mean()),
    }


def mean(values, key):
    """Mean over draws."""
    return np.mean([value[key] for value in values], axis=0)


def measure(name, root, cache, seeds):
    """All choices on one graph."""
    data = graph(name, root)
    runs = trained(data, name, "gcn", range(seeds), cache)
    y, test, kinds = data.y, data.test_mask, ["gcn"] * seeds
    floor, pairs = accuracy_floor(y[test].numpy()), cross_seed(kinds)
    absolute = np.array([float((run.head(run.z[test]).argmax(-1) == y[test]).double().mean()) for run in runs])
    anchors = [anchor_rows(data, ANCHORS, seed=seed) for seed in DRAWS]
    rows, whole = [], None
    for choice in CHOICES:
        found = [draw(data, runs, chosen, choice) for chosen in anchors]
        accuracy, validation = mean(found, "test"), mean(found, "validation")
        retention = retention_matrix(accuracy, absolute, floor, kinds)
        whole = (accuracy, retention) if choice == ALL else whole
        rows.append(
            {
                "kind": choice[0],
                "count": choice[1],
                "anchors_per_node": float(mean(found, "anchors_per_node")),
                "test_nodes_without": float(mean(found, "without")),
                "shared": float(mean(found, "shared")),
                "validation_own": run_figure(np.diag(validation), kinds),
                "validation_cross_seed": pair_figure(validation, pairs, kinds),
                "own": run_figure(np.diag(accuracy), kinds),
                "own_where_joined": run_figure(mean(found, "joined"), kinds),
                "own_gain": run_figure(np.diag(accuracy - whole[0]), kinds),
                "cross_seed": pair_figure(accuracy, pairs, kinds),
                "retention": pair_figure(retention, pairs, kinds),
                "retention_gain": pair_figure(retention - whole[1], pairs, kinds),
            }
        )
        print(name, json.dumps(rounded(rows[-1])), flush=True)
    return {"absolute_own": run_figure(absolute, kinds), "rows": rows}


def by_strength(name, root, cache, seeds):
    """All anchors and the 32 nearest with one strength of regularisation for every head, in place of a chosen one."""
    data = graph(name, root)
    runs = trained(data, name, "gcn", range(seeds), cache)
    kinds, rows = ["gcn"] * seeds, []
    for choice in (ALL, ("nearest", 32)):
        for strength in STRENGTHS:
            found = [draw(data, runs, anchor_rows(data, ANCHORS, seed=seed), choice, (strength,)) for seed in DRAWS]
            test, validation = mean(found, "test"), mean(found, "validation")
            rows.append(
                {
                    "kind": choice[0],
                    "count": choice[1],
                    "strength": strength,
                    "validation_own": run_figure(np.diag(validation), kinds),
                    "validation_cross_seed": pair_figure(validation, cross_seed(kinds), kinds),
                    "own": run_figure(np.diag(test), kinds),
                    "cross_seed": pair_figure(test, cross_seed(kinds), kinds),
                }
            )
            print(name, json.dumps(rounded(rows[-1])), flush=True)
    return rows


def main():
    """Measure and write ``near_anchors.json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", required=True)
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--datasets", nargs="+", default=["cora", "citeseer", "pubmed"])
    parser.add_argument("--seeds", type=int, default=10)
    args = parser.parse_args()
    torch.set_num_threads(1)
    document = {
        "command": "python benchmarks/stitching/near_anchors.py --data-root DIR",
        "seeds": args.seeds, "anchors": ANCHORS, "draws": len(DRAWS), "graphs": {},
    }  # fmt: skip
    for name in args.datasets:
        document["graphs"][name] = measure(name, args.data_root, args.cache, args.seeds)
        document["graphs"][name]["by_strength"] = by_strength(name, args.data_root, args.cache, args.seeds)
        (HERE / "near_anchors.json").write_text(json.dumps(rounded(document), indent=1) + "\n")


if __name__ == "__main__":
    main()
