"""Why does one pair of GraphSAGE runs on CiteSeer fall short? Other shrinkages, anchors and numbers of anchors.

    python benchmarks/stitching/shrinkage.py --data-root DIR

The representation of GraphSAGE is 128 wide, as many as there are anchors. Converts the heads of ten GraphSAGE runs (the
ones of ``run.py``) for each other with several shrinkages, anchor draws and numbers of anchors, and writes
``shrinkage.json``. It explains a number; nothing is chosen by it.
"""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path

import torch

import relgraph as rg
from relgraph.training import apply_protocol, fit_many

HERE = Path(__file__).parent
CHOICES = [
    *((128, "random", 0, shrinkage) for shrinkage in (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)),
    *((128, "random", seed, 0.01) for seed in (1, 2, 3)),
    (256, "random", 0, 0.01),
    (128, "kmeans", 0, 0.01),
]


def main():
    """Convert by every choice and write ``shrinkage.json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    graph, _ = apply_protocol(rg.load_dataset("citeseer", args.data_root), "public")
    models = [run.model for run in fit_many(graph, "sage", range(10))]
    embeddings = [model.encode(graph) for model in models]
    test, y = graph.test_mask, graph.y[graph.test_mask]
    own = [accuracy(model.head(z[test]), y) for model, z in zip(models, embeddings, strict=True)]
    rows = []
    for count, strategy, seed, shrinkage in CHOICES:
        data = rg.AddAnchors(count, strategy, seed=seed)(graph)
        spaces = [rg.AnchorSet.from_embeddings(z, data) for z in embeddings]
        heads = [rg.publish(model.head, space) for model, space in zip(models, spaces, strict=True)]
        retention = [
            accuracy(rg.convert(heads[j], spaces[i], shrinkage=shrinkage)(embeddings[i][test]), y) / min(own[i], own[j])
            for i, j in itertools.permutations(range(len(models)), 2)
        ]
        rows.append(
            {
                "anchors": count,
                "strategy": strategy,
                "anchor_seed": seed,
                "shrinkage": shrinkage,
                "mean": sum(retention) / len(retention),
                "worst": min(retention),
                "pairs_below": sum(value < 0.97 for value in retention),
                "pairs": len(retention),
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    document = {"command": "python benchmarks/stitching/shrinkage.py --data-root DIR", "rows": rows}
    (HERE / "shrinkage.json").write_text(json.dumps(document, indent=1) + "\n")


def accuracy(logits, y):
    """Share of right arg maxes."""
    return float((logits.argmax(-1) == y).double().mean())


if __name__ == "__main__":
    main()
