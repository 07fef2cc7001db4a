"""Splits: sizes, seeds, no overlap, and what they refuse."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Data

from relgraph.errors import InputError
from relgraph.training import apply_protocol, has_masks, num_classes

MASKS = ("train_mask", "val_mask", "test_mask")


def graph(sizes=(200, 150, 40)):
    y = torch.cat([torch.full((size,), label) for label, size in enumerate(sizes)])
    return Data(x=torch.zeros(len(y), 2), y=y)


def test_random_takes_equally_many_of_each_class():
    data, protocol = apply_protocol(graph(), "random")
    for label, (train, validation) in enumerate([(20, 30), (20, 30), (8, 12)]):
        assert int((data.train_mask & (data.y == label)).sum()) == train
        assert int((data.val_mask & (data.y == label)).sum()) == validation
    assert protocol.to_dict() == {
        "name": "random", "train": 48, "validation": 72, "test": 270, "seed": 0, "note": protocol.note,
    }  # fmt: skip
    assert torch.equal(sum(data[mask].long() for mask in MASKS), torch.ones(390, dtype=torch.long))


def test_a_seed_gives_a_split_and_another_seed_another():
    one, two, three = (apply_protocol(graph(), "random", seed=seed)[0] for seed in (1, 1, 2))
    assert torch.equal(one.train_mask, two.train_mask)
    assert not torch.equal(one.train_mask, three.train_mask)


def test_the_graph_given_is_left_alone():
    data = graph()
    apply_protocol(data, "random")
    assert not has_masks(data)


def test_paper_has_no_test_nodes_and_says_it_is_optimistic():
    data, protocol = apply_protocol(graph(), "paper")
    assert (protocol.train, protocol.validation) == (351, 39)
    assert torch.equal(data.test_mask, data.val_mask)
    assert "optimistic" in protocol.note


def test_public_is_the_default_where_there_are_masks():
    data, protocol = apply_protocol(graph())
    assert protocol.name == "random"
    _, protocol = apply_protocol(data)
    assert (protocol.name, protocol.seed) == ("public", None)


def test_unlabelled_nodes_belong_nowhere():
    data = graph()
    data.y[:50] = -1
    split, _ = apply_protocol(data, "random")
    assert not any(bool(split[mask][:50].any()) for mask in MASKS)
    assert num_classes(split) == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": None}, "must have class labels 'y'"),
        ({"y": torch.zeros(390)}, "one integer class per node"),
        ({"y": torch.zeros(7, dtype=torch.long)}, "one integer class per node"),
    ],
)
def test_labels_that_are_none(change, message):
    data = graph()
    data.update(change)
    with pytest.raises(InputError, match=message):
        apply_protocol(data, "random")


def test_wrong_names():
    with pytest.raises(InputError, match="brings no masks of its own"):
        apply_protocol(graph(), "public")
    with pytest.raises(InputError, match="did you mean 'random'"):
        apply_protocol(graph(), "randon")


def test_a_set_of_ogb_has_a_protocol_of_its_own():
    data = apply_protocol(graph(), "random")[0]
    data.dataset_name = "ogbn-arxiv"
    split, protocol = apply_protocol(data)
    assert protocol.name == "ogb" and "Evaluator" in protocol.note and protocol.seed is None
    assert all(torch.equal(split[name], data[name]) for name in ("train_mask", "val_mask", "test_mask"))
    assert apply_protocol(data, "public")[1].name == "public"
    data.dataset_name = "cora"
    with pytest.raises(InputError, match="no set of OGB"):
        apply_protocol(data, "ogb")
