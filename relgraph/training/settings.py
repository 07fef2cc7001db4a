"""Settings of training runs, and the defaults that depend on the data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from relgraph.errors import InputError, real_number, unknown_name, whole_number
from relgraph.nn.encoders import layers_of
from relgraph.problems import Problem
from relgraph.problems.graph import GraphProblem
from relgraph.registry import SETTINGS

LARGE = 50_000
"""Number of rows from which graphs are trained by sparse products, with checkpoints and more anchors."""

MANY_ANCHORS = 256

KIPF_WELLING: Mapping[str, Any] = {
    "epochs": 200,
    "lr": 0.01,
    "weight_decay": 5e-4,
    "head_weight_decay": 0.0,
    "hidden_channels": 64,
    "dropout": 0.5,
    "input_dropout": 0.5,
    "patience": None,
}
"""Settings of `Kipf and Welling (2017) <https://arxiv.org/abs/1609.02907>`_, 64 wide instead of 16."""


@dataclass(frozen=True)
class TrainSettings:
    """Settings of a training run.

    The defaults are for the nodes of one graph with few labels. They were chosen on validation nodes
    (``benchmarks/training``); training stops when the validation metric no longer improves. :meth:`named` has
    published settings, :meth:`large` and :meth:`molecules` are for other data, and :meth:`for_data` chooses.

    Args:
        epochs: Passes over the training rows, at most.
        lr: Adam's learning rate.
        weight_decay: L2 penalty on the encoder's parameters.
        head_weight_decay: L2 penalty on the head's parameters.
        hidden_channels: Width of the encoder's hidden states.
        num_layers: Layers of the encoder; ``None`` for its own number (for nodes GCNII 4, a perceptron 1, all others
            2; for whole graphs 5). Only some encoders have other numbers.
        dropout: Share of hidden values dropped.
        input_dropout: Share of input values dropped; encoders of whole graphs drop none.
        patience: Epochs without a better validation metric after which training stops; ``None`` for never.
        batch_size: Rows in a mini-batch, at least 2, where training uses mini-batches.
        log_test: Record the metric on training and test rows at every epoch. It never chooses anything.

    Raises:
        InputError: If a value is out of range.

    Example:
        >>> TrainSettings(epochs=50).to_dict()["epochs"]
        50
    """

    epochs: int = 1000
    lr: float = 0.01
    weight_decay: float = 1e-4
    head_weight_decay: float = 0.0
    hidden_channels: int = 64
    num_layers: int | None = None
    dropout: float = 0.6
    input_dropout: float = 0.8
    patience: int | None = 100
    batch_size: int = 32
    log_test: bool = False

    def __post_init__(self) -> None:
        for name, least in (
            ("epochs", 1), ("hidden_channels", 1), ("num_layers", 1), ("patience", 1), ("batch_size", 2),
        ):  # fmt: skip
            if getattr(self, name) is None and name in ("num_layers", "patience"):
                continue
            value = whole_number(name, getattr(self, name))
            if value < least:
                raise InputError(name, f"must be at least {least} (got {value})")
            object.__setattr__(self, name, value)  # an integer of numpy is none of JSON
        for name in ("lr", "weight_decay", "head_weight_decay", "dropout", "input_dropout"):
            object.__setattr__(self, name, real_number(name, getattr(self, name)))
        if not 0 < self.lr < math.inf:
            raise InputError("lr", f"must be positive and finite (got {self.lr})")
        for name in ("weight_decay", "head_weight_decay"):
            if not 0 <= getattr(self, name) < math.inf:
                raise InputError(name, f"must not be negative, and finite (got {getattr(self, name)})")
        for name in ("dropout", "input_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(name, f"must be at least 0 and below 1 (got {getattr(self, name)})")

    @classmethod
    def named(cls, name: str, **others: Any) -> TrainSettings:
        """Settings by their name in :data:`relgraph.registry.SETTINGS`.

        Raises:
            InputError: If the name is unknown, or a field is.

        Example:
            >>> TrainSettings.named("kipf-welling").epochs
            200
        """
        return cls(**_known({**SETTINGS.resolve(name), **others}))

    @classmethod
    def large(cls, encoder: object = "gcn", **others: Any) -> TrainSettings:
        """Settings for a graph with many labels, chosen on ogbn-arxiv's validation nodes (``benchmarks/ogb/tune.py``).

        Three layers where an encoder given by name can have them, 64 wide, 100 epochs, no input dropout.

        Example:
            >>> TrainSettings.large("gat", epochs=10).num_layers is None
            True
        """
        layers: int | None = 3
        try:
            layers_of(encoder, layers)  # type: ignore[arg-type]
        except InputError:
            layers = None
        chosen = {**KIPF_WELLING, "epochs": 100, "num_layers": layers, "input_dropout": 0.0, "weight_decay": 2e-3}
        return cls(**_known(chosen | others))

    @classmethod
    def molecules(cls, **others: Any) -> TrainSettings:
        """Settings for molecules: :attr:`relgraph.problems.graph.GraphProblem.default_settings`.

        Example:
            >>> TrainSettings.molecules().patience
            15
        """
        return cls(**_known({**GraphProblem.default_settings, **others}))

    @classmethod
    def for_data(
        cls, data: Any, encoder: object = "gcn", settings: TrainSettings | str | None = None, **others: Any
    ) -> TrainSettings:
        """The settings that are asked for, by default those of the data.

        The defaults are those of the kind of problem, :meth:`large` for node datasets of OGB, else the class's.

        Args:
            data: A problem, or data that pose one.
            encoder: An encoder or several, which then get the number of layers that all of them can have.
            settings: Settings, or their name in :data:`relgraph.registry.SETTINGS`; ``None`` for the defaults.
            **others: Fields to set otherwise.

        Raises:
            InputError: If a name is unknown, or a value is out of range.

        Example:
            >>> import relgraph as rg
            >>> TrainSettings.for_data(rg.load_dataset("digits"), "gcn", epochs=5) == TrainSettings(epochs=5)
            True
        """
        if isinstance(settings, TrainSettings):
            return replace(settings, **_known(others))
        if settings is not None:
            return cls.named(settings, **others)
        if isinstance(data, Problem):
            name, defaults = data.name, data.default_settings
        else:
            graphs = hasattr(data, "graphs")
            name = "" if graphs else str(data.get("dataset_name", ""))
            defaults = GraphProblem.default_settings if graphs else {}
        if defaults or not name.startswith("ogbn-"):
            return cls(**_known({**defaults, **others}))
        encoders = encoder if isinstance(encoder, (tuple, list)) else [encoder]
        return min((cls.large(one, **others) for one in encoders), key=lambda one: one.num_layers or 0)

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain values for JSON."""
        return asdict(self)


def _known(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """The given fields, if all of them are fields of the settings."""
    known = {entry.name for entry in fields(TrainSettings)}
    for name in given:
        if name not in known:
            raise unknown_name("settings", name, known)
    return given


def default_anchors(problem: Problem, strategy: str = "random") -> int:
    """Number of anchors: that of the kind of problem, or 256 for large graphs.

    Class-stratified anchors of large graphs are not more, since labeled nodes may be few.

    Example:
        >>> import relgraph as rg
        >>> from relgraph.problems import make_problem
        >>> default_anchors(make_problem(rg.load_dataset("digits")))
        32
    """
    count = problem.default_anchors
    if keeps_runs(problem) and strategy != "class-stratified":
        count = max(count, MANY_ANCHORS)
    return min(count, problem.candidates.numel())


def keeps_runs(problem: Problem) -> bool:
    """Whether finished runs are kept on disk by default: where training is long, for 50,000 rows and more."""
    return problem.ids.numel() >= LARGE
