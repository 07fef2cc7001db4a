"""The experiment: train from several seeds, evaluate every encoder with every head, and keep all outputs."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from relgraph.anchors import AnchorSet, PublishedHead
from relgraph.errors import InputError, RelgraphWarning, require
from relgraph.io import cache_folder
from relgraph.problems import Head, Problem
from relgraph.stitching.bootstrap import Bools
from relgraph.stitching.methods import Method
from relgraph.stitching.run import Run, View, warn_few_anchors
from relgraph.stitching.settings import StitchSettings
from relgraph.task import Array
from relgraph.training import Executor, TrainedRun, TrainSettings, fit_grid, keeps_runs, open_executor

# Called with the name of a stage, the steps done since the last call, and all steps of the stage.
Progress = Callable[[str, int, int], None]


@dataclass(eq=False)
class Crossing:
    """Outputs of every source's encoder with every target's head by one method.

    Args:
        outputs: Records (:meth:`relgraph.task.Task.record`): classes ``(S, T, n)``, -1 where a pair is undefined or
            was not asked for, or outputs ``(S, T, n, C)``, NaN there.
        seconds: To prepare all runs and to evaluate all pairs.
        draws: Records ``(B, n, ...)`` of a method that draws, of different runs, and of further draws if these are few.
    """

    outputs: Array
    seconds: float
    draws: Array | None = None


def cross(
    method: Method,
    sources: Sequence[Run],
    targets: Sequence[Run] | None = None,
    *,
    anchors: Tensor | Sequence[Tensor],
    weights: Tensor | Sequence[Tensor | None] | None = None,
    rows: Tensor,
    pairs: Bools | None = None,
    seed: int = 0,
) -> Crossing:
    """Evaluate every source's encoder with every target's head.

    Args:
        method: The method.
        sources: Runs whose encoders are used, at least one.
        targets: Runs whose heads are used; ``None`` for the sources.
        anchors: Embeddable rows of the anchors ``(K,)``, or one such tensor for each source.
        weights: Weights of the anchors (:meth:`relgraph.problems.Problem.weighted_anchors`), likewise.
        rows: Predicted rows, ``(n,)``.
        pairs: Which pairs to evaluate, ``(S, T)``; ``None`` for all.
        seed: Seed of a method that draws.

    Example:
        >>> import relgraph as rg
        >>> from relgraph.problems import make_problem
        >>> from relgraph.stitching.methods import RIDGE
        >>> from relgraph.training import fit_many
        >>> problem = make_problem(rg.load_dataset("digits"))
        >>> trained = fit_many(problem, "gcn", [0, 1], settings=rg.TrainSettings(epochs=2))
        >>> runs = [Run.of(problem, one) for one in trained]
        >>> cross(RIDGE, runs, anchors=torch.arange(0, 1797, 30), rows=problem.test).outputs.shape
        (2, 2, 1297)
    """
    if not sources:
        raise InputError("sources", "must hold at least one run (got none)")
    targets = sources if targets is None else targets
    problem, generator = sources[0].problem, torch.Generator().manual_seed(seed)
    each = [anchors] * len(sources) if isinstance(anchors, Tensor) else list(anchors)
    shares = [weights] * len(sources) if weights is None or isinstance(weights, Tensor) else list(weights)
    views: dict[tuple[int, int, int], View] = {}

    def view(i: int, run: Run) -> View:
        key = (id(each[i]), id(shares[i]), id(run))
        if key not in views:
            views[key] = method.prepare(View(run, each[i], shares[i]))
        return views[key]

    def record(i: int, j: int) -> Array | None:
        outputs = method.predict(view(i, sources[i]), view(i, targets[j]), rows, generator)
        return None if outputs is None else problem.task.record(outputs)

    classes = problem.task.mode == "multiclass"
    shape = (len(sources), len(targets), rows.numel(), *(() if classes else (problem.num_outputs,)))
    found = np.full(shape, -1 if classes else np.nan, dtype=np.int16 if classes else np.float64)
    start, different = time.perf_counter(), []
    for i, j in np.ndindex(len(sources), len(targets)):
        if (pairs is None or pairs[i, j]) and (outputs := record(i, j)) is not None:
            found[i, j] = outputs
            if sources[i] is not targets[j]:
                different.append((i, j))
    seconds = time.perf_counter() - start
    if not (method.draws and different):
        return Crossing(found, seconds)
    further = (record(*different[k % len(different)]) for k in range(len(different), method.draws))
    drawn = [*(found[i, j] for i, j in different), *(outputs for outputs in further if outputs is not None)]
    return Crossing(found, seconds, np.stack(drawn))


@dataclass(eq=False)
class Experiment:
    """A finished experiment: everything that reports, plots and saved files are made from.

    Args:
        settings: The settings, with every default filled in.
        problem: The problem.
        anchors: Embeddable rows of the anchors, in rank order.
        weights: Their weights; ``None`` if all are the same.
        runs: The absolute models, at the layer that is stitched, by encoder, then by seed.
        others: Models trained end to end for a method, by the kind of their head.
        own: Own records of the absolute models on test rows, ``(R, n, ...)``.
        stitched: Outputs on test rows, by method.
        seconds: Seconds of every stage.
        warnings: Warnings of the library, each once.
    """

    settings: StitchSettings
    problem: Problem
    anchors: Tensor
    weights: Tensor | None
    runs: list[Run]
    others: dict[Head, list[Run]]
    own: Array
    stitched: dict[str, Crossing]
    seconds: dict[str, float]
    warnings: list[str]

    @property
    def train(self) -> TrainSettings:
        """Settings of every training run."""
        assert isinstance(self.settings.train, TrainSettings)
        return self.settings.train

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of the methods."""
        return tuple(self.stitched)

    @property
    def encoders(self) -> list[str]:
        """Name of the encoder of every run."""
        return [run.encoder for run in self.runs]

    @property
    def spaces(self) -> list[AnchorSet]:
        """The published space of every absolute run, at the layer that is stitched."""
        return [View(run, self.anchors, self.weights).space for run in self.runs]

    @property
    def heads(self) -> list[PublishedHead]:
        """The published head of every absolute run; none if heads do not read one row at a time."""
        views = [View(run, self.anchors, self.weights) for run in self.runs]
        return [view.published for view in views if view.pointwise]


