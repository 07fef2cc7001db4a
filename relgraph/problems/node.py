"""Node classification: one graph, one row per node."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from relgraph.anchors import choose_weighted
from relgraph.errors import InputError
from relgraph.graph import anchor_index, check_edges, check_weights, fingerprint, graph_edges, node_ids, num_nodes
from relgraph.nn.encoders import make_encoder
from relgraph.nn.encoders.base import normalized_edges
from relgraph.nn.model import Model, RelativeModel, cut_model, head_arguments
from relgraph.nn.relative import RelativeLayer
from relgraph.problems.base import Head, Problem
from relgraph.problems.splits import MASKS, apply_split, class_labels, label_matrix
from relgraph.task import Task
from relgraph.transforms import write_anchors

if TYPE_CHECKING:
    from relgraph.training.settings import TrainSettings


class NodeProblem(Problem):
    """Classes, or several labels, of the nodes of one graph, trained full batch.

    Args:
        data: The graph, with features ``x`` ``(N, D)``, edges and classes ``y`` ``(N,)``, -1 where unknown, or
            labels 0 and 1 ``(N, T)``, NaN where unknown; ``(N, 1)`` in floating point is one label, whose metric is
            ROC-AUC. It is not changed; features of another floating-point type are trained on in float32.
        split: A name in :data:`relgraph.registry.SPLITS`; see :func:`relgraph.problems.splits.apply_split`.
        seed: Seed of a split that is drawn.

    Raises:
        InputError: If features, edges, labels or masks are missing or break a rule.
    """

    def __init__(self, data: Data, split: str | None = None, *, seed: int = 0) -> None:
        data = checked_graph(data)
        self.name = str(data.get("dataset_name") or "unnamed")
        labels = label_matrix(data)
        self.task = Task.of("node", "multiclass" if labels is None else "multilabel")
        self.y = class_labels(data) if labels is None else labels
        self.num_outputs = int(self.y.max()) + 1 if labels is None else labels.size(1)
        self.data, self.split = apply_split(data, self.task, self.y, split, seed=seed)
        self.device = data.x.device
        labeled = self.task.labeled(self.y)
        self.train, self.validation, self.test = (
            (self.data[mask].to(self.device) & labeled).nonzero().view(-1) for mask in MASKS
        )
        self.ids = node_ids(data)
        self.candidates = torch.arange(num_nodes(data), device=self.device)
        self.check_rows()

    def batches(self, model: Model, settings: TrainSettings) -> Iterator[tuple[Tensor, Tensor]]:
        """One batch: the training rows of a pass over the whole graph."""
        yield model(self.data)[self.train], self.train_targets

    def outputs(self, model: Model, rows: Tensor) -> Tensor:
        """Outputs for some nodes, in evaluation mode and without gradients."""
        return model.predict(self.data)[rows]

    def embed(self, model: Model, at: int | None = None) -> Tensor:
        """States ``(N, F)`` of all nodes behind a layer; ``None`` for the representation."""
        return Model(self.cut(model, at)[0], model.head).embed(self.data)

    def cut(self, model: Model, at: int | None = None) -> tuple[nn.Module, nn.Module]:
        """The encoder of a model up to a layer, and the rest of the model, message passing included."""
        return cut_model(model, at)

    @torch.no_grad()
    def read(self, head: nn.Module, z: Tensor, rows: Tensor) -> Tensor:
        """Outputs of a head for some nodes, from the states of all nodes, which a message-passing head needs."""
        arguments = head_arguments(head, self.data)
        out: Tensor = head(z, **arguments)[rows] if arguments else head(z[rows])
        return out

    def weighted_anchors(
        self, num_anchors: int, strategy: str = "random", *, features: str | Tensor = "propagated", seed: int = 0
    ) -> tuple[Tensor, Tensor | None]:
        """Rows of anchor nodes ``(K,)`` and their weights; see :func:`relgraph.anchors.choose_weighted`."""
        generator = torch.Generator().manual_seed(seed)
        among = None if len(self.candidates) == num_nodes(self.data) else self.candidates
        return choose_weighted(self.data, num_anchors, strategy, features=features, among=among, generator=generator)

    def with_anchors(self, rows: Tensor) -> NodeProblem:
        """The same problem with these nodes as anchors of models with a ``"relative-cosine"`` head."""
        problem = copy.copy(self)
        problem.data = copy.copy(self.data)
        write_anchors(problem.data, rows)
        return problem

    @cached_property
    def fingerprint(self) -> str:
        """Fingerprint of the graph, :func:`relgraph.graph.fingerprint`."""
        return fingerprint(self.data)

    def tensors(self, head: Head = "linear") -> dict[str, Tensor]:
        """All tensors of the graph but masks and targets, which rows stand for; anchors where the head reads them."""
        others = {"y", *MASKS, "node_id", "anchor_weight"} | (set() if head == "relative-cosine" else {"anchor_rank"})
        found = self.data.to_dict().items()
        return {name: value for name, value in found if isinstance(value, Tensor) and name not in others}

    def _sizes(self) -> dict[str, Any]:
        data = self.data
        sizes = {"num_nodes": num_nodes(data), "num_edges": data.edge_index.size(1), "num_features": data.x.size(1)}
        return sizes | {"features": data.get("features") or "as given"}

    def _make_encoder(self, name: str, settings: TrainSettings) -> nn.Module:
        fields = ("num_layers", "hidden_channels", "dropout", "input_dropout")
        module = make_encoder(name, self.data.x.size(1), **{field: getattr(settings, field) for field in fields})
        if module.shared is normalized_edges and self.data.get("edge_weight") is not None:
            # The root of a negative degree is NaN.
            check_weights(self.data.edge_weight, f"the encoder '{name}', which normalizes")
        return module

    def _sample(self, model: Model) -> tuple[Tensor, int]:
        return model(self.data), num_nodes(self.data)

    def _with_head(self, module: nn.Module, head: Head) -> Model:
        if head != "relative-cosine":
            return super()._with_head(module, head)
        anchors = anchor_index(self.data).numel()
        return RelativeModel(module, RelativeLayer("cosine"), nn.Linear(anchors, self.num_outputs).to(self.device))


def checked_graph(data: Data) -> Data:
    """A graph whose features and edges can be trained on, with ``x`` in float32 and ``adj_t`` as ``edge_index``."""
    if hasattr(data, "graphs"):
        raise InputError("task", "must be 'graph' for a set of graphs (got one of a single graph); leave it out")
    if not isinstance(data, Data):
        found = f"got {type(data).__name__}"
        raise InputError("data", f"must be a PyG Data of one node type ({found}); convert it by data.to_homogeneous()")
    x, (edge_index, edge_weight) = data.get("x"), graph_edges(data)
    if not isinstance(x, Tensor) or edge_index is None:
        raise InputError("data", "must have features 'x' and edges 'edge_index' (one of them is missing)")
    if data.get("edge_index") is None:
        data = copy.copy(data)
        data.edge_index, data.edge_weight = edge_index, edge_weight
    if x.layout != torch.strided or x.dim() != 2 or not x.is_floating_point():
        kind = "a sparse tensor" if x.layout != torch.strided else f"{x.dtype} of shape {tuple(x.shape)}"
        raise InputError("x", f"must be a dense floating-point matrix (N, D) (got {kind}); try x.to_dense().float()")
    if x.dtype != torch.float32:  # what encoders are initialized in
        data = copy.copy(data)
        data.x = x = x.to(torch.float32)
    bad = (~x.isfinite().all(dim=1)).nonzero().view(-1)
    if bad.numel():
        found = f"{'NaN' if bool(x[bad[0]].isnan().any()) else 'infinity'} in row {int(bad[0])}"
        raise InputError("data", f"must have finite features 'x' (got {found}); fill it in or drop the node")
    check_edges(edge_index, num_nodes(data))
    if data.get("edge_weight") is not None:
        check_weights(data.edge_weight)
    return data
