"""Time of training many seeds together, and of the plain PyG loop with the same work in the same process.

    python -m benchmarks.training.run --data-root DIR

Both sides train the same encoder of width 64 with the same optimizer, dropout and weight decay, do one training and
one evaluation pass per epoch, record training, validation and test accuracy at every epoch, and keep the parameters
of the best validation epoch. Time is the processor's, in one thread. The loop's time is measured over a few epochs,
the others' and accuracy over all.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.nn import SimpleConv

import relgraph as rg
from benchmarks.study import Row, Study
from relgraph.nn.encoders import make_encoder
from relgraph.problems import Problem, make_problem
from relgraph.training import TrainSettings, fit_many

Times = tuple[list[float], list[float]]


class PlainGNN(nn.Module):
    """The model of a PyG user: cached normalization, features dense or (``sparse``) a coalesced COO matrix.

    Of sparse features the linear maps come first, also where a layer sums over neighbors before them.
    """

    def __init__(self, name: str, data: Any, num_classes: int, settings: TrainSettings, sparse: bool) -> None:
        super().__init__()
        options = {"dropout": settings.dropout, "input_dropout": settings.input_dropout}
        encoder = make_encoder(name, data.x.size(1), hidden_channels=settings.hidden_channels, **options)
        self.name, self.settings, self.layers = name, settings, encoder.layers
        self.head = nn.Linear(encoder.out_channels, num_classes)
        self.shared = encoder.shared(data.x, data.edge_index, None)
        self.propagation = SimpleConv(aggr="mean" if name == "sage" else "sum")
        if sparse and name == "gat":  # the layer goes on from the linear map
            self.weight, self.layers[0].conv.lin = self.layers[0].conv.lin.weight, nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        p, hidden = self.settings.input_dropout, self.settings.dropout
        first, *others = self.layers
        if x.is_sparse:
            values = F.dropout(x.values(), p, self.training)
            x = torch.sparse_coo_tensor(x.indices(), values, x.shape, is_coalesced=True, check_invariants=False)
            h = self._first(lambda weight: torch.sparse.mm(x, weight.t()))
        else:
            x = F.dropout(x, p, self.training)
            h = first.lin(x).relu() if self.name == "gcn2" else first.activation(first.conv(x, *self.shared))
        if self.name == "gcn2":
            initial = h
            for place, layer in enumerate(self.layers):
                h = F.dropout(h.relu() if place else h, hidden, self.training)
                h = layer.conv(h, initial, *self.shared)
            return self.head(h)
        for layer in others:
            h = layer.conv(F.dropout(h, hidden, self.training), *self.shared)
            h = h if layer.activation is None else layer.activation(h)
        return self.head(h)

    def _first(self, linear: Callable[[Tensor], Tensor]) -> Tensor:
        first = self.layers[0]
        conv = first.conv
        if self.name == "gcn2":
            return (linear(first.lin.weight) + first.lin.bias).relu()
        if self.name == "gat":
            h = conv(linear(self.weight), *self.shared)
        elif self.name == "gin":
            h = linear(conv.nn[0].weight)
            h = conv.nn[1:](h + self.propagation(h, *self.shared) + conv.nn[0].bias)
        elif self.name == "sage":
            h = self.propagation(linear(conv.lin_l.weight), *self.shared) + conv.lin_l.bias + linear(conv.lin_r.weight)
        else:
            h = self.propagation(linear(conv.lin.weight), *self.shared) + conv.bias
        return first.activation(h)


def plain_loop(encoder: str, data: Any, seeds: Sequence[int], settings: TrainSettings, sparse: bool = False) -> Times:
    """One seed after another; seconds and test accuracy of the best validation epoch of each."""
    y, masks = data.y, (data.train_mask, data.val_mask, data.test_mask)
    x = data.x.to_sparse_coo().coalesce() if sparse else data.x
    seconds, accuracies = [], []
    for seed in seeds:
        start = time.process_time()
        torch.manual_seed(seed)
        model = PlainGNN(encoder, data, int(y.max()) + 1, settings, sparse)
        head = set(model.head.parameters())
        groups = [
            {"params": [p for p in model.parameters() if p not in head], "weight_decay": settings.weight_decay},
            {"params": list(head), "weight_decay": settings.head_weight_decay},
        ]
        optimizer = torch.optim.Adam(groups, lr=settings.lr, fused=True)
        best = (-1.0, 0.0)
        for _ in range(settings.epochs):
            model.train()
            optimizer.zero_grad()
            F.cross_entropy(model(x)[data.train_mask], y[data.train_mask]).backward()
            optimizer.step()
            model.eval()
            with torch.no_grad():
                logits = model(x)
            correct = logits.argmax(-1) == y
            _, validation, test = (float(correct[mask].float().mean()) for mask in masks)
            found = (validation, -float(F.cross_entropy(logits[data.val_mask], y[data.val_mask])))
            if found > best:
                best, chosen = found, test
                state = {name: value.clone() for name, value in model.state_dict().items()}
        model.load_state_dict(state)
        seconds.append(time.process_time() - start)
        accuracies.append(chosen)
    return seconds, accuracies


def ensemble(encoder: str, problem: Problem, seeds: Sequence[int], settings: TrainSettings) -> Times:
    """All seeds together; seconds of the whole and test accuracy of the best validation epoch of each."""
    start = time.process_time()
    runs = fit_many(problem, encoder, seeds, settings=settings, backend="ensemble")
    seconds = time.process_time() - start
    return [seconds], [run.history.test[run.best_epoch - 1] for run in runs]


def measure(cell: Row, options: argparse.Namespace) -> Iterable[Row]:
    """Runs of the loop with runs of the ensemble in between, so that a change of the machine's speed affects both."""
    problem = make_problem(rg.load_dataset(cell["dataset"], options.data_root), split=cell["split"])
    encoder, data, seeds = cell["encoder"], problem.data, list(range(options.seeds))
    settings = TrainSettings.named(
        "kipf-welling", epochs=options.epochs, log_test=True, input_dropout=cell["input_dropout"]
    )
    few = replace(settings, epochs=options.timed)
    times: dict[str, list[float]] = {name: [] for name in ("pyg", "pyg_sparse", "one_seed", "relgraph")}
    for step in range(3):
        for sparse in (False, True):
            found = plain_loop(encoder, data, [step], few, sparse)[0][0] / few.epochs
            times["pyg_sparse" if sparse else "pyg"].append(found)
        if step == 0:
            (seconds,), accuracies = ensemble(encoder, problem, seeds, settings)
            times["relgraph"].append(seconds / len(seeds) / settings.epochs)
        else:
            times["one_seed"].append(ensemble(encoder, problem, [step], settings)[0][0] / settings.epochs)
    row = {f"{name}_ms": 1e3 * statistics.median(values) for name, values in times.items()}
    row |= {"ratio": row["pyg_ms"] / row["relgraph_ms"], "ratio_sparse": row["pyg_sparse_ms"] / row["relgraph_ms"]}
    if cell["split"] == "public":  # on random splits only time is compared
        sparse = row["pyg_sparse_ms"] < row["pyg_ms"]
        row |= mean("pyg_accuracy", plain_loop(encoder, data, seeds, settings, sparse)[1])
        row |= mean("relgraph_accuracy", accuracies)
        context = multiprocessing.get_context("spawn")
        for side in ("pyg", "relgraph"):
            with ProcessPoolExecutor(1, context) as pool:
                row[f"{side}_mb"] = pool.submit(peak_memory, cell, options.data_root, side).result()
    yield row


