"""Time of training many seeds together, and of the plain PyG loop with the same work in the same process.

    python -m benchmarks.training.run --data-root DIR

Both sides train the two-layer GCN of width 64 with the same optimizer, dropout and weight decay, do one training and
one evaluation pass per epoch, record training, validation and test accuracy at every epoch, and keep the parameters
of the best validation epoch.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.nn import GCNConv, SimpleConv
from torch_geometric.nn.conv.gcn_conv import gcn_norm

import relgraph as rg
from benchmarks.study import Row, Study
from relgraph.problems import Problem, make_problem
from relgraph.training import TrainSettings, fit_many

Times = tuple[list[float], list[float]]


class PlainGCN(nn.Module):
    """The model of a PyG user: cached normalization, features dense or (``sparse``) a coalesced COO matrix."""

    def __init__(self, data: Any, num_classes: int, settings: TrainSettings, sparse: bool) -> None:
        super().__init__()
        self.settings, self.sparse = settings, sparse
        self.conv = GCNConv(data.x.size(1), settings.hidden_channels, cached=True)
        self.propagation = SimpleConv(aggr="sum")
        self.head = nn.Linear(settings.hidden_channels, num_classes)
        self.edges, self.weight = gcn_norm(data.edge_index, None, data.num_nodes)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """Logits."""
        p = self.settings.input_dropout
        if self.sparse:
            values = F.dropout(x.values(), p, self.training)
            x = torch.sparse_coo_tensor(x.indices(), values, x.shape, is_coalesced=True, check_invariants=False)
            h = torch.sparse.mm(x, self.conv.lin.weight.t())
            h = self.propagation(h, self.edges, self.weight) + self.conv.bias
        else:
            h = self.conv(F.dropout(x, p, self.training), edge_index)
        h = F.dropout(h.relu(), self.settings.dropout, self.training)
        return self.head(self.propagation(h, self.edges, self.weight))


def plain_loop(data: Any, seeds: Sequence[int], settings: TrainSettings, sparse: bool = False) -> Times:
    """One seed after another; seconds and test accuracy of the best validation epoch of each."""
    y, masks = data.y, (data.train_mask, data.val_mask, data.test_mask)
    x = data.x.to_sparse_coo().coalesce() if sparse else data.x
    seconds, accuracies = [], []
    for seed in seeds:
        start = time.perf_counter()
        torch.manual_seed(seed)
        model = PlainGCN(data, int(y.max()) + 1, settings, sparse)
        groups = [
            {"params": model.conv.parameters(), "weight_decay": settings.weight_decay},
            {"params": model.head.parameters(), "weight_decay": settings.head_weight_decay},
        ]
        optimizer = torch.optim.Adam(groups, lr=settings.lr, fused=True)
        best = (-1.0, 0.0)
        for _ in range(settings.epochs):
            model.train()
            optimizer.zero_grad()
            F.cross_entropy(model(x, data.edge_index)[data.train_mask], y[data.train_mask]).backward()
            optimizer.step()
            model.eval()
            with torch.no_grad():
                logits = model(x, data.edge_index)
            correct = logits.argmax(-1) == y
            _, validation, test = (float(correct[mask].float().mean()) for mask in masks)
            found = (validation, -float(F.cross_entropy(logits[data.val_mask], y[data.val_mask])))
            if found > best:
                best, chosen = found, test
                state = {name: value.clone() for name, value in model.state_dict().items()}
        model.load_state_dict(state)
        seconds.append(time.perf_counter() - start)
        accuracies.append(chosen)
    return seconds, accuracies


def ensemble(problem: Problem, seeds: Sequence[int], settings: TrainSettings) -> Times:
    """All seeds together; seconds of the whole and test accuracy of the best validation epoch of each."""
    start = time.perf_counter()
    runs = fit_many(problem, "gcn", seeds, settings=settings, backend="ensemble")
    seconds = time.perf_counter() - start
    return [seconds], [run.history.test[run.best_epoch - 1] for run in runs]


def measure(cell: Row, options: argparse.Namespace) -> Iterable[Row]:
    """Runs of the loop with runs of the ensemble in between, so that a change of the machine's speed affects both."""
    problem = make_problem(rg.load_dataset(cell["dataset"], options.data_root), split=cell["split"])
    settings = TrainSettings.named(
        "kipf-welling", epochs=options.epochs, log_test=True, input_dropout=cell["input_dropout"]
    )
    seeds, scale = list(range(options.seeds)), 1e3 / options.epochs
    # On random splits only time is compared.
    baseline = seeds if cell["split"] == "public" else seeds[:2]
    half = len(baseline) // 2
    ours, plain, plain_accuracy, accuracy = [], [], [], []
    for part in (baseline[:half], baseline[half:], []):
        seconds, accuracy = ensemble(problem, seeds, settings)
        ours += seconds
        seconds, found = plain_loop(problem.data, part, settings)
        plain += seconds
        plain_accuracy += found
    alone = [ensemble(problem, [seed], settings)[0][0] for seed in seeds[:3]]
    row = {
        "pyg_ms": statistics.median(plain) * scale,
        "pyg_sparse_ms": statistics.median(plain_loop(problem.data, seeds[:2], settings, sparse=True)[0]) * scale,
        "one_seed_ms": statistics.median(alone) * scale,
        "relgraph_ms": statistics.median(ours) / len(seeds) * scale,
    }
    row |= {"ratio": row["pyg_ms"] / row["relgraph_ms"]}
    row |= mean("pyg_accuracy", plain_accuracy) | mean("relgraph_accuracy", accuracy)
    if cell["split"] == "public":
        context = multiprocessing.get_context("spawn")
        for side in ("pyg", "relgraph"):
            with ProcessPoolExecutor(1, context) as pool:
                peak = pool.submit(peak_memory, cell["dataset"], options.data_root, side, cell["input_dropout"])
                row[f"{side}_mb"] = peak.result()
    yield row


def mean(name: str, values: Sequence[float]) -> Row:
    """Mean and 95 % t interval of the mean."""
    from scipy.stats import t

    center = statistics.mean(values)
    half = float(t.ppf(0.975, len(values) - 1)) * statistics.stdev(values) / len(values) ** 0.5
    return {name: center, f"{name}_low": center - half, f"{name}_high": center + half}


def peak_memory(name: str, root: str, side: str, input_dropout: float) -> float:
    """Megabytes that one side adds to the loaded graph, in a process of its own (Linux)."""
    torch.set_num_threads(1)
    problem = make_problem(rg.load_dataset(name, root), split="public")
    settings = TrainSettings.named("kipf-welling", epochs=5, log_test=True, input_dropout=input_dropout)
    fit_many(rg.load_dataset("digits"), "gcn", [0], settings=TrainSettings(epochs=1))  # loads and allocates for any use
    Path("/proc/self/clear_refs").write_text("5")  # forget the high-water mark
    before = _memory("VmRSS")
    if side == "pyg":
        plain_loop(problem.data, [0], settings)
    else:
        ensemble(problem, range(10), settings)
    return (_memory("VmHWM") - before) / 1024


def _memory(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1])


STUDY = Study(
    __file__,
    measure,
    {"dataset": ("cora", "citeseer", "pubmed"), "split": ("public", "random"), "input_dropout": (0.5, 0.0)},
    settings={"seeds": 10, "epochs": 200},
)

if __name__ == "__main__":
    STUDY.main()
