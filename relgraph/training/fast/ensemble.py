"""Joint training of many seeds: one optimizer step for all, the same results as one after the other."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from relgraph.graph import anchor_index
from relgraph.nn.encoders import GCNEncoder, SAGEEncoder
from relgraph.nn.encoders.gcn2 import GCN2Encoder
from relgraph.nn.model import Model, RelativeModel
from relgraph.problems import Problem
from relgraph.similarity import cosine_similarity
from relgraph.training.fast.attention import ATTENTION, AttentionView
from relgraph.training.fast.gcn2 import GCN2View
from relgraph.training.fast.two_hop import TWO_HOP, TwoHopView
from relgraph.training.fast.views import Graph, View
from relgraph.training.settings import TrainSettings
from relgraph.training.trainer import BestEpoch, History, Progress, TrainedRun, adam

# Separates the stream of dropout masks from that of the initial weights, which PyG draws from the same seed.
DROPOUT_STREAM = 0x5EED << 32

VIEWS: dict[type[nn.Module], type[View]] = {
    **dict.fromkeys(TWO_HOP, TwoHopView),
    **dict.fromkeys(ATTENTION, AttentionView),
    GCN2Encoder: GCN2View,
}
"""How the embeddings of an encoder are computed for many seeds."""

CACHED = 3 << 20
"""Values of the largest matrix of the models that are computed at once. Joint training spares the fixed cost of
operations, but more than 32 MB at once leave the cache and are returned to the system after every operation, which
takes twice the time (PubMed, all rows: 3 of 10 models are faster than 10; Cora: all 10 are)."""

TWO_LAYERS = (GCNEncoder, SAGEEncoder)
"""Encoders of which only two layers are known."""


def can_train_ensemble(problem: Problem, model: Model) -> bool:
    """Whether :func:`train_ensemble` applies: node classes, a known encoder, a linear head on states or cosines."""
    if problem.task.level != "node" or problem.task.mode != "multiclass":
        return False
    plain = type(model) is Model or (
        type(model) is RelativeModel and model.layer.similarity == "cosine" and model.layer.normalization == "none"
    )
    encoder = model.encoder
    known = type(encoder) in VIEWS and (type(encoder) not in TWO_LAYERS or len(encoder) == 2)  # type: ignore[arg-type]
    return plain and known and type(model.head) is nn.Linear and model.head.bias is not None


class ParameterStack:
    """Parameters of several models with a linear head, with the seed as first dimension.

    Weight matrices are transposed, ``(S, in, out)``, and vectors are ``(S, 1, out)``, as the products read them.
    """

    def __init__(self, models: Sequence[Model]) -> None:
        self.encoder, self.head = (
            {
                name: _stack([getattr(model, part).get_parameter(name) for model in models])
                for name, _ in getattr(models[0], part).named_parameters()
            }
            for part in ("encoder", "head")
        )

    def parts(self, size: int) -> Iterator[tuple[dict[str, Tensor], dict[str, Tensor]]]:
        """Parameters of the encoders and heads of ``size`` models at a time."""
        for start in range(0, self.head["bias"].size(0), size):
            encoder, head = (
                {name: value[start : start + size] for name, value in part.items()}
                for part in (self.encoder, self.head)
            )
            yield encoder, head

    def tensors(self) -> list[Tensor]:
        """All stacked parameters."""
        return [*self.encoder.values(), *self.head.values()]

    @torch.no_grad()
    def write(self, models: Sequence[Model], tensors: Sequence[Tensor]) -> None:
        """Copy stacked values (in the order of :meth:`tensors`) into the models."""
        names = [*(("encoder", name) for name in self.encoder), *(("head", name) for name in self.head)]
        for (part, name), stacked in zip(names, tensors, strict=True):
            for model, value in zip(models, stacked, strict=True):
                parameter = getattr(model, part).get_parameter(name)
                parameter.copy_(value.mT if parameter.dim() == 2 else value.view_as(parameter))


def train_ensemble(
    problem: Problem,
    models: Sequence[Model],
    seeds: Sequence[int],
    settings: TrainSettings,
    encoder: str,
    progress: Progress | None = None,
) -> list[TrainedRun]:
    """Train models of one architecture jointly, full batch, each as if it were alone.

    Args:
        problem: Node classification.
        models: One freshly initialized model for each seed; they are left with the parameters of their best epoch.
        seeds: Seeds of the dropout masks.
        settings: See :func:`relgraph.training.trainer.train`, as for the other arguments.
        encoder: Name of the encoder.
        progress: Called after every epoch with the number of epochs done, summed over the runs.
    """
    start = time.perf_counter()
    network = _Network(problem, models[0], settings.log_test)
    size, runs = _at_once(network.training), []
    for first in range(0, len(models), size):
        part = slice(first, first + size)
        runs += _train(problem, network, models[part], seeds[part], settings, encoder, progress)
    seconds = (time.perf_counter() - start) / len(models)
    return [replace(run, seconds=seconds) for run in runs]


def _train(
    problem: Problem,
    network: _Network,
    models: Sequence[Model],
    seeds: Sequence[int],
    settings: TrainSettings,
    encoder: str,
    progress: Progress | None,
) -> list[TrainedRun]:
    """Train as many models as are computed at once."""
    parameters = ParameterStack(models)
    tensors = parameters.tensors()
    generators = [torch.Generator(problem.device).manual_seed(seed + DROPOUT_STREAM) for seed in seeds]
    head = [tensor for tensor in parameters.head.values() if tensor.requires_grad]  # none of a frozen head
    optimizer = adam(parameters.encoder.values(), head, settings, fused=True)
    best = BestEpoch(problem.task.metric, settings.patience, len(seeds))
    best_tensors = [tensor.detach().clone() for tensor in tensors]
    histories = [History() for _ in seeds]
    running = list(range(len(seeds)))

    def step() -> list[float]:
        optimizer.zero_grad()
        loss = network.train_loss(parameters, [generators[run] for run in running])
        loss.sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        values: list[float] = loss.tolist()
        return values

    for epoch in range(1, settings.epochs + 1):
        values = {"train_loss": step()} | {name: value.tolist() for name, value in network.evaluate(parameters).items()}
        validation_loss = values.pop("validation_loss")
        for name, of_runs in values.items():
            for run, value in zip(running, of_runs, strict=True):
                getattr(histories[run], name).append(value)
        for run in best.update(epoch, values["validation"], validation_loss, running):
            for kept, now in zip(best_tensors, tensors, strict=True):
                kept[run].copy_(now[running.index(run)].detach())
        if progress is not None:
            progress(sum(settings.epochs - epoch + 1 if best.stopped[run] else 1 for run in running))
        if any(best.stopped[run] for run in running):
            going = [place for place, run in enumerate(running) if not best.stopped[run]]
            running = [running[place] for place in going]
            if not running:
                break
            _keep(tensors, optimizer, going)
    parameters.write(models, best_tensors)
    return [
        TrainedRun(model.eval(), encoder, seed, "ensemble", epoch, value, history, 0.0)
        for model, seed, epoch, value, history in zip(models, seeds, best.epochs, best.values, histories, strict=True)
    ]


def _keep(tensors: Sequence[Tensor], optimizer: torch.optim.Optimizer, places: list[int]) -> None:
    """Leave only some of the stacked models in the parameters, and in what the optimizer knows of them."""
    for tensor in tensors:
        shape, tensor.grad = tensor.shape, None
        for name, value in optimizer.state[tensor].items():
            if value.shape == shape:
                optimizer.state[tensor][name] = value[places]
        tensor.data = tensor.data[places]


class _Network:
    """Forward passes of a stack over the training nodes, and over those that are evaluated."""

    def __init__(self, problem: Problem, model: Model, log_test: bool) -> None:
        y, train = problem.y, problem.train
        parts = {"validation": problem.validation}
        if log_test:
            parts |= {"train": train, "test": problem.test}
        self.relative = isinstance(model, RelativeModel)
        anchors = anchor_index(problem.data) if self.relative else train[:0]
        graph, encoder = Graph(problem.data), model.encoder
        train_rows, self.train_at, self.train_anchors = _rows([train], anchors)
        evaluated, positions, self.anchors = _rows(list(parts.values()), anchors)
        make = VIEWS[type(encoder)]
        self.training, self.evaluated = make(graph, encoder, train_rows, training=True), make(graph, encoder, evaluated)
        self.train_y = problem.train_targets
        each = torch.split(positions, [part.numel() for part in parts.values()])
        self.parts = {name: (at, y[part]) for (name, part), at in zip(parts.items(), each, strict=True)}

    def train_loss(self, parameters: ParameterStack, generators: list[torch.Generator]) -> Tensor:
        """Mean cross-entropy of the training nodes of every seed, ``(S,)``."""
        z = self.training.embed(parameters.encoder, generators)
        return _cross_entropy(self._logits(z, parameters.head, self.train_at, self.train_anchors), self.train_y)

    @torch.no_grad()
    def evaluate(self, parameters: ParameterStack) -> dict[str, Tensor]:
        """Accuracy of every part and seed, ``(S,)`` each, and the validation loss."""
        values: dict[str, list[Tensor]] = {}
        for encoder, head in parameters.parts(_at_once(self.evaluated)):
            z = self.evaluated.embed(encoder)
            for name, (at, y) in self.parts.items():
                logits = self._logits(z, head, at, self.anchors)
                values.setdefault(name, []).append((logits.argmax(-1) == y).double().mean(-1))
                if name == "validation":
                    values.setdefault("validation_loss", []).append(_cross_entropy(logits, y))
        return {name: torch.cat(value) for name, value in values.items()}

    def _logits(self, z: Tensor, head: dict[str, Tensor], at: Tensor, anchors: Tensor) -> Tensor:
        read = z[:, at]
        if self.relative:
            read = cosine_similarity(read, z[:, anchors])
        return torch.baddbmm(head["bias"], read, head["weight"])


def _at_once(view: View) -> int:
    return max(1, CACHED // max(view.size, 1))


def _cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    """Mean cross-entropy of every seed: logits ``(S, n, C)``, classes ``(n,)`` or probabilities -> ``(S,)``."""
    target = (y if y.dim() == 1 else y.mT).expand(logits.size(0), *([-1] * y.dim()))
    return F.cross_entropy(logits.transpose(1, 2), target, reduction="none").mean(-1)


def _rows(parts: list[Tensor], anchors: Tensor) -> tuple[np.ndarray, Tensor, Tensor]:
    """Nodes of all parts and anchors without repeats; positions of the parts, and of the anchors, among them."""
    wanted = torch.cat([*parts, anchors])
    rows, positions = torch.unique(wanted, return_inverse=True)
    cut = wanted.numel() - anchors.numel()
    return rows.cpu().numpy(), positions[:cut], positions[cut:]


def _stack(parameters: list[Tensor]) -> Tensor:
    stacked = torch.stack([parameter.detach() for parameter in parameters])
    if parameters[0].dim() < 3:
        stacked = stacked.mT.contiguous() if parameters[0].dim() == 2 else stacked.unsqueeze(1)
    return stacked.requires_grad_(parameters[0].requires_grad)
