"""Training on whole graphs: mini-batches, labels that may be missing, early stopping on the validation metric."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from relgraph.errors import InputError
from relgraph.nn.graph_encoders import make_graph_encoder
from relgraph.nn.model import Model
from relgraph.training.fitting import seeded
from relgraph.training.metric import Metric, metric_named
from relgraph.training.settings import History, TrainedRun

if TYPE_CHECKING:
    from relgraph.datasets.graph_dataset import GraphDataset

READ_AT_ONCE = 512


@dataclass(frozen=True)
class GraphTrainSettings:
    """Settings of a training run on whole graphs.

    Layers, dropout, learning rate, batches and pooling are those of OGB's examples for molecules, which are 300 wide
    and take 100 epochs.

    Args:
        epochs: Passes over the training graphs, at most.
        patience: Epochs without a better validation metric after which training stops.
        lr: Adam's learning rate.
        weight_decay: L2 penalty on all parameters.
        batch_size: Graphs in a mini-batch, at least 2.
        hidden_channels: Width of the encoder's states and of the embedding.
        num_layers: Layers of message passing.
        dropout: Share of hidden values dropped.
        residual: Whether a layer's input is added to its output.

    Raises:
        InputError: If a value is out of range.

    Example:
        >>> GraphTrainSettings(epochs=5).to_dict()["batch_size"]
        32
    """

    epochs: int = 40
    patience: int = 15
    lr: float = 0.001
    weight_decay: float = 0.0
    batch_size: int = 32
    hidden_channels: int = 128
    num_layers: int = 5
    dropout: float = 0.5
    residual: bool = False

    def __post_init__(self) -> None:
        for name, least in (
            ("epochs", 1), ("patience", 1), ("batch_size", 2), ("hidden_channels", 1), ("num_layers", 1),
        ):  # fmt: skip
            if getattr(self, name) < least:
                raise InputError(name, f"must be at least {least} (got {getattr(self, name)})")
        if not self.lr > 0:
            raise InputError("lr", f"must be positive (got {self.lr})")
        if not self.weight_decay >= 0:
            raise InputError("weight_decay", f"must not be negative (got {self.weight_decay})")
        if not 0 <= self.dropout < 1:
            raise InputError("dropout", f"must be at least 0 and below 1 (got {self.dropout})")

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain values for JSON."""
        return asdict(self)


