"""A problem: a task on data, with targets, a split, and stable ids of the rows that anchors are drawn from."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from relgraph.errors import InputError, unknown_name
from relgraph.fingerprints import short_fingerprint
from relgraph.io import digest
from relgraph.modes import eval_mode, seeded
from relgraph.nn.encoders.base import Encoder
from relgraph.nn.model import Model
from relgraph.problems.splits import Split
from relgraph.task import Task

if TYPE_CHECKING:
    from relgraph.training.settings import TrainSettings

Head = Literal["linear", "relative-cosine", "frozen"]
EncoderLike = str | nn.Module | Callable[[], nn.Module]

FROZEN_HEAD_SEED = 0
"""Seed of the weights of every ``"frozen"`` head of one width: all runs have the same."""


class Problem(ABC):
    """A task on data, with its targets and its rows for training, validation and testing.

    An encoder embeds *embeddable* rows (nodes, or graphs), a head predicts *predicted* rows. For node- and graph-level
    tasks both are the same rows.

    Attributes:
        task: Level, mode and metric.
        name: Name of the data.
        data: The data, with the masks of the split and, for ``"relative-cosine"`` heads, the anchors.
        y: Targets of all predicted rows.
        train, validation, test: Labeled predicted rows for training, ``(n,)`` int64; those that epochs and constants
            are chosen on; and those that results are computed on, which choose nothing.
        num_outputs: Outputs of a head.
        split: Name and sizes of the split.
        ids: Stable ids of the embeddable rows.
        candidates: Embeddable rows that may become anchors.
        center_rows: Rows that the center of a published space is averaged over; ``None`` for all.
        soft_targets: Probabilities of the classes of all predicted rows ``(N, C)``, which training then aims at in the
            place of ``y``; ``None`` for ``y``. See :meth:`with_soft_targets`.
        device: Where the tensors are.
    """

    task: Task
    name: str
    data: Any
    y: Tensor
    train: Tensor
    validation: Tensor
    test: Tensor
    num_outputs: int
    split: Split
    ids: Tensor
    candidates: Tensor
    center_rows: Tensor | None = None
    soft_targets: Tensor | None = None
    device: torch.device

    default_anchors: ClassVar[int] = 32
    """Number of anchors by default."""

    default_settings: ClassVar[Mapping[str, Any]] = {}
    """Fields of :class:`relgraph.training.TrainSettings` whose defaults differ for this kind of problem."""

    restarts_stream: ClassVar[bool] = True
    """Whether training seeds the global generator again after the initialization of a model."""

    def build(self, encoder: EncoderLike, seed: int, settings: TrainSettings, head: Head = "linear") -> Model:
        """An untrained model, initialized from the seed; torch's global generator is left as it was.

        The encoder is a name, whose width, depth and dropout are in the settings, a module (copied, and reset if it has
        ``reset_parameters``), or a function. A ``"relative-cosine"`` head is linear on cosines with the anchors. A
        ``"frozen"`` head is linear, drawn from one seed for all runs, and not trained.
        """
        with seeded(seed, self.device):
            return self.initialize(encoder, settings, head)

    def initialize(self, encoder: EncoderLike, settings: TrainSettings, head: Head = "linear") -> Model:
        """The same as :meth:`build`, drawing from torch's global generator in its current state."""
        if head not in get_args(Head):
            raise unknown_name("head", head, get_args(Head))
        if not isinstance(encoder, str) and settings.num_layers is not None:
            found = f"(got {settings.num_layers}); set its depth yourself"
            raise InputError("num_layers", f"must be left out for an encoder of your own {found}")
        if isinstance(encoder, str):
            module = self._make_encoder(encoder, settings)
        elif isinstance(encoder, nn.Module):
            module = copy.deepcopy(encoder)
            getattr(module, "reset_parameters", lambda: None)()
        else:
            module = encoder()
        return self._with_head(module.to(self.device), head)

    def _with_head(self, module: nn.Module, head: Head) -> Model:
        if head == "relative-cosine":
            raise InputError("head", f"must be 'linear' for a {self.task.level}-level task (got '{head}')")
        if head == "frozen":
            with seeded(FROZEN_HEAD_SEED, self.device):
                fixed = nn.Linear(self._width(module), self.num_outputs)
            return Model(module, fixed.requires_grad_(False).to(self.device))
        return Model(module, nn.Linear(self._width(module), self.num_outputs).to(self.device))

    def _width(self, module: nn.Module) -> int:
        """Width of the representation: of one of relgraph's encoders its attribute, else that of a forward pass."""
        if isinstance(module, Encoder):
            return int(module.out_channels)
        with eval_mode(module):
            z, rows = self._sample(Model(module, nn.Identity()))
        if z.dim() != 2 or z.size(0) != rows:
            per = f"one embedding per {self.task.level}, ({rows}, F)"
            raise InputError("encoder", f"must return {per} (got shape {tuple(z.shape)})")
        return z.size(1)

    @abstractmethod
    def _make_encoder(self, name: str, settings: TrainSettings) -> nn.Module:
        """A named encoder, drawn from torch's global generator."""

    @abstractmethod
    def _sample(self, model: Model) -> tuple[Tensor, int]:
        """Outputs of a model for some embeddable rows, and the number of these rows."""

    @abstractmethod
    def batches(self, model: Model, settings: TrainSettings) -> Iterator[tuple[Tensor, Tensor]]:
        """Outputs, with gradients, and targets of every mini-batch of one epoch; draws from the global generator."""

    @abstractmethod
    def outputs(self, model: Model, rows: Tensor) -> Tensor:
        """Outputs for some predicted rows, in evaluation mode and without gradients."""

    @abstractmethod
    def embed(self, model: Model, at: int | None = None) -> Tensor:
        """States ``(N, F)`` of all embeddable rows behind a layer; ``None`` for the representation."""

    def cut(self, model: Model, at: int | None = None) -> tuple[nn.Module, nn.Module]:
        """The encoder of a model up to a layer, and the rest of the model; ``None`` for encoder and head."""
        if at is not None:
            raise InputError("at", f"must be left out for a {self.task.level}-level task (got {at!r})")
        return model.encoder, model.head

    def pointwise(self, at: int | None = None) -> bool:
        """Whether what is behind the layer reads one row at a time."""
        return at is None

    @torch.no_grad()
    def read(self, head: nn.Module, z: Tensor, rows: Tensor) -> Tensor:
        """Outputs of a head for predicted rows ``(n,)``, from the states ``(N, F)`` of all embeddable rows."""
        out: Tensor = head(z[rows])
        return out

    @abstractmethod
    def weighted_anchors(
        self, num_anchors: int, strategy: str = "random", *, features: str | Tensor = "propagated", seed: int = 0
    ) -> tuple[Tensor, Tensor | None]:
        """Embeddable rows of anchors, ``(K,)`` without repeats, chosen among the candidates, and their weights.

        Arguments are those of :func:`relgraph.anchors.choose_weighted`; an error if there are not that many candidates,
        or the strategy does not apply.
        """

    def choose_anchors(
        self, num_anchors: int, strategy: str = "random", *, features: str | Tensor = "propagated", seed: int = 0
    ) -> Tensor:
        """The rows of :meth:`weighted_anchors`."""
        return self.weighted_anchors(num_anchors, strategy, features=features, seed=seed)[0]

    def with_anchors(self, rows: Tensor) -> Problem:
        """The same problem with these rows as anchors of models with a ``"relative-cosine"`` head."""
        raise InputError("head", f"must be 'linear' for a {self.task.level}-level task (got 'relative-cosine')")

    @property
    def train_targets(self) -> Tensor:
        """What training aims at on the training rows: their targets, or their probabilities of the classes."""
        return self.y[self.train] if self.soft_targets is None else self.soft_targets[self.train]

    def with_soft_targets(self, probabilities: Tensor) -> Problem:
        """The same problem with all predicted rows for training, and probabilities of their classes to aim at.

        It distills what gave the probabilities (`Hinton et al., 2015 <https://arxiv.org/abs/1503.02531>`_). Labels are
        used on validation rows only, to choose the epoch.

        Args:
            probabilities: ``(N, C)``, nonnegative, with rows that sum to 1.

        Raises:
            InputError: If the task is not of node classes, or the shape is another.
        """
        if self.task.level != "node" or self.task.mode != "multiclass":
            raise InputError("data", f"must pose classes of nodes (got {self.task.mode} of {self.task.level}s)")
        wanted = (self.y.size(0), self.num_outputs)
        if tuple(probabilities.shape) != wanted:
            raise InputError("probabilities", f"must have shape {wanted} (got {tuple(probabilities.shape)})")
        problem = copy.copy(self)
        problem.soft_targets = probabilities.detach().to(self.device)
        problem.train = torch.arange(self.y.size(0), device=self.device)
        return problem

    @property
    def chance(self) -> float:
        """The metric, on test rows, of predictions without information; retention is counted from it."""
        return self.task.metric.chance(self.y[self.train].cpu().numpy(), self.y[self.test].cpu().numpy())

    @property
    def constant(self) -> float:
        """The metric, on test rows, of the best constant prediction; models near it have collapsed."""
        return self.task.metric.constant(self.y[self.train].cpu().numpy(), self.y[self.test].cpu().numpy())

    @cached_property
    @abstractmethod
    def fingerprint(self) -> str:
        """Fingerprint of the graph or graphs, :func:`relgraph.graph.fingerprint`."""

    @abstractmethod
    def tensors(self, head: Head = "linear") -> dict[str, Tensor]:
        """Every tensor that training reads, by name."""

    def digest(self, head: Head = "linear") -> str:
        """SHA-256 of everything that training reads: tensors, task, split rows and number of outputs."""
        rows = {"train": self.train, "validation": self.validation, "test": self.test}
        soft = {} if self.soft_targets is None else {"soft_targets": self.soft_targets}
        found = dict(sorted((self.tensors(head) | {"y": self.y} | rows | soft).items()))
        about = [self.task.level, self.task.mode, self.task.metric.name, self.num_outputs, list(found)]
        return digest(about, *found.values())

    def describe(self) -> dict[str, Any]:
        """Name, sizes, source and fingerprint of the data as plain values for JSON."""
        source = getattr(self.data, "source", None) or "given in memory"
        about = {"num_outputs": self.num_outputs, "source": source, "fingerprint": short_fingerprint(self.fingerprint)}
        return {"name": self.name} | self._sizes() | about

    @abstractmethod
    def _sizes(self) -> dict[str, Any]:
        """Sizes of the data, and what its features are."""

    def check_rows(self, least: int = 1) -> None:
        """Refuse a split with too few rows for training or none for validation."""
        for argument, rows, count in (("train", self.train, least), ("validation", self.validation, 1)):
            if rows.numel() < count:
                least_rows = f"at least {count} labeled {self.task.level}{'s' if count > 1 else ''}"
                raise InputError(argument, f"must name {least_rows} (got {rows.numel()}); choose another split")
