"""Training many seeds side by side: one optimiser step for all, the same results as one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from relgraph.graph import anchor_index
from relgraph.nn.encoders import LayeredEncoder
from relgraph.nn.model import Model, RelativeModel
from relgraph.similarity import cosine_similarity
from relgraph.training.protocols import labels
from relgraph.training.settings import History, TrainedRun, TrainSettings
from relgraph.training.two_hop import TWO_HOP, Graph, TwoHop, View

if TYPE_CHECKING:
    from torch_geometric.data import Data

# Separates the stream of dropout masks from that of the initial weights, which PyG draws from the same seed.
DROPOUT_STREAM = 0x5EED << 32


def can_stack(model: Model) -> bool:
    """Whether a model has a form that :func:`train_stacked` knows: a two-hop encoder and a linear head."""
    plain = type(model) is Model or (
        type(model) is RelativeModel and model.layer.similarity == "cosine" and model.layer.normalization == "none"
    )
    encoder = model.encoder
    two_hops = isinstance(encoder, LayeredEncoder) and encoder.num_layers == 2 and type(encoder) in TWO_HOP
    return plain and two_hops and type(model.head) is torch.nn.Linear


class ParameterStack:
    """Parameters of several models of one architecture, as tensors with the seed in front.

    Weight matrices stand transposed, ``(S, in, out)``, and biases as ``(S, 1, out)``, as the products read them.
    :meth:`write` copies them back, so that a PyG module stays a PyG module.

    Args:
        models: The models, each with a two-hop encoder and a linear head.
    """

    def __init__(self, models: Sequence[Model]) -> None:
        self.form: TwoHop = TWO_HOP[type(models[0].encoder)]
        self.encoder = {
            name: _stack([model.encoder.get_parameter(name) for model in models])
            for name in (*self.form.weights, self.form.bias)
        }
        self.head = {name: _stack([model.head.get_parameter(name) for model in models]) for name in ("weight", "bias")}

    def tensors(self) -> list[Tensor]:
        """All stacked parameters."""
        return [*self.encoder.values(), *self.head.values()]

    @torch.no_grad()
    def write(self, models: Sequence[Model], tensors: Sequence[Tensor]) -> None:
        """Copy stacked values (in the order of :meth:`tensors`) into the models."""
        names = [("encoder", name) for name in self.encoder] + [("head", name) for name in self.head]
        for (part, name), stacked in zip(names, tensors, strict=True):
            for model, value in zip(models, stacked, strict=True):
                parameter = getattr(model, part).get_parameter(name)
                parameter.copy_(value.mT if parameter.dim() == 2 else value.view(-1))


def train_stacked(
    models: Sequence[Model],
    data: Data,
    seeds: Sequence[int],
    settings: TrainSettings,
    encoder: str,
    progress: Callable[[int], None] | None = None,
) -> list[TrainedRun]:
    """Train models of one architecture side by side, full batch, each as if it were alone.

    Args:
        models: One freshly initialised model for each seed; they are left holding the parameters of their best epoch.
        data: The graph with its masks.
        seeds: Seeds of the dropout masks.
        settings: Settings of all runs.
        encoder: Name of the encoder, for the result.
        progress: Called after every epoch with the number of model epochs done.
    """
    start = time.perf_counter()
    parameters = ParameterStack(models)
    tensors = parameters.tensors()
    network = _Network(data, models[0], parameters, settings)
    generators = [torch.Generator(data.x.device).manual_seed(seed + DROPOUT_STREAM) for seed in seeds]
    optimizer = torch.optim.Adam(
        [
            {"params": list(parameters.encoder.values()), "weight_decay": settings.weight_decay},
            {"params": list(parameters.head.values()), "weight_decay": settings.head_weight_decay},
        ],
        lr=settings.lr,
        fused=True,
    )
    best = _Best(tensors)
    histories = [History() for _ in seeds]
    for epoch in range(1, settings.epochs + 1):
        optimizer.zero_grad()
        loss = network.train_loss(generators)
        loss.sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        figures = network.evaluate()
        best.update(epoch, figures["validation"], figures["validation_loss"], tensors)
        _record(histories, figures, loss)
        if progress is not None:
            progress(len(models))
    parameters.write(models, best.tensors)
    seconds = (time.perf_counter() - start) / len(models)
    return [
        TrainedRun(model.eval(), encoder, seed, "stacked", int(epoch), float(accuracy), history, seconds)
        for model, seed, epoch, accuracy, history in zip(
            models, seeds, best.epochs, best.accuracy, histories, strict=True
        )
    ]


class _Network:
    """Forward passes of the stack over the nodes that train, and over those that are looked at."""

    def __init__(self, data: Data, model: Model, parameters: ParameterStack, settings: TrainSettings) -> None:
        self.parameters = parameters
        y = labels(data)
        train, validation, test = (
            (data[name] & (y >= 0)).nonzero().view(-1) for name in ("train_mask", "val_mask", "test_mask")
        )
        parts = {"validation": validation}
        if settings.log_test:
            parts |= {"train": train, "test": test}
        anchors = anchor_index(data) if isinstance(model, RelativeModel) else train[:0]
        graph = Graph.of(data, parameters.form)
        train_rows, self.train_at, self.train_anchors = _rows([train], anchors)
        rows, positions, self.anchors = _rows(list(parts.values()), anchors)
        self.relative = isinstance(model, RelativeModel)
        self.training = View(
            graph, parameters.form, train_rows, input_dropout=settings.input_dropout, dropout=settings.dropout
        )
        self.looking = View(graph, parameters.form, rows)
        self.train_y = y[train]
        offset = 0
        self.parts: dict[str, tuple[Tensor, Tensor]] = {}
        for name, nodes in parts.items():
            self.parts[name] = positions[offset : offset + nodes.numel()], y[nodes]
            offset += nodes.numel()
        self.train_at = self.train_at[: train.numel()]

    def train_loss(self, generators: list[torch.Generator]) -> Tensor:
        """Mean cross-entropy of the training nodes of every seed, ``(S,)``."""
        z = self.training.embed(self.parameters.encoder, generators)
        return _cross_entropy(self._logits(z, self.train_at, self.train_anchors), self.train_y)

    @torch.no_grad()
    def evaluate(self) -> dict[str, Tensor]:
        """Accuracy of every part and seed, ``(S,)`` each, and the validation loss."""
        z = self.looking.embed(self.parameters.encoder)
        figures = {}
        for name, (at, y) in self.parts.items():
            logits = self._logits(z, at, self.anchors)
            figures[name] = (logits.argmax(-1) == y).double().mean(-1)
            if name == "validation":
                figures["validation_loss"] = _cross_entropy(logits, y)
        return figures

    def _logits(self, z: Tensor, at: Tensor, anchors: Tensor) -> Tensor:
        read = z[:, at]
        if self.relative:
            read = cosine_similarity(read, z[:, anchors])
        head = self.parameters.head
        return torch.baddbmm(head["bias"], read, head["weight"])


class _Best:
    """Each seed's parameters at the epoch of its highest validation accuracy, ties going to the lower loss."""

    def __init__(self, tensors: list[Tensor]) -> None:
        count = tensors[0].size(0)
        device = tensors[0].device
        self.tensors = [tensor.detach().clone() for tensor in tensors]
        self.epochs = torch.zeros(count, dtype=torch.long, device=device)
        self.accuracy = torch.full((count,), -1.0, dtype=torch.double, device=device)
        self.loss = torch.full((count,), float("inf"), device=device)

    @torch.no_grad()
    def update(self, epoch: int, accuracy: Tensor, loss: Tensor, tensors: list[Tensor]) -> None:
        better = (accuracy > self.accuracy) | ((accuracy == self.accuracy) & (loss < self.loss))
        for row in better.nonzero().view(-1).tolist():
            for kept, now in zip(self.tensors, tensors, strict=True):
                kept[row].copy_(now[row])
        self.epochs[better] = epoch
        self.accuracy = torch.where(better, accuracy, self.accuracy)
        self.loss = torch.where(better, loss, self.loss)


