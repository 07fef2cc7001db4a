"""Can networks be stitched before the last layer? Behind layer 1 of GCN and GraphSAGE of two and three layers.

    python benchmarks/stitching/layers.py --data-root DIR

The source's first layer, a translation fitted on 128 random anchors (drawn anew for each source), then the target's
remaining layers, message passing included, on the whole graph. Ten runs of the two-layer networks, five of the
three-layer ones; all ordered pairs. A last part takes sources trained on two superclasses. Writes ``layers.json``;
finished graphs are kept unless ``--again`` is given.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from cases import NAMES, anchor_rows, coarse, finished, graph, rounded, space_of, write
from meetings import figures, said_by
from torch import nn
from trained import CACHE, trained

from relgraph.nn.cut import cut
from relgraph.stitching import scores
from relgraph.translation import kernel_ridge, procrustes, ridge_affine

HERE = Path(__file__).parent
COMMAND = "python benchmarks/stitching/layers.py --data-root DIR"
ANCHORS, LAYER = 128, 1
SEEDS = {2: range(10), 3: range(5)}


def fits(generator):
    """The translations that are compared: from two spaces to a map."""

    def shuffled(here, there):
        order = torch.randperm(len(there.ids), generator=generator)
        return ridge_affine(here, type(there)(there.ids, there.embeddings[order], there.center))

    return {
        "ridge-affine": lambda here, there: ridge_affine(here, there, shrinkage="loo"),
        "ridge-affine, then ReLU": lambda here, there: nn.Sequential(
            ridge_affine(here, there, shrinkage="loo"), nn.ReLU()
        ),
        "kernel-ridge": kernel_ridge,
        "procrustes": procrustes,
        "none": lambda here, there: nn.Identity(),
        "permuted-anchors": shuffled,
    }


@torch.no_grad()
def measure(data, sources, targets, kinds, told):
    """Figures of every translation, within a kind and across kinds."""
    look, classes = data.test_mask, int(data.y.max()) + 1
    y, said = data.y[look].numpy(), said_by(targets, look)
    edges = data.edge_index
    states = [cut(run.model, LAYER)[0](data.x, edges) for run in sources]
    theirs = [cut(run.model, LAYER) for run in targets]
    draws = [anchor_rows(data, ANCHORS, seed=run.seed) for run in sources]
    target_states = [front(data.x, edges) for front, _ in theirs]
    seeds, encoders = scores.cross_seed(kinds), scores.cross_encoder(kinds)
    result = {}

    def add(name, predictions, started):
        row = {}
        for which, pairs in (("within", seeds), ("across", encoders)):
            if pairs.any():
                row[which] = figures(predictions, said if told else None, said, y, kinds, pairs)
        for kind in dict.fromkeys(kinds):
            named = np.array(kinds) == kind
            row[kind] = figures(
                predictions, said if told else None, said, y, kinds, seeds & named[:, None] & named[None, :]
            )
        result[name] = row | {"seconds": (time.perf_counter() - started) / predictions.shape[0] ** 2}

    for name, fit in fits(torch.Generator().manual_seed(0)).items():
        start = time.perf_counter()
        predictions = np.full((len(sources), len(targets), len(y)), -1, dtype=np.int16)
        for i, state in enumerate(states):
            here = space_of(state, draws[i])
            for j, (_, back) in enumerate(theirs):
                if i != j:
                    move = fit(here, space_of(target_states[j], draws[i]))
                    predictions[i, j] = back(move(state), edges)[look].argmax(1).numpy()
        add(name, predictions, start)
    start, one = time.perf_counter(), F.one_hot(data.y[data.train_mask], classes).float()
    centroid = []
    for state in states:
        means = one.mT @ state[data.train_mask] / one.sum(0).clamp(min=1).unsqueeze(1)
        centroid.append(torch.cdist(state[look], means).argmin(1).numpy())
    add("class-centroid", np.stack([np.stack([row] * len(targets)) for row in centroid]).astype(np.int16), start)
    own = (said == y).mean(1)
    return {"own": {kind: float(own[np.array(kinds) == kind].mean()) for kind in dict.fromkeys(kinds)}, "maps": result}


def main():
    """Run what is missing and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", required=True)
    parser.add_argument("--datasets", nargs="+", default=list(NAMES))
    parser.add_argument("--cases", nargs="+", default=["2", "3", "superclasses"])
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--again", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    path = HERE / "layers.json"
    document = finished(path, args.again)
    document |= {"command": COMMAND, "anchors": ANCHORS, "layer": LAYER}
    for case in args.cases:
        for name in args.datasets:
            found = document["graphs"].setdefault(name, {})
            if case in found:
                continue
            data = graph(name, args.data_root)
            if case == "superclasses":
                targets = trained(data, name, "gcn", SEEDS[2], args.cache)
                sources = trained(coarse(data, name), f"{name}-coarse", "gcn", SEEDS[2], args.cache)
                result = measure(data, sources, targets, ["gcn"] * len(targets), told=False)
            else:
                depth, runs, kinds = int(case), [], []
                for encoder in ("gcn", "sage"):
                    runs += trained(data, name, encoder, SEEDS[depth], args.cache, layers=depth)
                    kinds += [encoder] * len(SEEDS[depth])
                result = measure(data, runs, runs, kinds, told=True)
            found[case] = rounded(result, 5)
            write(path, document)
            for what, row in found[case]["maps"].items():
                line = {key: (row[key]["accuracy"]["mean"], row[key]["fidelity"]["mean"]) for key in row if key in
                        ("within", "across", "gcn")}  # fmt: skip
                print(name, case, found[case]["own"], what, line, flush=True)


if __name__ == "__main__":
    main()
