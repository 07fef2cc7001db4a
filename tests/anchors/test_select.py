from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch_geometric.data import Data, HeteroData
from torch_geometric.transforms import ToSparseTensor

from relgraph.anchors import labels_used, propagated_features, select_anchors
from relgraph.anchors.sampling import class_stratified
from relgraph.errors import InputError
from relgraph.registry import ANCHOR_FEATURES, STRATEGIES
from tests.anchors.small import graph, seeded

GEOMETRIC = ("farthest-point", "kmeans")
STRUCTURAL = ("degree", "pagerank", "core-number", "betweenness", "k-center")


# Every strategy.


@pytest.mark.parametrize("strategy", STRATEGIES)
@given(num_nodes=st.integers(2, 30), share=st.floats(0, 1), seed=st.integers(0, 99))
@settings(max_examples=15, deadline=None)
def test_the_rows_are_valid_and_never_repeated(strategy: str, num_nodes: int, share: float, seed: int) -> None:
    data = graph(max(num_nodes, 3), seed=seed)
    count = max(1, round(share * data.num_nodes))
    index = select_anchors(data, count, strategy, generator=seeded(seed))
    assert index.shape == (count,) and index.dtype == torch.int64
    assert index.unique().numel() == count and index.min() >= 0 and index.max() < data.num_nodes


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_generator_is_the_only_source_of_randomness(strategy: str) -> None:
    data = graph(200)
    torch.manual_seed(1)
    one = select_anchors(data, 8, strategy, generator=seeded(5))
    torch.manual_seed(2)
    assert torch.equal(one, select_anchors(data, 8, strategy, generator=seeded(5)))
    others = [select_anchors(data, 8, strategy, generator=seeded(seed)).tolist() for seed in range(6)]
    assert all(other == one.tolist() for other in others) == (strategy in STRUCTURAL)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_selection_leaves_the_global_generators_and_the_graph_alone(strategy: str) -> None:
    data = graph()
    kept = data.clone()
    state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    select_anchors(data, 4, strategy, generator=seeded())
    assert torch.equal(state, torch.get_rng_state())
    assert np.random.get_state()[1].tolist() == numpy_state  # noqa: NPY002
    assert data.keys() == kept.keys() and all(torch.equal(data[key], kept[key]) for key in data.keys())  # noqa: SIM118


@pytest.mark.parametrize("strategy", [name for name in STRATEGIES if name != "class-stratified"])
def test_strategies_without_labels_do_not_depend_on_labels(strategy: str) -> None:
    data = graph(100)
    one = select_anchors(data, 8, strategy, generator=seeded())
    data.y = data.y.flip(0)
    data.train_mask = torch.zeros_like(data.train_mask)
    assert torch.equal(one, select_anchors(data, 8, strategy, generator=seeded()))


def test_too_many_or_too_few_anchors_are_refused() -> None:
    for strategy in STRATEGIES:
        for count in (0, -1, 41):
            with pytest.raises(InputError, match=rf"'num_anchors' must be from 1 to 40, the number .*got {count}\)"):
                select_anchors(graph(40), count, strategy)


def test_an_unknown_strategy_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="did you mean 'kmeans'"):
        select_anchors(graph(), 3, "k-means")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_strategies_that_need_no_graph_accept_points(strategy: str) -> None:
    points = torch.randn(30, 3, generator=seeded(3))
    if strategy in ("random", *GEOMETRIC):
        assert select_anchors(points, 30, strategy, generator=seeded()).sort().values.tolist() == list(range(30))
    else:
        with pytest.raises(InputError, match="'strategy' must be"):
            select_anchors(points, 3, strategy)


def test_a_heterogeneous_graph_is_refused_with_its_types() -> None:
    data = HeteroData()
    data["paper"].x, data["author"].x = torch.zeros(3, 1), torch.zeros(2, 1)
    with pytest.raises(InputError, match="paper, author"):
        select_anchors(data, 2)
    assert select_anchors(data["paper"], 3).numel() == 3


def test_what_is_no_graph_and_no_array_is_refused() -> None:
    for points in ("cora", [["a"]], {0: 1}):
        with pytest.raises(InputError, match="'data_or_x' must be a "):
            select_anchors(points, 2)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="'among' must be a tensor, or an array or list of numbers .got str."):
        select_anchors(torch.zeros(5, 2), 2, among="train_mask")  # type: ignore[arg-type]


