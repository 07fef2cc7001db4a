"""How runs on ogbn-arxiv are trained, and do the constants of conversion suit forty classes? On validation nodes.

    python benchmarks/ogb/choose.py --data-root DIR [--device cuda] [--parts grid stitched constants earlier]

Four parts, each of which replaces its own figures in ``choice.json``: the accuracy of a small *grid* of widths,
dropouts and weight decays with a seed that nothing else uses; what is lost when two more runs of every encoder are
*stitched*, trained by some settings of that grid; and conversions between the runs of the settings that were chosen
with other *constants* (from 512 random training nodes, one draw); and the arms of one layer *earlier* between the same
runs. No test node is read. Runs of all parts but the first are kept in ``--runs``.
"""

from __future__ import annotations

import argparse
import itertools
import json
from dataclasses import replace
from pathlib import Path

import torch
from graph import RUNS, SETTINGS, arxiv, trained, whole
from run import anchors, one_layer_earlier

import relgraph as rg
from relgraph.conversion.kl import ANCHORS_WORTH, SHARPNESS, kl
from relgraph.conversion.pairing import Pairing
from relgraph.training import fit_many
from relgraph.training.kept import fit_kept

from cases import head_of, rounded, space_of, write  # isort: skip  # the folder that graph.py put on the path

HERE = Path(__file__).parent
SEED, PAIR = 1000, (1001, 1002)
GRID = {"hidden_channels": (64, 128), "dropout": (0.2, 0.5), "weight_decay": (0.0, 5e-4, 2e-3)}
# Of the grid: what was chosen, and the same without decay.
STITCHED = [
    {"hidden_channels": 64, "dropout": 0.5, "weight_decay": 2e-3},
    {"hidden_channels": 64, "dropout": 0.5, "weight_decay": 0.0},
]
CONSTANTS = list(itertools.product((0.3, 1.0, 3.0), (1.0, 2.0, 4.0)))
ANCHORS = 512


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
    """Embeddings on the processor and a head, which is all that conversion reads, and the kind of the encoder."""

    def __init__(self, run, data):
        self.kind = run.encoder
        self.z = run.model.encode(data).cpu()
        self.head = run.model.head.cpu().requires_grad_(False)


def pair_of_runs(data, settings, folder):
    """Two runs of every encoder."""
    encoders = ("gcn", "sage")
    return [Bare(run, data) for name in encoders for run in fit_kept(data, name, PAIR, folder, settings=settings)]


def meet(data, runs, convert):
    """Mean validation accuracy of all ordered pairs within a kind and across kinds, by one way of conversion."""
    look, y, picked = data.val_mask.cpu(), data.y.cpu(), anchors(data, ANCHORS, "training", 1000).cpu()
    found = {"seeds": [], "encoders": []}
    for source, target in itertools.permutations(runs, 2):
        module = convert(head_of(target, picked), space_of(source.z, picked))
        right = (module(source.z[look]).argmax(1) == y[look]).double().mean()
        found["seeds" if source.kind == target.kind else "encoders"].append(float(right))
    return {across: sum(values) / len(values) for across, values in found.items()}


def own(data, runs):
    """Mean validation accuracy of the models themselves."""
    look, y = data.val_mask.cpu(), data.y.cpu()
    return sum(float((run.head(run.z[look]).argmax(1) == y[look]).double().mean()) for run in runs) / len(runs)


def stitched(data, folder):
    """What least squares and the fit by KL divergence lose between runs of other settings."""
    rows = []
    for options in STITCHED:
        runs = pair_of_runs(data, replace(SETTINGS, **options), folder)
        for name, method in {"linear, leave-one-out": "linear", "kl": "kl"}.items():
            found = meet(data, runs, lambda head, space, m=method: rg.convert(head, space, m, shrinkage="loo"))
            rows.append({**options, "own": own(data, runs), "method": name, **found})
            print(rows[-1], flush=True)
    return rows


def constants(data, folder):
    """Conversions with other constants, between runs of the settings that were chosen."""
    runs = pair_of_runs(data, SETTINGS, folder)
    methods = {
        f"kl, worth {worth:g}, sharpness {sharp:g}": lambda head, space, w=worth, s=sharp: kl(
            Pairing.of(head, space, torch.arange(ANCHORS), torch.arange(ANCHORS)), worth=w, sharpness=s
        )
        for worth, sharp in CONSTANTS
    }
    methods["rbf"] = lambda head, space: rg.convert(head, space, "rbf")
    methods["linear, leave-one-out"] = lambda head, space: rg.convert(head, space, shrinkage="loo")
    methods["linear, 0.01"] = lambda head, space: rg.convert(head, space)
    rows = []
    for name, convert in methods.items():
        rows.append({"method": name, **meet(data, runs, convert)})
        print(rows[-1], flush=True)
    return {"own": own(data, runs), "rows": rows, "taken": {"worth": ANCHORS_WORTH, "sharpness": SHARPNESS}}


def earlier(data, folder):
    """The arms of ``run.py`` one layer earlier, between the runs of the settings that were chosen."""
    graph = whole(data)
    runs = [run for name in ("gcn", "sage") for run in trained(graph, name, PAIR, folder)]
    look, y, picked = data.val_mask, data.y, anchors(data, ANCHORS, "training", 1000)
    rows = []
    for name, arm in one_layer_earlier(graph).items():
        found = {"seeds": [], "encoders": []}
        for source, target in itertools.permutations(runs, 2):
            right = (arm(source, target, picked, look).argmax(1) == y[look]).double().mean()
            found["seeds" if source.encoder == target.encoder else "encoders"].append(float(right))
        rows.append({"arm": name, **{across: sum(values) / len(values) for across, values in found.items()}})
        print(rows[-1], flush=True)
    return {"own": own(data, runs), "rows": rows}


def main():
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=Path, default=RUNS)
    parts = {"grid": grid, "stitched": stitched, "constants": constants, "earlier": earlier}
    parser.add_argument("--parts", nargs="+", default=list(parts), choices=parts)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    path, data = HERE / "choice.json", arxiv(args.data_root, "spectral").to(args.device)
    before = json.loads(path.read_text()) if path.exists() else {}
    document = {key: before[key] for key in ("command", "anchors", "devices", *parts) if key in before}
    for part in args.parts:
        document[part] = parts[part](data, *([] if part == "grid" else [args.runs]))
        document |= {"command": "python benchmarks/ogb/choose.py --data-root DIR", "anchors": ANCHORS}
        document.setdefault("devices", {})[part] = args.device
        write(path, rounded(document, 5))


if __name__ == "__main__":
    main()
