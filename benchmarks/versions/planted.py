"""Changes planted in a graph, and the rows that they touch."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.utils import degree, k_hop_subgraph, to_undirected

from relgraph import anchors
from relgraph.problems import Problem, make_problem

SHARE = 0.05
LOSS = 0.75
TRIES = 50
KINDS = ("rewired", "rewired-half", "rewired-elsewhere", "hubs-demoted", "merged")


def planted(problem: Problem, kind: str, seed: int) -> tuple[Problem, Tensor]:
    """The problem on the changed graph, and the touched nodes: of those that are drawn, all whose neighbors changed.

    * ``rewired``: 5 % of the nodes; every edge of theirs gets another end, drawn from all nodes.
    * ``rewired-half``: the same with each edge at probability 0.5.
    * ``rewired-elsewhere``: as ``rewired``, with an end of another class than the touched node.
    * ``hubs-demoted``: the 5 % of the highest degree lose each edge at probability 0.75.
    * ``merged``: every node of the two smallest classes gets half as many new edges as it has, to nodes of the other.
    """
    data, generator = problem.data, torch.Generator().manual_seed(seed)
    count = round(SHARE * data.num_nodes)
    if kind == "merged":
        touched = torch.isin(data.y, torch.bincount(data.y).argsort()[:2])
        edges = _merged(problem, generator)
    elif kind == "hubs-demoted":
        rank = degree(data.edge_index[0], data.num_nodes).argsort(descending=True, stable=True)
        touched = _mask(rank[:count], data.num_nodes)
        edges = _pairs(data.edge_index)
        lost = touched[edges].any(dim=0) & (torch.rand(edges.size(1), generator=generator) < LOSS)
        edges = edges[:, ~lost]
    else:
        touched = _mask(torch.randperm(data.num_nodes, generator=generator)[:count], data.num_nodes)
        edges = _rewired(
            problem, touched, 0.5 if kind == "rewired-half" else 1.0, kind == "rewired-elsewhere", generator
        )
    changed = copy.copy(data)
    changed.edge_index = to_undirected(edges, num_nodes=data.num_nodes)
    moved = neighborhood_change(data.edge_index, changed.edge_index, data.num_nodes) > 0
    return make_problem(changed), touched & torch.from_numpy(moved)


def reach(before: Tensor, after: Tensor, nodes: int, hops: int = 2) -> Tensor:
    """Nodes with an edge that changed within so many hops in one of the graphs, whose encoder input has changed."""
    old, new = (set(map(tuple, edges.t().tolist())) for edges in (before, after))
    ends = torch.tensor(sorted({node for edge in old ^ new for node in edge}))
    return _mask(
        torch.cat([k_hop_subgraph(ends, hops - 1, edges, num_nodes=nodes)[0] for edges in (before, after)]), nodes
    )


def neighborhood_change(before: Tensor, after: Tensor, nodes: int) -> np.ndarray:
    """:func:`relgraph.anchors.neighborhood_change` of every node between two edge lists ``(2, E)``."""
    old, new = (Data(edge_index=edges, num_nodes=nodes) for edges in (before, after))
    found: np.ndarray = anchors.neighborhood_change(old, new)[1].numpy()
    return found


def _rewired(problem: Problem, touched: Tensor, share: float, elsewhere: bool, generator: torch.Generator) -> Tensor:
    edges, y, nodes = _pairs(problem.data.edge_index), problem.data.y, problem.data.num_nodes
    kept, made = torch.ones(edges.size(1), dtype=torch.bool), []
    for side in (0, 1):
        chosen = touched[edges[side]] & kept & (torch.rand(edges.size(1), generator=generator) < share)
        kept &= ~chosen
        ends = edges[side, chosen]
        others = torch.randint(nodes, ends.shape, generator=generator)
        for _ in range(TRIES if elsewhere else 0):
            same = y[others] == y[ends]
            others[same] = torch.randint(nodes, (int(same.sum()),), generator=generator)
        made.append(torch.stack([ends, others]))
    found = torch.cat([edges[:, kept], *made], dim=1)
    return found[:, found[0] != found[1]]


def _merged(problem: Problem, generator: torch.Generator) -> Tensor:
    data = problem.data
    degrees, made = degree(data.edge_index[0], data.num_nodes), [_pairs(data.edge_index)]
    first, second = torch.bincount(data.y).argsort()[:2].tolist()
    for here, there in ((first, second), (second, first)):
        rows, others = ((data.y == one).nonzero().view(-1) for one in (here, there))
        ends = rows.repeat_interleave((degrees[rows] / 2).ceil().long())
        made.append(torch.stack([ends, others[torch.randint(len(others), ends.shape, generator=generator)]]))
    return torch.cat(made, dim=1)


def _pairs(edges: Tensor) -> Tensor:
    return edges[:, edges[0] < edges[1]]


def _mask(rows: Tensor, nodes: int) -> Tensor:
    return torch.zeros(nodes, dtype=torch.bool).index_fill_(0, rows, True)
