"""Anchors by structure, each against a slow loop or another library."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch_geometric.data import Data

from relgraph.anchors import select_anchors
from relgraph.anchors.centrality import (
    betweenness_score,
    core_number_score,
    degree_score,
    graph_k_center,
    pagerank_score,
)
from relgraph.errors import InputError


def test_degree_counts_other_nodes_once() -> None:
    edge_index = torch.tensor([[0, 0, 0, 1, 2, 3, 3], [1, 1, 0, 0, 3, 2, 1]])
    # Neighbors: 0 {1}, 1 {0, 3}, 2 {3}, 3 {1, 2}, 4 {}.
    data = Data(edge_index=edge_index, num_nodes=5)
    assert degree_score(data).tolist() == [1, 2, 1, 2, 0]
    assert select_anchors(data, 5, "degree").tolist() == [1, 3, 0, 2, 4]  # ties by the lowest id


def weighted_directed(num_nodes: int, seed: int) -> tuple[Tensor, Tensor]:
    draw = np.random.default_rng(seed)
    pairs = np.unique(draw.integers(0, num_nodes, (2, 4 * num_nodes)), axis=1)
    return torch.from_numpy(pairs), torch.from_numpy(draw.random(pairs.shape[1])) + 0.1


@pytest.mark.parametrize("weighted", [False, True])
def test_pagerank_equals_networkx(weighted: bool) -> None:
    edge_index, weight = weighted_directed(50, 0)
    edge_index, weight = edge_index[:, edge_index[0] != 7], weight[edge_index[0] != 7]  # 7 has no outgoing edge
    reference = nx.DiGraph()
    reference.add_nodes_from(range(52))  # 50 and 51 are isolated
    for (a, b), w in zip(edge_index.T.tolist(), weight.tolist(), strict=True):
        reference.add_edge(a, b, weight=w if weighted else 1.0)
    expected = nx.pagerank(reference, tol=1e-13, max_iter=500)
    got = pagerank_score(Data(edge_index=edge_index, edge_weight=weight if weighted else None, num_nodes=52)) / 52
    torch.testing.assert_close(got, torch.tensor([expected[i] for i in range(52)], dtype=torch.float64))
    torch.testing.assert_close(got.sum(), torch.tensor(1.0, dtype=torch.float64))


def test_pagerank_prefers_heavy_edges_and_refuses_negative_ones() -> None:
    edge_index, weight = torch.tensor([[0, 0], [1, 2]]), torch.tensor([1.0, 5.0])
    data = Data(edge_index=edge_index, edge_weight=weight, num_nodes=3)
    assert select_anchors(data, 1, "pagerank").item() == 2
    plain = Data(edge_index=edge_index, num_nodes=3)
    assert select_anchors(plain, 1, "pagerank").item() == 1  # ties by the lowest id
    data.edge_weight = -weight
    with pytest.raises(InputError, match="'edge_weight' must be finite and not negative for PageRank .got"):
        select_anchors(data, 1, "pagerank")


def test_pagerank_of_symmetric_nodes_is_equal() -> None:
    one, _ = weighted_directed(40, 2)
    copies = torch.cat([one + 40 * copy for copy in range(20)], dim=1)
    order = torch.randperm(800, generator=torch.Generator().manual_seed(0))
    scores = pagerank_score(Data(edge_index=order[copies], num_nodes=800))[order].view(20, 40)
    assert torch.equal(scores, scores[:1].expand(20, 40))


def chosen(edge_index: Tensor, num_nodes: int, count: int) -> Tensor:
    return graph_k_center(Data(edge_index=edge_index, num_nodes=num_nodes), count)


def slow_k_center(edge_index: Tensor, num_nodes: int, count: int) -> list[int]:
    reference = nx.Graph(edge_index.T.tolist())
    reference.add_nodes_from(range(num_nodes))
    hops = dict(nx.all_pairs_shortest_path_length(reference))
    part = {node: len(nodes) for nodes in nx.connected_components(reference) for node in nodes}
    chosen: list[int] = []
    while len(chosen) < count:

        def far(node: int) -> tuple[float, int, int]:
            nearest = min((hops[other][node] for other in chosen if node in hops[other]), default=float("inf"))
            return nearest, part[node] if nearest == float("inf") else 0, -node

        chosen.append(max((node for node in range(num_nodes) if node not in chosen), key=far))
    return chosen


@given(num_nodes=st.integers(2, 25), share=st.floats(0, 1), per_node=st.floats(0, 2), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_k_center_equals_the_slow_loop(num_nodes: int, share: float, per_node: float, seed: int) -> None:
    # One way only, with loops and parallel edges; sparse enough to fall into parts.
    edge_index = torch.randint(
        num_nodes, (2, round(per_node * num_nodes)), generator=torch.Generator().manual_seed(seed)
    )
    count = max(1, round(share * num_nodes))
    assert chosen(edge_index, num_nodes, count).tolist() == slow_k_center(edge_index, num_nodes, count)


def test_k_center_takes_every_component_once_before_any_twice() -> None:
    # A path of four, a triangle, a pair and a node alone, written in another order than by size.
    edge_index = torch.tensor([[1, 3, 4, 5, 6, 7, 8], [2, 4, 5, 3, 7, 8, 9]])
    assert chosen(edge_index, 10, 6).tolist() == [6, 3, 1, 0, 9, 2]


def test_k_center_is_within_twice_the_best_cover() -> None:
    ring = torch.stack([torch.arange(24), (torch.arange(24) + 1) % 24])
    around = (torch.arange(24)[:, None] - chosen(ring, 24, 4)).abs()
    assert torch.minimum(around, 24 - around).amin(dim=1).max() <= 2 * 3  # four arcs of six: three hops at best


def slow_core_numbers(reference: nx.Graph) -> list[int]:
    cores = [0] * len(reference)
    for k in range(len(reference)):
        kept = reference.copy()
        while low := [node for node, degree in kept.degree() if degree < k]:
            kept.remove_nodes_from(low)
        for node in kept:
            cores[node] = k
    return cores


def slow_betweenness(reference: nx.Graph) -> list[float]:
    scores, count = [0.0] * len(reference), len(reference)
    for s in range(count):
        for t in range(s + 1, count):
            if nx.has_path(reference, s, t):
                paths = list(nx.all_shortest_paths(reference, s, t))
                for path in paths:
                    for node in path[1:-1]:
                        scores[node] += 1 / len(paths)
    return [score * 2 / ((count - 1) * (count - 2)) for score in scores]


def test_core_number_and_betweenness_against_slow_loops() -> None:
    edge_index, _ = weighted_directed(14, 3)
    edge_index = edge_index[:, :30]
    data = Data(edge_index=edge_index, num_nodes=15)  # 14 is isolated
    reference = nx.Graph([(u, v) for u, v in edge_index.T.tolist() if u != v])
    reference.add_nodes_from(range(15))
    assert core_number_score(data).tolist() == slow_core_numbers(reference)
    torch.testing.assert_close(betweenness_score(data), torch.tensor(slow_betweenness(reference), dtype=torch.float64))


def test_betweenness_of_larger_graphs_is_sampled_and_reproducible(monkeypatch: pytest.MonkeyPatch) -> None:
    edge_index, _ = weighted_directed(60, 1)
    data = Data(edge_index=edge_index, num_nodes=60)
    exact = betweenness_score(data)
    monkeypatch.setattr("relgraph.anchors.centrality._SOURCES", 10)
    monkeypatch.setattr("relgraph.anchors.centrality._SAMPLED_ABOVE", 59)
    sampled = betweenness_score(data)
    assert torch.equal(sampled, betweenness_score(data)) and not torch.equal(sampled, exact)
    assert torch.corrcoef(torch.stack([sampled, exact]))[0, 1] > 0.7
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    shuffled = Data(edge_index=order.argsort()[edge_index], node_id=order, num_nodes=60)
    assert torch.equal(betweenness_score(shuffled), sampled[order])  # the sample is one of ids
