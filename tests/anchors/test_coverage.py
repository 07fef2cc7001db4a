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

from relgraph.anchors import choose_weighted, propagated_features, select_anchors
from relgraph.anchors.coverage import farthest_point, kmeans_medoids, shares
from relgraph.errors import InputError
from relgraph.registry import STRATEGIES
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


@pytest.mark.parametrize("batches", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_medoids_far_from_the_origin_are_those_near_it(
    batches: bool, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    if batches:
        monkeypatch.setattr("relgraph.anchors.coverage._BATCHES_ABOVE", 0)
    # Steps of 1/512, which float32 holds around 10,000 as well: only the place differs.
    near = (512 * torch.randn(1000, 20, generator=seeded(0))).round() / 512
    far = kmeans_medoids((near + 10_000).to(dtype), 30, seeded(0))
    distances = [
        torch.cdist(near, near[rows]).min(1).values.square().mean()
        for rows in (far, kmeans_medoids(near, 30, seeded(0)))
    ]
    assert distances[0] == pytest.approx(float(distances[1]), rel=0.02)


def test_the_row_that_is_not_finite_is_named_where_only_distances_count() -> None:
    x = torch.zeros(5, 2, dtype=torch.float64)
    x[3, 1] = torch.nan
    with pytest.raises(InputError, match="row 3"):
        kmeans_medoids(x, 2)


def slow_shares(x: Tensor, rows: list[int]) -> list[float]:
    """One point after the other; a point as near to two anchors belongs to the first of them."""
    counts = [0] * len(rows)
    for row, point in enumerate(x.double()):
        distances = [float((point - x[anchor].double()).square().sum()) for anchor in rows]
        counts[rows.index(row) if row in rows else distances.index(min(distances))] += 1
    return [count / len(x) for count in counts]


@given(count=st.integers(1, 25), seed=st.integers(0, 99), whole=st.booleans())
@settings(max_examples=30, deadline=None)
def test_shares_equal_the_slow_loop(count: int, seed: int, whole: bool) -> None:
    """Whole numbers around 0 have many ties and duplicates, and exact distances."""
    x = torch.randint(-2, 3, (25, 2), generator=seeded(seed)).float() if whole else torch.randn(25, 3)
    x = torch.cat([x, -x]) if whole else x
    rows = torch.randperm(len(x), generator=seeded(seed))[:count]
    found = shares(x, rows)
    assert found.tolist() == pytest.approx(slow_shares(x, rows.tolist()))
    assert float(found.sum()) == pytest.approx(1) and float(found.min()) >= 1 / len(x) - 1e-9


def test_anchors_at_the_same_point_count_for_themselves_and_the_first_for_the_others() -> None:
    x = torch.tensor([[1.0], [1.0], [1.0], [-1.0], [-2.0]])
    assert shares(x, torch.tensor([2, 0])).tolist() == pytest.approx([0.8, 0.2])
    assert shares(x, torch.tensor([0, 2, 4])).tolist() == pytest.approx([0.4, 0.2, 0.4])
    assert shares(torch.zeros(4, 2), torch.tensor([1, 3, 0])).tolist() == [0.5, 0.25, 0.25]


def test_shares_far_from_the_origin_and_in_parts_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    x, rows = torch.randn(200, 3, generator=seeded(1)), torch.arange(0, 200, 9)
    expected = shares(x, rows)
    assert torch.equal(shares(x.double() + 5000, rows), expected)
    monkeypatch.setattr("relgraph.anchors.coverage._BATCHES_ABOVE", 100)
    assert torch.equal(shares(x, rows), expected)


@pytest.mark.parametrize("strategy", ["kmeans", "farthest-point"])
def test_weights_are_shares_of_all_nodes_in_the_points_of_the_strategy(strategy: str) -> None:
    data = graph(60)
    for features, points in (("propagated", propagated_features(data)), ("input", data.x), (data.x.flip(1), None)):
        rows, weights = choose_weighted(data, 9, strategy, features=features, generator=seeded(2))
        assert torch.equal(rows, select_anchors(data, 9, strategy, features=features, generator=seeded(2)))
        assert torch.equal(weights, shares(data.x.flip(1) if points is None else points, rows))
    among = torch.arange(0, 60, 2)
    rows, weights = choose_weighted(data, 9, strategy, among=among, generator=seeded(2))
    assert torch.equal(weights, shares(propagated_features(data), rows)) and not bool((rows % 2).any())


def test_weights_of_clusters_are_their_sizes() -> None:
    x = torch.tensor([0.0, 100.0, 200.0]).repeat_interleave(torch.tensor([70, 20, 10])).unsqueeze(1)
    rows, weights = choose_weighted(x + torch.rand(100, 1, generator=seeded(3)), 3, "kmeans", generator=seeded(0))
    assert dict(zip((x[rows, 0] / 100).tolist(), weights.tolist(), strict=True)) == pytest.approx(
        {0: 0.7, 1: 0.2, 2: 0.1}
    )


def test_strategies_that_measure_no_distances_have_no_weights() -> None:
    for name, entry in STRATEGIES.items():
        weights = choose_weighted(graph(), 4, name, generator=seeded())[1]
        assert (weights is None) == (not entry.traits.get("points")), name


@pytest.mark.parametrize("strategy", ["kmeans", "farthest-point"])
@pytest.mark.parametrize(("weight", "shown"), [(-2.0, "-2"), (float("nan"), "nan")])
def test_weights_that_no_propagation_has_are_refused_by_name(strategy: str, weight: float, shown: str) -> None:
    edge_index = torch.tensor([[0, 1], [1, 2]])
    data = Data(x=torch.eye(3), edge_index=edge_index, edge_weight=torch.tensor([1.0, weight]))
    with pytest.raises(InputError, match=rf"'edge_weight' must be .*propagated features .got {shown} at edge 1"):
        choose_weighted(data, 2, strategy)
    assert len(choose_weighted(data, 2, strategy, features="input")[0]) == 2


def test_distances_of_double_precision_far_from_the_origin_are_those_near_it() -> None:
    x = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
    for choose in (kmeans_medoids, farthest_point):
        near, far = (choose(one, 8, torch.Generator().manual_seed(0)) for one in (x, x.double() + 1e8))
        assert near.sort().values.tolist() == far.sort().values.tolist()
    rows = torch.arange(8)
    torch.testing.assert_close(shares(x.double() + 1e8, rows), shares(x, rows))


def test_numbers_whose_squares_float32_does_not_hold_are_refused() -> None:
    with pytest.raises(InputError, match="'x' must hold numbers below 1e.15"):
        kmeans_medoids(1e19 * torch.randn(50, 4), 6)
