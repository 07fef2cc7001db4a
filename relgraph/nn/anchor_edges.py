"""Edges from anchors to nodes, ``(2, E)``: row 0 the rank of an anchor, row 1 the row of a node, sorted by node."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from relgraph.errors import InputError
from relgraph.nn.relative import given_anchors
from relgraph.similarity import relative, resolve

if TYPE_CHECKING:
    from relgraph.anchors import AnchorSet

_CHUNK = 1 << 22  # similarities, or edges followed, held at once


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

    Near means a large similarity or a small distance. Some nodes are taken at a time, so that memory is O(N k).

    Args:
        z: Embeddings ``(N, F)``.
        anchors: An AnchorSet or embeddings ``(K, F)``.
        k: Anchors per node, 1..K.
        similarity: A name of :data:`relgraph.similarity.SIMILARITIES`.
        normalization: A name of :data:`relgraph.similarity.NORMALIZATIONS`.

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


def within_hops_edges(edge_index: Tensor, anchor_index: Tensor, hops: int, num_nodes: int) -> Tensor:
    """Edges from each anchor to the nodes that it reaches in at most ``hops`` steps, itself included.

    Steps follow the edges from source to target, as messages do: a node is joined to the anchors whose messages have
    reached it after ``hops`` layers. Breadth-first from some anchors at a time; each looks at an edge at most once.

    Args:
        edge_index: Edges of the graph ``(2, M)``.
        anchor_index: Rows of the anchors ``(K,)``, in rank order.
        hops: How many steps, 0 or more.
        num_nodes: Nodes of the graph, ``N``.

    Raises:
        InputError: If ``hops`` is negative, or an edge or an anchor is no row of the graph.

    Example:
        >>> path = torch.tensor([[0, 1, 2], [1, 2, 3]])
        >>> within_hops_edges(path, torch.tensor([1, 3]), 1, num_nodes=4)
        tensor([[0, 0, 1],
                [1, 2, 3]])
    """
    if hops < 0:
        raise InputError("hops", f"must be 0 or more (got {hops}); 0 joins each anchor to itself only")
    for name, rows in (("edge_index", edge_index), ("anchor_index", anchor_index)):
        if rows.numel() and not 0 <= int(rows.min()) <= int(rows.max()) < num_nodes:
            got = int(rows.min()) if int(rows.min()) < 0 else int(rows.max())
            raise InputError(name, f"must hold rows of nodes from 0 to {num_nodes - 1} (got {got}); check num_nodes")
    order = edge_index[0].argsort()
    targets, degree = edge_index[1][order], torch.bincount(edge_index[0], minlength=num_nodes)
    first = degree.cumsum(0) - degree
    group = max(1, _CHUNK // max(targets.numel(), num_nodes, 1))
    found = []
    for start in range(0, anchor_index.numel(), group):
        seeds = anchor_index[start : start + group]
        ranks = torch.arange(seeds.numel(), device=seeds.device)
        reached = torch.zeros(seeds.numel() * num_nodes, dtype=torch.bool, device=seeds.device)
        front = ranks * num_nodes + seeds  # a pair of anchor and node as one number
        reached[front] = True
        for _ in range(hops):
            nodes = front % num_nodes
            count = degree[nodes]
            step = torch.arange(int(count.sum()), device=seeds.device)
            step = step - (count.cumsum(0) - count).repeat_interleave(count)
            follow = targets[first[nodes].repeat_interleave(count) + step]
            after = (front - nodes).repeat_interleave(count) + follow
            front = torch.unique(after[~reached[after]])
            if not front.numel():
                break
            reached[front] = True
        pairs = reached.nonzero().view(-1)
        found.append(torch.stack([pairs // num_nodes + start, pairs % num_nodes]))
    pairs = torch.cat(found, 1) if found else edge_index.new_empty(2, 0)
    return pairs[:, (pairs[1] * max(1, anchor_index.numel()) + pairs[0]).argsort()]
