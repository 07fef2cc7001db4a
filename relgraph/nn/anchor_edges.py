"""Edges from anchors to nodes ``(2, E)``, sorted by node: row 0 holds ranks of anchors, row 1 rows of nodes."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from relgraph.anchors import AnchorSet
from relgraph.errors import InputError
from relgraph.nn.relative import given_anchors
from relgraph.similarity import relative, resolve

_CHUNK = 1 << 22  # similarities held at once


def complete_edges(num_anchors: int, num_nodes: int, *, device: torch.device | str | None = None) -> Tensor:
    """Edges from every anchor to every node, ``(2, N K)``.

    Example:
        >>> complete_edges(2, 3)
        tensor([[0, 1, 0, 1, 0, 1],
                [0, 0, 1, 1, 2, 2]])
    """
    ranks, rows = torch.arange(num_anchors, device=device), torch.arange(num_nodes, device=device)
    return torch.stack([ranks.repeat(num_nodes), rows.repeat_interleave(num_anchors)])


@torch.no_grad()
def nearest_anchor_edges(
    z: Tensor, anchors: AnchorSet | Tensor, k: int, similarity: str = "cosine", normalization: str = "none"
) -> Tensor:
    """Edges from the ``k`` nearest anchors to each node, ``(2, N k)``, the nearest first.

    Near means a large similarity or a small distance. Nodes are processed in chunks, so that memory is O(N k).

    Args:
        z: Embeddings ``(N, F)``.
        anchors, similarity, normalization: As of :class:`RelativeLayer`.
        k: Number of anchors per node, from 1 to K.

    Raises:
        InputError: If ``k`` is out of range, a name is unknown, or the shapes do not fit.

    Example:
        >>> nearest_anchor_edges(torch.tensor([[1.0, 0.1], [0.0, 2.0]]), torch.eye(2), 1)
        tensor([[0, 1],
                [0, 1]])
    """
    chosen, _ = resolve(similarity, normalization)
    rows, center = given_anchors(None, None, anchors)
    if not 1 <= k <= rows.size(0):
        raise InputError("k", f"must be from 1 to the number of anchors, {rows.size(0)} (got {k}); choose fewer")
    ranks = [
        relative(part, rows, similarity, normalization, center=center).topk(k, largest=not chosen.is_distance).indices
        for part in torch.split(z, max(1, _CHUNK // rows.size(0)))
    ]
    return torch.stack([torch.cat(ranks).view(-1), torch.arange(z.size(0), device=z.device).repeat_interleave(k)])


def within_hops_edges(edge_index: Tensor, anchor_index: Tensor, num_hops: int, num_nodes: int) -> Tensor:
    """Edges from each anchor to the nodes that it reaches in at most ``num_hops`` steps, itself included.

    Steps follow the edges ``(2, M)`` of the graph from source to target: a node is joined to the anchors, rows ``(K,)``
    in rank order, whose messages reach it in ``num_hops`` layers.

    Raises:
        InputError: If ``num_hops`` is negative, or an edge or an anchor is out of range.

    Example:
        >>> path = torch.tensor([[0, 1, 2], [1, 2, 3]])
        >>> within_hops_edges(path, torch.tensor([1, 3]), 1, num_nodes=4)
        tensor([[0, 0, 1],
                [1, 2, 3]])
    """
    from scipy.sparse import csr_array

    if num_hops < 0:
        raise InputError("num_hops", f"must be 0 or more (got {num_hops}); 0 joins each anchor to itself only")
    for name, rows in (("edge_index", edge_index), ("anchor_index", anchor_index)):
        if rows.numel() and not 0 <= int(rows.min()) <= int(rows.max()) < num_nodes:
            got = int(rows.min()) if int(rows.min()) < 0 else int(rows.max())
            raise InputError(name, f"must hold rows of nodes from 0 to {num_nodes - 1} (got {got}); check num_nodes")
    edges, count = edge_index.cpu().numpy(), anchor_index.numel()
    adjacency = csr_array((np.ones(edges.shape[1]), edges), shape=(num_nodes, num_nodes))
    reached = csr_array((np.ones(count), (np.arange(count), anchor_index.cpu().numpy())), shape=(count, num_nodes))
    for _ in range(num_hops):
        before, reached = reached.nnz, reached + reached @ adjacency
        reached.data[:] = 1
        if reached.nnz == before:
            break
    nodes, ranks = reached.T.tocsr().nonzero()
    return torch.from_numpy(np.stack([ranks, nodes])).to(edge_index)
