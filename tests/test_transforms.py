from __future__ import annotations

import copy

import networkx as nx
import numpy as np
import pytest
import torch
from torch_geometric.data import Batch, Data, HeteroData
from torch_geometric.transforms import Compose

from relgraph.anchors import AnchorSet, choose_weighted, select_anchors
from relgraph.anchors.coverage import shares
from relgraph.datasets import load_dataset
from relgraph.errors import InputError
from relgraph.graph import anchor_index, node_ids
from relgraph.registry import STRATEGIES
from relgraph.transforms import AddAnchors


def graph(num_nodes: int = 30) -> Data:
    draw = torch.Generator().manual_seed(0)
    edge_index = torch.randint(num_nodes, (2, 4 * num_nodes), generator=draw)
    y, mask = torch.arange(num_nodes) % 3, torch.ones(num_nodes, dtype=torch.bool)
    return Data(x=torch.randn(num_nodes, 4, generator=draw), edge_index=edge_index, y=y, train_mask=mask)


def hetero() -> HeteroData:
    data = HeteroData()
    data["paper"].x = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    data["paper"].y = torch.arange(20) % 2
    data["paper"].train_mask = torch.arange(20) < 10
    data["author"].x = torch.zeros(5, 2)
    data["author", "writes", "paper"].edge_index = torch.tensor([[0, 1], [3, 4]])
    return data


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_anchors_are_those_of_the_strategy_at_every_call(strategy: str) -> None:
    data, transform = graph(), AddAnchors(6, strategy, seed=3)
    torch.manual_seed(0)
    first = anchor_index(transform(data))
    torch.manual_seed(9)
    assert torch.equal(first, anchor_index(transform(data)))
    expected = select_anchors(data, 6, strategy, generator=torch.Generator().manual_seed(3))
    assert torch.equal(first, expected)


@pytest.mark.parametrize("strategy", ["farthest-point", "kmeans"])
def test_the_anchors_are_chosen_in_the_given_features(strategy: str) -> None:
    data, run = graph(), torch.randn(30, 3, generator=torch.Generator().manual_seed(5))
    seen = []
    for features, points in (("input", data.x), ("propagated", data), (run, run)):
        made = anchor_index(AddAnchors(6, strategy, seed=3, features=features)(data))
        assert torch.equal(made, select_anchors(points, 6, strategy, generator=torch.Generator().manual_seed(3)))
        seen.append(tuple(made.tolist()))
    assert len(set(seen)) == 3


def test_the_use_of_labels_is_recorded() -> None:
    transform = AddAnchors(3, "kmeans", features=torch.zeros(30, 2))
    assert transform.labels_used == "run-embeddings"
    assert repr(transform) == "AddAnchors(3, 'kmeans', seed=0, features='run-embeddings')"
    plain = AddAnchors(3, "kmeans")
    assert plain.labels_used == "none"
    assert repr(plain) == "AddAnchors(3, 'kmeans', seed=0)"
    given = AddAnchors.from_ids(torch.tensor([1]))
    assert given.labels_used is None


def test_features_are_checked_at_once_and_against_the_graph_later() -> None:
    with pytest.raises(InputError, match="'features' must be left out for the strategy 'random'"):
        AddAnchors(3, features="input")
    with pytest.raises(InputError, match="'features' must be one of input, propagated"):
        AddAnchors(3, "kmeans", features="output")
    with pytest.raises(InputError, match="one row per node .got 29 rows for 30 nodes"):
        AddAnchors(3, "kmeans", features=torch.zeros(29, 2))(graph())


def test_another_seed_gives_other_anchors() -> None:
    assert (
        anchor_index(AddAnchors(6, seed=0)(graph())).tolist() != anchor_index(AddAnchors(6, seed=1)(graph())).tolist()
    )


def test_the_attributes_that_are_written() -> None:
    data = AddAnchors(6)(graph())
    assert data.node_id.tolist() == list(range(30))
    assert data.num_anchors == 6 and isinstance(data.num_anchors, int)
    assert data.anchor_rank.dtype == torch.int64
    assert sorted(data.anchor_rank.tolist()) == [-1] * 24 + list(range(6))


def test_the_graph_passed_in_does_not_change() -> None:
    data = graph()
    before = copy.deepcopy(data.to_dict())
    AddAnchors(6)(data)
    assert data.to_dict().keys() == before.keys()
    assert all(torch.equal(data[key], value) for key, value in before.items())


def test_ids_that_are_there_are_kept_and_old_anchors_replaced() -> None:
    data = graph()
    data.node_id = torch.arange(30) + 100
    data = AddAnchors(4)(AddAnchors(9)(data))
    assert data.node_id.tolist() == list(range(100, 130))
    assert data.num_anchors == 4 and anchor_index(data).numel() == 4


