"""Shared by the benchmarks: problems, trained runs, rival methods, and rows of figures over pairs of runs."""

from __future__ import annotations

import argparse
import copy
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import relgraph as rg
from benchmarks.study import Row
from relgraph.anchors import PublishedHead
from relgraph.io import cache_folder
from relgraph.maps import TranslatedHead, fit_map
from relgraph.problems import Problem, make_problem
from relgraph.registry import METHODS
from relgraph.stitching import Method, Run, View, cross, metrics
from relgraph.stitching.bootstrap import pair_figure
from relgraph.training import TrainSettings, fit_linear_head, fit_many

Matrices = dict[str, np.ndarray]
Groups = Mapping[str, np.ndarray]
MOST_HEADS = {"kernel-ridge": 1, "logistic-decisions": 1}  # of methods that take long, per source
STRENGTHS = (0.1, 1.0, 10.0, 100.0)
FOLDS = 4


# ---- Problems and runs.


@lru_cache(maxsize=16)
def node_problem(
    name: str, root: str, split_seed: int = 0, features: str | None = None, device: str = "cpu"
) -> Problem:
    """A graph with its public split, or a random one if it has none."""
    return make_problem(rg.load_dataset(name, root, features=features).to(device), seed=split_seed)


@lru_cache(maxsize=4)
def superclasses(problem: Problem) -> Problem:
    """The same with two classes: label mod 2, on PubMed the first class against the rest."""
    data = copy.copy(problem.data)
    data.y = (data.y > 0).long() if problem.name == "pubmed" else data.y % 2
    return make_problem(data)