def run_experiment(
    data: Any,
    settings: StitchSettings | None = None,
    *,
    runs: Sequence[TrainedRun] | None = None,
    progress: Progress | None = None,
    cache: Path | None = None,
    executor: Executor | str = "local",
) -> Experiment:
    """Train, stitch, and keep every output on the test rows.

    Args:
        data: A graph, a set of graphs, or a problem.
        settings: What to stitch and how.
        runs: Absolute models that are trained already, ordered by encoder, then by seed.
        progress: Called with a stage, the steps done since its last call, and all steps of the stage.
        cache: Folder of finished training runs, which are found again by an experiment that was killed; ``None`` for
            a folder of :func:`relgraph.io.cache_folder` on large graphs and with Ray, and none else.
        executor: Where runs are trained, as of :func:`relgraph.training.fit_many`.

    Raises:
        InputError: If a setting does not apply to the data.
        DataError: If the graph does not fit in memory as one batch, or the executor cannot train.
    """
    settings, report = settings or StitchSettings(), progress or (lambda stage, done, total: None)
    require("settings", settings, StitchSettings, "the order is run_experiment(data, settings)")
    problem = settings.problem(data)
    settings, train, methods = settings.resolve(problem)
    trainer = open_executor(executor)
    if cache is None and (keeps_runs(problem) or trainer.distributed):
        cache = cache_folder() / "runs"
    heads: list[Head] = list(dict.fromkeys(method.head for method in methods.values() if method.head != "linear"))
    epochs = (len(heads) + (runs is None)) * len(settings.encoders) * len(settings.seeds) * train.epochs
    seconds = {"anchors": 0.0, "train": 0.0, "stitch": 0.0}

    @contextmanager
    def stage(name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        seconds[name] += time.perf_counter() - start

    def choose(features: str | Tensor) -> tuple[Tensor, Tensor | None]:
        assert settings.num_anchors is not None
        warn_few_anchors(settings.num_anchors, problem.num_outputs)
        options: dict[str, Any] = {"features": features, "seed": settings.anchor_seed}
        with stage("anchors"):
            return problem.weighted_anchors(settings.num_anchors, settings.strategy, **options)

    def fit(problem: Problem, head: Head) -> list[TrainedRun]:
        report("train", 0, epochs)
        options: dict[str, Any] = {"settings": train, "cache": cache, "executor": trainer}
        options["progress"] = lambda done: report("train", done, epochs)
        with stage("train"):
            return fit_grid(problem, settings.encoders, settings.seeds, head=head, **options)

    with trainer, _once() as messages:
        chosen = None if settings.anchor_features == "run" else choose(settings.anchor_features)
        trained = fit(problem, "linear") if runs is None else _checked_runs(runs, settings)
        absolute = [Run.of(problem, one) for one in trained]
        anchors, weights = chosen or choose(absolute[0].z)
        others = {head: [Run.of(problem, one) for one in fit(problem.with_anchors(anchors), head)] for head in heads}
        own = np.stack([run.record(problem.test) for run in absolute])
        if settings.at is not None:
            absolute = [Run.of(problem, one, settings.at) for one in trained]
        stitched = {}
        for name, method in methods.items():
            report("stitch", 0, len(methods))
            with stage("stitch"):
                group = others.get(method.head, absolute)
                stitched[name] = cross(method, group, anchors=anchors, weights=weights, rows=problem.test)
            report("stitch", 1, len(methods))
    return Experiment(settings, problem, anchors, weights, absolute, others, own, stitched, seconds, messages)


def _checked_runs(runs: Sequence[TrainedRun], settings: StitchSettings) -> list[TrainedRun]:
    """The runs, or an error if they are not those that the settings name."""
    wanted = [(encoder, seed) for encoder in settings.encoders for seed in settings.seeds]
    given = [(run.encoder, run.seed) for run in runs]
    if given != wanted:
        shown = ", ".join(f"{encoder} {seed}" for encoder, seed in given)
        raise InputError("runs", f"must be those of 'encoders' and 'seeds', by encoder, then by seed (got {shown})")
    return list(runs)


@contextmanager
def _once() -> Iterator[list[str]]:
    """Hold warnings back and raise every message once at the end; yields the list of the library's own ones."""
    messages: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield messages
    once = list(dict.fromkeys((one.category, str(one.message)) for one in caught))
    messages += [message for category, message in once if issubclass(category, RelgraphWarning)]
    for category, message in once:
        warnings.warn(message, category, stacklevel=4)
