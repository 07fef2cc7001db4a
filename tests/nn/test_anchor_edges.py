from __future__ import annotations

from collections import deque

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from relgraph.errors import InputError
from relgraph.nn import anchor_edges
from relgraph.nn.anchor_edges import complete_edges, nearest_anchor_edges, within_hops_edges
from relgraph.similarity import relative
from tests.registered import SIMILARITIES


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_complete_edges_are_all_pairs_in_order_of_nodes():
    edges = complete_edges(3, 4)
    assert [tuple(edge) for edge in edges.T.tolist()] == [(k, i) for i in range(4) for k in range(3)]
    assert complete_edges(3, 0).shape == complete_edges(0, 3).shape == (2, 0)


@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("limit", [1, 1 << 22])
def test_nearest_anchors_of_each_node(similarity, limit, monkeypatch):
    monkeypatch.setattr(anchor_edges, "_CHUNK", limit)
    z, bank = draw(20, 4, seed=1), draw(6, 4, seed=2)
    values = relative(z, bank, similarity)
    sign = 1 if similarity in ("euclidean", "l1", "linf") else -1
    expected = [(k, i) for i in range(20) for k in sorted(range(6), key=lambda k: sign * values[i, k].item())[:3]]
    got = nearest_anchor_edges(z.requires_grad_(), bank, 3, similarity)
    assert [tuple(edge) for edge in got.T.tolist()] == expected
    every = nearest_anchor_edges(z, bank, 6, similarity)
    assert {tuple(e) for e in every.T.tolist()} == {tuple(e) for e in complete_edges(6, 20).T.tolist()}


def test_nearest_anchors_after_normalization_and_of_no_node():
    z = draw(9, 3) + 5
    plain, centered = (nearest_anchor_edges(z, z[:4], 1, "cosine", n) for n in ("none", "center"))
    assert torch.equal(centered[0], relative(z, z[:4], "cosine", "center").argmax(1))
    assert not torch.equal(plain, centered)
    assert nearest_anchor_edges(z[:0], z[:4], 2).shape == (2, 0)
    for wrong in (0, 5):
        with pytest.raises(InputError, match="'k' must be from 1 to the number of anchors, 4"):
            nearest_anchor_edges(z, z[:4], wrong)


def slow_hops(edges, start, num_nodes):
    """Steps from a node to every other along the edges, one node at a time."""
    steps, queue = {start: 0}, deque([start])
    while queue:
        node = queue.popleft()
        for source, target in edges:
            if source == node and target not in steps:
                steps[target] = steps[node] + 1
                queue.append(target)
    return steps


@settings(max_examples=40, deadline=None)
@given(data=st.data(), hops=st.integers(0, 5), limit=st.sampled_from([1, 1 << 22]))
def test_within_hops_equals_breadth_first_search(data, hops, limit):
    num_nodes = data.draw(st.integers(1, 9))
    node = st.integers(0, num_nodes - 1)
    edges = data.draw(st.lists(st.tuples(node, node), max_size=20))
    anchors = data.draw(st.lists(node, unique=True, max_size=4))
    expected = [
        (rank, row)
        for row in range(num_nodes)
        for rank, anchor in enumerate(anchors)
        if slow_hops(edges, anchor, num_nodes).get(row, 99) <= hops
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(anchor_edges, "_CHUNK", limit)
        edge_index = torch.tensor(edges, dtype=torch.int64).view(-1, 2).T
        got = within_hops_edges(edge_index, torch.tensor(anchors, dtype=torch.int64), hops, num_nodes)
    assert [tuple(edge) for edge in got.T.tolist()] == expected


def test_within_hops_follows_the_direction_of_messages():
    from torch_geometric.nn import SimpleConv

    graph = torch.tensor([[0, 1, 2, 3], [1, 2, 3, 1]])
    edges = within_hops_edges(graph, torch.tensor([0, 2]), 2, num_nodes=5)
    heard = torch.zeros(5, 2)
    heard[0, 0] = heard[2, 1] = 1  # what each anchor says, after two layers
    for _ in range(2):
        heard = heard + SimpleConv()(heard, graph)
    assert {tuple(e) for e in edges.T.tolist()} == {tuple(e) for e in heard.nonzero().flip(1).tolist()}


def test_within_hops_checks_its_input():
    graph = torch.tensor([[0, 1], [1, 2]])
    for call, message in (
        ((graph, torch.tensor([0]), -1, 3), "'num_hops' must be 0 or more"),
        ((graph, torch.tensor([3]), 1, 3), r"'anchor_index' must hold rows of nodes from 0 to 2 \(got 3\)"),
        ((graph, torch.tensor([-1]), 1, 3), r"'anchor_index' must hold rows of nodes from 0 to 2 \(got -1\)"),
        ((graph, torch.tensor([0]), 1, 2), r"'edge_index' must hold rows of nodes from 0 to 1 \(got 2\)"),
    ):
        with pytest.raises(InputError, match=message):
            within_hops_edges(*call)
