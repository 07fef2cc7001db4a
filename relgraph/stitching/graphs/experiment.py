"""The whole job on whole graphs: train from several seeds, let every encoder meet every head, keep the outputs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from relgraph.datasets.graph_dataset import GraphDataset
from relgraph.errors import InputError, unknown_name
from relgraph.names import GRAPH_ARMS, GRAPH_ENCODERS, GRAPH_STRATEGIES
from relgraph.stitching.arms import Arm, Nodes, PermutedAnchors, Run
from relgraph.stitching.experiment import FEWEST_DRAWS, Progress
from relgraph.stitching.graphs.anchors import dataset_fingerprint, graph_anchors, graph_space
from relgraph.stitching.graphs.arms import arms_for
from relgraph.stitching.scores import Floats
from relgraph.training import GraphTrainSettings, TrainedRun, embed, fit_graphs


@dataclass(frozen=True)
class GraphStitchSettings:
    """What is stitched and how, on whole graphs.

    Args:
        encoders: Names of graph encoders.
        seeds: One run of every encoder for each.
        arms: Names of arms, by default all that apply to the task.
        num_anchors: Number of anchors, which are training graphs.
        strategy: How they are chosen.
        anchor_seed: Seed of that choice.
        train: Settings of every training run.

    Raises:
        InputError: If a name is unknown, a value repeated, or there are fewer than two seeds.

    Example:
        >>> GraphStitchSettings(strategy="degree")
        Traceback (most recent call last):
            ...
        relgraph.errors.InputError: 'strategy' must be one of farthest-point, kmeans, random (got 'degree')
    """

    encoders: tuple[str, ...] = ("gcn",)
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    arms: tuple[str, ...] | None = None
    num_anchors: int = 256
    strategy: str = "random"
    anchor_seed: int = 0
    train: GraphTrainSettings = field(default_factory=GraphTrainSettings)

    def __post_init__(self) -> None:
        for argument, given, valid in (
            ("encoders", self.encoders, GRAPH_ENCODERS),
            ("arms", tuple(GRAPH_ARMS) if self.arms is None else self.arms, GRAPH_ARMS),
            ("strategy", (self.strategy,), GRAPH_STRATEGIES),
        ):
            for name in given:
                if name not in valid:
                    raise unknown_name(argument, name, valid)
            if not given:
                raise InputError(argument, f"must name at least one of {', '.join(sorted(valid))} (got none)")
            if len(set(given)) < len(given):
                raise InputError(argument, f"must not repeat a name (got {', '.join(given)})")
        if len(set(self.seeds)) < len(self.seeds):
            raise InputError("seeds", f"must not repeat a seed (got {', '.join(map(str, self.seeds))})")
        if len(self.seeds) < 2:
            raise InputError(
                "seeds", f"must name at least two runs, as one has nothing to be stitched to (got {len(self.seeds)})"
            )

    def arms_on(self, dataset: GraphDataset) -> dict[str, Arm]:
        """The arms asked for, or all that apply to the task of a data set.

        Raises:
            InputError: If one does not apply.
        """
        able = arms_for(dataset.task)
        for name in self.arms or ():
            if name not in able:
                raise InputError(
                    "arms", f"must be of {', '.join(able)} for a task of {dataset.task} (got '{name}'); leave it out"
                )
        return able if self.arms is None else {name: able[name] for name in self.arms}


@dataclass(eq=False)
class GraphArmResult:
    """What an arm did.

    Args:
        outputs: Of the test graphs, ``(R, R, n, T)``, row = encoder's run, column = head's run, NaN where widths
            forbid the pair.
        seconds: Of every run, to publish and to meet all heads.
        draws: Of the control only: outputs ``(B, n, T)`` of pairs of different runs, at least 20.
    """

    outputs: Floats
    seconds: list[float]
    draws: Floats | None = None


@dataclass(eq=False)
class GraphExperiment:
    """A finished experiment on whole graphs; runs are ordered by encoder, then by seed."""

    settings: GraphStitchSettings
    dataset: GraphDataset
    anchors: Tensor
    runs: list[TrainedRun]
    reference: Floats
    arms: dict[str, GraphArmResult]
    fingerprint: str
    seconds: dict[str, float]

    @property
    def kinds(self) -> list[str]:
        """The encoder's name of every run."""
        return [run.encoder for run in self.runs]


