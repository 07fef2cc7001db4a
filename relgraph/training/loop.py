"""The plain training loop: any encoder, any head, one run at a time."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from relgraph.nn.model import Model
from relgraph.training.protocols import labels
from relgraph.training.settings import History, TrainedRun, TrainSettings

if TYPE_CHECKING:
    from torch_geometric.data import Data


def train_loop(
    model: Model,
    data: Data,
    seed: int,
    settings: TrainSettings,
    encoder: str,
    progress: Callable[[int], None] | None = None,
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
    """
    start = time.perf_counter()
    y = labels(data)
    train, validation, test = (data[name] & (y >= 0) for name in ("train_mask", "val_mask", "test_mask"))
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
        loss = F.cross_entropy(model(data)[train], y[train])
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        logits = model.predict(data)
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
    return TrainedRun(model.eval(), encoder, seed, "loop", best_epoch, best[0], history, seconds)
