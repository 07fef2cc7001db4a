"""Anchors by structure: nodes that matter in the graph; edges, and no label or feature."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from relgraph.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Indices = NDArray[np.integer[Any]]


def highest_degree(edge_index: Tensor, num_nodes: int, num_anchors: int, *, ids: Tensor | None = None) -> Tensor:
    """The nodes with the most neighbours; of equals the one with the lowest id.

    A neighbour is another node joined by at least one edge, whichever way it points.

    Args:
        edge_index: Edges, shape ``(2, E)``.
        num_nodes: Nodes of the graph.
        num_anchors: How many anchors.
        ids: Stable node ids, shape ``(N,)``, so that a shuffled graph gives the same nodes; by default the rows.

    Returns:
        Rows, the largest first, shape ``(num_anchors,)``.

    Example:
        >>> highest_degree(torch.tensor([[0, 1, 2], [3, 3, 3]]), 5, 2)
        tensor([3, 0])
    """
    from torch_geometric.utils import degree, remove_self_loops, to_undirected

    edges, _ = remove_self_loops(edge_index.cpu())
    neighbours = degree(to_undirected(edges, num_nodes=num_nodes)[0], num_nodes, dtype=torch.int64)
    return _highest(neighbours, ids, num_anchors)


def highest_pagerank(
    edge_index: Tensor,
    num_nodes: int,
    num_anchors: int,
    *,
    edge_weight: Tensor | None = None,
    ids: Tensor | None = None,
) -> Tensor:
    """The nodes with the largest :func:`pagerank`; of equals the one with the lowest id.

    Arguments and result as of :func:`highest_degree` and :func:`pagerank`.

    Example:
        >>> highest_pagerank(torch.tensor([[0, 1, 2], [3, 3, 3]]), 5, 1)
        tensor([3])
    """
    score = pagerank(edge_index, num_nodes, edge_weight=edge_weight)
    # Nodes that are equal by symmetry differ in the last digits, which depend on the order of the edges.
    return _highest((score * num_nodes).round(decimals=9), ids, num_anchors)


def graph_k_center(edge_index: Tensor, num_nodes: int, num_anchors: int, *, ids: Tensor | None = None) -> Tensor:
    """Nodes each of which is the most hops away from those before it; of equals the one with the lowest id.

    The greedy cover of `Gonzalez (1985) <https://doi.org/10.1016/0304-3975(85)90224-5>`_ with hops for distances,
    whichever way an edge points. What no chosen node reaches is farther than anything else, the largest part of the
    graph first: a graph in many parts gives one node of each before it gives a second of any.

    Arguments as of :func:`highest_degree`.

    Returns:
        Rows in the order chosen, shape ``(num_anchors,)``; the first is the lowest id of the largest part.

    Example:
        >>> path_and_pair = torch.tensor([[0, 1, 2, 3, 5], [1, 2, 3, 4, 6]])
        >>> graph_k_center(path_and_pair, 7, 4)
        tensor([0, 5, 4, 2])
    """
    import numpy as np
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    by_id = np.arange(num_nodes) if ids is None else ids.cpu().argsort().numpy()
    place = np.empty_like(by_id)
    place[by_id] = np.arange(
        num_nodes
    )  # from here on a node is its place among the ids, so that equals sort themselves
    source, target = place[edge_index.cpu().numpy()]
    ends = (np.concatenate([source, target]), np.concatenate([target, source]))
    graph = csr_array((np.ones(2 * len(source), dtype=np.int8), ends), shape=(num_nodes, num_nodes))
    _, part = connected_components(graph, directed=False)
    # Hops to the nearest chosen node. Unreached is beyond any path, and the larger the part, the farther.
    hops = num_nodes + np.bincount(part)[part]
    chosen: list[int] = []
    while len(chosen) < num_anchors:
        chosen.append(int(hops.argmax()))
        reached, steps = np.array(chosen[-1:]), 0
        hops[reached] = -1  # below every distance, so that not even the last node left is taken again
        while len(reached):
            steps += 1
            around = _neighbours(graph.indptr, graph.indices, reached)
            reached = np.unique(around[hops[around] > steps])  # others are as near to an earlier node already
            hops[reached] = steps
    return torch.from_numpy(by_id[chosen])


def pagerank(edge_index: Tensor, num_nodes: int, *, edge_weight: Tensor | None = None, damping: float = 0.85) -> Tensor:
    r"""How often a random walk that now and then jumps anywhere is found at each node.

    .. math:: p = d \, (P' p + \tfrac{1}{N} 1 \textstyle\sum_{i \in D} p_i) + \tfrac{1 - d}{N} 1

    with ``P`` the transition probabilities along edges, by weight, and ``D`` the nodes without outgoing edges, from
    where the walk jumps (`Page et al., 1999 <http://ilpubs.stanford.edu:8090/422/>`_). Found by power iteration.

    Args:
        edge_index: Edges, shape ``(2, E)``.
        num_nodes: Nodes of the graph, ``N``.
        edge_weight: Weights, not negative, shape ``(E,)``.
        damping: Probability ``d`` of following an edge.

    Returns:
        Probabilities in float64, shape ``(N,)``.

    Raises:
        InputError: If a weight is negative or not finite.

    Example:
        >>> pagerank(torch.tensor([[0, 1], [1, 0]]), 2)
        tensor([0.5000, 0.5000], dtype=torch.float64)
    """
    import numpy as np
    from scipy.sparse import csr_array

    weight = torch.ones(edge_index.size(1)) if edge_weight is None else edge_weight.detach().view(-1).cpu()
    if not bool((weight >= 0).all() & weight.isfinite().all()):
        raise InputError("edge_weight", "must not be negative for PageRank (got a weight below 0 or not finite)")
    source, target = edge_index.cpu().numpy()
    step = csr_array((weight.to(torch.float64).numpy(), (target, source)), shape=(num_nodes, num_nodes))
    leaving = np.asarray(step.sum(axis=0)).reshape(-1)
    stuck = leaving == 0
    share = damping / np.where(stuck, 1.0, leaving)
    p = np.full(num_nodes, 1 / num_nodes)
    # The error shrinks by the damping at least, so this is below rounding at the latest when the loop ends.
    for _ in range(250):
        before, p = p, step @ (p * share) + (damping * p[stuck].sum() + 1 - damping) / num_nodes
        if np.abs(p - before).sum() < 1e-14:
            break
    return torch.from_numpy(p)


def _neighbours(starts: Indices, neighbours: Indices, nodes: Indices) -> Indices:
    """Neighbours of some nodes, one list after the other, from the rows of a compressed adjacency."""
    import numpy as np

    first, count = starts[nodes], starts[nodes + 1] - starts[nodes]
    offset = np.arange(count.sum()) - np.repeat(count.cumsum() - count, count)
    found: Indices = neighbours[np.repeat(first, count) + offset]
    return found


def _highest(score: Tensor, ids: Tensor | None, count: int) -> Tensor:
    by_id = torch.arange(score.numel()) if ids is None else ids.cpu().argsort()
    return by_id[score[by_id].sort(descending=True, stable=True).indices[:count]]
