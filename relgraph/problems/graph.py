"""Properties of whole graphs: many small graphs, one row per graph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Batch, Data
from torch_geometric.loader import DataLoader

from relgraph.anchors import choose_weighted
from relgraph.errors import InputError
from relgraph.graph import fingerprint
from relgraph.nn.encoders.pooled import GraphEncoder
from relgraph.nn.model import Model
from relgraph.problems.base import Head, Problem
from relgraph.problems.splits import Split
from relgraph.registry import GRAPH_ENCODERS, STRATEGIES

if TYPE_CHECKING:
    from relgraph.datasets.graph_dataset import GraphDataset
    from relgraph.training.settings import TrainSettings

GRAPHS_AT_ONCE = 512
"""Graphs in a batch of inference."""


class GraphProblem(Problem):
    """Labels or values of whole graphs, trained in mini-batches.

    Anchors are training graphs, known by their positions, and the center of a space is the mean of the training graphs:
    nothing of validation or test graphs is in a published space. The split is that of the dataset.

    Raises:
        InputError: If there are fewer than two training graphs or no validation graph, a target has no training label,
            or another split is named.
    """

    default_anchors: ClassVar[int] = 256
    # Those of OGB's examples for molecules, which are 300 wide and take 100 epochs.
    default_settings: ClassVar[Mapping[str, Any]] = {
        "epochs": 40,
        "patience": 15,
        "lr": 0.001,
        "weight_decay": 0.0,
        "hidden_channels": 128,
        "dropout": 0.5,
        "input_dropout": 0.0,
    }
    restarts_stream: ClassVar[bool] = False

    def __init__(self, data: GraphDataset, split: str | None = None, *, seed: int = 0) -> None:
        if not hasattr(data, "graphs"):
            raise InputError("task", "must be 'node' or 'link' for one graph (got 'graph'); leave it out")
        self.data, self.task, self.name, self.y = data, data.task, data.name, data.y
        self.device = data.y.device
        self.train, self.validation, self.test = data.train, data.validation, data.test
        self.num_outputs = data.y.size(1)
        own = "ogb" if data.name.startswith("ogbg-") else "public"
        if split not in (None, own):
            raise InputError("split", f"must be '{own}' or left out for the graphs of '{data.name}' (got {split!r})")
        self.split = Split(own, self.train.numel(), self.validation.numel(), self.test.numel())
        self.ids = torch.arange(len(data), device=self.device)
        self.candidates = self.center_rows = self.train
        self.task.check_targets(self.y, len(data))
        self.check_rows(least=2)
        without = self.y[self.train].isnan().all(dim=0).nonzero().view(-1)
        if without.numel():
            raise InputError("y", f"must hold a training label of every target (got none of target {int(without[0])})")

    def batches(self, model: Model, settings: TrainSettings) -> Iterator[tuple[Tensor, Tensor]]:
        """Mini-batches of training graphs in random order."""
        # Batch norm has nothing to normalize in a batch of one graph of one node.
        lone = self.train.numel() % settings.batch_size == 1
        for batch in DataLoader(self._training_graphs, settings.batch_size, shuffle=True, drop_last=lone):
            batch = batch.to(self.device)
            yield model(batch), batch.y
        # Version 0.1 drew one number here, by the loader of the validation graphs: stored runs stay reproducible.
        torch.empty((), dtype=torch.int64).random_()

    def outputs(self, model: Model, rows: Tensor) -> Tensor:
        """Outputs for some graphs, in evaluation mode and without gradients."""
        return torch.cat([model.predict(batch) for batch in self._batched(rows.tolist())])

    def embed(self, model: Model, at: int | None = None) -> Tensor:
        """Embeddings ``(G, F)`` of all graphs; they have no inner layers."""
        self.cut(model, at)
        return torch.cat([model.embed(batch) for batch in self._batched(range(len(self.data)))])

    def weighted_anchors(
        self, num_anchors: int, strategy: str = "random", *, features: str | Tensor = "propagated", seed: int = 0
    ) -> tuple[Tensor, Tensor | None]:
        """Positions of training graphs ``(K,)``; distances are between embeddings given or :func:`graph_features`."""
        traits = STRATEGIES[STRATEGIES.check(strategy)].traits
        if not 1 <= num_anchors <= self.train.numel():
            most = f"{self.train.numel()}, the number of training graphs"
            raise InputError("num_anchors", f"must be from 1 to {most} (got {num_anchors})")
        if not traits.get("points") and traits.get("level") != "any":
            able = "random, kmeans or farthest-point"
            raise InputError("strategy", f"must be {able} for whole graphs (got '{strategy}')")
        points = torch.empty(len(self.data), 1)
        if traits.get("points"):
            points = features if isinstance(features, Tensor) else graph_features(self.data)
        generator = torch.Generator().manual_seed(seed)
        found, weights = choose_weighted(points[self.train], num_anchors, strategy, generator=generator)
        return self.train[found], weights

    @cached_property
    def fingerprint(self) -> str:
        """Fingerprint of the graphs in their order, by their nodes and edges."""
        return fingerprint(_collated(self.data.graphs))

    def tensors(self, head: Head = "linear") -> dict[str, Tensor]:
        """Nodes, edges and features of all graphs, concatenated."""
        found = _collated(self.data.graphs).to_dict().items()
        return {name: value for name, value in found if isinstance(value, Tensor)}

    def _sizes(self) -> dict[str, Any]:
        return {"num_graphs": len(self.data)}

    def _make_encoder(self, name: str, settings: TrainSettings) -> nn.Module:
        from relgraph.datasets.ogb_library import import_ogb

        parts, conv = import_ogb("graphproppred.mol_encoder"), GRAPH_ENCODERS.resolve(name)
        depth = {} if settings.num_layers is None else {"num_layers": settings.num_layers}
        return GraphEncoder(
            conv, parts.AtomEncoder, parts.BondEncoder, settings.hidden_channels, dropout=settings.dropout, **depth
        )

    def _sample(self, model: Model) -> tuple[Tensor, int]:
        return model(next(self._batched(self.train[:2].tolist()))), 2

    @cached_property
    def _training_graphs(self) -> list[Data]:
        return [_bare(self.data.graphs[row], self.y[row].unsqueeze(0)) for row in self.train.tolist()]

    def _batched(self, rows: Sequence[int]) -> Iterator[Data]:
        for start in range(0, len(rows), GRAPHS_AT_ONCE):
            graphs = (self.data.graphs[row] for row in rows[start : start + GRAPHS_AT_ONCE])
            yield _collated(graphs).to(self.device)


def graph_features(dataset: GraphDataset) -> Tensor:
    """Composition of every graph, ``(G, D)``: its size, and how often each feature of nodes and edges takes each value.

    Constant columns are left out, and the others have variance 1.
    """
    batch = _collated(dataset.graphs)
    owners = (batch.batch, batch.batch[batch.edge_index[0]])
    blocks = [torch.bincount(batch.batch, minlength=len(dataset)).log1p().unsqueeze(1)]
    for values, owner in zip((batch.x, batch.edge_attr), owners, strict=True):
        counts = torch.bincount(owner, minlength=len(dataset)).clamp(min=1).unsqueeze(1)
        for column in values.T:
            shares = torch.zeros(len(dataset), int(column.max()) + 1 if column.numel() else 1)
            shares.index_add_(0, owner, functional.one_hot(column, shares.size(1)).float())
            blocks.append(shares / counts)
    features = torch.cat(blocks, dim=1)
    spread = features.std(dim=0)
    return features[:, spread > 1e-6] / spread[spread > 1e-6]


def _collated(graphs: Iterable[Data]) -> Batch:
    return Batch.from_data_list([_bare(graph) for graph in graphs])


def _bare(graph: Data, y: Tensor | None = None) -> Data:
    """One graph with these targets and nothing else that would have to be collated."""
    parts = {"x": graph.x, "edge_index": graph.edge_index, "edge_attr": graph.edge_attr, "num_nodes": graph.num_nodes}
    return Data(**parts) if y is None else Data(**parts, y=y)
