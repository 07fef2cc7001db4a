"""Propagated features, farthest points and medoids."""

from __future__ import annotations

import tracemalloc

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.utils import to_dense_adj

from relgraph.anchors import propagated_features, select_anchors
from relgraph.anchors.coverage import farthest_point, kmeans_medoids
from tests.anchors.small import graph, seeded


def slow_propagation(data: Data, hops: int) -> Tensor:
    weight = data.edge_weight if "edge_weight" in data else None
    adjacency = to_dense_adj(data.edge_index, edge_attr=weight, max_num_nodes=data.num_nodes)[0].double().T
    adjacency = adjacency + torch.eye(data.num_nodes, dtype=torch.float64)
    scale = adjacency.sum(1).rsqrt()
    normal = scale[:, None] * adjacency * scale
    return torch.linalg.matrix_power(normal, hops) @ data.x.double()


@pytest.mark.parametrize("hops", [0, 1, 2])
@pytest.mark.parametrize("weighted", [False, True])
def test_narrow_features_are_propagated_without_projection(hops: int, weighted: bool) -> None:
    data = graph()
    if weighted:
        data.edge_weight = torch.rand(data.num_edges, generator=seeded(4)) + 0.1
    torch.testing.assert_close(
        propagated_features(data, hops).double(), slow_propagation(data, hops), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("density", [0.05, 1.0])
def test_wide_features_keep_the_best_low_rank_distances(density: float) -> None:
    draw = seeded(0)
    edge_index = graph(300).edge_index
    one_way = edge_index[:, edge_index[0] < edge_index[1]]
    data = Data(x=torch.rand(300, 120, generator=draw), edge_index=one_way)
    data.x = data.x * (torch.rand(300, 120, generator=draw) < density)
    unit = Data(x=torch.nn.functional.normalize(data.x), edge_index=data.edge_index)
    left, values, _ = torch.linalg.svd(slow_propagation(unit, 2), full_matrices=False)
    best = left[:, :16] * values[:16]
    got = propagated_features(data, 2, 16, seeded(1)).double()
    assert got.shape == (300, 16)
    torch.testing.assert_close(got.norm(dim=0), values[:16], rtol=2e-2, atol=0.0)
    assert (got @ got.T - best @ best.T).norm() < 0.08 * (best @ best.T).norm()


@pytest.mark.parametrize("rank", [3, 100])
def test_blocks_of_rows_keep_the_distances(rank: int, monkeypatch: pytest.MonkeyPatch) -> None:
    data = graph(500, width=100)
    data.x = torch.randn(500, rank, generator=seeded(1)) @ (torch.randn(rank, 100, generator=seeded(2)) * 0.8)
    data.x *= 0.9 ** torch.arange(100)
    monkeypatch.setattr("relgraph.anchors.coverage._ROWS", 64)
    few = propagated_features(data, dim=20, generator=seeded())
    monkeypatch.setattr("relgraph.anchors.coverage._GRAM_ABOVE", 0)
    many = propagated_features(data, dim=20, generator=seeded())
    assert few.shape == many.shape
    few, many = few.double(), many.double()
    torch.testing.assert_close(torch.cdist(many, many), torch.cdist(few, few), rtol=1e-5, atol=1e-6)


def test_many_nodes_take_little_more_memory_than_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relgraph.anchors.coverage._ROWS", 1 << 12)
    monkeypatch.setattr("relgraph.anchors.coverage._GRAM_ABOVE", 0)
    data = Data(x=torch.randn(60_000, 80), edge_index=torch.randint(60_000, (2, 100)))
    tracemalloc.start()
    try:
        result = propagated_features(data)
        assert tracemalloc.get_traced_memory()[1] < 5 * result.numel() * result.element_size()
    finally:
        tracemalloc.stop()


def test_few_nodes_with_wide_features_keep_every_distance() -> None:
    data = Data(x=torch.randn(9, 200, generator=seeded(0)), edge_index=torch.tensor([[0, 1], [1, 0]]))
    got = propagated_features(data)
    assert got.shape == (9, 9)
    longer = propagated_features(Data(x=7 * data.x, edge_index=data.edge_index))
    torch.testing.assert_close(torch.cdist(longer, longer), torch.cdist(got, got), rtol=1e-4, atol=1e-4)
    slow = slow_propagation(Data(x=torch.nn.functional.normalize(data.x), edge_index=data.edge_index), 2)
    torch.testing.assert_close(torch.cdist(got, got).double(), torch.cdist(slow, slow), rtol=1e-4, atol=1e-4)


def test_sparse_features_equal_dense_ones() -> None:
    data = graph()
    dense = propagated_features(data)
    data.x = data.x.to_sparse()
    assert torch.equal(propagated_features(data), dense)


def slow_farthest_point(x: Tensor, count: int, first: int) -> list[int]:
    chosen = [first]
    while len(chosen) < count:
        nearest = torch.cdist(x.double(), x[chosen].double()).min(dim=1).values
        nearest[chosen] = -1
        chosen.append(int(nearest.argmax()))
    return chosen


@given(count=st.integers(1, 25), seed=st.integers(0, 99), shift=st.sampled_from([0.0, 5000.0]))
@settings(max_examples=25, deadline=None)
def test_farthest_point_equals_the_slow_loop(count: int, seed: int, shift: float) -> None:
    x = torch.randn(25, 3, generator=seeded(seed)) + shift
    got = farthest_point(x, count, seeded(seed)).tolist()
    assert got == slow_farthest_point(x, count, got[0])


def test_farthest_point_takes_duplicates_only_when_nothing_else_is_left() -> None:
    x = torch.tensor([[0.0], [5.0], [0.0], [9.0], [5.0]])
    index = farthest_point(x, 5, seeded(0))
    assert x[index[:3]].unique().numel() == 3 and index.unique().numel() == 5


@pytest.mark.parametrize("batches", [False, True])
def test_medoids_find_one_node_per_cluster_close_to_its_middle(batches: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if batches:
        monkeypatch.setattr("relgraph.anchors.coverage._BATCHES_ABOVE", 0)
    middles = torch.tensor([[0.0, 0.0], [100.0, 0.0], [0.0, 100.0], [100.0, 100.0]])
    x = middles.repeat_interleave(50, dim=0) + torch.randn(200, 2, generator=seeded(2))
    index = kmeans_medoids(x, 4, seeded(0))
    assert sorted((index // 50).tolist()) == [0, 1, 2, 3]
    assert (x[index] - middles[index // 50]).norm(dim=1).max() < 0.8


def test_medoids_of_fewer_points_than_centers_are_still_different_nodes() -> None:
    x = torch.tensor([[0.0], [1.0]]).repeat(10, 1)
    index = kmeans_medoids(x, 15, seeded(0))
    assert index.unique().numel() == 15 and x[index].unique().numel() == 2


def test_more_centers_than_one_block_take_every_node_once() -> None:
    x = torch.randn(150, 2, generator=seeded(0))
    assert kmeans_medoids(x, 150, seeded(0)).sort().values.tolist() == list(range(150))


def test_medoids_cover_better_than_chance() -> None:
    data = graph(400, width=3, seed=8)
    points = propagated_features(data)
    middle, chance = (
        torch.cdist(points, points[select_anchors(data, 20, strategy, generator=seeded(0))])
        .min(1)
        .values.square()
        .mean()
        for strategy in ("kmeans", "random")
    )
    assert middle < 0.8 * chance
