"""The embeddings that a run publishes of its anchors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor

from relgraph.anchors.base import AnchorValues, check_rows, checked_time
from relgraph.anchors.matching import as_tensor, repeated_id, row_numbers
from relgraph.errors import InputError
from relgraph.fingerprints import short_fingerprint
from relgraph.graph import anchor_index, anchored_nodes, integer_ids, node_ids, num_nodes, shown_ids
from relgraph.graph import fingerprint as graph_fingerprint
from relgraph.io import digest

if TYPE_CHECKING:
    from datetime import date

    from torch_geometric.data import Data
    from torch_geometric.data.storage import NodeStorage


@dataclass(frozen=True, eq=False, repr=False, init=False)
class AnchorSet(AnchorValues):
    """A published space: the embeddings of ``K`` anchors, the center of the space, and the ids of the anchors.

    Together with a :class:`relgraph.PublishedHead` it is all that passes between two runs for the head of one to be
    used on the embeddings of the other. The center is the mean over *all* rows, because the mean of a few anchors is a
    rough estimate of it. All tensors are copied, so that the space stays what its id says.

    Args:
        ids: Stable ids of the anchors, shape ``(K,)``, integers without repeats.
        embeddings: Their embeddings, shape ``(K, F)``, finite.
        center: Mean of the embeddings of all rows, shape ``(F,)``.
        fingerprint: Of the graph (:func:`relgraph.graph.fingerprint`); empty if unknown.
        id: Name of the anchor set; by default a hash of the ids, embeddings, center and weights.
        weights: Share of all rows that each anchor stands for, above 0, shape ``(K,)``; by default all the same.
        version: Label of the release of the encoder or graph, any string; empty if unknown.
        time: When the embeddings were computed, in ISO 8601 or as a ``datetime``; empty if unknown.

    Raises:
        InputError: If shapes or types do not fit, an id is repeated, a number is not finite, or ``time`` is no time.

    Example:
        >>> anchors = AnchorSet(torch.tensor([7, 3]), torch.eye(2), torch.zeros(2), fingerprint="00ff", id="mine")
        >>> anchors
        AnchorSet(2 anchors, 2 features, graph 00ff, id mine)
        >>> AnchorSet(torch.tensor([7, 3]), torch.eye(2), torch.zeros(2), id="mine", version="2026-03")
        AnchorSet(2 anchors, 2 features, graph unknown, id mine, version 2026-03)
        >>> anchors.take(torch.tensor([3])).embeddings
        tensor([[0., 1.]])
    """

    _kind = "relgraph.anchors/3"
    _names = ("embeddings", "center")
    _further = ("weights",)
    _header = ("fingerprint", "id")
    id: str
    weights: Tensor

    def __init__(
        self,
        ids: Tensor,
        embeddings: Tensor,
        center: Tensor,
        fingerprint: str = "",
        id: str = "",
        weights: Tensor | None = None,
        *,
        version: str = "",
        time: str | date = "",
    ) -> None:
        object.__setattr__(self, "id", id)
        object.__setattr__(self, "weights", weights)
        super().__init__(ids, embeddings, center, fingerprint, version, checked_time(time))

    def __post_init__(self) -> None:
        super().__post_init__()
        given: Tensor | None = self.weights
        weights = torch.full((len(self),), 1 / len(self)) if given is None else as_tensor("weights", given).detach()
        # In half precision the share of one of many millions of rows would be 0.
        wide = torch.promote_types(self.values.dtype, torch.float32)
        weights = weights.to(self.values.device, wide, copy=True)
        allowed = (weights > 0) & weights.isfinite()
        if weights.shape != self.ids.shape or not bool(allowed.all()):
            found = f"got {int(allowed.sum())} of shape {tuple(weights.shape)}"
            raise InputError("weights", f"must hold one finite number above 0 per anchor, {len(self)} ({found})")
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "id", self.id or digest(self.ids, self.values, self.mean, weights)[:16])

    @classmethod
    def from_embeddings(
        cls,
        z: Tensor,
        data: Data | NodeStorage,
        *,
        center_over: Tensor | None = None,
        fingerprint: str | None = None,
        version: str = "",
        time: str | date = "",
    ) -> AnchorSet:
        """Publish a space: the rows of the anchors that ``data`` carries, and the mean of all rows.

        Args:
            z: Embeddings of all nodes, shape ``(N, F)``; they are detached.
            data: Graph with anchors and their weights (:class:`relgraph.AddAnchors`), of one node type or of several,
                or the storage of one node type.
            center_over: Rows of ``z`` whose mean is the center, a mask ``(N,)`` or row numbers; by default all. On a
                graph that has grown, the rows of the old nodes keep the center comparable to that of the other run.
            fingerprint: Of the graph, if it is known already or ``data`` is a part of it; by default it is computed
                (empty for a node type of a heterogeneous graph).
            version, time: As of :class:`AnchorSet`.

        Raises:
            InputError: If ``z`` is not finite or has not one row per node, ``data`` has no anchors or repeated ids, or
                ``center_over`` names no row, a missing one, or one more than once.

        Example:
            >>> from torch_geometric.data import Data
            >>> data = Data(edge_index=torch.tensor([[0, 1], [1, 0]]), num_nodes=3, num_anchors=1)
            >>> data.anchor_rank = torch.tensor([-1, -1, 0])
            >>> anchors = AnchorSet.from_embeddings(torch.tensor([[0.0], [1.0], [5.0]]), data)
            >>> anchors.ids, anchors.embeddings, anchors.center
            (tensor([2]), tensor([[5.]]), tensor([2.]))
        """
        # 'data' keeps its name: a heterogeneous graph is gone with its last reference, and its parts need it.
        z, nodes = check_rows("z", z), anchored_nodes(data)
        if z.size(0) != num_nodes(nodes):
            raise InputError(
                "z",
                f"must hold one row per node (got {z.size(0)} rows for {num_nodes(nodes)} nodes); "
                "encode the graph that is passed as 'data'",
            )
        if fingerprint is None:
            fingerprint = graph_fingerprint(nodes) if hasattr(nodes, "edge_index") else ""
        rows, ids, weights = anchor_index(nodes), node_ids(nodes), nodes.get("anchor_weight")
        if (repeated := repeated_id(ids[rows])) is not None:
            name = "node_id" if nodes.get("node_id") is not None else "n_id"
            found = f"got {shown_ids([repeated], nodes[name])[0]} for several anchors"
            raise InputError(name, f"must not repeat an id ({found}); give every node of the graph an id of its own")
        if weights is not None:
            if weights.shape != (len(z),):
                found = f"(got shape {tuple(weights.shape)} for {len(z)} nodes); apply relgraph.AddAnchors again"
                raise InputError("anchor_weight", f"must hold one number per node {found}")
            weights = weights[rows]
        about: dict[str, Any] = {"fingerprint": fingerprint, "weights": weights, "version": version, "time": time}
        return cls._of(z, rows, ids, center_over, **about)

    @classmethod
    def from_rows(
        cls,
        z: Tensor,
        rows: Tensor,
        *,
        ids: Tensor | None = None,
        center_over: Tensor | None = None,
        fingerprint: str = "",
        weights: Tensor | None = None,
        version: str = "",
        time: str | date = "",
    ) -> AnchorSet:
        """Publish a space without a graph: these rows of ``z`` are the anchors.

        Args:
            z: Embeddings of all rows, shape ``(N, F)``; they are detached.
            rows: Row numbers of the anchors, shape ``(K,)``.
            ids: Stable ids of all rows of ``z``, shape ``(N,)``; by default the row numbers.
            center_over: As in :meth:`from_embeddings`.
            fingerprint: Of the graph or the dataset; empty if unknown.
            weights, version, time: As of :class:`AnchorSet`.

        Raises:
            InputError: If ``z`` is not finite, a row is missing or repeated, or ``ids`` do not fit.

        Example:
            >>> AnchorSet.from_rows(torch.tensor([[0.0], [1.0], [5.0]]), torch.tensor([2, 0])).embeddings
            tensor([[5.],
                    [0.]])
        """
        z = check_rows("z", z)
        count = z.size(0)
        given, ids = ids, torch.arange(count) if ids is None else integer_ids(ids)
        if ids.shape != (count,):
            raise InputError("ids", f"must have shape ({count},), one id per row of 'z' (got {tuple(ids.shape)})")
        numbers = row_numbers("rows", rows, count)
        if (repeated := repeated_id(ids[numbers.to(ids.device)])) is not None:
            found = f"got {shown_ids([repeated], given)[0]} more than once"
            raise InputError("ids", f"must not repeat an id ({found}); give every anchor once")
        about: dict[str, Any] = {"fingerprint": fingerprint, "weights": weights, "version": version, "time": time}
        return cls._of(z, numbers, ids, center_over, **about)

    @classmethod
    def _of(cls, z: Tensor, rows: Tensor, ids: Tensor, center_over: Tensor | None, **about: Any) -> AnchorSet:
        z = z.detach()
        wide = torch.float32 if z.device.type == "mps" else torch.float64  # that device has no double precision
        averaged = z if center_over is None else z[row_numbers("center_over", center_over, z.size(0)).to(z.device)]
        center = averaged.mean(dim=0, dtype=wide).to(z.dtype)
        return cls(ids[rows.to(ids.device)], z[rows.to(z.device)], center, **about)

    @property
    def embeddings(self) -> Tensor:
        """Embeddings of the anchors, shape ``(K, F)``."""
        return self.values

    @property
    def center(self) -> Tensor:
        """Mean of the embeddings of all rows, shape ``(F,)``."""
        return self.mean

    @property
    def num_features(self) -> int:
        """Dimensions of the space, ``F``."""
        return self.values.size(1)

    def take(self, ids: Tensor) -> Self:
        """A copy with only these anchors, in this order, and with another id; see :meth:`AnchorValues.take`."""
        return super().take(ids)._changed(id="")

    def __repr__(self) -> str:
        graph = short_fingerprint(self.fingerprint) or "unknown"
        version = f", version {self.version}" if self.version else ""
        return f"AnchorSet({len(self)} anchors, {self.num_features} features, graph {graph}, id {self.id}{version})"
