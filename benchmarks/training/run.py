"""How fast are many seeds side by side? relgraph against the plain PyG loop, same work, one process.

    python benchmarks/training/run.py --data-root DIR

Every contestant trains the two-layer GCN of width 64 for 200 epochs from ten seeds with the same optimiser, dropout and
weight decay, does one training pass and one evaluation pass an epoch, records training, validation and test accuracy at
every epoch, and keeps the parameters of the best validation epoch. Writes ``results.json`` beside this file.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from torch_geometric.nn import GCNConv, SimpleConv
from torch_geometric.nn.conv.gcn_conv import gcn_norm

import relgraph as rg
from relgraph.training import TrainSettings, apply_protocol, fit_many

HERE = Path(__file__).parent
DATASETS = ("cora", "citeseer", "pubmed")


class PlainGCN(nn.Module):
    """What a PyG user writes: normalisation cached, features dense or (with ``sparse``) a coalesced COO matrix."""

    def __init__(self, data, classes, settings, sparse):
        super().__init__()
        self.settings, self.sparse = settings, sparse
        self.conv = GCNConv(data.x.size(1), settings.hidden_channels, cached=True)
        self.propagation = SimpleConv(aggr="sum")
        self.head = nn.Linear(settings.hidden_channels, classes)
        self.edges, self.weight = gcn_norm(data.edge_index, None, data.num_nodes)

    def forward(self, x, edge_index):
        p = self.settings.input_dropout
        if self.sparse:
            values = F.dropout(x.values(), p, self.training)
            x = torch.sparse_coo_tensor(x.indices(), values, x.shape, is_coalesced=True)
            h = torch.sparse.mm(x, self.conv.lin.weight.t())
            h = self.propagation(h, self.edges, self.weight) + self.conv.bias
        else:
            h = self.conv(F.dropout(x, p, self.training), edge_index)
        h = F.dropout(h.relu(), self.settings.dropout, self.training)
        return self.head(self.propagation(h, self.edges, self.weight))


def plain_loop(data, seeds, settings, sparse=False):
    """One seed after the other; returns seconds per run and test accuracy of the best validation epoch."""
    y, masks = data.y, (data.train_mask, data.val_mask, data.test_mask)
    x = data.x.to_sparse_coo().coalesce() if sparse else data.x
    seconds, accuracies = [], []
    for seed in seeds:
        start = time.perf_counter()
        torch.manual_seed(seed)
        model = PlainGCN(data, int(y.max()) + 1, settings, sparse)
        optimizer = torch.optim.Adam(
            [
                {"params": model.conv.parameters(), "weight_decay": settings.weight_decay},
                {"params": model.head.parameters(), "weight_decay": settings.head_weight_decay},
            ],
            lr=settings.lr,
            fused=True,
        )
        best = (-1.0, 0.0)
        for _ in range(settings.epochs):
            model.train()
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x, data.edge_index)[data.train_mask], y[data.train_mask])
            loss.backward()
            optimizer.step()
            model.eval()
            with torch.no_grad():
                logits = model(x, data.edge_index)
            hits = logits.argmax(-1) == y
            _, validation, test = (float(hits[mask].float().mean()) for mask in masks)
            found = (validation, -float(F.cross_entropy(logits[data.val_mask], y[data.val_mask])))
            if found > best:
                best, chosen = found, test
                state = {name: value.clone() for name, value in model.state_dict().items()}
        model.load_state_dict(state)
        seconds.append(time.perf_counter() - start)
        accuracies.append(chosen)
    return seconds, accuracies


def ours(data, seeds, settings):
    """All seeds side by side; returns seconds of the whole and test accuracy of the best validation epochs."""
    start = time.perf_counter()
    runs = fit_many(data, "gcn", seeds, settings=settings)
    seconds = time.perf_counter() - start
    assert {run.path for run in runs} == {"stacked"}
    return seconds, [run.history.test[run.best_epoch - 1] for run in runs]


def contest(data, settings, seeds, *, baseline_seeds, sparse_seeds):
    """Baseline runs with ours in between, so that a change of the machine's speed meets both sides."""
    per_epoch = 1e3 / settings.epochs
    half = len(baseline_seeds) // 2
    ours_seconds, plain_seconds, plain_accuracy = [], [], []
    for part in (baseline_seeds[:half], baseline_seeds[half:]):
        seconds, accuracy = ours(data, seeds, settings)
        ours_seconds.append(seconds)
        found = plain_loop(data, part, settings)
        plain_seconds += found[0]
        plain_accuracy += found[1]
    seconds, accuracy = ours(data, seeds, settings)
    ours_seconds.append(seconds)
    alone = [ours(data, [seed], settings)[0] for seed in (0, 1, 2)]
    sparse, _ = plain_loop(data, sparse_seeds, settings, sparse=True)
    ours_ms = statistics.median(ours_seconds) / len(seeds) * per_epoch
    plain_ms = statistics.median(plain_seconds) * per_epoch
    return {
        "plain_ms": plain_ms,
        "plain_sparse_ms": statistics.median(sparse) * per_epoch,
        "ours_ms": ours_ms,
        "ours_alone_ms": statistics.median(alone) * per_epoch,
        "ratio": plain_ms / ours_ms,
        "plain_accuracy": summary(plain_accuracy),
        "ours_accuracy": summary(accuracy),
    }


