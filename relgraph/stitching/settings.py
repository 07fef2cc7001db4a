"""Settings of a stitching experiment, and their defaults for given data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from relgraph.anchors import labels_used
from relgraph.errors import InputError, unknown_name, whole_number
from relgraph.problems import Problem, make_problem
from relgraph.registry import ANCHOR_FEATURES, ENCODERS, GRAPH_ENCODERS, METHODS, SETTINGS, STRATEGIES, TASKS, Registry
from relgraph.stitching.methods import Method
from relgraph.training import TrainSettings, default_anchors


@dataclass(frozen=True)
class StitchSettings:
    """What is stitched and how.

    Args:
        encoders: Names of encoders.
        seeds: One run of every encoder for each.
        methods: Names of methods; ``None`` for all that apply. The absolute models are trained in any case, because
            retention is measured against them.
        num_anchors: Number of anchors; ``None`` for :func:`relgraph.training.default_anchors`.
        strategy, anchor_seed: How anchors are chosen, and the seed of the choice.
        anchor_features: Where a strategy that needs points measures distances: in ``"input"`` or ``"propagated"``
            features, or in the embeddings of the first ``"run"``, which depend on the labels that it was trained on.
        task, split, split_seed: As of :func:`relgraph.problems.make_problem`.
        train: Settings of every training run, or the name of published ones; ``None`` for the defaults of the data
            (:meth:`relgraph.training.TrainSettings.for_data`).
        epochs: Epochs of every training run; ``None`` for those of ``train``.
        at: Layer behind which encoders and heads are stitched, from 1; the head is then the rest of the network,
            message passing included. ``None`` for the last layer, where only the head is left.

    Raises:
        InputError: If a name is unknown, a value is repeated, or there are fewer than two seeds.

    Example:
        >>> StitchSettings(seeds=(0,))
        Traceback (most recent call last):
            ...
        relgraph.errors.InputError: 'seeds' must name at least two runs to stitch to each other (got 1)
    """

    encoders: tuple[str, ...] = ("gcn",)
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    methods: tuple[str, ...] | None = None
    num_anchors: int | None = None
    strategy: str = "random"
    anchor_features: str = "propagated"
    anchor_seed: int = 0
    task: str | None = None
    split: str | None = None
    split_seed: int = 0
    train: TrainSettings | str | None = None
    epochs: int | None = None
    at: int | None = None

    def __post_init__(self) -> None:
        _check_names("encoders", self.encoders, (ENCODERS, GRAPH_ENCODERS))
        if self.methods is not None:
            _check_names("methods", self.methods, (METHODS,))
        STRATEGIES.check(self.strategy)
        ANCHOR_FEATURES.check(self.anchor_features)
        if self.task is not None:
            TASKS.check(self.task)
        if isinstance(self.train, str):
            SETTINGS.check(self.train)
        if self.anchor_features != "propagated" and self.measured_in is None:
            able = " and ".join(name for name, entry in STRATEGIES.items() if entry.traits.get("points"))
            found = f"the strategy '{self.strategy}' (got {self.anchor_features!r})"
            raise InputError("anchor_features", f"must be left out with {found}; {able} use them")
        for name in ("num_anchors", "anchor_seed", "split_seed", "epochs", "at"):
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, whole_number(name, value))  # an integer of numpy is none of JSON
        if self.num_anchors is not None and self.num_anchors < 1:
            raise InputError("num_anchors", f"must be at least 1 (got {self.num_anchors})")
        if not isinstance(self.seeds, Iterable):
            raise InputError("seeds", f"must be several numbers (got {self.seeds!r}); give a tuple, such as (0, 1)")
        object.__setattr__(self, "seeds", tuple(whole_number("seeds", seed) for seed in self.seeds))
        if len(set(self.seeds)) < len(self.seeds):
            raise InputError("seeds", f"must not repeat a seed (got {', '.join(map(str, self.seeds))})")
        if len(self.seeds) < 2:
            raise InputError("seeds", f"must name at least two runs to stitch to each other (got {len(self.seeds)})")

    @property
    def measured_in(self) -> str | None:
        """Where distances between anchors are measured; ``None`` for a strategy that measures none."""
        return self.anchor_features if STRATEGIES[self.strategy].traits.get("points") else None

    @property
    def labels_used(self) -> str:
        """What the choice of anchors uses of the labels: ``"none"``, ``"run-embeddings"`` or ``"labels"``."""
        return labels_used(self.strategy, self.anchor_features)

    def problem(self, data: Any) -> Problem:
        """The problem that data pose; one that is posed already is taken as it is, without another task or split."""
        if isinstance(data, Problem):
            for argument, given in (("task", self.task), ("split", self.split)):
                if given is not None:
                    raise InputError(argument, f"must be left out for a problem, which has one (got {given!r})")
            return data
        return make_problem(data, self.task, split=self.split, seed=self.split_seed)

    def training(self, problem: Problem) -> TrainSettings:
        """Settings of every training run; an error if there are no test rows, or fewer than two classes."""
        if problem.test.numel() == 0:
            raise InputError("test", f"must name at least one labeled {problem.task.level} (got none)")
        if problem.task.mode == "multiclass" and problem.num_outputs < 2:
            raise InputError("y", "must hold at least two classes (got one)")
        others = {} if self.epochs is None else {"epochs": self.epochs}
        return TrainSettings.for_data(problem, self.encoders, self.train, **others)

    def resolve(self, problem: Problem) -> tuple[StitchSettings, TrainSettings, dict[str, Method]]:
        """These settings with every default filled in, the settings of training, and the methods by name.

        An error if a method does not apply, an encoder has no such layer, or there are not that many anchors.
        """
        train = self.training(problem)
        for encoder in self.encoders:
            problem.cut(problem.build(encoder, self.seeds[0], train), self.at)
        methods = self._methods(problem)
        most = problem.candidates.numel()
        if self.num_anchors is not None and self.num_anchors > most:
            raise InputError("num_anchors", f"must be at most {most}, the rows to choose from (got {self.num_anchors})")
        num_anchors = self.num_anchors or default_anchors(problem, self.strategy)
        return replace(self, methods=tuple(methods), num_anchors=num_anchors, train=train), train, methods

    def _methods(self, problem: Problem) -> dict[str, Method]:
        usual = [name for name, entry in METHODS.items() if entry.traits.get("usual", True)]
        methods: dict[str, Method] = {name: METHODS.resolve(name) for name in self.methods or usual}
        if self.methods is None:
            return {name: method for name, method in methods.items() if not method.why_not(problem, self.at)}
        for name, method in methods.items():
            if reason := method.why_not(problem, self.at):
                raise InputError("methods", f"must apply here (got '{name}': {reason}); leave it out")
        return methods


def _check_names(argument: str, given: object, registries: tuple[Registry, ...]) -> None:
    """Refuse what is not a tuple of different registered names."""
    if not isinstance(given, tuple):
        raise InputError(argument, f"must be a tuple of names (got {given!r}); write ({given!r},) for one")
    known = {name for registry in registries for name in registry}
    for name in given:
        if name not in known:
            raise unknown_name(argument, name, known)
    if not given:
        raise InputError(argument, f"must name at least one of {', '.join(sorted(known))} (got none)")
    if len(set(given)) < len(given):
        raise InputError(argument, f"must not repeat a name (got {', '.join(given)})")