@lru_cache(maxsize=16)
def half_of_classes(problem: Problem, seed: int) -> Problem:
    """The same with half of the classes (rounded up), drawn from the seed; other nodes have no label."""
    data = copy.copy(problem.data)
    kept = torch.randperm(problem.num_outputs, generator=torch.Generator().manual_seed(seed))
    kept = kept[: (problem.num_outputs + 1) // 2].sort().values
    number = torch.full((problem.num_outputs,), -1)
    number[kept] = torch.arange(kept.numel())
    data.y = number[data.y]
    return make_problem(data)


def trained_runs(
    problem: Problem,
    encoders: str | Sequence[str],
    seeds: Sequence[int],
    options: argparse.Namespace,
    at: int | None = None,
    settings: str | None = "kipf-welling",
    **train: Any,
) -> list[Run]:
    """Trained runs, read from relgraph's cache where they are there.

    Args:
        problem: What they are trained on.
        encoders: Name of the encoder, or several.
        seeds: One run of every encoder for each.
        options: Options of the script; ``epochs`` (0 for those of the settings) and ``device`` are used.
        at: The layer that is stitched.
        settings: Name of the settings; ``None`` for the defaults of the data.
        **train: Fields of ``TrainSettings`` that differ from these.
    """
    runs, limit = [], {"epochs": options.epochs} if options.epochs else {}
    for name in [encoders] if isinstance(encoders, str) else encoders:
        chosen = TrainSettings.for_data(problem, name, settings, **(limit | train))
        runs += _trained(problem, name, tuple(seeds), options.device, at, chosen)
    return runs


def table_runs(dataset: str, encoder: str, options: argparse.Namespace) -> list[Run]:
    """Trained runs whose embeddings are tables: on ogbn-arxiv the four of ``benchmarks.ogb.run``."""
    if dataset != "ogbn-arxiv":
        return trained_runs(node_problem(dataset, options.data_root), encoder, range(options.seeds), options)
    problem = node_problem(dataset, options.data_root, 0, "spectral")
    fewer = argparse.Namespace(epochs=min(options.epochs, 100), device=options.device)
    return trained_runs(problem, encoder, range(min(options.seeds, 4)), fewer, settings=None)


@lru_cache(maxsize=64)
def _trained(
    problem: Problem, encoder: str, seeds: tuple[int, ...], device: str, at: int | None, settings: TrainSettings
) -> list[Run]:
    elsewhere = problem if device == "cpu" else make_problem(copy.copy(problem.data).to(device))
    found = fit_many(elsewhere, encoder, seeds, settings=settings, cache=cache_folder() / "runs")
    for run in found:
        run.model.cpu().requires_grad_(False)
    return [Run.of(problem, run, at) for run in found]


# ---- Rivals and references, as methods that only benchmarks use.


class NearestAnchor(Method):
    """The head's output on the nearest anchor."""

    def predict(self, source: View, target: View, rows: Tensor, generator: torch.Generator) -> Tensor:
        nearest = torch.cdist(source.run.z[rows], source.run.z[source.anchors]).argmin(1)
        return target.published.outputs[nearest]


class LogisticDecisions(Method):
    """Logistic regression on the class that the head predicts at each anchor."""

    modes = ("multiclass",)

    def predict(self, source: View, target: View, rows: Tensor, generator: torch.Generator) -> Tensor:
        return _learned(source, target.published.outputs.argmax(1), target.published.outputs.size(1), rows)


class AnchorLabels(Method):
    """Logistic regression on the anchors' true labels, without a foreign head."""

    kind = "baseline"
    modes = ("multiclass",)

    def predict(self, source: View, target: View, rows: Tensor, generator: torch.Generator) -> Tensor:
        problem = source.run.problem
        return _learned(source, problem.y[source.anchors], problem.num_outputs, rows)


class RidgeDecisions(Method):
    """Ridge regression on the class that the head predicts at each anchor, one-hot, instead of its outputs."""

    modes = ("multiclass",)

    def predict(self, source: View, target: View, rows: Tensor, generator: torch.Generator) -> Tensor:
        seen = target.published
        classes = F.one_hot(seen.outputs.argmax(1), seen.outputs.size(1)).to(seen.outputs.dtype)
        head = PublishedHead(seen.ids, classes, classes.mean(0), fingerprint=seen.fingerprint)
        return source.read(fit_map(source.space, head, "ridge")[0], rows)


class LinearProbe(Method):
    """A linear head trained on the source's embeddings with all public labels."""

    kind = "baseline"
    modes = ("multiclass",)

    def prepare(self, view: View) -> View:
        problem = view.run.problem
        outputs = problem.num_outputs
        return view.with_head(fit_linear_head(view.run.z, problem.y, problem.train, problem.validation, outputs))

    def predict(self, source: View, target: View, rows: Tensor, generator: torch.Generator) -> Tensor:
        return source.read(source.run.head, rows)


@dataclass(frozen=True)
class TranslatedRelu(Method):
    """A translation into the input space of the head, a ReLU, and the head."""

    map: str

    def predict(self, source: View, target: View, rows: Tensor, generator: torch.Generator) -> Tensor:
        fitted = fit_map(source.space, target.space, self.map)[0]
        return source.read(TranslatedHead(nn.Sequential(fitted, nn.ReLU()), target.run.head), rows)


def _learned(source: View, classes: Tensor, count: int, rows: Tensor) -> Tensor:
    """Columns are standardized over all nodes; four-fold cross-validation on the anchors chooses the penalty."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    labels = classes.numpy()
    if len(set(labels)) == 1:
        return F.one_hot(classes[:1], count).expand(rows.numel(), count)
    z, folds = source.run.z, np.random.default_rng(0).permutation(len(labels)) % FOLDS
    points = ((z - z.mean(dim=0)) / z.std(dim=0).clamp(min=1e-6)).double().numpy()
    here = points[source.anchors]

    def fitted(chosen: np.ndarray, strength: float) -> Any:
        return LogisticRegression(C=strength, max_iter=300).fit(here[chosen], labels[chosen])

    def correct(strength: float) -> int:
        total = 0
        for fold in range(FOLDS):
            rest, left = folds != fold, folds == fold
            one = len(set(labels[rest])) == 1
            total += (labels[left] == (labels[rest][0] if one else fitted(rest, strength).predict(here[left]))).sum()
        return total

    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = fitted(np.ones(len(labels), dtype=bool), max(STRENGTHS, key=correct))
        found = model.predict(points[rows])
    return F.one_hot(torch.from_numpy(found).long(), count)


RIVALS = {
    "nearest-anchor": NearestAnchor(),
    "logistic-decisions": LogisticDecisions(),
    "ridge-decisions": RidgeDecisions(),
    "anchor-labels": AnchorLabels(),
    "linear-probe": LinearProbe(),
    "ridge-relu": TranslatedRelu("ridge"),
    "kernel-ridge-relu": TranslatedRelu("kernel-ridge"),
}


def method_of(name: str | Method) -> Method:
    """A rival, one of relgraph's methods by its name, or a method itself."""
    if isinstance(name, str):
        return RIVALS[name] if name in RIVALS else METHODS.resolve(name)
    return name


# ---- Pairs of runs.


@dataclass(frozen=True)
class Anchors:
    """Anchors drawn anew for each of several sources: their rows, and their weights where the strategy gives some."""

    rows: list[Tensor]
    weights: list[Tensor | None]

    @classmethod
    def draw(cls, problem: Problem, count: int, strategy: str = "random", seeds: Sequence[int] = range(10)) -> Anchors:
        """One draw for each seed, the same for every cell of a study."""
        return _drawn(problem, count, strategy, tuple(seeds))


@lru_cache(maxsize=16)
def _drawn(problem: Problem, count: int, strategy: str, seeds: tuple[int, ...]) -> Anchors:
    drawn = [problem.weighted_anchors(count, strategy, seed=seed) for seed in seeds]
    return Anchors([rows for rows, _ in drawn], [weights for _, weights in drawn])


def matrices(
    method: str | Method,
    sources: Sequence[Run],
    targets: Sequence[Run] | None = None,
    *,
    anchors: Tensor | Sequence[Tensor] | Anchors,
    rows: Tensor | None = None,
    most: int | None = None,
    decisive: bool = True,
    outside: bool = False,
) -> Matrices:
    """Accuracy (or another metric), retention and fidelity of every pair of different runs, ``(S, T)`` each.

    Args:
        method: A method or its name.
        sources: Runs whose encoders are used.
        targets: Runs whose heads are used; ``None`` for the sources.
        anchors: Embeddable rows of the anchors, or those of each source, with or without weights.
        rows: Predicted rows; ``None`` for the test rows.
        most: Evaluate only so many heads of each source, evenly spaced, of methods that take long; ``beside`` is then
            the fidelity of ``kl`` on the same pairs.
        decisive: Whether to compute decisive fidelity, for which sources must be runs of the targets.
        outside: Whether to compute retention on rows that are no anchors of the source.
    """
    targets = sources if targets is None else targets
    problem, size = targets[0].problem, len(targets)
    rows = problem.test if rows is None else rows
    ahead = (np.arange(size)[None, :] - np.arange(len(sources))[:, None]) % size
    pairs = np.isin(ahead, np.linspace(0, size, most + 2).round()[1:-1]) if most else ahead > 0
    weights = anchors.weights if isinstance(anchors, Anchors) else None
    anchors = anchors.rows if isinstance(anchors, Anchors) else anchors
    found = cross(method_of(method), sources, targets, anchors=anchors, weights=weights, rows=rows, pairs=pairs)
    y, task = problem.y[rows], problem.task
    own = np.stack([run.record(rows) for run in targets])
    values = metrics.metric_matrix(task, found.outputs, y)
    own_values = np.array([task.value(y, record) for record in own])
    result = {
        "own": np.where(np.isnan(values), np.nan, own_values[None, :]),
        "accuracy": values,
        "retention": task.retention(values, own_values[None, :], problem.chance),
        "fidelity": metrics.fidelity_matrix(task, found.outputs, own),
        "seconds": np.full(values.shape, found.seconds / max(np.isfinite(values).sum(), 1)),
    }
    if most and method != "kl" and problem.pointwise(targets[0].at):  # of other heads, states are translated
        same = cross(method_of("kl"), sources, targets, anchors=anchors, weights=weights, rows=rows, pairs=pairs)
        result["beside"] = metrics.fidelity_matrix(task, same.outputs, own)
    if decisive:
        result["decisive"] = metrics.decisive_matrix(task, found.outputs, own)
    if outside:
        result["retention_not_anchors"] = np.full(values.shape, np.nan)
        for i, j in zip(*np.isfinite(values).nonzero(), strict=True):
            keep = ~torch.isin(rows, anchors[i]).numpy()
            stitched, alone = (task.value(y[keep], record[keep]) for record in (found.outputs[i, j], own[j]))
            result["retention_not_anchors"][i, j] = task.retention(stitched, alone, problem.chance)
    return result


def mean_of(several: Sequence[Matrices]) -> Matrices:
    """The mean over draws of anchors, pair by pair."""
    return {name: np.mean([one[name] for one in several], axis=0) for name in several[0]}


def pair_groups(names: Sequence[str], cells: bool = False) -> dict[str, np.ndarray]:
    """Pairs across seeds and across encoders, and with ``cells`` those of every two encoders, ``SOURCE > HEAD``."""
    groups = {"seeds": metrics.cross_seed(names), "encoders": metrics.cross_encoder(names)}
    if cells:
        kinds, each = list(dict.fromkeys(names)), np.array(names)
        different = ~np.eye(len(names), dtype=bool)
        for source in kinds:
            for head in kinds:
                groups[f"{source} > {head}"] = (each == source)[:, None] & (each == head)[None, :] & different
    return groups


def rows_of(found: Matrices, names: Sequence[str], groups: Groups) -> Iterator[Row]:
    """One row for every group of pairs that has values: means, intervals over runs, worst pairs."""
    for label, pairs in groups.items():
        if not (pairs & np.isfinite(found["accuracy"])).any():
            continue
        source, _, head = label.rpartition(" > ")
        row: Row = {"pairs": "cell" if source else label}
        row |= {"source": source, "head": head} if source else {}
        row |= {"n": int((pairs & np.isfinite(found["accuracy"])).sum())}
        for name, matrix in found.items():
            figure = pair_figure(matrix, pairs, names)
            if name in ("own", "seconds", "beside"):
                row[name] = figure and figure["mean"]
            else:
                row |= columns(name, figure)
        yield row


def columns(name: str, figure: Mapping[str, Any] | None, worst: bool = True) -> Row:
    """A figure as columns: the mean, the ends of its interval, the worst value."""
    if figure is None:
        return {}
    low, high = figure["interval"] or (None, None)
    row = {name: figure["mean"], f"{name}_low": low, f"{name}_high": high}
    return row | ({f"{name}_worst": figure["worst"]} if worst else {})