def fit_graphs(
    dataset: GraphDataset,
    encoder: str = "gcn",
    seeds: Sequence[int] = range(5),
    *,
    settings: GraphTrainSettings | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[TrainedRun]:
    """Train a graph encoder with a linear head from several seeds, each as if it were alone.

    Adam on mini-batches; binary cross-entropy over the labels that are there, or the squared error of targets
    standardised over the training graphs. The epoch with the best validation metric is kept, of equals the one of lower
    validation loss; where no validation label shows both classes the loss alone chooses. Of a regression the head is
    rescaled at the end, so that it predicts in the unit of the targets.

    Args:
        dataset: Graphs, labels, split and metric.
        encoder: One of :data:`relgraph.names.GRAPH_ENCODERS`.
        seeds: One run for each: of initialisation, dropout and the order of graphs. The global generator is left as it
            was.
        settings: Settings of all runs.
        progress: Called with the number of epochs done since the last call; a run that stops early tells of all.

    Returns:
        The runs in the order of ``seeds``, models on the CPU.

    Raises:
        InputError: If the encoder is unknown, there is no seed, fewer than two training graphs or no validation graph,
            or a task has no training label.
    """
    settings = settings or GraphTrainSettings()
    _check(dataset, seeds)
    return [_train(dataset, encoder, seed, settings, progress or (lambda done: None)) for seed in seeds]


def make_graph_model(dataset: GraphDataset, encoder: str, settings: GraphTrainSettings) -> Model:
    """An untrained model for a data set, with OGB's atom and bond encoders, from torch's global generator."""
    from relgraph.datasets.ogb_library import import_ogb

    parts = import_ogb("graphproppred.mol_encoder")
    module = make_graph_encoder(
        encoder,
        parts.AtomEncoder,
        parts.BondEncoder,
        settings.hidden_channels,
        num_layers=settings.num_layers,
        dropout=settings.dropout,
        residual=settings.residual,
    )
    return Model(module, nn.Linear(settings.hidden_channels, dataset.num_tasks))


def embed(model: Model, dataset: GraphDataset) -> Tensor:
    """Embeddings of all graphs of a data set, ``(G, F)``, in evaluation mode and without gradients."""
    from torch_geometric.loader import DataLoader

    graphs = list(dataset.graphs)
    return torch.cat([model.encode(batch) for batch in DataLoader(graphs, batch_size=READ_AT_ONCE)])


def _train(
    dataset: GraphDataset,
    encoder: str,
    seed: int,
    settings: GraphTrainSettings,
    progress: Callable[[int], None],
) -> TrainedRun:
    from torch_geometric.loader import DataLoader

    start = time.perf_counter()
    metric = metric_named(dataset.metric)
    mean, scale = _standard(dataset)
    graphs = [_alone(dataset, row, (dataset.y[row] - mean) / scale) for row in dataset.train.tolist()]
    unseen = [_alone(dataset, row, dataset.y[row]) for row in dataset.validation.tolist()]
    y = dataset.y[dataset.validation]
    with seeded(seed, torch.device("cpu")):
        model = make_graph_model(dataset, encoder, settings)
        optimizer = torch.optim.Adam(model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
        # Batch norm has nothing to normalise in a batch of one graph of one atom.
        lone = len(graphs) % settings.batch_size == 1
        batches = DataLoader(graphs, batch_size=settings.batch_size, shuffle=True, drop_last=lone)
        history = History()
        best, best_epoch, best_state = (float("-inf"), float("-inf")), 0, model.state_dict()
        for epoch in range(1, settings.epochs + 1):
            history.train_loss.append(_epoch(model, batches, optimizer, dataset.task))
            outputs = torch.cat([model.predict(batch) for batch in DataLoader(unseen, batch_size=READ_AT_ONCE)])
            loss = float(_loss(outputs, (y - mean) / scale, dataset.task))
            value = metric.value(y.numpy(), (outputs * scale + mean).numpy())
            history.validation.append(value)
            found = (_goodness(metric, value), -loss)
            if found > best:
                best, best_epoch, best_state = found, epoch, copy.deepcopy(model.state_dict())
            if epoch - best_epoch >= settings.patience:
                progress(settings.epochs - epoch + 1)
                break
            progress(1)
        model.load_state_dict(best_state)
    with torch.no_grad():  # the head speaks in the unit of the targets
        weight, bias = model.head.parameters()
        weight.mul_(scale.unsqueeze(1))
        bias.mul_(scale).add_(mean)
    validation = history.validation[best_epoch - 1] if best_epoch else float("nan")
    seconds = time.perf_counter() - start
    return TrainedRun(model.eval(), encoder, seed, "loop", best_epoch, validation, history, seconds)


def _epoch(model: Model, batches: Any, optimizer: torch.optim.Optimizer, task: str) -> float:
    model.train()
    losses = []
    for batch in batches:
        optimizer.zero_grad()
        loss = _loss(model(batch), batch.y, task)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(float(loss.detach()))
    return sum(losses) / len(losses)


def _loss(outputs: Tensor, y: Tensor, task: str) -> Tensor:
    """Mean loss over the labels that are there; 0 if there are none."""
    there = ~y.isnan()
    if not bool(there.any()):
        return outputs.sum() * 0
    of = F.binary_cross_entropy_with_logits if task == "binary" else F.mse_loss
    return of(outputs[there], y[there])


def _standard(dataset: GraphDataset) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of the training targets, ``(T,)`` each; 0 and 1 of binary labels."""
    if dataset.task == "binary":
        return torch.zeros(dataset.num_tasks), torch.ones(dataset.num_tasks)
    y = dataset.y[dataset.train]
    mean = y.nanmean(dim=0)
    scale = (y - mean).square().nanmean(dim=0).sqrt()
    return mean, torch.where(scale > 0, scale, 1.0)


def _goodness(metric: Metric, value: float) -> float:
    if value != value:  # NaN: nothing to measure, the loss has to choose
        return 0.0
    return value if metric.direction == "higher" else -value


def _alone(dataset: GraphDataset, row: int, y: Tensor) -> Any:
    """One graph with these labels and nothing else that would have to be collated."""
    from torch_geometric.data import Data

    graph = dataset.graphs[row]
    return Data(
        x=graph.x, edge_index=graph.edge_index, edge_attr=graph.edge_attr, y=y.unsqueeze(0), num_nodes=graph.num_nodes
    )


def _check(dataset: GraphDataset, seeds: Sequence[int]) -> None:
    if not seeds:
        raise InputError("seeds", "must name at least one seed (got none)")
    if dataset.train.numel() < 2:
        raise InputError("train", f"must list at least two graphs (got {dataset.train.numel()})")
    if dataset.validation.numel() < 1:
        raise InputError("validation", "must list at least one graph, to stop and to choose by (got none)")
    without = dataset.y[dataset.train].isnan().all(dim=0).nonzero().view(-1)
    if without.numel():
        raise InputError("y", f"must hold a training label of every task (got none of task {int(without[0])})")
