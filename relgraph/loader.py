"""Mini-batches of nodes that carry the anchors of the whole graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch_geometric.data import Data
from torch_geometric.utils import k_hop_subgraph

from relgraph.anchors import AnchorSet
from relgraph.anchors.matching import as_tensor
from relgraph.errors import InputError, whole_number
from relgraph.graph import anchor_index, fingerprint, node_ids, num_nodes
from relgraph.modes import eval_mode
from relgraph.nn import Model

_INTEGERS = (torch.int8, torch.int16, torch.int32, torch.uint16, torch.uint32, torch.uint64)  # uint8: may be a mask


class AnchorLoader(DataLoader[Any]):
    """Batches of nodes, each with all anchors and the neighborhoods of both.

    A batch is a subgraph as of PyG's ``NeighborLoader``: its first ``batch_size`` nodes are those it was drawn for, and
    ``n_id`` has the row numbers of all of them. It keeps ``node_id`` and ``anchor_rank``, so that
    :func:`relgraph.anchor_index` and :class:`relgraph.nn.RelativeModel` find the anchors. Anchors are embedded in every
    batch; where that takes too long, batches without anchors and a layer with ``ema`` or frozen anchors
    (:class:`relgraph.RelativeLayer`) do the same with anchors of a few steps before.

    With ``num_hops``, a batch has whole neighborhoods, and outputs of its first nodes are those of the whole graph.
    With ``num_neighbors``, neighbors are sampled by ``NeighborLoader``, which needs pyg-lib or torch-sparse.

    Args:
        data: Graph with anchors (:class:`relgraph.AddAnchors`).
        batch_size: Nodes in a batch, without anchors and neighbors.
        num_hops: How far neighborhoods reach: as many hops as layers pass messages, and one more if a layer reads the
            degree of a neighbor, as ``GCNConv`` does.
        num_neighbors: In place of ``num_hops``, neighbors to sample for each layer.
        input_nodes: The nodes to go through, a mask ``(N,)``, its name in the graph, or rows; by default all.
        **kwargs: Of ``torch.utils.data.DataLoader``, such as ``shuffle``.

    Raises:
        InputError: If the graph has no anchors or no ``edge_index``, not exactly one of ``num_hops`` and
            ``num_neighbors`` is given, a number is none, or a node is missing.

    Example:
        >>> import relgraph as rg
        >>> data = rg.AddAnchors(32)(rg.load_dataset("digits"))
        >>> batch = next(iter(AnchorLoader(data, 100, num_hops=2)))
        >>> batch.batch_size, rg.anchor_index(batch).shape
        (100, torch.Size([32]))
    """

    def __init__(
        self,
        data: Data,
        batch_size: int,
        *,
        num_hops: int | None = None,
        num_neighbors: Sequence[int] | None = None,
        input_nodes: Tensor | str | None = None,
        **kwargs: Any,
    ) -> None:
        if hasattr(data, "node_types"):
            got = f"got node types {', '.join(data.node_types)}"
            raise InputError("data", f"must hold one type of nodes ({got}); convert it by data.to_homogeneous()")
        if whole_number("batch_size", batch_size) < 1:
            raise InputError("batch_size", f"must be at least 1 (got {batch_size}); give the nodes of a batch")
        self.anchors, count = anchor_index(data), num_nodes(data)
        if data.get("edge_index") is None:
            raise InputError("data", "must have 'edge_index' (got none); load it without ToSparseTensor")
        if (num_hops is None) == (num_neighbors is None):
            got = "neither" if num_hops is None else "both"
            raise InputError("num_hops", f"or 'num_neighbors' must be given, and not both (got {got})")
        if num_hops is not None and whole_number("num_hops", num_hops) < 0:
            raise InputError("num_hops", f"must not be negative (got {num_hops})")
        nodes = torch.arange(count) if input_nodes is None else _tensor(data, input_nodes)
        nodes = nodes.nonzero().view(-1) if nodes.dtype == torch.bool and nodes.shape == (count,) else nodes
        nodes = nodes.to(torch.int64) if nodes.dtype in _INTEGERS or nodes.shape == (0,) else nodes
        if nodes.dtype != torch.int64 or nodes.dim() != 1 or not _are_rows(nodes, count):
            found = f"(got {nodes.dtype} of shape {tuple(nodes.shape)})"
            raise InputError("input_nodes", f"must be a mask of {count} nodes, or rows from 0 to {count - 1} {found}")
        self.data, self.num_hops, self.nodes = data, num_hops, nodes
        self._sample = None if num_neighbors is None else _sampler(data, list(num_neighbors))
        if not len(nodes):
            kwargs["shuffle"] = False  # torch shuffles no empty list
        super().__init__(nodes.tolist(), batch_size=batch_size, collate_fn=self._batch, **kwargs)  # type: ignore[arg-type]

    def _batch(self, seeds: list[int]) -> Data:
        rows = torch.tensor(seeds, device=self.anchors.device)
        inner = torch.cat([rows, self.anchors[~torch.isin(self.anchors, rows)]])
        if self._sample is not None:
            batch = self._sample(inner.cpu())
        else:
            count = num_nodes(self.data)
            reached = k_hop_subgraph(inner, self.num_hops, self.data.edge_index, num_nodes=count)[0]
            batch = _subgraph(self.data, torch.cat([inner, reached[~torch.isin(reached, inner)]]))
        batch.batch_size = len(rows)
        return batch

    def embed(self, model: Model) -> Tensor:
        """Embeddings of the nodes to go through, ``(n, F)``, in evaluation mode without gradients."""
        _check_model(model)
        with eval_mode(model):
            parts = [(batch.n_id[: batch.batch_size], model.encode(batch)[: batch.batch_size]) for batch in self]
        if not parts:
            raise InputError("input_nodes", "must name at least one node (got none)")
        rows, z = (torch.cat(list(part)) for part in zip(*parts, strict=True))
        found = z.new_zeros(num_nodes(self.data), z.size(1))
        found[rows] = z  # a loader that shuffles has another order
        return found[self.nodes.to(z.device)]

    def publish(self, model: Model, *, version: str = "", time: str = "") -> AnchorSet:
        """The space of a model, as :meth:`relgraph.AnchorSet.from_embeddings` makes it; so are version and time.

        The embeddings of the nodes to go through, whose mean is the center, are never in memory together.
        """
        _check_model(model)
        total, rows, count = torch.zeros(()), None, 0
        with eval_mode(model):
            for batch in self:
                z = model.encode(batch)
                rows = z[anchor_index(batch)] if rows is None else rows
                count += batch.batch_size
                total = total.to(z.device, torch.float64) + z[: batch.batch_size].sum(dim=0, dtype=torch.float64)
        if rows is None:
            raise InputError("input_nodes", "must name at least one node (got none)")
        weights = self.data.get("anchor_weight")
        return AnchorSet(
            node_ids(self.data)[self.anchors],
            rows,
            (total / count).to(rows.dtype),
            fingerprint(self.data),
            weights=None if weights is None else weights[self.anchors],
            version=version,
            time=time,
        )


def _check_model(model: Any) -> None:
    if not isinstance(model, Model):
        hint = "use relgraph.split(model), or relgraph.Model(encoder, head)"
        raise InputError("model", f"must be a relgraph.Model (got {type(model).__name__}); {hint}")


def _tensor(data: Data, nodes: Any) -> Tensor:
    """The mask or the rows that were given, or those of this name in the graph."""
    if not isinstance(nodes, str):
        return as_tensor("input_nodes", nodes).cpu()
    if not isinstance(found := data.get(nodes), Tensor):
        masks = [name for name, value in data if isinstance(value, Tensor) and value.dtype == torch.bool]
        got = f"got {nodes!r}, and the graph has {', '.join(masks) or 'none'}"
        raise InputError("input_nodes", f"must be a mask, rows, or the name of a mask ({got}); pass one of these")
    return found.cpu()


def _are_rows(nodes: Tensor, count: int) -> bool:
    return nodes.numel() == 0 or (int(nodes.min()) >= 0 and int(nodes.max()) < count)


def _subgraph(data: Data, nodes: Tensor) -> Data:
    """The induced subgraph with its nodes in this order, and their row numbers ``n_id``."""
    ascending, place = nodes.sort()
    batch = data.subgraph(ascending)
    back = place.argsort()
    for name, value in batch:
        if name != "edge_index" and batch.is_node_attr(name) and isinstance(value, Tensor):
            batch[name] = value.index_select(batch.__cat_dim__(name, value), back)
    batch.edge_index, batch.n_id = place[batch.edge_index], nodes
    return batch


def _sampler(data: Data, num_neighbors: list[int]) -> Callable[[Tensor], Data]:
    from torch_geometric.loader import NeighborLoader
    from torch_geometric.typing import WITH_PYG_LIB, WITH_TORCH_SPARSE

    if not (WITH_PYG_LIB or WITH_TORCH_SPARSE):
        raise InputError("num_neighbors", "needs pyg-lib or torch-sparse (got neither installed); use 'num_hops'")
    sampler: Callable[[Tensor], Data] = NeighborLoader(data, num_neighbors)
    return sampler
