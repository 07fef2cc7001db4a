"""How runs on ogbn-arxiv are trained, and do the constants of conversion suit forty classes? On validation nodes.

    python benchmarks/ogb/choose.py --data-root DIR [--device cuda]

A small grid of widths, dropouts and learning rates with a seed that nothing else uses, and conversions from 512 random
training nodes between two more such runs of every encoder, with other constants than the chosen. No test node is read.
Writes ``choice.json``.
"""

from __future__ import annotations

import argparse
import itertools
from dataclasses import replace
from pathlib import Path

import torch
from graph import SETTINGS, arxiv

import relgraph as rg
from relgraph.conversion.kl import ANCHORS_WORTH, SHARPNESS, kl
from relgraph.conversion.pairing import Pairing
from relgraph.training import fit_many

from cases import head_of, rounded, space_of, write  # isort: skip  # the folder that graph.py put on the path

HERE = Path(__file__).parent
SEED, PAIR = 1000, (1001, 1002)
GRID = {"hidden_channels": (64, 128), "dropout": (0.2, 0.5), "lr": (0.01, 0.003)}
CONSTANTS = list(itertools.product((1.0, 3.0, 10.0), (1.0, 2.0, 4.0, 8.0)))
ANCHORS, DRAWS = 512, range(3)


def grid(data):
    """Validation accuracy of every encoder and setting."""
    rows = []
    for encoder in ("gcn", "sage"):
        for values in itertools.product(*GRID.values()):
            options = dict(zip(GRID, values, strict=True))
            run = fit_many(data, encoder, [SEED], settings=replace(SETTINGS, **options), path="whole")[0]
            rows.append({"encoder": encoder, **options, "validation": run.validation, "epoch": run.best_epoch})
            print(rows[-1], flush=True)
    return rows


class Bare:
    """Embeddings on the processor and a head, which is all that conversion reads."""

    def __init__(self, run, data):
        self.z = run.model.encode(data).cpu()
        self.head = run.model.head.cpu().requires_grad_(False)


def constants(data):
    """Mean validation accuracy of conversions between the runs, and their own."""
    runs = []
    for encoder in ("gcn", "sage"):
        runs += [Bare(run, data) for run in fit_many(data, encoder, PAIR, settings=SETTINGS, path="whole")]
    look, y = data.val_mask.cpu(), data.y.cpu()
    own = [float((run.head(run.z[look]).argmax(1) == y[look]).double().mean()) for run in runs]
    train = data.train_mask.cpu().nonzero().view(-1)
    methods = {
        f"kl, worth {worth:g}, sharpness {sharp:g}": lambda head, space, w=worth, s=sharp: kl(
            Pairing.of(head, space, torch.arange(ANCHORS), torch.arange(ANCHORS)), worth=w, sharpness=s
        )
        for worth, sharp in CONSTANTS
    }
    methods["linear, leave-one-out"] = lambda head, space: rg.convert(head, space, shrinkage="loo")
    methods["linear, 0.01"] = lambda head, space: rg.convert(head, space)
    rows = []
    for name, convert in methods.items():
        found = []
        for draw in DRAWS:
            picked = train[torch.randperm(len(train), generator=torch.Generator().manual_seed(1000 + draw))[:ANCHORS]]
            for i, j in itertools.permutations(range(len(runs)), 2):
                module = convert(head_of(runs[j], picked), space_of(runs[i].z, picked))
                found.append(float((module(runs[i].z[look]).argmax(1) == y[look]).double().mean()))
        rows.append({"method": name, "validation": sum(found) / len(found)})
        print(rows[-1], flush=True)
    return {"own": sum(own) / len(own), "rows": rows}


def main():
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", required=True)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    data = arxiv(args.data_root, "spectral").to(args.device)
    rows, found = grid(data), constants(data)
    document = {"command": "python benchmarks/ogb/choose.py --data-root DIR --device cuda", "grid": rows}
    document |= {"anchors": ANCHORS, "conversion": found}
    document |= {"chosen": {"worth": ANCHORS_WORTH, "sharpness": SHARPNESS}}
    write(HERE / "choice.json", rounded(document, 5))


if __name__ == "__main__":
    main()
