"""The plain training loop: any encoder, any head, one run at a time."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from relgraph.conversion import evaluating
from relgraph.graph import anchor_index
from relgraph.nn.encoders import LayeredEncoder
from relgraph.nn.model import Model, RelativeModel
from relgraph.training.protocols import labels
from relgraph.training.settings import History, Path, TrainedRun, TrainSettings
from relgraph.training.whole_graph import WholeGraph

if TYPE_CHECKING:
    from torch_geometric.data import Data


def train_loop(
    model: Model,
    data: Data,
    seed: int,
    settings: TrainSettings,
    encoder: str,
    progress: Callable[[int], None] | None = None,
    graph: WholeGraph | None = None,
) -> TrainedRun:
    """Train one model full batch with Adam and keep the epoch of highest validation accuracy.

    Ties go to the lower validation loss. Dropout draws from torch's global generator: the caller seeds it.

    Args:
        model: A freshly initialised model; it is left holding the parameters of its best epoch.
        data: The graph with its masks.
        seed: The run's seed, for the result.
        settings: Settings of the run.
        encoder: Name of the encoder, for the result.
        progress: Called with 1 after every epoch.
        graph: The graph laid out as a whole, by which the encoder's layers are then computed.
    """
    start = time.perf_counter()
    y = labels(data)
    train, validation, test = (data[name] & (y >= 0) for name in ("train_mask", "val_mask", "test_mask"))
    forward = partial(model, data)
    if graph is not None:
        y, train, validation, test = (graph.inside(values) for values in (y, train, validation, test))
        anchors = graph.places(anchor_index(data)) if isinstance(model, RelativeModel) else None
        forward = partial(_whole, model, graph, anchors)
    head = {id(parameter) for parameter in model.head.parameters()}
    optimizer = torch.optim.Adam(
        [
            {
                "params": [p for p in model.parameters() if id(p) not in head],
                "weight_decay": settings.weight_decay,
            },
            {"params": list(model.head.parameters()), "weight_decay": settings.head_weight_decay},
        ],
        lr=settings.lr,
    )
    history = History()
    best, best_epoch, best_state = (-1.0, float("-inf")), 0, model.state_dict()
    for epoch in range(1, settings.epochs + 1):
        model.train()
        optimizer.zero_grad()
        loss = F.cross_entropy(forward()[train], y[train])
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        with evaluating(model):
            logits = forward()
        hits = (logits.argmax(-1) == y).double()
        found = (float(hits[validation].mean()), -float(F.cross_entropy(logits[validation], y[validation])))
        history.train_loss.append(float(loss.detach()))
        history.validation.append(found[0])
        if settings.log_test:
            history.train.append(float(hits[train].mean()))
            history.test.append(float(hits[test].mean()))
        if found > best:
            best, best_epoch, best_state = found, epoch, copy.deepcopy(model.state_dict())
        if progress is not None:
            progress(1)
    model.load_state_dict(best_state)
    seconds = time.perf_counter() - start
    path: Path = "loop" if graph is None else "whole"
    return TrainedRun(model.eval(), encoder, seed, path, best_epoch, best[0], history, seconds)


def _whole(model: Model, graph: WholeGraph, anchors: Tensor | None) -> Tensor:
    """Outputs of the head for every node, in the order of the graph."""
    encoder = model.encoder
    assert isinstance(encoder, LayeredEncoder)
    z = graph.part(encoder, graph.x, 0, encoder.num_layers)
    read: Tensor = model.layer(z, anchor_index=anchors) if isinstance(model, RelativeModel) else z
    out: Tensor = model.head(read)
    return out