def test_the_ids_of_a_neighbor_loader_become_node_ids() -> None:
    data = graph(3)
    data.n_id = torch.tensor([8, 2, 5])
    assert AddAnchors(1)(data).node_id.tolist() == [8, 2, 5]


def test_a_subgraph_keeps_the_anchors_and_their_order() -> None:
    data = AddAnchors(5, seed=1)(graph())
    wanted = data.node_id[anchor_index(data)]
    keep = torch.ones(30, dtype=torch.bool)
    keep[(data.anchor_rank < 0).nonzero().view(-1)[::2]] = False
    part = data.subgraph(keep)
    assert part.num_nodes < 30
    assert torch.equal(node_ids(part)[anchor_index(part)], wanted)


def test_shuffled_nodes_keep_the_anchors_and_their_order() -> None:
    data = AddAnchors(5, seed=1)(graph())
    wanted = data.node_id[anchor_index(data)]
    order = torch.randperm(30, generator=torch.Generator().manual_seed(4))
    shuffled = data.clone()
    for key in ("x", "y", "train_mask", "node_id", "anchor_rank"):
        shuffled[key] = data[key][order]
    assert torch.equal(shuffled.node_id[anchor_index(shuffled)], wanted)


@pytest.mark.parametrize("strategy", ["farthest-point", "kmeans"])
def test_weights_of_anchors_are_written_and_survive_subgraphs_and_shuffling(strategy: str) -> None:
    data = AddAnchors(5, strategy, seed=1)(graph())
    rows = anchor_index(data)
    chosen, weights = choose_weighted(graph(), 5, strategy, generator=torch.Generator().manual_seed(1))
    assert torch.equal(chosen, rows) and torch.equal(data.anchor_weight[rows], weights)
    assert float(data.anchor_weight.sum()) == pytest.approx(1) and int((data.anchor_weight > 0).sum()) == 5
    part = data.subgraph((data.anchor_rank >= 0) | (torch.arange(30) % 2 == 0))
    assert part.num_nodes < 30 and torch.equal(part.anchor_weight[anchor_index(part)], weights)
    order = torch.randperm(30, generator=torch.Generator().manual_seed(4))
    shuffled = data.subgraph(order)
    assert torch.equal(shuffled.node_id, order)
    z = torch.randn(30, 3)
    one, other = AnchorSet.from_embeddings(z, data), AnchorSet.from_embeddings(z[order], shuffled)
    assert torch.equal(one.ids, other.ids) and torch.equal(one.weights, other.weights)
    assert torch.equal(one.weights, weights)


def test_other_anchors_do_not_keep_the_weights_of_the_anchors_before() -> None:
    data = AddAnchors(5, "kmeans")(graph())
    ids = data.node_id[anchor_index(data)]
    for transform in (AddAnchors(5), AddAnchors(5, "degree"), AddAnchors.from_ids(ids)):
        again = transform(data)
        assert "anchor_weight" not in again and "anchor_weight" in data
        assert AnchorSet.from_embeddings(torch.randn(30, 3), again).weights.unique().numel() == 1
    weights = AddAnchors(4, "kmeans", seed=2)(data).anchor_weight
    assert int((weights > 0).sum()) == 4 and float(weights.sum()) == pytest.approx(1)


def test_a_subgraph_without_an_anchor_is_refused() -> None:
    data = AddAnchors(5)(graph())
    with pytest.raises(InputError, match="got 0 of rank 0"):
        anchor_index(data.subgraph(data.anchor_rank != 0))


def test_a_batch_of_several_graphs_keeps_every_rank() -> None:
    batch = Batch.from_data_list([AddAnchors(3)(graph()), AddAnchors(3)(graph())])
    assert batch.anchor_rank.max() == 2 and (batch.anchor_rank == 0).sum() == 2
    assert torch.equal(anchor_index(batch.get_example(1)), anchor_index(AddAnchors(3)(graph())))


def test_from_ids_follows_their_order() -> None:
    data = graph()
    data.node_id = torch.arange(30).flip(0)
    made = AddAnchors.from_ids(torch.tensor([3, 29, 0]))(data)
    assert anchor_index(made).tolist() == [26, 0, 29] and made.num_anchors == 3


def test_the_same_ids_are_anchors_in_two_graphs() -> None:
    one = AddAnchors(5, seed=2)(graph())
    ids = one.node_id[anchor_index(one)]
    tomorrow = graph(40)
    assert torch.equal(anchor_index(AddAnchors.from_ids(ids)(tomorrow)), ids)


