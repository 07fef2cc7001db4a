"""Warnings where published objects of different graphs are used together."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch_geometric.data import Data

import relgraph as rg
from relgraph.anchors import AnchorSet, GraphChangedWarning, GraphGrownWarning, aligned_rows
from relgraph.anchors.matching import graph_warning, row_numbers
from relgraph.errors import InputError
from relgraph.graph import fingerprint
from relgraph.versions import adjust_priors, neighbor_agreement
from tests.spaces import head, normal, ring

IDS = torch.arange(4)


def ring_of(count: int, shift: int = 0) -> Data:
    return Data(edge_index=ring(count), num_nodes=count, node_id=torch.arange(count) + shift)


SMALL, LARGE, ELSEWHERE = (fingerprint(data) for data in (ring_of(40), ring_of(60), ring_of(60, 20)))


@pytest.mark.parametrize("order", [(SMALL, LARGE), (LARGE, SMALL)])
def test_a_grown_graph_is_a_soft_sentence(order: tuple[str, str]) -> None:
    words = (
        r"the graph has changed between the two: from 40 to 60 nodes, with 98 % of the old edges \(\w{16} and \w{16}"
    )
    with pytest.warns(GraphGrownWarning, match=words):
        aligned_rows(IDS, IDS, num_features=1, fingerprints=order)


def test_ids_that_changed_their_meaning_are_a_clear_warning() -> None:
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    shuffled = fingerprint(Data(edge_index=order[ring(40)], num_nodes=40, node_id=torch.arange(40)))
    assert "make sure that equal ids are the same nodes" in str(graph_warning((SMALL, shuffled)))


def test_another_graph_is_a_clear_warning() -> None:
    with pytest.warns(
        GraphChangedWarning,
        match="different graphs .*: 50 % of the nodes and 4. % .* of the smaller one are in the other$",
    ) as found:
        aligned_rows(IDS, IDS, num_features=1, fingerprints=(SMALL, ELSEWHERE))
    assert found[0].category is GraphChangedWarning and found[0].filename == __file__


def test_the_same_graph_and_unknown_ones_are_no_warning() -> None:
    for prints in ((SMALL, SMALL), (SMALL, SMALL[:16]), (SMALL, ""), ("", ""), ()):
        assert graph_warning(prints) is None


def test_of_several_graphs_the_first_that_differs_is_named() -> None:
    assert isinstance(graph_warning((LARGE, SMALL, SMALL[:16])), GraphGrownWarning)
    assert "00ff" in str(graph_warning((SMALL, "00ff")))


def test_a_conversion_onto_a_grown_graph_can_be_silenced_alone() -> None:
    z = normal(60, 3)
    here = AnchorSet.from_rows(z, torch.arange(20), fingerprint=LARGE)
    there = AnchorSet.from_rows(z[:40], torch.arange(20), fingerprint=SMALL)
    moved = AnchorSet.from_rows(z, torch.arange(20), fingerprint=ELSEWHERE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GraphGrownWarning)
        rg.convert(here, rg.publish(head(3, 2), there))
        with pytest.raises(GraphChangedWarning):
            rg.convert(moved, rg.publish(head(3, 2), there))


MASK = torch.arange(60) < 40
OUTPUTS = normal(60, 3)
TAKES_ROWS: dict[str, Callable[[Tensor], object]] = {
    "rows of from_rows": lambda rows: AnchorSet.from_rows(normal(60, 3), rows),
    "center_over": lambda rows: AnchorSet.from_rows(normal(60, 3), torch.arange(20), center_over=rows),
    "among": lambda rows: rg.select_anchors(normal(60, 3), 5, among=rows),
    "rows of adjust_priors": lambda rows: adjust_priors(OUTPUTS, rows),
    "rows of neighbor_agreement": lambda rows: neighbor_agreement({"one": OUTPUTS}, ring(60), rows),
}


@pytest.mark.parametrize("name", TAKES_ROWS)
def test_a_mask_of_integers_is_not_taken_for_the_rows_0_and_1(name: str) -> None:
    TAKES_ROWS[name](MASK)
    TAKES_ROWS[name](MASK.nonzero().view(-1))
    for wrong, got in ((MASK.int(), "got 0"), (torch.tensor([15, 15, 16]), "got 15")):
        with pytest.raises(InputError, match=f"must not repeat a row .{got} more than once.; pass a boolean mask or"):
            TAKES_ROWS[name](wrong)


def test_row_numbers_keep_their_order_and_may_be_none_where_that_is_asked_for() -> None:
    assert row_numbers("rows", [4, 0, 3], 5).tolist() == [4, 0, 3]
    assert row_numbers("rows", torch.zeros(5, dtype=torch.bool), 5, fewest=0).tolist() == []
    with pytest.raises(InputError, match="at least one .got none"):
        row_numbers("rows", torch.zeros(5, dtype=torch.bool), 5)
