"""The whole job: train from several seeds, let every encoder meet every head, and keep the predictions."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from relgraph.anchors import STRATEGIES, AnchorSet
from relgraph.anchors.select import LabelsUsed, Space, check_count, needless_space
from relgraph.errors import InputError, unknown_name
from relgraph.graph import anchor_index, fingerprint, node_ids, num_nodes
from relgraph.names import ENCODERS, SPACES, SPLITS
from relgraph.nn.cut import CutModel, cut, edges_of
from relgraph.nn.encoders import layers_of
from relgraph.stitching.arms import ARMS, Arm, Nodes, PermutedAnchors, Run
from relgraph.stitching.inner_arms import arms_at
from relgraph.stitching.scores import Ints
from relgraph.training import Protocol, TrainedRun, TrainSettings, apply_protocol, fit_many, labels, num_classes
from relgraph.training.fitting import Head
from relgraph.training.kept import fit_kept
from relgraph.transforms import AddAnchors

if TYPE_CHECKING:
    from torch_geometric.data import Data

# Called with the name of a stage, the steps done since the last call, and all steps of the stage.
Progress = Callable[[str, int, int], None]

FEWEST_DRAWS = 20


@dataclass(frozen=True)
class StitchSettings:
    """What is stitched and how.

    Args:
        encoders: Names of encoders.
        seeds: One run of every encoder for each.
        arms: Names of arms, by default all that can meet at the layer; the absolute models are trained in any case, as
            retention is measured against them.
        num_anchors: Number of anchors.
        strategy: How they are chosen.
        space: Where a geometric strategy measures distances: in ``"input"`` or ``"propagated"`` features, or in the
            embeddings of the first ``"run"``, that of the first encoder and seed. Such anchors know what that run
            learned of the labels.
        anchor_seed: Seed of that choice.
        split: Protocol; ``None`` takes the graph's own masks, else a random split.
        split_seed: Seed of a split that is drawn.
        train: Settings of every training run.
        stitch_at: Layer behind which encoders and heads meet, from 1: the head is then the rest of the network, message
            passing included. ``None`` for the last layer, where the head is all that is left.

    Raises:
        InputError: If a name is unknown, a value repeated, there are fewer than two seeds or no anchors, an encoder has
            no such layer or not that many, or an arm cannot meet there.

    Example:
        >>> StitchSettings(seeds=(0,))
        Traceback (most recent call last):
            ...
        relgraph.errors.InputError: 'seeds' must name at least two runs, as one has nothing to be stitched to (got 1)
    """

    encoders: tuple[str, ...] = ("gcn",)
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    arms: tuple[str, ...] = None  # type: ignore[assignment]  # what is left out is filled in below
    num_anchors: int = 32
    strategy: str = "random"
    anchor_seed: int = 0
    split: str | None = None
    split_seed: int = 0
    train: TrainSettings = field(default_factory=TrainSettings)
    stitch_at: int | None = None
    space: str = "propagated"

    def __post_init__(self) -> None:
        if self.arms is None:
            object.__setattr__(self, "arms", tuple(arms_at(self.stitch_at)))  # type: ignore[unreachable]
        for argument, given, valid in (
            ("encoders", self.encoders, ENCODERS),
            ("arms", self.arms, ARMS),
            ("strategy", (self.strategy,), STRATEGIES),
            ("space", (self.space,), SPACES),
            ("split", () if self.split is None else (self.split,), SPLITS),
        ):
            if isinstance(given, str):  # type: ignore[unreachable]
                raise InputError(argument, f"must be a tuple of names (got the text {given!r}); write ({given!r},)")
            for name in given:
                if name not in valid:
                    raise unknown_name(argument, name, valid)
            if not given and argument != "split":
                raise InputError(argument, f"must name at least one of {', '.join(sorted(valid))} (got none)")
            if len(set(given)) < len(given):
                raise InputError(argument, f"must not repeat a name (got {', '.join(given)})")
        self._check_layer()
        if self.space != "propagated" and self.anchor_space is None:
            raise needless_space(self.strategy, repr(self.space))
        if self.num_anchors < 1:
            raise InputError("num_anchors", f"must be at least 1 (got {self.num_anchors})")
        if len(set(self.seeds)) < len(self.seeds):
            raise InputError("seeds", f"must not repeat a seed (got {', '.join(map(str, self.seeds))})")
        if len(self.seeds) < 2:
            raise InputError(
                "seeds", f"must name at least two runs, as one has nothing to be stitched to (got {len(self.seeds)})"
            )

    @property
    def anchor_space(self) -> str | None:
        """Where distances are measured, ``None`` by a strategy that measures none."""
        return self.space if STRATEGIES[self.strategy].geometric else None

    @property
    def labels_used(self) -> LabelsUsed:
        """What the choice of anchors knows of the labels."""
        return "through a trained run" if self.space == "run" else STRATEGIES[self.strategy].labels_used

    def _check_layer(self) -> None:
        for name in self.encoders:
            last = layers_of(name, self.train.num_layers)
            if self.stitch_at is not None and not 1 <= self.stitch_at <= last:
                raise InputError(
                    "stitch_at",
                    f"must be from 1 to {last}, the layers of '{name}' (got {self.stitch_at}); "
                    "leave it out for the last one",
                )
        able = arms_at(self.stitch_at)
        for name in self.arms:
            if name not in able:
                raise InputError(
                    "arms",
                    f"must be of {', '.join(able)} where 'stitch_at' names a layer, as others need a head that "
                    f"reads one node at a time (got '{name}'); leave it out",
                )


@dataclass(eq=False)
class ArmResult:
    """What an arm did.

    Args:
        predictions: Classes of the test nodes, ``(R, R, n)``, row = encoder's run, column = head's run, -1 where
            widths forbid the pair.
        seconds: Of every run, to publish and to meet all heads, training included where the arm trains.
        draws: Of the control only: predictions ``(B, n)`` of its pairs of different runs, and of further draws where
            the pairs are too few.
    """

    predictions: Ints
    seconds: list[float]
    draws: Ints | None = None


@dataclass(eq=False)
class Experiment:
    """A finished experiment: everything that the document and the pictures are made from.

    Runs are ordered by encoder, then by seed; ``kinds`` and ``seeds`` say which is which. ``embeddings`` are those of
    the layer at which encoders and heads meet.
    """

    settings: StitchSettings
    data: Data
    protocol: Protocol
    nodes: Nodes
    kinds: list[str]
    seeds: list[int]
    absolute: list[TrainedRun]
    relative: list[TrainedRun]
    embeddings: list[Tensor]
    reference: Ints
    relative_reference: Ints | None
    arms: dict[str, ArmResult]
    fingerprint: str
    seconds: dict[str, float]

    @property
    def anchor_ids(self) -> list[int]:
        """Node ids of the anchors in rank order."""
        ids: list[int] = node_ids(self.data)[self.nodes.anchors].tolist()
        return ids


def run_experiment(
    data: Data, settings: StitchSettings, progress: Progress | None = None, keep: Path | None = None
) -> Experiment:
    """Train, stitch, and keep every prediction.

    Args:
        data: A graph with features and labels.
        settings: What to stitch.
        progress: Told of every step.
        keep: Folder in which trained runs are kept, and found by an experiment that was killed.

    Raises:
        InputError: If the graph lacks what an arm needs, or there are more anchors than nodes.
        DataError: If the graph does not fit in memory as one batch.
    """
    tell = progress or (lambda stage, done, total: None)
    data, protocol = apply_protocol(data, settings.split, seed=settings.split_seed)
    check_count(settings.num_anchors, num_nodes(data))
    y, train, validation, test = _parts(data)
    if num_classes(data) < 2:
        raise InputError("y", "must hold at least two classes (got one); there is nothing to tell apart")
    heads = ["linear"] + (["relative-cosine"] if "relative-cosine" in settings.arms else [])
    total = len(settings.encoders) * len(settings.seeds) * len(heads) * settings.train.epochs
    seconds = {"anchors": 0.0, "train": 0.0}
    trained: dict[str, list[TrainedRun]] = {"linear": [], "relative-cosine": []}

    def choose(space: Space) -> Data:
        start = time.perf_counter()
        add = AddAnchors(settings.num_anchors, settings.strategy, seed=settings.anchor_seed, space=space)
        anchored = add(data)
        seconds["anchors"] = time.perf_counter() - start
        return anchored

    def fit_all(graph: Data, head: Head) -> None:
        start = time.perf_counter()
        for encoder in settings.encoders:
            fit = fit_many if keep is None else partial(fit_kept, folder=keep)
            trained[head] += fit(
                graph,
                encoder,
                settings.seeds,
                head=head,
                settings=settings.train,
                progress=lambda done: tell("train", done, total),
            )
        seconds["train"] += time.perf_counter() - start

    if settings.space == "run":  # known only when the absolute runs, which need no anchors, are there
        fit_all(data, "linear")
        anchored = choose(trained["linear"][0].model.encode(data))
    else:
        anchored = choose("input" if settings.space == "input" else "propagated")
        fit_all(anchored, "linear")
    if "relative-cosine" in heads:
        fit_all(anchored, "relative-cosine")
    nodes = Nodes(y, train, validation, test, anchor_index(anchored), num_classes(anchored))

    start = time.perf_counter()
    name = fingerprint(anchored)
    runs = {head: [_run(one, anchored, name) for one in group] for head, group in trained.items()}
    reference = _own(runs["linear"], nodes)
    if settings.stitch_at is not None:
        runs["linear"] = [_inner_run(one, anchored, name, settings.stitch_at) for one in trained["linear"]]
    arms, results = arms_at(settings.stitch_at), {}
    for arm in settings.arms:
        group = "relative-cosine" if arms[arm].end_to_end else "linear"
        training = [one.seconds for one in trained[group]] if arms[arm].end_to_end else None
        results[arm] = meet_all(arms[arm], runs[group], nodes, training)
        tell("stitch", 1, len(settings.arms))
    seconds["stitch"] = time.perf_counter() - start
    return Experiment(
        settings=settings,
        data=anchored,
        protocol=protocol,
        nodes=nodes,
        kinds=[one.encoder for one in trained["linear"]],
        seeds=[one.seed for one in trained["linear"]],
        absolute=trained["linear"],
        relative=trained["relative-cosine"],
        embeddings=[run.z for run in runs["linear"]],
        reference=reference,
        relative_reference=_diagonal(results.get("relative-cosine")),
        arms=results,
        fingerprint=name,
        seconds=seconds,
    )


def meet_all(arm: Arm, runs: Sequence[Run], nodes: Nodes, training: Sequence[float] | None = None) -> ArmResult:
    """Let every run's encoder meet every run's head by one arm.

    Args:
        arm: The arm.
        runs: The runs, all over the same nodes and anchors.
        nodes: Their nodes.
        training: Seconds that the arm's own training took for each run, to be added.
    """
    if isinstance(arm, PermutedAnchors):
        arm = type(arm)(arm.seed)  # every experiment draws from the start of the stream
    published, seconds = [], list(training or [0.0] * len(runs))
    for row, run in enumerate(runs):
        start = time.perf_counter()
        published.append(arm.publish(run, nodes))
        seconds[row] += time.perf_counter() - start
    predictions = np.full((len(runs), len(runs), nodes.test.numel()), -1, dtype=np.int16)
    for i, source in enumerate(published):
        start = time.perf_counter()
        for j, target in enumerate(published):
            logits = arm.meet(source, target)
            if logits is not None:
                predictions[i, j] = logits.argmax(-1).cpu().numpy()
        seconds[i] += time.perf_counter() - start
    draws = None
    if isinstance(arm, PermutedAnchors):
        pairs = [(i, j) for i in range(len(runs)) for j in range(len(runs)) if i != j]
        more = [predictions[i, j] for i, j in pairs]
        while len(more) < FEWEST_DRAWS:
            i, j = pairs[len(more) % len(pairs)]
            logits = arm.meet(published[i], published[j])
            assert logits is not None
            more.append(logits.argmax(-1).cpu().numpy())
        draws = np.stack(more)
    return ArmResult(predictions, seconds, draws)


def _parts(data: Data) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Classes of all nodes, and the labelled rows that train, choose and test."""
    y = labels(data)
    train, validation, test = (
        (data[mask] & (y >= 0)).nonzero().view(-1) for mask in ("train_mask", "val_mask", "test_mask")
    )
    if test.numel() == 0:
        raise InputError("test_mask", "must mark at least one labelled node (got none)")
    return y, train, validation, test


def _run(trained: TrainedRun, data: Data, name: str) -> Run:
    z = trained.model.encode(data)
    return Run(z, trained.model.head, AnchorSet.from_embeddings(z, data, fingerprint=name))


def _inner_run(trained: TrainedRun, data: Data, name: str, layer: int) -> Run:
    front, back = cut(trained.model, layer)
    h = CutModel(front, back).encode(data)
    return Run(h, back, AnchorSet.from_embeddings(h, data, fingerprint=name), edges_of(data))


@torch.no_grad()
def _own(runs: Sequence[Run], nodes: Nodes) -> Ints:
    return np.stack([run.head(run.z[nodes.test]).argmax(-1).cpu().numpy() for run in runs]).astype(np.int16)


def _diagonal(result: ArmResult | None) -> Ints | None:
    if result is None:
        return None
    rows = np.arange(len(result.predictions))
    own: Ints = result.predictions[rows, rows]
    return own
