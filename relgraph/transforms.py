"""PyG transforms: a graph goes in, the same graph with anchors comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData
from torch_geometric.transforms import BaseTransform

from relgraph.anchors import labels_used, select_anchors, shared_ids, space_name
from relgraph.anchors.anchor_set import check_ids, named
from relgraph.anchors.select import LabelsUsed, Space
from relgraph.errors import InputError, unknown_name
from relgraph.graph import node_ids, num_nodes

if TYPE_CHECKING:
    from torch_geometric.data.storage import NodeStorage


class AddAnchors(BaseTransform):  # type: ignore[misc]
    """Give a graph its anchors, as attributes that survive subgraphs, shuffling and mini-batches.

    Writes ``anchor_rank`` (``(N,)``, int64: 0..K-1 for anchors, -1 elsewhere), ``num_anchors``, and ``node_id`` where
    there is none. :func:`relgraph.anchor_index` reads the anchors back, in rank order. The graph passed in is not
    changed, and the same graph gets the same anchors at every call, since a data set applies its transform at every
    access.

    Args:
        num_anchors: How many anchors.
        strategy: One of :data:`relgraph.names.STRATEGIES`.
        seed: Of the choice.
        node_type: Whose nodes become anchors, for a heterogeneous graph. Strategies that follow edges do not apply to
            it, and geometric ones look at that type's own features.
        space: Where geometric strategies measure distances (:func:`relgraph.select_anchors`): ``"propagated"``,
            ``"input"``, or one run's embeddings of this graph, shape ``(N, F)``.

    Attributes:
        space_name: Name of that space, ``None`` where no distance is measured.
        labels_used: ``"no"``, ``"through a trained run"`` (anchors chosen in its embeddings), ``"yes"``, or ``None``
            for ids that were handed over.

    Raises:
        InputError: If a setting, or a graph, does not allow the choice.

    Example:
        >>> from relgraph.graph import anchor_index
        >>> data = Data(x=torch.zeros(5, 2), edge_index=torch.tensor([[0, 1, 2], [4, 4, 4]]))
        >>> AddAnchors(2, "degree")(data)
        Data(x=[5, 2], edge_index=[2, 3], node_id=[5], anchor_rank=[5], num_anchors=2)
        >>> anchor_index(AddAnchors(2, "degree")(data))
        tensor([4, 0])
        >>> AddAnchors(2, "degree")
        AddAnchors(2, 'degree', seed=0)
        >>> AddAnchors(2, "kmeans", space="input")
        AddAnchors(2, 'kmeans', seed=0, space='input')
    """

    def __init__(
        self,
        num_anchors: int,
        strategy: str = "random",
        *,
        seed: int = 0,
        node_type: str | None = None,
        space: Space = "propagated",
    ) -> None:
        self.labels_used: LabelsUsed | None = labels_used(strategy, space)
        self.space_name = space_name(strategy, space)
        if num_anchors < 1:
            raise InputError("num_anchors", f"must be at least 1 (got {num_anchors})")
        self.num_anchors = num_anchors
        self.strategy = strategy
        self.seed = seed
        self.node_type = node_type
        self.space = space
        self.ids: Tensor | None = None

    @classmethod
    def from_ids(cls, ids: Tensor, node_type: str | None = None) -> AddAnchors:
        """The transform that makes anchors of these nodes, in this order: how two teams, or two runs, agree on them.

        Args:
            ids: Stable node ids (:func:`relgraph.graph.node_ids`), shape ``(K,)``, without repeats.
            node_type: Whose nodes they are, for a heterogeneous graph.

        Raises:
            InputError: If an id is repeated; when called, if the graph lacks one of them.

        Example:
            >>> AddAnchors.from_ids(torch.tensor([2, 0]))(Data(x=torch.zeros(4, 1))).anchor_rank
            tensor([ 1, -1,  0, -1])
        """
        ids = torch.as_tensor(ids)
        check_ids(ids)
        transform = cls(ids.numel(), node_type=node_type)
        transform.labels_used = None
        transform.ids = ids.detach().cpu().to(torch.int64).clone()
        return transform

    def forward(self, data: Data | HeteroData) -> Data | HeteroData:
        """Write the anchors to ``data``, which PyG has copied by then."""
        nodes = self._nodes(data)
        index = self._choose(nodes)
        rank = torch.full((num_nodes(nodes),), -1, dtype=torch.int64, device=index.device)
        rank[index] = torch.arange(index.numel(), device=index.device)
        if "node_id" not in nodes:
            nodes.node_id = node_ids(nodes)
        nodes.anchor_rank = rank
        nodes.num_anchors = index.numel()
        return data

    def _nodes(self, data: Data | HeteroData) -> Data | NodeStorage:
        if not isinstance(data, HeteroData):
            if self.node_type is not None:
                raise InputError(
                    "node_type",
                    f"must be left out for a graph of one node type (got '{self.node_type}'); "
                    "it names one of several types",
                )
            return data
        if self.node_type is None:
            raise InputError(
                "node_type",
                f"must say whose nodes become anchors: one of {', '.join(sorted(data.node_types))} (got none)",
            )
        if self.node_type not in data.node_types:
            raise unknown_name("node_type", self.node_type, data.node_types)
        return data[self.node_type]

    def _choose(self, nodes: Data | NodeStorage) -> Tensor:
        if self.ids is None:
            # A generator of its own at every call: the same graph, the same anchors.
            generator = torch.Generator().manual_seed(self.seed)
            return select_anchors(nodes, self.num_anchors, self.strategy, space=self.space, generator=generator)
        present = node_ids(nodes)
        asked, rows = shared_ids(self.ids, present)
        if asked.numel() != self.ids.numel():
            missing = self.ids[~torch.isin(self.ids, present.cpu())].tolist()
            raise InputError(
                "ids",
                f"must all be nodes of the graph (missing: {named(missing)}); "
                "take anchors that both graphs have, or set data.node_id",
            )
        return rows

    def __repr__(self) -> str:
        where = "" if self.node_type is None else f", node_type={self.node_type!r}"
        if self.ids is not None:
            return f"AddAnchors.from_ids({self.num_anchors} ids{where})"
        space = "" if self.space_name in (None, "propagated") else f", space={self.space_name!r}"
        return f"AddAnchors({self.num_anchors}, {self.strategy!r}, seed={self.seed}{where}{space})"
