"""How a model is trained: the settings of one run and what a finished run holds."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from relgraph.errors import InputError
from relgraph.nn.model import Model

Path = Literal["stacked", "whole", "loop"]


@dataclass(frozen=True)
class TrainSettings:
    """Settings of a training run.

    The defaults are those of `Kipf and Welling (2017) <https://arxiv.org/abs/1609.02907>`_ with 64 hidden channels
    instead of 16, for every encoder and data set. A small grid on Cora's validation nodes preferred
    others (``benchmarks/training/choose.py``); the published ones were kept.

    Args:
        epochs: Passes over the training nodes.
        lr: Adam's learning rate.
        weight_decay: L2 penalty on the encoder's parameters.
        head_weight_decay: L2 penalty on the head's parameters.
        hidden_channels: Width of the encoder's hidden state.
        num_layers: Layers of the encoder; ``None`` for as many as it has by itself (GCNII 4, a perceptron 1, all others
            2). GCN, GraphSAGE and GCNII take another number.
        dropout: Share of hidden values dropped.
        input_dropout: Share of input values dropped.
        log_test: Record the test accuracy at every epoch. It is looked at, and never chooses anything.

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
    log_test: bool = False

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise InputError("epochs", f"must be at least 1 (got {self.epochs})")
        if self.hidden_channels < 1:
            raise InputError("hidden_channels", f"must be at least 1 (got {self.hidden_channels})")
        if self.num_layers is not None and self.num_layers < 1:
            raise InputError(
                "num_layers", f"must be at least 1 (got {self.num_layers}); leave it out for the encoder's own"
            )
        if not self.lr > 0:
            raise InputError("lr", f"must be positive (got {self.lr})")
        for name in ("weight_decay", "head_weight_decay"):
            if not getattr(self, name) >= 0:
                raise InputError(name, f"must not be negative (got {getattr(self, name)})")
        for name in ("dropout", "input_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(name, f"must be at least 0 and below 1 (got {getattr(self, name)})")

    @classmethod
    def large(cls, encoder: str = "gcn", **others: Any) -> TrainSettings:
        """Settings for a graph with many labels, chosen on the validation nodes of ogbn-arxiv.

        Three layers where the encoder can have them, 64 wide, 100 epochs, inputs not dropped
        (``benchmarks/ogb/choose.py``).

        Args:
            encoder: Name of the encoder.
            **others: Fields to set otherwise.

        Example:
            >>> TrainSettings.large("gat", epochs=10).num_layers is None
            True
        """
        layers = 3 if encoder in ("gcn", "sage", "gcn2") else None
        chosen = {"epochs": 100, "num_layers": layers, "input_dropout": 0.0, "weight_decay": 2e-3}
        return cls(**(chosen | others))

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain values for JSON."""
        return asdict(self)


@dataclass
class History:
    """Accuracies and losses at every epoch; a list stays empty where nothing was recorded."""

    train_loss: list[float] = field(default_factory=list)
    train: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)
    test: list[float] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class TrainedRun:
    """One finished run: the model of its best epoch, and how it came about.

    Args:
        model: The model with the parameters of the best epoch, in evaluation mode.
        encoder: Name of the encoder (its class's name if it has none).
        seed: Seed of its initialisation and dropout.
        path: ``"stacked"`` if it was trained side by side with its sisters, ``"whole"`` if by products with a large
            graph laid out as a whole, ``"loop"`` if by the plain loop.
        best_epoch: Epoch (from 1) of the highest validation accuracy, of these the one of lowest validation loss; of
            graph-level models the metric of the data set stands for accuracy, here and below.
        validation: That accuracy.
        history: What was recorded.
        seconds: Wall-clock time; of a run trained side by side its share.
    """

    model: Model
    encoder: str
    seed: int
    path: Path
    best_epoch: int
    validation: float
    history: History
    seconds: float