@pytest.mark.parametrize("strategy", [name for name in STRATEGIES if name not in ("class-stratified",)])
def test_edges_to_nodes_that_are_not_there_are_refused(strategy: str) -> None:
    data = graph()
    data.edge_index[0, 3] = 40
    with pytest.raises(InputError, match="'edge_index' must name nodes from 0 to 39 .got 0 to 40"):
        select_anchors(data, 3, strategy)


@pytest.mark.parametrize("strategy", GEOMETRIC)
def test_strategies_that_measure_distances_need_finite_features(strategy: str) -> None:
    data = graph()
    data.x[7, 0] = torch.nan
    with pytest.raises(InputError, match="row 7"):
        select_anchors(data, 3, strategy)
    with pytest.raises(InputError, match="need node features 'x'"):
        select_anchors(Data(edge_index=data.edge_index, num_nodes=40), 3, strategy)
    with pytest.raises(InputError, match=r"shape \(N, F\)"):
        select_anchors(torch.zeros(5), 3, strategy)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_graphs_without_edges_and_with_constant_features_work(strategy: str) -> None:
    data = graph(12)
    data.edge_index, data.x = torch.zeros(2, 0, dtype=torch.int64), torch.ones(12, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert select_anchors(data, 12, strategy, generator=seeded()).unique().numel() == 12


# By sampling.


def stratified(y: Tensor, train_mask: Tensor, count: int, generator: torch.Generator | None = None) -> Tensor:
    return class_stratified(Data(y=y, train_mask=train_mask), count, generator)


def test_random_anchors_reach_the_first_and_the_last_node() -> None:
    data = graph(10)
    seen = torch.cat([select_anchors(data, 1, generator=seeded(seed)) for seed in range(200)])
    assert seen.unique().tolist() == list(range(10))


def test_classes_share_equally_and_only_training_nodes_are_taken() -> None:
    y = torch.tensor([0] * 20 + [1] * 20 + [2] * 3)
    mask = torch.arange(43) % 2 == 0
    index = stratified(y, mask, 12, seeded())
    assert mask[index].all()
    assert y[index].bincount().tolist() == [5, 5, 2]
    assert sorted(y[index[:3]].tolist()) == [0, 1, 2]  # every first part is balanced as well


@given(labels=st.lists(st.integers(-1, 4), min_size=1, max_size=40), seed=st.integers(0, 99), data=st.data())
@settings(max_examples=40, deadline=None)
def test_class_counts_equal_those_of_taking_turns(labels: list[int], seed: int, data: st.DataObject) -> None:
    y = torch.tensor(labels)
    known = int((y >= 0).sum())
    count = data.draw(st.integers(1, known + 1))
    mask = torch.ones(len(labels), dtype=torch.bool)
    if count > known:
        with pytest.raises(InputError, match=f"at most {known}, the number of labeled training nodes"):
            stratified(y, mask, count)
        return
    counts = y[stratified(y, mask, count, seeded(seed))].bincount(minlength=5)
    available = y[y >= 0].bincount(minlength=5)
    level = int(counts.max())
    # No class is more than one below the fullest class, unless it has no nodes left.
    assert all(have == got or got >= level - 1 for have, got in zip(available.tolist(), counts.tolist(), strict=True))


def test_every_node_of_a_class_can_be_chosen() -> None:
    y, mask = torch.tensor([0, 0, 0, 1, 1]), torch.ones(5, dtype=torch.bool)
    chosen = torch.cat([stratified(y, mask, 2, seeded(seed)) for seed in range(60)])
    assert chosen.bincount(minlength=5).min() >= 10


def test_fewer_anchors_than_classes_can_be_of_any_class() -> None:
    y, mask = torch.arange(6), torch.ones(6, dtype=torch.bool)
    assert {int(stratified(y, mask, 1, seeded(seed))) for seed in range(60)} == set(range(6))


def test_labels_that_do_not_fit_are_refused() -> None:
    data = graph()
    with pytest.raises(InputError, match="choose one split"):
        stratified(data.y, torch.ones(40, 2, dtype=torch.bool), 3)
    with pytest.raises(InputError, match="must be another one for a graph without 'y'"):
        select_anchors(Data(x=data.x, y=data.y), 3, "class-stratified")
    assert stratified(data.y.view(-1, 1), data.train_mask, 3).numel() == 3


# By structure.


@pytest.mark.parametrize("strategy", STRUCTURAL)
def test_a_shuffled_graph_gives_the_same_nodes(strategy: str) -> None:
    data = graph(60)
    data.node_id = torch.arange(60) + 100
    order = torch.randperm(60, generator=seeded(1))
    shuffled = data.subgraph(torch.arange(60)).clone()
    place = order.argsort()
    shuffled.edge_index, shuffled.node_id = place[data.edge_index], data.node_id[order]
    one, two = (graph_.node_id[select_anchors(graph_, 20, strategy)] for graph_ in (data, shuffled))
    assert torch.equal(one, two)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.filterwarnings("ignore:Sparse invariant checks:UserWarning")  # PyG's, once in a process
def test_a_transposed_adjacency_gives_the_anchors_of_its_edges(strategy: str, weighted: bool) -> None:
    data = graph(200)
    if weighted:
        data.edge_weight = torch.rand(data.num_edges, generator=seeded(3)) + 0.1
    sparse = ToSparseTensor(layout=torch.sparse_coo)(data.clone())
    assert "edge_index" not in sparse
    one, other = (select_anchors(source, 9, strategy, generator=seeded()) for source in (data, sparse))
    assert torch.equal(one, other)
    torch.testing.assert_close(propagated_features(sparse), propagated_features(data))


@pytest.mark.parametrize("strategy", GEOMETRIC)
def test_named_features_are_the_points_of_that_name(strategy: str) -> None:
    data, run = graph(120), torch.randn(120, 6, generator=seeded(9), dtype=torch.float64).requires_grad_()

    def chosen(source: Data | Tensor, **features: object) -> list[int]:
        return select_anchors(source, 10, strategy, generator=seeded(4), **features).tolist()

    assert chosen(data, features="input") == chosen(data.x)
    assert chosen(data, features="propagated") == chosen(data) == chosen(propagated_features(data))
    assert chosen(data, features=run) == chosen(data.x, features=run) == chosen(run)
    assert len({tuple(chosen(data, features=features)) for features in ("input", "propagated", run)}) == 3
    assert chosen(data.x, features="input") == chosen(data.x, features="propagated")  # points have no edges
    wide = torch.rand(120, 90, generator=seeded(2)) * torch.arange(1, 121).unsqueeze(1)  # not scaled to unit length
    assert chosen(Data(x=wide)) == chosen(wide)


@pytest.mark.parametrize("strategy", [name for name in STRATEGIES if name not in GEOMETRIC])
def test_features_are_refused_by_strategies_that_measure_no_distance(strategy: str) -> None:
    assert select_anchors(graph(), 3, strategy, features="propagated").numel() == 3
    with pytest.raises(InputError, match=rf"'features' must be left out for the strategy '{strategy}'.*got 'input'"):
        select_anchors(graph(), 3, strategy, features="input")
    with pytest.raises(InputError, match=r"got a tensor of shape \(40, 2\).*'farthest-point' or 'kmeans'"):
        select_anchors(graph(), 3, strategy, features=torch.zeros(40, 2))


@pytest.mark.parametrize("strategy", GEOMETRIC)
def test_features_that_do_not_fit_are_refused(strategy: str) -> None:
    for features, message in (
        ("propagate", "'features' must be one of input, propagated.*did you mean 'propagated'"),
        ("run", "'features' must be the embeddings of a run here"),
        (torch.zeros(39, 2), "'features' must hold one row per node .got 39 rows for 40 nodes"),
        (torch.zeros(40, 2).index_fill(0, torch.tensor([2]), torch.nan), "'features' must hold finite.* in row 2"),
        (torch.zeros(40), r"'features' must have shape \(N, F\)"),
    ):
        with pytest.raises(InputError, match=message):
            select_anchors(graph(), 3, strategy, features=features)


def test_every_choice_records_what_it_used_of_the_labels() -> None:
    run = torch.zeros(3, 1)
    for strategy in STRATEGIES:
        assert labels_used(strategy) == ("labels" if strategy == "class-stratified" else "none")
    for strategy in GEOMETRIC:
        found = [labels_used(strategy, features) for features in ("input", "propagated", "run", run)]
        assert found == ["none", "none", "run-embeddings", "run-embeddings"]


@pytest.mark.parametrize("strategy", ["random", *GEOMETRIC])
@pytest.mark.parametrize("order", [[3, 7, 11, 12, 30, 58], [30, 3, 58, 12, 7, 11]])
def test_anchors_among_given_rows_are_those_of_these_rows_alone(strategy: str, order: list[int]) -> None:
    data, rows = graph(60), torch.tensor(order)
    got = select_anchors(data, 4, strategy, among=rows, generator=seeded(1))
    points = propagated_features(data)[rows] if strategy in GEOMETRIC else torch.zeros(6, 1)
    assert torch.equal(got, rows[select_anchors(points, 4, strategy, generator=seeded(1))])
    assert sorted(select_anchors(data, 6, strategy, among=rows).tolist()) == sorted(order)
    if order == sorted(order):
        mask = torch.zeros(60, dtype=torch.bool).index_fill(0, rows, True)
        assert torch.equal(select_anchors(data, 4, strategy, among=mask, generator=seeded(1)), got)
    with pytest.raises(InputError, match="from 1 to 6, the number of nodes to choose from .got 7"):
        select_anchors(data, 7, strategy, among=rows)


@pytest.mark.parametrize("strategy", ["degree", "pagerank", "core-number", "betweenness"])
def test_scores_among_given_nodes_keep_the_order_of_all_nodes(strategy: str) -> None:
    data = graph(60)
    every = select_anchors(data, 60, strategy).tolist()
    some = torch.arange(0, 60, 3).flip(0)
    assert select_anchors(data, 20, strategy, among=some).tolist() == [row for row in every if row % 3 == 0]


def test_rows_to_choose_among_are_checked() -> None:
    for among, message in (
        (torch.ones(39, dtype=torch.bool), "must be a mask of 40 rows"),
        (torch.tensor([0.5]), "must be a mask of 40 rows"),
        (torch.tensor([40]), "must name rows from 0 to 39"),
        (torch.tensor([-1]), "must name rows from 0 to 39"),
        (torch.zeros(40, dtype=torch.bool), "at least one .got none"),
        (torch.tensor([3, 4, 3]), "must not repeat a row .got 3 more than once"),
    ):
        with pytest.raises(InputError, match=f"'among' .*{message}"):
            select_anchors(graph(), 1, among=among)


@pytest.mark.parametrize("strategy", ["k-center", "class-stratified"])
def test_strategies_that_read_all_nodes_refuse_some(strategy: str) -> None:
    with pytest.raises(InputError, match="'among' must be left out .*got 3 of 40.; take another strategy"):
        select_anchors(graph(), 2, strategy, among=torch.tensor([0, 1, 2]))


def test_registered_features_are_where_distances_are_measured() -> None:
    def mirrored(source: Data, generator: torch.Generator | None = None) -> Tensor:
        return source.x.flip(0)

    data = graph(60)
    ANCHOR_FEATURES.register("mirrored", mirrored, "rows of another order", labels="labels")
    try:
        got = select_anchors(data, 5, "kmeans", features="mirrored", generator=seeded(2))
        assert labels_used("kmeans", "mirrored") == "labels"
    finally:
        ANCHOR_FEATURES.remove("mirrored")
    assert torch.equal(got, select_anchors(data.x.flip(0), 5, "kmeans", generator=seeded(2)))


# By coverage.


def test_a_real_graph_gets_anchors(real_data_root: Path) -> None:
    from torch_geometric.io import read_planetoid_data

    folder = next((path.parent for path in sorted(real_data_root.rglob("ind.citeseer.x"))), None)
    if folder is None:
        pytest.skip("needs the raw CiteSeer files")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyG's and scipy's, about the old pickles
        data = read_planetoid_data(str(folder), "citeseer")
    for strategy in sorted({*STRATEGIES} - {"betweenness"}):  # isolated nodes, empty and repeated rows
        index = select_anchors(data, 64, strategy, generator=seeded(0))
        assert index.unique().numel() == 64
