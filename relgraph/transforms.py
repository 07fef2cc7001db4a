"""PyG transforms: a graph goes in, the same graph with anchors comes out."""

from __future__ import annotations

import sys
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData
from torch_geometric.data.storage import NodeStorage
from torch_geometric.transforms import BaseTransform

from relgraph.anchors import choose_weighted, labels_used, shared_ids
from relgraph.anchors.matching import as_tensor
from relgraph.anchors.select import AnchorFeatures, LabelsUsed
from relgraph.anchors.values import checked_ids, shortened
from relgraph.errors import InputError, unknown_name
from relgraph.graph import node_ids, num_nodes


class AddAnchors(BaseTransform):  # type: ignore[misc]
    """Give a graph its anchors, as attributes that survive subgraphs, shuffling and mini-batches.

    Writes ``anchor_rank`` (``(N,)``, int64: 0..K-1 for anchors, -1 elsewhere), ``num_anchors``, ``node_id`` where there
    is none, and, where the strategy measures distances, ``anchor_weight`` (``(N,)``, the share of all nodes that an
    anchor stands for, 0 elsewhere). :func:`relgraph.anchor_index` reads the anchors back, in rank order. The graph
    passed in is not changed, and the same graph gets the same anchors at every call. A networkx graph is converted by
    PyG's ``from_networkx`` first, with its node attributes.

    Args:
        num_anchors, strategy, seed: How many, a name in :data:`relgraph.registry.STRATEGIES`, and its seed.
        node_type: Node type of the anchors, for a heterogeneous graph. Strategies that read edges do not apply to it,
            and those that measure distances use that type's own features.
        features: Where strategies that measure distances do so (:func:`relgraph.choose_weighted`): ``"propagated"``,
            ``"input"``, or one run's embeddings of this graph, shape ``(N, F)``.
        among: Nodes that may become anchors: a mask ``(N,)``, rows, or the name of an attribute of the graph that holds
            one of these, such as ``"train_mask"``; by default all.

    The attribute ``labels_used`` is ``"none"``, ``"run-embeddings"``, ``"labels"``, or ``None`` for given ids.

    Raises:
        InputError: If a setting, or a graph, does not allow the choice.

    Example:
        >>> from relgraph.graph import anchor_index
        >>> data = Data(x=torch.zeros(5, 2), edge_index=torch.tensor([[0, 1, 2], [4, 4, 4]]))
        >>> AddAnchors(2, "degree")(data)
        Data(x=[5, 2], edge_index=[2, 3], node_id=[5], anchor_rank=[5], num_anchors=2)
        >>> anchor_index(AddAnchors(2, "degree")(data))
        tensor([4, 0])
        >>> AddAnchors(2, "kmeans", features="input")
        AddAnchors(2, 'kmeans', seed=0, features='input')
    """

    def __init__(
        self,
        num_anchors: int,
        strategy: str = "random",
        *,
        seed: int = 0,
        node_type: str | None = None,
        features: AnchorFeatures = "propagated",
        among: Tensor | str | None = None,
    ) -> None:
        features = features if isinstance(features, str) else as_tensor("features", features)
        self.labels_used: LabelsUsed | None = labels_used(strategy, features)
        if num_anchors < 1:
            raise InputError("num_anchors", f"must be at least 1 (got {num_anchors})")
        self.num_anchors, self.strategy, self.seed = num_anchors, strategy, seed
        self.node_type, self.features, self.among = node_type, features, among
        self.ids: Tensor | None = None
        self.weights: Tensor | None = None

    @classmethod
    def from_ids(cls, ids: Tensor, node_type: str | None = None, *, weights: Tensor | None = None) -> AddAnchors:
        """The transform that makes the nodes with these stable ids ``(K,)`` the anchors, in this order.

        Two teams, or two runs, agree on anchors so. A repeated id is an error; when called, so is a missing one.
        ``weights`` ``(K,)`` are the shares of all nodes that the anchors stand for, as of
        :attr:`relgraph.AnchorSet.weights`.

        Example:
            >>> AddAnchors.from_ids(torch.tensor([2, 0]))(Data(x=torch.zeros(4, 1))).anchor_rank
            tensor([ 1, -1,  0, -1])
        """
        found = checked_ids(ids)
        transform = cls(found.numel(), node_type=node_type)
        transform.labels_used = None
        transform.ids = found.detach().cpu().to(torch.int64).clone()
        if weights is not None:
            shares = as_tensor("weights", weights).detach().cpu().float().clone()
            if shares.shape != found.shape or not bool((shares > 0).all() and shares.isfinite().all()):
                got = f"(got shape {tuple(shares.shape)}, least {float(shares.min()) if shares.numel() else None})"
                raise InputError("weights", f"must hold one finite number above 0 per id, {found.numel()} {got}")
            transform.weights = shares
        return transform

    def __call__(self, data: Any) -> Data | HeteroData:
        """A copy of the graph with its anchors."""
        networkx = sys.modules.get("networkx")  # not imported yet: then no graph of it can be given
        if networkx is not None and isinstance(data, networkx.Graph):
            from relgraph.datasets import load_dataset

            data = load_dataset(data)
        found: Data | HeteroData = super().__call__(data)
        return found

    def forward(self, data: Data | HeteroData) -> Data | HeteroData:
        """Write the anchors to ``data``, which PyG has copied by then."""
        nodes = self._nodes(data)
        write_anchors(nodes, *self._choose(nodes))
        return data

    def _nodes(self, data: Data | HeteroData) -> Data | NodeStorage:
        if isinstance(data, HeteroData):
            if self.node_type is None:
                types = ", ".join(sorted(data.node_types))
                raise InputError("node_type", f"must be the type of the anchor nodes, one of {types} (got none)")
            if self.node_type not in data.node_types:
                raise unknown_name("node_type", self.node_type, data.node_types)
            return data[self.node_type]
        if self.node_type is not None:
            raise InputError("node_type", f"must be left out for a graph of one node type (got '{self.node_type}')")
        return data

    def _choose(self, nodes: Data | NodeStorage) -> tuple[Tensor, Tensor | None]:
        if self.ids is None:
            # A generator of its own at every call: the same graph, the same anchors.
            generator, among = torch.Generator().manual_seed(self.seed), self.among
            if isinstance(among, str):
                if among not in nodes:
                    names = [name for name in nodes.to_dict() if name.endswith("_mask")]
                    raise unknown_name("among", among, names or ["a mask of the graph"])
                among = nodes[among]
            return choose_weighted(
                nodes, self.num_anchors, self.strategy, features=self.features, among=among, generator=generator
            )
        present = node_ids(nodes)
        asked, rows = shared_ids(self.ids, present)
        if asked.numel() != self.ids.numel():
            missing = shortened(self.ids[~torch.isin(self.ids, present.cpu())].tolist())
            hint = "take anchors that both graphs have, or set data.node_id"
            raise InputError("ids", f"must all be nodes of the graph (missing: {missing}); {hint}")
        return rows, None if self.weights is None else self.weights.to(rows.device)

    def __repr__(self) -> str:
        where = "" if self.node_type is None else f", node_type={self.node_type!r}"
        if self.ids is not None:
            return f"AddAnchors.from_ids({self.num_anchors} ids{where})"
        name = self.features if isinstance(self.features, str) else "run-embeddings"
        features = "" if name == "propagated" else f", features={name!r}"
        some = f", among={self.among!r}" if isinstance(self.among, str) else ", among=..."
        some = "" if self.among is None else some
        return f"AddAnchors({self.num_anchors}, {self.strategy!r}, seed={self.seed}{where}{features}{some})"


def write_anchors(nodes: Data | NodeStorage, rows: Tensor, weights: Tensor | None = None) -> None:
    """Make these rows, ``(K,)`` in rank order, the anchors of a graph, or of one of its node types."""
    rank = torch.full((num_nodes(nodes),), -1, dtype=torch.int64, device=rows.device)
    rank[rows] = torch.arange(rows.numel(), device=rows.device)
    nodes.node_id, nodes.anchor_rank, nodes.num_anchors = node_ids(nodes), rank, rows.numel()
    if weights is not None:
        nodes.anchor_weight = torch.zeros(rank.shape, device=rows.device)
        nodes.anchor_weight[rows] = weights
    elif "anchor_weight" in nodes:
        del nodes.anchor_weight  # of the anchors before