def mean(name: str, values: Sequence[float]) -> Row:
    """Mean and 95 % t interval of the mean."""
    from scipy.stats import t

    center = statistics.mean(values)
    half = float(t.ppf(0.975, len(values) - 1)) * statistics.stdev(values) / len(values) ** 0.5
    return {name: center, f"{name}_low": center - half, f"{name}_high": center + half}


def peak_memory(cell: Row, root: str, side: str) -> float:
    """Megabytes that one side adds to the loaded graph, in a process of its own (Linux)."""
    torch.set_num_threads(1)
    problem = make_problem(rg.load_dataset(cell["dataset"], root), split="public")
    settings = TrainSettings.named("kipf-welling", epochs=5, log_test=True, input_dropout=cell["input_dropout"])
    fit_many(rg.load_dataset("digits"), "gcn", [0], settings=TrainSettings(epochs=1))  # loads and allocates for any use
    Path("/proc/self/clear_refs").write_text("5")  # forget the high-water mark
    before = _memory("VmRSS")
    if side == "pyg":
        plain_loop(cell["encoder"], problem.data, [0], settings)
    else:
        ensemble(cell["encoder"], problem, range(10), settings)
    return (_memory("VmHWM") - before) / 1024


def _memory(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1])


STUDY = Study(
    __file__,
    measure,
    {
        "encoder": ("gcn", "sage", "gat", "gin", "gcn2"),
        "dataset": ("cora", "citeseer", "pubmed"),
        "split": ("public", "random"),
        "input_dropout": (0.5, 0.0),
    },
    settings={"seeds": 10, "epochs": 200, "timed": 10},
    exists=lambda cell: cell["encoder"] == "gcn" or (cell["split"] == "public" and cell["input_dropout"] == 0.5),
)

if __name__ == "__main__":
    STUDY.main()