def test_ids_may_come_with_weights() -> None:
    chosen = AddAnchors(5, "kmeans")(graph())
    space = AnchorSet.from_embeddings(chosen.x, chosen)
    again = AddAnchors.from_ids(space.ids, weights=space.weights)(graph())
    assert torch.equal(again.anchor_weight, chosen.anchor_weight) and torch.equal(again.anchor_rank, chosen.anchor_rank)
    assert AnchorSet.from_embeddings(chosen.x, again).id == space.id
    for weights in ([1.0], [1.0, 0.0], [1.0, float("nan")], []):
        with pytest.raises(InputError, match="'weights' must hold one finite number above 0 per id, 2"):
            AddAnchors.from_ids(torch.tensor([3, 4]), weights=weights)  # type: ignore[arg-type]


def test_missing_and_repeated_ids_are_named() -> None:
    with pytest.raises(InputError, match=r"missing: 30, 99\)"):
        AddAnchors.from_ids(torch.tensor([30, 1, 99]))(graph())
    with pytest.raises(InputError, match=r"missing: 100, 101, 102, 103, 104 and 15 more"):
        AddAnchors.from_ids(torch.arange(100, 120))(graph())
    with pytest.raises(InputError, match="got 1 more than once"):
        AddAnchors.from_ids(torch.tensor([1, 1]))
    with pytest.raises(InputError, match="'ids' must hold integers, strings or UUIDs"):
        AddAnchors.from_ids(torch.tensor([0.5]))
    assert anchor_index(AddAnchors.from_ids(torch.tensor([4, 2], dtype=torch.uint16))(graph())).tolist() == [4, 2]


@pytest.mark.parametrize("name", ["node_id", "n_id"])
def test_an_id_of_several_nodes_is_no_anchor(name: str) -> None:
    data = Data(x=torch.zeros(5, 2), **{name: torch.tensor([7, 3, 7, 9, 9])})
    with pytest.raises(InputError, match=f"'{name}' must not repeat the id of an anchor .got 7 for several nodes"):
        AddAnchors.from_ids(torch.tensor([3, 7]))(data)
    with pytest.raises(InputError, match="got 9 for several nodes"):
        AddAnchors.from_ids(torch.tensor([9, 1]), missing="drop")(data)
    assert anchor_index(AddAnchors.from_ids(torch.tensor([3]))(data)).tolist() == [1]  # others may repeat


def test_settings_are_checked_at_once() -> None:
    with pytest.raises(InputError, match="did you mean 'random'"):
        AddAnchors(3, "randon")
    with pytest.raises(InputError, match="at least 1"):
        AddAnchors(0)
    with pytest.raises(InputError, match="from 1 to 30"):
        AddAnchors(31)(graph())
    for wrong, shown in ((2.5, "2.5"), ("2", "'2'"), (None, "NoneType")):
        with pytest.raises(InputError, match=f"'num_anchors' must be a whole number .got {shown}"):
            AddAnchors(wrong)  # type: ignore[arg-type]
        with pytest.raises(InputError, match=f"'num_anchors' must be a whole number .got {shown}"):
            select_anchors(graph(), wrong)  # type: ignore[arg-type]
    assert len(anchor_index(AddAnchors(np.int64(3))(graph()))) == 3  # type: ignore[arg-type]
    with pytest.raises(InputError, match="at least one node to choose from"):
        AddAnchors(1)(Data(x=torch.zeros(0, 3), edge_index=torch.zeros(2, 0, dtype=torch.int64)))


@pytest.mark.parametrize("strategy", ["random", "farthest-point", "kmeans", "class-stratified"])
def test_one_node_type_of_a_heterogeneous_graph(strategy: str) -> None:
    data = hetero()
    made = AddAnchors(4, strategy, node_type="paper")(data)
    assert anchor_index(made["paper"]).unique().numel() == 4
    assert "anchor_rank" not in made["author"] and "anchor_rank" not in data["paper"]
    if strategy in ("farthest-point", "kmeans"):
        expected = select_anchors(data["paper"].x, 4, strategy, generator=torch.Generator().manual_seed(0))
        assert torch.equal(anchor_index(made["paper"]), expected)
        z = torch.randn(20, 2)
        assert torch.equal(AnchorSet.from_embeddings(z, made["paper"]).weights, shares(data["paper"].x, expected))


@pytest.mark.parametrize("strategy", ["degree", "pagerank", "k-center"])
def test_strategies_along_edges_do_not_apply_to_a_heterogeneous_graph(strategy: str) -> None:
    with pytest.raises(InputError, match="'strategy' must be 'random', 'farthest-point' or 'kmeans'"):
        AddAnchors(4, strategy, node_type="paper")(hetero())


