"""Properties of nodes that stability is compared with: degree, core number, homophily, distance to training nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from relgraph.anchors.centrality import core_number_score, degree_score
from relgraph.graph import graph_edges, num_nodes
from relgraph.studies.runs import Floats

if TYPE_CHECKING:
    from torch_geometric.data import Data


def node_properties(data: Data, y: Tensor | None = None, train: Tensor | None = None) -> dict[str, Floats]:
    """Properties of all nodes of a graph, ``(N,)`` each, by name; of one without edges, none.

    ``degree`` and ``core_number`` as of :mod:`relgraph.anchors.centrality`; with classes ``homophily``; with training
    nodes ``distance``.

    Args:
        data: The graph.
        y: Classes ``(N,)``, -1 where unknown; ``None`` to leave homophily out.
        train: Rows of training nodes; ``None`` to leave the distance out.

    Example:
        >>> from torch_geometric.data import Data
        >>> path = Data(edge_index=torch.tensor([[0, 1], [1, 2]]), num_nodes=3)
        >>> found = node_properties(path, torch.tensor([0, 0, 1]), torch.tensor([0]))
        >>> found["degree"].tolist(), found["distance"].tolist(), found["homophily"].tolist()
        ([1.0, 2.0, 1.0], [0.0, 1.0, 2.0], [1.0, 0.5, 0.0])
    """
    if graph_edges(data)[0] is None:
        return {}
    found = {"degree": _floats(degree_score(data)), "core_number": _floats(core_number_score(data))}
    if y is not None:
        found["homophily"] = neighborhood_homophily(data, y)
    if train is not None and train.numel():
        found["distance"] = distance_to(data, train)
    return found


def neighborhood_homophily(data: Data, y: Tensor) -> Floats:
    """Share of a node's neighbors with its class, ``(N,)``; NaN where no class, or that of no neighbor, is known.

    Neighbors are as of the degree: other nodes joined in either direction, each counted once. It is the term of each
    node in the node homophily of `Pei et al. (2020) <https://arxiv.org/abs/2002.05287>`_.

    Args:
        data: The graph.
        y: Classes ``(N,)``, -1 where unknown.
    """
    from torch_geometric.utils import scatter

    count = num_nodes(data)
    source, target = _neighbor_pairs(data)
    y = y.cpu()
    known = (y[source] >= 0) & (y[target] >= 0)
    same = (y[source] == y[target])[known].double()
    neighbors = scatter(torch.ones_like(same), target[known], dim_size=count, reduce="sum")
    return _floats(scatter(same, target[known], dim_size=count, reduce="sum") / neighbors)  # 0 / 0 is NaN


def distance_to(data: Data, rows: Tensor) -> Floats:
    """Hops from each node to the nearest of some nodes, in either direction of an edge, ``(N,)``; infinite if none.

    Args:
        data: The graph.
        rows: Rows of these nodes.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import dijkstra

    count = num_nodes(data)
    source, target = _neighbor_pairs(data)
    graph = csr_array((np.ones(len(source)), (source.numpy(), target.numpy())), shape=(count, count))
    found: Floats = dijkstra(graph, indices=rows.cpu().numpy(), unweighted=True, min_only=True)
    return found


def _neighbor_pairs(data: Data) -> Tensor:
    """Both directions of every edge between different nodes, each once, ``(2, E)``."""
    from torch_geometric.utils import remove_self_loops, to_undirected

    edges, _ = graph_edges(data)
    assert edges is not None
    found: Tensor = to_undirected(remove_self_loops(edges.cpu())[0], num_nodes=num_nodes(data))
    return found


def _floats(values: Tensor) -> Floats:
    return np.asarray(values.cpu().numpy(), dtype=np.float64)