def summary(values):
    """Mean, unbiased standard deviation and a 95 % t interval of the mean."""
    from scipy.stats import t

    n, mean, std = len(values), statistics.mean(values), statistics.stdev(values)
    half = float(t.ppf(0.975, n - 1)) * std / n**0.5
    return {"mean": mean, "std": std, "n": n, "interval": [mean - half, mean + half]}


def load(name, root, split):
    """The graph with the masks of a protocol."""
    return apply_protocol(rg.load_dataset(name, root), split)[0]


def peak_memory(name, root, side, input_dropout):
    """Megabytes that one side adds to the loaded graph, in a process of its own."""
    command = [sys.executable, __file__, "--data-root", root, "--memory-of", name, side, str(input_dropout)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def print_peak_memory(name, root, side, input_dropout):
    """The child of :func:`peak_memory`."""
    data = load(name, root, "public")
    settings = TrainSettings(epochs=5, log_test=True, input_dropout=input_dropout)
    fit_many(
        rg.load_dataset("digits"), "gcn", [0], settings=TrainSettings(epochs=1)
    )  # what any use loads and allocates
    before = reset_peak()
    if side == "ours":
        ours(data, range(10), settings)
    else:
        plain_loop(data, [0], settings)
    print((memory("VmHWM") - before) / 1024)


def reset_peak():
    """Forget the process's high-water mark of memory (Linux); returns what is in use now, in kB."""
    Path("/proc/self/clear_refs").write_text("5")
    return memory("VmRSS")


def memory(field):
    """A memory figure of this process in kB, as Linux keeps it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1])


def main():
    """Run the contest and write ``results.json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", required=True, help="folder with the raw files of the data sets")
    parser.add_argument("--datasets", nargs="+", default=list(DATASETS))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=HERE / "results.json")
    parser.add_argument("--memory-of", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.memory_of:
        name, side, p = args.memory_of
        print_peak_memory(name, args.data_root, side, float(p))
        return
    seeds = list(range(args.seeds))
    cases = []
    for name in args.datasets:
        for split in ("public", "random"):
            data = load(name, args.data_root, split)
            for p in (0.5, 0.0):
                settings = TrainSettings(epochs=args.epochs, log_test=True, input_dropout=p)
                # On the random split only time is compared, so two baseline runs do.
                baseline = seeds if split == "public" else seeds[:2]
                result = contest(data, settings, seeds, baseline_seeds=baseline, sparse_seeds=seeds[:2])
                if split == "public":
                    result["memory_mb"] = {
                        side: peak_memory(name, args.data_root, side, p) for side in ("plain", "ours")
                    }
                cases.append({"dataset": name, "split": split, "input_dropout": p, **result})
                print(json.dumps(cases[-1]), flush=True)
    ratios = {}
    for p, key in ((0.5, "with_input_dropout"), (0.0, "without_input_dropout")):
        chosen = [c["ratio"] for c in cases if c["split"] == "public" and c["input_dropout"] == p]
        ratios[key] = statistics.geometric_mean(chosen)
    versions = {
        "python": platform.python_version(),
        "torch": torch.__version__.split("+")[0],
        "relgraph": rg.__version__,
    }
    document = {
        "command": "python benchmarks/training/run.py --data-root DIR",
        "seeds": args.seeds, "epochs": args.epochs, "threads": args.threads,
        "geometric_mean_ratio_public": ratios, "cases": cases, "versions": versions,
    }  # fmt: skip
    args.out.write_text(json.dumps(document, indent=1) + "\n")
    print(json.dumps(ratios))


if __name__ == "__main__":
    main()
