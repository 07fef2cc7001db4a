"""Node ids, the fingerprint of a graph, and the anchors that it carries."""

from __future__ import annotations

import gc
import uuid
from hashlib import sha256

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch_geometric.data import Batch, Data, HeteroData
from torch_geometric.transforms import ToSparseTensor

from relgraph.errors import InputError
from relgraph.graph import _FINGERPRINTS, anchor_index, fingerprint, graph_edges, integer_ids, node_ids, num_nodes


def graph(edges: list[tuple[int, int]], count: int, weights: list[float] | None = None) -> Data:
    edge_index = torch.tensor(edges, dtype=torch.int64).view(-1, 2).T.contiguous()
    data = Data(x=torch.zeros(count, 1), edge_index=edge_index)
    if weights is not None:
        data.edge_weight = torch.tensor(weights, dtype=torch.float32)
    return data


def shuffled(data: Data, seed: int) -> Data:
    """The same nodes in other rows, under the same ids, and the same edges in another order."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(data.num_nodes, generator=generator)
    place = order.argsort()
    edge_order = torch.randperm(data.edge_index.size(1), generator=generator)
    other = Data(x=data.x[order], edge_index=place[data.edge_index][:, edge_order], node_id=node_ids(data)[order])
    if "edge_weight" in data:
        other.edge_weight = data.edge_weight[edge_order]
    if "anchor_rank" in data:
        other.anchor_rank, other.num_anchors = data.anchor_rank[order], data.num_anchors
    return other


@st.composite
def graphs(draw: st.DrawFn) -> Data:
    """Very small graphs, so that two draws are often equal; no two edges join the same nodes."""
    count = draw(st.integers(1, 3))
    ends = st.tuples(st.integers(0, count - 1), st.integers(0, count - 1))
    edges = draw(st.lists(ends, max_size=3, unique=True))
    weights = draw(
        st.none() | st.lists(st.sampled_from([0.5, 1.0]), min_size=len(edges), max_size=len(edges)).map(list)
    )
    data = graph(edges, count, weights)
    ids = draw(st.none() | st.permutations(range(3)).map(lambda order: order[:count]))
    if ids is not None:
        data.node_id = torch.tensor(ids)
    return data


def content(data: Data) -> object:
    """What a fingerprint stands for, written as slowly and plainly as can be."""
    ids = node_ids(data).tolist()
    weights = data.edge_weight.tolist() if "edge_weight" in data else None
    edges = []
    for place, (source, target) in enumerate(data.edge_index.T.tolist()):
        edges.append((ids[source], ids[target], *([weights[place]] if weights is not None else [])))
    return sorted(ids), sorted(edges), weights is not None and len(edges) > 0


# --- node ids ---------------------------------------------------------------------------------------------------


def test_ids_are_node_id_then_n_id_then_the_row() -> None:
    data = Data(x=torch.zeros(3, 1))
    assert node_ids(data).tolist() == [0, 1, 2]
    data.n_id = torch.tensor([5, 6, 7])
    assert node_ids(data).tolist() == [5, 6, 7]
    data.node_id = torch.tensor([9, 8, 7])
    assert node_ids(data).tolist() == [9, 8, 7]


def test_a_node_type_of_a_heterogeneous_graph_has_ids_of_its_own() -> None:
    data = HeteroData()
    data["paper"].x = torch.zeros(2, 1)
    data["author"].x, data["author"].node_id = torch.zeros(1, 1), torch.tensor([4])
    assert node_ids(data["paper"]).tolist() == [0, 1]
    assert node_ids(data["author"]).tolist() == [4]


@pytest.mark.parametrize("ids", [torch.tensor([1, 2]), torch.tensor([[0], [1], [2]]), torch.tensor(3)])
def test_ids_of_another_shape_are_refused(ids: Tensor) -> None:
    with pytest.raises(InputError, match=r"'node_id' must hold one id per node \(got shape .* for 3 nodes\)"):
        node_ids(Data(x=torch.zeros(3, 1), node_id=ids))


def test_ids_are_integers_of_any_width() -> None:
    for dtype in (torch.uint8, torch.int32, torch.uint32, torch.uint64):
        data = graph([(0, 1)], 2)
        data.node_id = torch.tensor([9, 4], dtype=dtype)
        assert node_ids(data).tolist() == [9, 4]
        assert fingerprint(data) == fingerprint(
            Data(x=data.x, edge_index=data.edge_index, node_id=torch.tensor([9, 4]))
        )
    with pytest.raises(InputError, match="'node_id' must hold integers, strings or UUIDs .got torch.float32."):
        node_ids(Data(x=torch.zeros(2, 1), node_id=torch.tensor([0.0, 1.0])))


def test_strings_and_uuids_are_hashed() -> None:
    texts = ["a", "b", "\u00fc", ""]
    expected = [int.from_bytes(sha256(text.encode()).digest()[:8], "big") >> 1 for text in texts]
    for ids in (texts, np.array(texts), np.array(texts, dtype=object), pd.Series(texts), tuple(texts)):
        assert integer_ids(ids).tolist() == expected
    one = uuid.UUID(int=7)
    assert torch.equal(integer_ids([one]), integer_ids([str(one)]))
    assert node_ids(Data(x=torch.zeros(4, 1), node_id=texts)).tolist() == expected
    for ids in ([1.5], [None], [one, 1.0, None], [object()], [True]):
        with pytest.raises(InputError, match="'ids' must hold integers, strings or UUIDs .got list."):
            integer_ids(ids)


def test_a_graph_without_a_size_is_refused_with_a_way_out() -> None:
    with (
        pytest.warns(UserWarning, match="num_nodes"),
        pytest.raises(InputError, match="'data' must have a number of nodes .*; set data.num_nodes"),
    ):
        num_nodes(Data())
    assert num_nodes(Data(num_nodes=4)) == 4
    assert node_ids(Data(num_nodes=2)).tolist() == [0, 1]


# --- fingerprint ------------------------------------------------------------------------------------------------


@given(graphs(), graphs())
def test_fingerprints_are_equal_where_ids_edges_and_weights_are(one: Data, two: Data) -> None:
    assert (fingerprint(one) == fingerprint(two)) == (content(one) == content(two))


@given(graphs(), st.integers(0, 100))
def test_the_order_of_nodes_and_edges_does_not_matter(data: Data, seed: int) -> None:
    assert fingerprint(data) == fingerprint(shuffled(data, seed))


def test_relabeled_nodes_without_ids_make_another_graph() -> None:
    path = graph([(0, 1), (1, 2)], 3)
    other = graph([(1, 0), (0, 2)], 3)
    assert fingerprint(path) != fingerprint(other)


def test_direction_weights_and_isolated_nodes_count_but_features_do_not() -> None:
    base = graph([(0, 1), (1, 2)], 3, [1.0, 2.0])
    same = graph([(0, 1), (1, 2)], 3, [1.0, 2.0])
    same.x = torch.rand(3, 7)
    assert fingerprint(base) == fingerprint(same)
    others = [
        graph([(1, 0), (1, 2)], 3, [1.0, 2.0]),
        graph([(0, 1), (1, 2)], 3, [2.0, 1.0]),
        graph([(0, 1), (1, 2)], 3),
        graph([(0, 1), (1, 2)], 4, [1.0, 2.0]),
        graph([(0, 1), (1, 2), (1, 2)], 3, [1.0, 2.0, 2.0]),
    ]
    assert len({fingerprint(data) for data in [base, *others]}) == 6


def test_parallel_edges_of_different_weights_may_come_in_any_order() -> None:
    one, two = graph([(0, 1), (0, 1)], 2, [1.0, 2.0]), graph([(0, 1), (0, 1)], 2, [2.0, 1.0])
    assert fingerprint(one) == fingerprint(two)


def test_a_fingerprint_starts_with_sixteen_hexadecimal_digits() -> None:
    for data in (graph([], 1), graph([(0, 0)], 1), Data(num_nodes=3), Data(num_nodes=0)):
        digest, *sizes = fingerprint(data).split(".")[:3]
        assert len(digest) == 16 and int(digest, 16) >= 0
        assert sizes == [str(data.num_nodes), str(data.edge_index.size(1)) if "edge_index" in data else ""]


def test_integer_types_do_not_matter() -> None:
    data = graph([(0, 2), (1, 0)], 3)
    data.node_id = torch.tensor([3, 1, 2])
    narrow = data.clone()
    narrow.node_id, narrow.edge_index = narrow.node_id.int(), narrow.edge_index.int()
    assert fingerprint(data) == fingerprint(narrow)


def slow_fingerprint(data: Data) -> str:
    ids = node_ids(data).to(torch.int64)
    source, target = ids[data.edge_index].numpy()
    order = np.lexsort([target, source])
    contents = [ids.sort().values.numpy(), target[order], source[order]]
    return sha256(b"".join(content.tobytes() for content in contents)).hexdigest()[:16]


@pytest.mark.parametrize("shift", [0, 2**31 - 50, 2**31, 2**62, -30])
def test_small_and_large_ids_are_sorted_alike(shift: int) -> None:
    ends = torch.randint(50, (2, 400), generator=torch.Generator().manual_seed(0))
    data = Data(edge_index=ends, node_id=torch.arange(50) + shift, num_nodes=50)
    assert fingerprint(data)[:16] == slow_fingerprint(data)


def test_the_fingerprint_of_the_same_tensors_is_computed_once_until_one_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hashes = []
    monkeypatch.setattr("relgraph.graph.hashlib.sha256", lambda content: hashes.append(sha256(content)) or hashes[-1])
    data = graph([(0, 1), (1, 2)], 3, [1.0, 2.0])
    data.node_id = torch.tensor([4, 5, 6])
    first = fingerprint(data)
    assert fingerprint(data) == fingerprint(Data(**data.to_dict())) == first and len(hashes) == 1
    seen = {first}
    for change in (
        lambda: data.edge_index.add_(1).remainder_(3),
        lambda: data.edge_weight.mul_(2),
        lambda: data.node_id.add_(1),
        lambda: setattr(data, "edge_weight", data.edge_weight + 1),
        lambda: setattr(data, "node_id", data.node_id * 2),
        lambda: delattr(data, "edge_weight"),
        lambda: delattr(data, "node_id"),
        lambda: setattr(data, "x", torch.zeros(4, 1)),
        lambda: setattr(data, "edge_index", data.edge_index.flip(0)),
    ):
        change()
        assert fingerprint(data) == fingerprint(data.clone())
        seen.add(fingerprint(data))
    assert len(seen) == 10


def test_cached_fingerprints_are_freed_with_the_graph() -> None:
    data = graph([(0, 1)], 2)
    fingerprint(data)
    before = len(_FINGERPRINTS)
    del data
    gc.collect()
    assert len(_FINGERPRINTS) < before


def test_fingerprints_of_tensors_without_versions_are_not_cached() -> None:
    with torch.inference_mode():
        data = graph([(0, 1), (1, 2)], 3)
        before = fingerprint(data)
        data.edge_index[0, 0] = 2
        assert fingerprint(data) != before


@pytest.mark.parametrize("layout", [torch.sparse_coo, torch.sparse_csr])
@pytest.mark.parametrize("weights", [None, [0.5, 2.0, 1.0]])
@pytest.mark.filterwarnings("ignore:Sparse (CSR tensor support|invariant checks):UserWarning")
def test_edges_in_a_transposed_adjacency_count(layout: torch.layout, weights: list[float] | None) -> None:
    data = graph([(0, 1), (2, 1), (1, 3)], 4, weights)
    sparse = ToSparseTensor(layout=layout)(data.clone())
    assert sparse.edge_index is None
    ends, weight = graph_edges(sparse)
    assert sorted(ends.T.tolist()) == [[0, 1], [1, 3], [2, 1]]
    assert (weight is None) == (weights is None)
    assert fingerprint(sparse) == fingerprint(data)
    other = ToSparseTensor(layout=layout)(graph([(0, 1), (2, 1), (3, 1)], 4, weights))
    assert fingerprint(other) not in (fingerprint(sparse), fingerprint(Data(num_nodes=4)))


@pytest.mark.filterwarnings("ignore:Sparse invariant checks:UserWarning")
def test_edges_beside_an_adjacency_are_taken_as_they_are() -> None:
    data = graph([(0, 1), (1, 2)], 3, [1.0, 2.0])
    both = ToSparseTensor(remove_edge_index=False, layout=torch.sparse_coo)(data.clone())
    assert graph_edges(both)[0] is both.edge_index and fingerprint(both) == fingerprint(data)
    assert graph_edges(Data(num_nodes=3)) == (None, None)


# --- anchors ----------------------------------------------------------------------------------------------------


@given(st.integers(1, 12), st.data())
def test_anchors_are_found_rank_by_rank_and_follow_their_nodes(count: int, draw: st.DataObject) -> None:
    nodes = draw.draw(st.permutations(range(count)))
    number = draw.draw(st.integers(1, count))
    data = graph([], count)
    data.anchor_rank, data.num_anchors = torch.full((count,), -1), number
    for rank, row in enumerate(nodes[:number]):
        data.anchor_rank[row] = rank
    expected = [row for rank in range(number) for row in range(count) if data.anchor_rank[row] == rank]
    assert anchor_index(data).tolist() == expected == list(nodes[:number])
    other = shuffled(data, draw.draw(st.integers(0, 100)))
    assert node_ids(other)[anchor_index(other)].tolist() == expected


@pytest.fixture
def anchored() -> Data:
    data = graph([(0, 1), (1, 2), (2, 3)], 5)
    data.node_id = torch.arange(10, 15)
    data.anchor_rank, data.num_anchors = torch.tensor([1, -1, 0, -1, 2]), 3
    return data


def test_anchors_survive_a_subgraph_that_holds_them(anchored: Data) -> None:
    part = anchored.subgraph(torch.tensor([True, False, True, True, True]))
    assert part.num_nodes == 4
    assert node_ids(part)[anchor_index(part)].tolist() == [12, 10, 14]


def test_a_subgraph_without_an_anchor_names_the_missing_rank(anchored: Data) -> None:
    part = anchored.subgraph(torch.tensor([False, True, True, True, True]))
    with pytest.raises(InputError, match=r"every rank from 0 to 2 once \(got 0 of rank 1\).*pass an AnchorSet"):
        anchor_index(part)


def test_a_repeated_rank_is_named(anchored: Data) -> None:
    anchored.anchor_rank[3] = 2
    with pytest.raises(InputError, match=r"every rank from 0 to 2 once \(got 2 of rank 2\)"):
        anchor_index(anchored)


@pytest.mark.parametrize("rank", [3, 9])
def test_a_rank_beyond_the_number_of_anchors_is_named(anchored: Data, rank: int) -> None:
    anchored.anchor_rank[1] = rank
    with pytest.raises(InputError, match=rf"every rank from 0 to 2 once \(got 1 of rank {rank}\)"):
        anchor_index(anchored)


def test_no_anchor_at_all_is_an_error(anchored: Data) -> None:
    anchored.anchor_rank[:] = -1
    with pytest.raises(InputError, match="got 0 of rank 0"):
        anchor_index(anchored)
    with pytest.raises(InputError, match="must carry anchors .*apply relgraph.AddAnchors first"):
        anchor_index(graph([], 2))


def test_without_num_anchors_all_ranks_are_used(anchored: Data) -> None:
    del anchored.num_anchors
    assert anchor_index(anchored).tolist() == [2, 0, 4]
    anchored.anchor_rank[2] = -1
    with pytest.raises(InputError, match="got 0 of rank 0"):
        anchor_index(anchored)


def test_a_batch_of_one_graph_has_anchors_and_one_of_two_is_refused(anchored: Data) -> None:
    assert anchor_index(Batch.from_data_list([anchored])).tolist() == [2, 0, 4]
    with pytest.raises(InputError, match=r"got 2 of rank 0.*a batch of several graphs.*pass an AnchorSet"):
        anchor_index(Batch.from_data_list([anchored, anchored.clone()]))


def test_a_node_type_carries_anchors_of_its_own() -> None:
    data = HeteroData()
    data["paper"].x = torch.zeros(3, 1)
    data["paper"].anchor_rank, data["paper"].num_anchors = torch.tensor([1, 0, -1]), 2
    data["author"].x = torch.zeros(2, 1)
    assert anchor_index(data["paper"]).tolist() == anchor_index(data).tolist() == [1, 0]
    data["author"].anchor_rank, data["author"].num_anchors = torch.tensor([0, -1]), 1
    assert anchor_index(data["author"]).tolist() == [0]
    with pytest.raises(InputError, match="one node type with anchors .got several types: paper, author.; pass data"):
        anchor_index(data)
    for name in ("paper", "author"):
        del data[name].anchor_rank
    with pytest.raises(InputError, match="one node type with anchors .got no: paper, author."):
        anchor_index(data)