def run_graph_experiment(
    dataset: GraphDataset,
    settings: GraphStitchSettings,
    progress: Progress | None = None,
    *,
    runs: Sequence[TrainedRun] | None = None,
) -> GraphExperiment:
    """Train, stitch, and keep every output on the test graphs.

    Args:
        dataset: Graphs, labels, split and metric.
        settings: What to stitch.
        progress: Told of every step.
        runs: Trained already, ordered by encoder, then by seed; by default they are trained here.

    Raises:
        InputError: If an arm does not apply, there are more anchors than training graphs, or there is no test graph.
    """
    tell = progress or (lambda stage, done, total: None)
    arms = settings.arms_on(dataset)
    if dataset.test.numel() == 0:
        raise InputError("test", "must list at least one graph (got none)")
    start = time.perf_counter()
    anchors = graph_anchors(dataset, settings.num_anchors, settings.strategy, seed=settings.anchor_seed)
    seconds = {"anchors": time.perf_counter() - start}
    if runs is None:
        total = len(settings.encoders) * len(settings.seeds) * settings.train.epochs
        runs = [
            run
            for encoder in settings.encoders
            for run in fit_graphs(
                dataset,
                encoder,
                settings.seeds,
                settings=settings.train,
                progress=lambda done: tell("train", done, total),
            )
        ]
    seconds["train"] = sum(run.seconds for run in runs)
    start = time.perf_counter()
    nodes = Nodes(dataset.y, dataset.train, dataset.validation, dataset.test, anchors, dataset.num_tasks)
    name = dataset_fingerprint(dataset)
    shown = [_shown(run, dataset, anchors, name) for run in runs]
    reference = np.stack([_apply(run, dataset.test) for run in shown])
    results = {}
    for arm, way in arms.items():
        results[arm] = meet_all_graphs(way, shown, nodes)
        tell("stitch", 1, len(arms))
    seconds["stitch"] = time.perf_counter() - start
    return GraphExperiment(settings, dataset, anchors, list(runs), reference, results, name, seconds)


def meet_all_graphs(arm: Arm, runs: Sequence[Run], nodes: Nodes) -> GraphArmResult:
    """Let every run's encoder meet every run's head by one arm.

    Args:
        arm: The arm.
        runs: The runs, all over the same graphs and anchors.
        nodes: Which graphs train, choose and test.
    """
    if isinstance(arm, PermutedAnchors):
        arm = type(arm)(arm.seed)  # every experiment draws from the start of the stream
    published, seconds = [], [0.0] * len(runs)
    for row, run in enumerate(runs):
        start = time.perf_counter()
        published.append(arm.publish(run, nodes))
        seconds[row] = time.perf_counter() - start
    outputs = np.full((len(runs), len(runs), nodes.test.numel(), nodes.num_classes), np.nan)
    for i, source in enumerate(published):
        start = time.perf_counter()
        for j, target in enumerate(published):
            outputs[i, j] = _met(arm, source, target, outputs[i, j])
        seconds[i] += time.perf_counter() - start
    draws = None
    if isinstance(arm, PermutedAnchors):
        pairs = [(i, j) for i in range(len(runs)) for j in range(len(runs)) if i != j]
        more = [outputs[i, j] for i, j in pairs]
        while len(more) < FEWEST_DRAWS:
            i, j = pairs[len(more) % len(pairs)]
            more.append(_met(arm, published[i], published[j], outputs[i, j]))
        draws = np.stack(more)
    return GraphArmResult(outputs, seconds, draws)


def _met(arm: Arm, source: Any, target: Any, undefined: Floats) -> Floats:
    out = arm.meet(source, target)
    return undefined if out is None else out.double().cpu().numpy()


def _shown(run: TrainedRun, dataset: GraphDataset, anchors: Tensor, name: str) -> Run:
    z = embed(run.model, dataset)
    space = graph_space(z, dataset, anchors, fingerprint=name)
    return Run(z, run.model.head, space, outputs="labels" if dataset.task == "binary" else "values")


@torch.no_grad()
def _apply(run: Run, rows: Tensor) -> Floats:
    out: Floats = run.head(run.z[rows]).double().cpu().numpy()
    return out
