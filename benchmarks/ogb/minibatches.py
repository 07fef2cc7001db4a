"""GraphSAGE with a relative layer, trained on ogbn-arxiv in mini-batches that carry the anchors.

    python -m benchmarks.ogb.minibatches --data-root DIR

Two layers, 64 anchors, whole neighborhoods of two hops; ``difference`` is the largest difference between outputs of
mini-batches and of the whole graph, over the largest output.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

import relgraph as rg
from benchmarks.study import Row, Study
from relgraph.modes import seeded
from relgraph.nn import RelativeModel, SAGEEncoder

ANCHORS, WIDTH = 64, 64


def measure(cell: Row, options: argparse.Namespace) -> Iterable[Row]:
    """Accuracy after some epochs, and how exact and how fast batches are."""
    data: Any = rg.AddAnchors(ANCHORS)(rg.load_dataset("ogbn-arxiv", options.data_root, features=cell["features"]))
    with seeded(0):
        encoder = SAGEEncoder(data.num_features, WIDTH, dropout=0.2)
        model = RelativeModel(encoder, rg.RelativeLayer("cosine"), nn.Linear(ANCHORS, 40))
        loader = rg.AnchorLoader(data, options.batch, num_hops=2, input_nodes=data.train_mask, shuffle=True)
        optimizer, start, steps = torch.optim.Adam(model.parameters(), lr=0.01), time.perf_counter(), 0
        for _ in range(options.epochs):
            for batch in loader:
                optimizer.zero_grad()
                size = batch.batch_size
                F.cross_entropy(model(batch)[:size], batch.y[:size]).backward()
                optimizer.step()
                steps += 1
                if steps == options.steps:
                    break
        spent = time.perf_counter() - start
    whole, difference = model.predict(data), 0.0
    for number, batch in enumerate(rg.AnchorLoader(data, options.batch, num_hops=2)):
        size = batch.batch_size
        change = (model.predict(batch)[:size] - whole[batch.n_id[:size]]).abs().max()
        difference = max(difference, float(change / whole.abs().max()))
        if number == 2:
            break
    correct = (whole.argmax(1) == data.y).float()
    yield {
        "steps": steps,
        "own": float(correct[data.test_mask].mean()),
        "validation": float(correct[data.val_mask].mean()),
        "difference": difference,
        "seconds": spent / steps,
    }


STUDY = Study(
    __file__,
    measure,
    {"features": ("spectral",)},
    settings={"epochs": 1, "batch": 1024, "steps": 0},
)

if __name__ == "__main__":
    STUDY.main()