def _cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    """Mean cross-entropy of every seed: logits ``(S, n, C)``, classes ``(n,)`` -> ``(S,)``."""
    target = y.expand(logits.size(0), -1)
    return F.cross_entropy(logits.transpose(1, 2), target, reduction="none").mean(-1)


def _rows(parts: list[Tensor], anchors: Tensor) -> tuple[np.ndarray, Tensor, Tensor]:
    """Nodes of all parts and anchors without repeats; where the parts, and the anchors, stand among them."""
    wanted = torch.cat([*parts, anchors])
    rows, positions = torch.unique(wanted, return_inverse=True)
    cut = wanted.numel() - anchors.numel()
    return rows.cpu().numpy(), positions[:cut], positions[cut:]


def _record(histories: list[History], figures: dict[str, Tensor], loss: Tensor) -> None:
    for name, values in {**figures, "train_loss": loss.detach()}.items():
        if name != "validation_loss":
            for history, value in zip(histories, values.tolist(), strict=True):
                getattr(history, name).append(value)


def _stack(parameters: list[Tensor]) -> Tensor:
    stacked = torch.stack([parameter.detach() for parameter in parameters])
    stacked = stacked.mT.contiguous() if stacked.dim() == 3 else stacked.unsqueeze(1)
    return stacked.requires_grad_()
