"""Anchors by structure: scores of nodes, and a cover by hops; they read edges, and no labels or features.

A score maps a graph to one number per node; :func:`relgraph.anchors.select_anchors` takes the nodes with the highest
scores, and breaks ties by the lowest id.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from relgraph.errors import InputError
from relgraph.graph import check_weights, graph_edges, node_ids, num_nodes

if TYPE_CHECKING:
    import networkx as nx
    import numpy as np
    from numpy.typing import NDArray
    from torch_geometric.data import Data

    Indices = NDArray[np.integer[Any]]

# Betweenness samples this number of sources of shortest paths in graphs of more nodes than the second number.
_SOURCES = 200
_SAMPLED_ABOVE = 2_000


def degree_score(data: Data) -> Tensor:
    """Number of neighbors ``(N,)``: other nodes joined by at least one edge in either direction.

    Example:
        >>> from torch_geometric.data import Data
        >>> degree_score(Data(edge_index=torch.tensor([[0, 1, 2], [3, 3, 3]]), num_nodes=5))
        tensor([1, 1, 1, 3, 0])
    """
    from torch_geometric.utils import degree, remove_self_loops, to_undirected

    edges, _ = remove_self_loops(_edges(data)[0].cpu())
    neighbors: Tensor = degree(to_undirected(edges, num_nodes=num_nodes(data))[0], num_nodes(data), dtype=torch.int64)
    return neighbors


def pagerank_score(data: Data, damping: float = 0.85) -> Tensor:
    r"""Stationary probabilities of a random walk with restarts, times the number of nodes, ``(N,)`` in float64.

    .. math:: p = d \, (P' p + \tfrac{1}{N} 1 \textstyle\sum_{i \in D} p_i) + \tfrac{1 - d}{N} 1

    with ``P`` the transition probabilities along edges, by weight, and ``D`` the nodes without outgoing edges, from
    which the walk restarts (`Page et al., 1999 <http://ilpubs.stanford.edu:8090/422/>`_). Found by power iteration, and
    rounded so that symmetric nodes are equal.

    Args:
        data: A graph; weights ``edge_weight`` must not be negative.
        damping: Probability ``d`` of following an edge.

    Raises:
        InputError: If a weight is negative or not finite.

    Example:
        >>> from torch_geometric.data import Data
        >>> pagerank_score(Data(edge_index=torch.tensor([[0, 1], [1, 0]]), num_nodes=2))
        tensor([1., 1.], dtype=torch.float64)
    """
    import numpy as np
    from scipy.sparse import csr_array

    edge_index, edge_weight = _edges(data)
    count = num_nodes(data)
    weight = torch.ones(edge_index.size(1)) if edge_weight is None else edge_weight.detach().view(-1).cpu()
    check_weights(weight, "PageRank")
    source, target = edge_index.cpu().numpy()
    step = csr_array((weight.to(torch.float64).numpy(), (target, source)), shape=(count, count))
    leaving = np.asarray(step.sum(axis=0)).reshape(-1)
    stuck = leaving == 0
    share = damping / np.where(stuck, 1.0, leaving)
    p = np.full(count, 1 / count)
    # The error shrinks at least by the damping in each iteration: it is below rounding when the loop ends.
    for _ in range(250):
        before, p = p, step @ (p * share) + (damping * p[stuck].sum() + 1 - damping) / count
        if np.abs(p - before).sum() < 1e-14:
            break
    return (torch.from_numpy(p) * count).round(decimals=9)


def core_number_score(data: Data) -> Tensor:
    """Core number ``(N,)``: the largest ``k`` such that the node is in a subgraph of minimum degree ``k``.

    `Seidman (1983) <https://doi.org/10.1016/0378-8733(83)90028-X>`_, computed by networkx.

    Example:
        >>> from torch_geometric.data import Data
        >>> triangle_and_tail = torch.tensor([[0, 1, 2, 2], [1, 2, 0, 3]])
        >>> core_number_score(Data(edge_index=triangle_and_tail, num_nodes=4))
        tensor([2, 2, 2, 1])
    """
    import networkx as nx

    graph, place = _networkx(data)
    cores = nx.core_number(graph)
    return torch.tensor([cores[node] for node in place])


def betweenness_score(data: Data) -> Tensor:
    """Share of shortest paths through a node, ``(N,)``, in float64.

    `Freeman (1977) <https://doi.org/10.2307/3033543>`_, computed by networkx. In graphs of more than 2,000 nodes it is
    estimated from the shortest paths of 200 nodes, sampled with a fixed seed (half a minute for 20,000 nodes).

    Example:
        >>> from torch_geometric.data import Data
        >>> betweenness_score(Data(edge_index=torch.tensor([[0, 1], [1, 2]]), num_nodes=3))
        tensor([0., 1., 0.], dtype=torch.float64)
    """
    import networkx as nx

    graph, place = _networkx(data)
    sources = _SOURCES if len(graph) > _SAMPLED_ABOVE else None
    scores = nx.betweenness_centrality(graph, k=sources, seed=0)
    return torch.tensor([scores[node] for node in place], dtype=torch.float64).round(decimals=12)


def graph_k_center(data: Data, num_anchors: int, generator: torch.Generator | None = None) -> Tensor:
    """Nodes each of which is the most hops away from those before it; ties are broken by the lowest id.

    The greedy cover of `Gonzalez (1985) <https://doi.org/10.1016/0304-3975(85)90224-5>`_ with hops as distances, in
    either direction of an edge. Nodes that no chosen node reaches are the farthest, those of the largest component
    first: every component gives one node before any gives a second.

    Args:
        data: A graph.
        num_anchors: Number of anchors.
        generator: Not used.

    Returns:
        Rows in the order chosen, shape ``(num_anchors,)``; the first is the lowest id of the largest component.

    Example:
        >>> from torch_geometric.data import Data
        >>> path_and_pair = torch.tensor([[0, 1, 2, 3, 5], [1, 2, 3, 4, 6]])
        >>> graph_k_center(Data(edge_index=path_and_pair, num_nodes=7), 4)
        tensor([0, 5, 4, 2])
    """
    import numpy as np
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    place, (source, target) = _by_id(data)  # ties are broken by id
    count = len(place)
    ends = (np.concatenate([source, target]), np.concatenate([target, source]))
    graph = csr_array((np.ones(2 * len(source), dtype=np.int8), ends), shape=(count, count))
    _, part = connected_components(graph, directed=False)
    # Hops to the nearest chosen node. Unreached nodes are beyond any path, and farther in larger components.
    hops = count + np.bincount(part)[part]
    chosen: list[int] = []
    while len(chosen) < num_anchors:
        chosen.append(int(hops.argmax()))
        reached, steps = np.array(chosen[-1:]), 0
        hops[reached] = -1  # below every distance: never taken again
        while len(reached):
            steps += 1
            around = _neighbors(graph.indptr, graph.indices, reached)
            reached = np.unique(around[hops[around] > steps])  # others are as near to an earlier node already
            hops[reached] = steps
    return torch.from_numpy(place.argsort()[chosen])


def _neighbors(starts: Indices, neighbors: Indices, nodes: Indices) -> Indices:
    """Neighbors of some nodes, one list after the other, from the rows of a compressed adjacency."""
    import numpy as np

    first, count = starts[nodes], starts[nodes + 1] - starts[nodes]
    offset = np.arange(count.sum()) - np.repeat(count.cumsum() - count, count)
    found: Indices = neighbors[np.repeat(first, count) + offset]
    return found


def _edges(data: Data) -> tuple[Tensor, Tensor | None]:
    edge_index, edge_weight = (None, None) if isinstance(data, Tensor) else graph_edges(data)
    if edge_index is None:
        raise InputError(
            "strategy",
            "must be 'random', 'farthest-point' or 'kmeans' for nodes without edges (got one that reads 'edge_index')",
        )
    return edge_index, edge_weight


def _by_id(data: Data) -> tuple[Indices, Indices]:
    """The place of each node in the order of ids, ``(N,)``, and the edges between these places, ``(2, E)``."""
    edge_index, _ = _edges(data)
    place = node_ids(data).cpu().argsort().argsort().numpy()
    return place, place[edge_index.cpu().numpy()]


def _networkx(data: Data) -> tuple[nx.Graph[int], list[int]]:
    """The undirected graph without loops, its nodes numbered in the order of ids, and the number of each row."""
    import networkx as nx

    place, edges = _by_id(data)
    graph: nx.Graph[int] = nx.Graph()
    graph.add_nodes_from(range(len(place)))
    graph.add_edges_from((u, v) for u, v in edges.T.tolist() if u != v)
    return graph, place.tolist()