def test_ids_of_one_node_type() -> None:
    made = AddAnchors.from_ids(torch.tensor([7, 2]), node_type="paper")(hetero())
    assert anchor_index(made["paper"]).tolist() == [7, 2]


def test_the_node_type_is_required_and_checked() -> None:
    with pytest.raises(InputError, match="one of author, paper"):
        AddAnchors(2)(hetero())
    with pytest.raises(InputError, match="did you mean 'paper'"):
        AddAnchors(2, node_type="papers")(hetero())
    with pytest.raises(InputError, match="must be left out"):
        AddAnchors(2, node_type="paper")(graph())


def test_it_composes_and_has_a_repr() -> None:
    made = Compose([AddAnchors(3)])(graph())
    assert anchor_index(made).numel() == 3
    assert (
        repr(AddAnchors(3, "kmeans", seed=2, node_type="paper")) == "AddAnchors(3, 'kmeans', seed=2, node_type='paper')"
    )
    assert repr(AddAnchors.from_ids(torch.tensor([4, 5]))) == "AddAnchors.from_ids(2 ids)"


def test_anchors_are_drawn_among_given_nodes() -> None:
    data = graph()
    data.train_mask = torch.arange(30) % 2 == 0
    made = AddAnchors(5, "kmeans", seed=1, among=data.train_mask)
    index = anchor_index(made(data))
    generator = torch.Generator().manual_seed(1)
    assert data.train_mask[index].all()
    assert torch.equal(index, select_anchors(data, 5, "kmeans", among=data.train_mask, generator=generator))
    assert repr(made) == "AddAnchors(5, 'kmeans', seed=1, among=...)"


def test_a_graph_of_networkx_gets_anchors() -> None:
    graph = nx.path_graph([40, 10, 20, 30])
    nx.set_node_attributes(graph, {node: [float(node)] for node in graph}, "x")
    made = AddAnchors(2, "degree")(graph)
    assert made.node_id.tolist() == [40, 10, 20, 30] and made.x.shape == (4, 1)
    assert made.node_id[anchor_index(made)].tolist() == [10, 20]
    assert "anchor_rank" not in graph.nodes[10]
    assert anchor_index(AddAnchors.from_ids(torch.tensor([30, 40]))(graph)).tolist() == [3, 0]


def test_a_graph_of_networkx_needs_features_only_where_they_are_read() -> None:
    graph = nx.path_graph([40, 10, 20, 30])
    for strategy in ("degree", "pagerank", "random", "k-center"):
        made = AddAnchors(2, strategy)(graph)
        assert made.num_nodes == 4 and made.node_id.tolist() == [40, 10, 20, 30] and len(anchor_index(made)) == 2
    assert AddAnchors(2, "degree")(graph).node_id[anchor_index(AddAnchors(2, "degree")(graph))].tolist() == [10, 20]
    with pytest.raises(InputError, match="need node features 'x'"):
        AddAnchors(2, "kmeans")(graph)
    with pytest.raises(InputError, match="must have 'x'"):
        load_dataset(graph)
    graph.add_nodes_from([7, 8])
    assert AddAnchors(6)(graph).num_nodes == 6
    with pytest.raises(InputError, match="at least one node to choose from .got none"):
        AddAnchors(2)(nx.Graph())


def test_a_heterogeneous_graph_may_be_passed_without_a_name() -> None:
    transform, z = AddAnchors(2, node_type="paper"), torch.randn(20, 4, generator=torch.Generator().manual_seed(0))
    kept = transform(hetero())
    # Outside of assertions, which keep the graph.
    made = AnchorSet.from_embeddings(z, transform(hetero()))
    rows = anchor_index(transform(hetero()))
    assert made.id == AnchorSet.from_embeddings(z, kept).id and torch.equal(rows, anchor_index(kept))


def test_a_part_of_a_graph_that_is_gone_is_refused_by_name() -> None:
    refused = pytest.raises(InputError, match="'data' must be of a graph that still exists .*keep the graph")
    with refused:
        choose_weighted(hetero()["paper"], 2)
    with refused:
        select_anchors(hetero()["paper"], 2)
    gone = AddAnchors(2, node_type="paper")(hetero())["paper"]
    with refused:
        AnchorSet.from_embeddings(torch.zeros(20, 4), gone)


def test_a_seed_that_is_no_number_is_refused() -> None:
    with pytest.raises(InputError, match="'seed' must be a whole number .got 'a'.; give an int"):
        AddAnchors(5, seed="a")  # type: ignore[arg-type]
