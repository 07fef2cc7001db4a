"""Nodes that last: the change of neighborhoods, and the order that it gives."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.data import Data, HeteroData

from relgraph.anchors import lasting_nodes, neighborhood_change
from relgraph.errors import InputError


def graph(ids: list[int], edges: list[tuple[int, int]], **more: torch.Tensor) -> Data:
    """A graph whose edges are given by ids."""
    place = {node: row for row, node in enumerate(ids)}
    ends = torch.tensor([(place[a], place[b]) for a, b in edges], dtype=torch.int64).view(-1, 2).T.contiguous()
    return Data(edge_index=ends, node_id=torch.tensor(ids), num_nodes=len(ids), **more)


def neighbors(data: Data) -> dict[int, set[int]]:
    found: dict[int, set[int]] = {int(node): set() for node in data.node_id}
    for a, b in data.node_id[data.edge_index].T.tolist():
        if a != b:
            found[a].add(b)
            found[b].add(a)
    return found


@st.composite
def graphs(draw: st.DrawFn) -> Data:
    ids = draw(st.lists(st.integers(-3, 6), min_size=1, unique=True))
    node = st.sampled_from(ids)
    return graph(ids, draw(st.lists(st.tuples(node, node), max_size=14)))


@given(graphs(), graphs())
def test_the_change_is_the_jaccard_distance_of_the_neighbors(old: Data, new: Data) -> None:
    before, after = neighbors(old), neighbors(new)
    ids, change = neighborhood_change(old, new)
    assert ids.tolist() == sorted(before.keys() & after.keys())
    for node, found in zip(ids.tolist(), change.tolist(), strict=True):
        union = before[node] | after[node]
        assert found == pytest.approx(1 - len(before[node] & after[node]) / len(union) if union else 0.0)


@given(graphs(), graphs())
def test_the_change_has_no_direction(old: Data, new: Data) -> None:
    for one, two in zip(neighborhood_change(old, new), neighborhood_change(new, old), strict=True):
        assert torch.equal(one, two)


def slow_order(versions: list[Data], times: dict[int, float]) -> list[int]:
    around = [neighbors(data) for data in versions]
    common = set.intersection(*(set(one) for one in around))

    def key(node: int) -> tuple[object, ...]:
        change = 0.0
        for before, after in itertools.pairwise(around):
            union = before[node] | after[node]
            change += 1 - len(before[node] & after[node]) / len(union) if union else 0
        uncovered = any(not one[node] for one in around)
        return uncovered, round(change, 9), times.get(node, 0), -len(around[-1][node]), node

    return sorted(common, key=key)


@given(st.lists(graphs(), min_size=1, max_size=3), st.booleans())
def test_the_order_is_that_of_a_slow_sort(versions: list[Data], dated: bool) -> None:
    times: dict[int, float] = {}
    if dated:
        years = (versions[-1].node_id * 7) % 3
        versions[-1].node_year = years.view(-1, 1)
        times = dict(zip(versions[-1].node_id.tolist(), years.tolist(), strict=True))
    if expected := slow_order(versions, times):
        assert lasting_nodes(versions).tolist() == expected
    else:
        with pytest.raises(InputError, match="'graphs' must have common ids"):
            lasting_nodes(versions)


def test_another_attribute_may_tell_the_age() -> None:
    data = graph([5, 6, 7], [(5, 6), (6, 7), (7, 5)], born=torch.tensor([2.0, 0.5, 1.0]))
    assert lasting_nodes([data]).tolist() == [5, 6, 7]
    assert lasting_nodes([data], time="born").tolist() == [6, 7, 5]
    data.born = torch.tensor([1.0, torch.nan, 0.0])
    with pytest.raises(InputError, match="'time' must name one finite number per node .got 'born' of shape .3,.."):
        lasting_nodes([data], time="born")


def test_wrong_graphs_are_refused() -> None:
    good = graph([1, 2], [(1, 2)])
    hetero = HeteroData()
    for wrong, message in (
        ([], "'graphs' must hold at least one version"),
        ([good, Data(num_nodes=2)], "'graphs' must have edges"),
        (
            [good, Data(edge_index=good.edge_index, node_id=torch.tensor([1, 1]), num_nodes=2)],
            "not repeat an id .got 1",
        ),
        ([good, Data(edge_index=torch.tensor([[0], [2]]), num_nodes=2)], "'edge_index' must name nodes from 0 to 1"),
        ([good, hetero], "'graphs' must have one type of nodes"),
    ):
        with pytest.raises(InputError, match=message):
            lasting_nodes(wrong)
