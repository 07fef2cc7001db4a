"""Settings of training runs, and the defaults that depend on the data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from relgraph.errors import InputError
from relgraph.nn.encoders import layers_of
from relgraph.problems import Problem
from relgraph.problems.graph import GraphProblem

LARGE = 50_000
"""Number of rows from which graphs are trained by sparse products, with checkpoints and more anchors."""

MANY_ANCHORS = 256


@dataclass(frozen=True)
class TrainSettings:
    """Settings of a training run.

    The defaults are those of `Kipf and Welling (2017) <https://arxiv.org/abs/1609.02907>`_ with 64 hidden channels
    instead of 16; a grid on Cora's validation nodes preferred others (``benchmarks/training/tune.py``). :meth:`large`
    and :meth:`molecules` are for other data, and :meth:`for_data` chooses.

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

    epochs: int = 200
    lr: float = 0.01
    weight_decay: float = 5e-4
    head_weight_decay: float = 0.0
    hidden_channels: int = 64
    num_layers: int | None = None
    dropout: float = 0.5
    input_dropout: float = 0.5
    patience: int | None = None
    batch_size: int = 32
    log_test: bool = False

    def __post_init__(self) -> None:
        for name, least in (
            ("epochs", 1), ("hidden_channels", 1), ("num_layers", 1), ("patience", 1), ("batch_size", 2),
        ):  # fmt: skip
            value = getattr(self, name)
            if value is not None and value < least:
                raise InputError(name, f"must be at least {least} (got {value})")
        if not self.lr > 0:
            raise InputError("lr", f"must be positive (got {self.lr})")
        for name in ("weight_decay", "head_weight_decay"):
            if not getattr(self, name) >= 0:
                raise InputError(name, f"must not be negative (got {getattr(self, name)})")
        for name in ("dropout", "input_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(name, f"must be at least 0 and below 1 (got {getattr(self, name)})")

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
        chosen = {"epochs": 100, "num_layers": layers, "input_dropout": 0.0, "weight_decay": 2e-3}
        return cls(**(chosen | others))

    @classmethod
    def molecules(cls, **others: Any) -> TrainSettings:
        """Settings for molecules: :attr:`relgraph.problems.graph.GraphProblem.default_settings`.

        Example:
            >>> TrainSettings.molecules().patience
            15
        """
        return cls(**{**GraphProblem.default_settings, **others})

    @classmethod
    def for_data(cls, data: Any, encoder: object = "gcn", **others: Any) -> TrainSettings:
        """The defaults: those of the kind of problem, :meth:`large` for node datasets of OGB, else the class's.

        Args:
            data: A problem, or data that pose one.
            encoder: An encoder or several, which then get the number of layers that all of them can have.
            **others: Fields to set otherwise.

        Example:
            >>> import relgraph as rg
            >>> TrainSettings.for_data(rg.load_dataset("digits"), "gcn", epochs=5) == TrainSettings(epochs=5)
            True
        """
        if isinstance(data, Problem):
            name, defaults = data.name, data.default_settings
        else:
            graphs = hasattr(data, "graphs")
            name = "" if graphs else str(data.get("dataset_name", ""))
            defaults = GraphProblem.default_settings if graphs else {}
        if defaults or not name.startswith("ogbn-"):
            return cls(**{**defaults, **others})
        encoders = encoder if isinstance(encoder, (tuple, list)) else [encoder]
        return min((cls.large(one, **others) for one in encoders), key=lambda one: one.num_layers or 0)

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain values for JSON."""
        return asdict(self)


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
