"""One training loop for every problem, and the choice of the best epoch that all backends share."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from relgraph.metrics import Metric
from relgraph.nn.model import Model
from relgraph.problems import Problem
from relgraph.task import Task
from relgraph.training.settings import TrainSettings

Backend = Literal["ensemble", "sparse", "loop"]
Progress = Callable[[int], None]


@dataclass
class History:
    """Loss and metric at every epoch; a list stays empty where nothing was recorded."""

    train_loss: list[float] = field(default_factory=list)
    train: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)
    test: list[float] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class TrainedRun:
    """One finished run: the model of its best epoch, and how it was trained.

    Args:
        model: The model with the parameters of the best epoch, in evaluation mode.
        encoder: Name of the encoder (of its class if it has none).
        seed: Seed of initialization and, unless ``training_seed`` is another, of dropout and the order of mini-batches.
        backend: ``"ensemble"``: trained jointly with the other seeds; ``"sparse"``: by sparse products over the full
            graph; ``"loop"``: by the reference loop.
        best_epoch: Epoch (from 1) of the best validation metric, ties going to the lower validation loss.
        validation: That metric; NaN if validation labels do not allow one.
        history: What was recorded.
        seconds: Wall-clock time; of a run trained jointly, its share.
        training_seed: Seed of dropout and the order of mini-batches; ``None`` if ``seed`` is.
    """

    model: Model
    encoder: str
    seed: int
    backend: Backend
    best_epoch: int
    validation: float
    history: History
    seconds: float
    training_seed: int | None = None


class BestEpoch:
    """The best epoch of each of several runs, and whether a run has stopped.

    An epoch is better if its validation metric is, or if that is equal and its validation loss is lower. Where a metric
    is NaN, because validation labels show one class only, the loss alone decides.

    Args:
        metric: The metric, for its direction.
        patience: Epochs without a better one after which a run stops; ``None`` for never.
        runs: Number of runs.

    Example:
        >>> from relgraph.metrics import ACCURACY
        >>> best = BestEpoch(ACCURACY, patience=2)
        >>> [best.update(epoch, [value], [1.0]) for epoch, value in enumerate([0.5, 0.7, 0.6, 0.6], 1)]
        [[0], [0], [], []]
        >>> best.epochs, best.stopped
        ([2], [True])
    """

    def __init__(self, metric: Metric, patience: int | None, runs: int = 1) -> None:
        self._sign = 1.0 if metric.higher_is_better else -1.0
        self._patience = patience
        self._found = [(float("-inf"), float("-inf"))] * runs
        self.epochs = [0] * runs
        self.values = [float("nan")] * runs
        self.stopped = [False] * runs

    def update(
        self, epoch: int, values: Sequence[float], losses: Sequence[float], runs: Sequence[int] | None = None
    ) -> list[int]:
        """Record an epoch of some runs, by default of all; the runs for which it is the best so far.

        A run that has stopped stays as it is.
        """
        better = []
        for run, value, loss in zip(range(len(self.epochs)) if runs is None else runs, values, losses, strict=True):
            if self.stopped[run]:
                continue
            found = (0.0 if value != value else self._sign * value, -loss)
            if found > self._found[run]:
                self._found[run], self.epochs[run], self.values[run] = found, epoch, value
                better.append(run)
            self.stopped[run] = self._patience is not None and epoch - self.epochs[run] >= self._patience
        return better


def train(
    problem: Problem,
    model: Model,
    seed: int,
    settings: TrainSettings,
    encoder: str,
    progress: Progress | None = None,
    backend: Backend = "loop",
) -> TrainedRun:
    """Train one model with Adam and keep the epoch of the best validation metric.

    Regression targets are standardized over the training rows, and the head is rescaled to their unit at the end.
    Dropout and the order of mini-batches draw from torch's global generator, which the caller seeds.

    Args:
        problem: The problem.
        model: A freshly initialized model; it is left with the parameters of its best epoch.
        seed: Seed of the run, for the result.
        settings: Settings of the run.
        encoder: Name of the encoder, for the result.
        progress: Called with the number of epochs done since the last call; when training stops early, with the rest.
        backend: How the problem computes outputs, for the result.
    """
    start = time.perf_counter()
    task, y = problem.task, problem.y
    mean, scale = task.scaling(y[problem.train])
    regression = task.mode == "regression"
    parts = {"validation": problem.validation}
    if settings.log_test:
        parts |= {"train": problem.train, "test": problem.test}
    rows, sizes = torch.cat(list(parts.values())), [part.numel() for part in parts.values()]
    head = {id(parameter) for parameter in model.head.parameters()}
    rest = [parameter for parameter in model.parameters() if id(parameter) not in head]
    optimizer = adam(rest, model.head.parameters(), settings)
    history, best, best_state = History(), BestEpoch(task.metric, settings.patience), model.state_dict()
    for epoch in range(1, settings.epochs + 1):
        model.train()
        losses = []
        for outputs, targets in problem.batches(model, settings):
            optimizer.zero_grad()
            loss = task.loss(outputs, (targets - mean) / scale if regression else targets)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            losses.append(float(loss.detach()))
        history.train_loss.append(sum(losses) / len(losses))
        for (name, part), outputs in zip(parts.items(), torch.split(problem.outputs(model, rows), sizes), strict=True):
            getattr(history, name).append(_value(task, y[part], outputs * scale + mean if regression else outputs))
            if name == "validation":
                targets = (y[part] - mean) / scale if regression else y[part]
                validation_loss = float(task.loss(outputs, targets))
        if best.update(epoch, history.validation[-1:], [validation_loss]):
            best_state = copy.deepcopy(model.state_dict())
        if progress is not None:
            progress(settings.epochs - epoch + 1 if best.stopped[0] else 1)
        if best.stopped[0]:
            break
    model.load_state_dict(best_state)
    if regression:
        rescale_head(model.head, mean, scale)
    seconds = time.perf_counter() - start
    return TrainedRun(model.eval(), encoder, seed, backend, best.epochs[0], best.values[0], history, seconds)


def adam(
    encoder: Iterable[Tensor], head: Iterable[Tensor], settings: TrainSettings, fused: bool | None = None
) -> torch.optim.Adam:
    """The optimizer of the parameters of an encoder and a head, each with its weight decay."""
    groups = [
        {"params": list(encoder), "weight_decay": settings.weight_decay},
        {"params": list(head), "weight_decay": settings.head_weight_decay},
    ]
    return torch.optim.Adam(groups, lr=settings.lr, fused=fused)


@torch.no_grad()
def rescale_head(head: nn.Module, mean: Tensor, scale: Tensor) -> None:
    """Change a linear head in place so that it predicts ``outputs * scale + mean``."""
    weight, bias = head.parameters()
    weight.mul_(scale.unsqueeze(1))
    bias.mul_(scale).add_(mean)


def _value(task: Task, y: Tensor, outputs: Tensor) -> float:
    """The metric of outputs in their own precision."""
    recorded = outputs.argmax(-1) if task.mode == "multiclass" else outputs
    return task.metric.value(y.cpu().numpy(), recorded.cpu().numpy())
