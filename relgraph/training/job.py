"""A training job: what determines runs but their seeds, and the seeds that one process trains at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from relgraph.modes import seeded
from relgraph.nn.model import Model
from relgraph.problems import EncoderLike, Head, Problem
from relgraph.training.fast.ensemble import train_ensemble
from relgraph.training.fast.sparse import SparseNodes
from relgraph.training.settings import TrainSettings
from relgraph.training.trainer import Backend, History, Progress, TrainedRun, train

_FIELDS = ("backend", "best_epoch", "validation", "seconds")


class SeedPair(NamedTuple):
    """The seeds of a run.

    Args:
        seed: Of its initialization.
        training: Of dropout and the order of mini-batches; ``None`` if these continue with ``seed``.
    """

    seed: int
    training: int | None = None


@dataclass(frozen=True, eq=False)
class RunRecord:
    """A finished run as plain values, for a file or for another process.

    Args:
        state: Parameters and buffers of the model, on the CPU.
        about: Everything else but encoder and seed, as values of JSON.
    """

    state: Mapping[str, Tensor]
    about: Mapping[str, Any]

    @classmethod
    def of(cls, run: TrainedRun) -> RunRecord:
        """The record of a run."""
        about: dict[str, Any] = {name: getattr(run, name) for name in _FIELDS} | {"history": asdict(run.history)}
        return cls({name: value.detach().cpu() for name, value in run.model.state_dict().items()}, about)


@dataclass(frozen=True, eq=False)
class RunSpec:
    """What determines a training run, except its seed.

    Args:
        problem: The problem.
        encoder: A name, a module or a function, as of :func:`relgraph.training.fit`.
        name: Name of the encoder (of its class if it has none).
        head: The kind of head.
        settings: Settings of the run.
        backend: What trains it.
    """

    problem: Problem
    encoder: EncoderLike
    name: str
    head: Head
    settings: TrainSettings
    backend: Backend

    @cached_property
    def prepared(self) -> Problem:
        """The problem in the form that the backend reads."""
        convert = self.backend == "sparse" and not isinstance(self.problem, SparseNodes)
        return SparseNodes(self.problem) if convert else self.problem

    def build(self, seed: int) -> Model:
        """The untrained model of a seed."""
        return self.problem.build(self.encoder, seed, self.settings, self.head)

    def train(self, seeds: Sequence[SeedPair], progress: Progress | None = None) -> list[TrainedRun]:
        """Train a run from each pair of seeds: jointly by the backend ``"ensemble"``, else one after the other."""
        problem, settings, head = self.prepared, self.settings, self.head
        streams = [seed if other is None else other for seed, other in seeds]
        if self.backend == "ensemble":
            models = [problem.build(self.encoder, seed, settings, head) for seed, _ in seeds]
            runs = train_ensemble(problem, models, streams, settings, self.name, progress)
        else:
            runs = []
            for (seed, other), stream in zip(seeds, streams, strict=True):
                with seeded(seed, problem.device):
                    model = problem.initialize(self.encoder, settings, head)
                    if other is not None or problem.restarts_stream:
                        torch.manual_seed(stream)
                    runs.append(train(problem, model, seed, settings, self.name, progress, self.backend))
        return [replace(run, seed=seed, training_seed=other) for run, (seed, other) in zip(runs, seeds, strict=True)]

    def restore(self, seeds: SeedPair, record: RunRecord) -> TrainedRun:
        """The run of a record.

        Raises:
            KeyError, RuntimeError, TypeError, ValueError: If the record is not one of these runs.
        """
        model = self.build(seeds.seed)
        model.load_state_dict(record.state)
        about = {**record.about, "history": History(**record.about["history"]), "training_seed": seeds.training}
        return TrainedRun(model.to(self.problem.device).eval(), self.name, seeds.seed, **about)


@dataclass(frozen=True, eq=False)
class Job:
    """Runs that one process trains at once."""

    spec: RunSpec
    seeds: Sequence[SeedPair]
