"""Splits: sizes, seeds, disjoint parts, and the masks that are refused."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Data

from relgraph.errors import InputError
from relgraph.problems.splits import MASKS, Split, apply_split, class_labels, has_masks
from relgraph.task import Task

TASK = Task.of("node", "multiclass")


def graph(sizes: tuple[int, ...] = (200, 150, 40)) -> Data:
    y = torch.cat([torch.full((size,), label) for label, size in enumerate(sizes)])
    return Data(x=torch.zeros(len(y), 2), y=y)


def split(data: Data, name: str | None = None, seed: int = 0) -> tuple[Data, Split]:
    return apply_split(data, TASK, class_labels(data), name, seed=seed)


def test_random_takes_equally_many_of_each_class_and_leaves_the_graph_unchanged() -> None:
    given = graph()
    data, description = split(given, "random")
    for label, (train, validation) in enumerate([(20, 30), (20, 30), (8, 12)]):
        assert int((data.train_mask & (data.y == label)).sum()) == train
        assert int((data.val_mask & (data.y == label)).sum()) == validation
    assert description.to_dict() == {
        "name": "random", "train": 48, "validation": 72, "test": 270, "seed": 0, "note": "drawn",
    }  # fmt: skip
    assert torch.equal(sum(data[mask].long() for mask in MASKS), torch.ones(390, dtype=torch.long))
    assert not has_masks(given)


@pytest.mark.parametrize("name", ["random", "paper"])
def test_the_seed_determines_the_split(name: str) -> None:
    one, two, three = (split(graph(), name, seed)[0] for seed in (1, 1, 2))
    assert torch.equal(one.train_mask, two.train_mask)
    assert not torch.equal(one.train_mask, three.train_mask)
    assert split(graph(), name, 2)[1].seed == 2


def test_paper_has_no_test_nodes_and_is_marked_optimistic() -> None:
    data, description = split(graph(), "paper")
    assert (description.train, description.validation, description.note) == (351, 39, "optimistic")
    assert torch.equal(data.test_mask, data.val_mask)
    assert not bool((data.train_mask & data.val_mask).any())


def test_masks_of_the_graph_are_the_default() -> None:
    data, description = split(graph())
    assert description.name == "random"
    again, description = split(data)
    assert (description.name, description.seed, description.note) == ("public", None, "given")
    assert all(torch.equal(again[mask], data[mask]) for mask in MASKS)
    data.dataset_name = "ogbn-arxiv"
    assert split(data)[1].name == "ogb" and split(data, "public")[1].name == "public"
    assert split(data, "random", 5)[1].seed == 5


def test_unlabeled_nodes_are_in_no_part() -> None:
    data = graph()
    data.y[:50] = -1
    for name in ("paper", "random"):
        masked, description = split(data, name)
        assert not any(bool(masked[mask][:50].any()) for mask in MASKS)
    masked.val_mask[:50] = True
    assert split(masked, "public")[1].validation == description.validation


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": None}, "must have class labels 'y'"),
        ({"y": torch.zeros(390)}, "'y' must hold one integer class per node"),
        ({"y": torch.zeros(390, dtype=torch.bool)}, "'y' must hold one integer class per node"),
        ({"y": torch.zeros(7, dtype=torch.long)}, "'y' must hold one integer class per node"),
        ({"y": torch.full((390,), -1)}, "'y' must hold the class of at least one node"),
        ({"y": torch.arange(390) * 1_000_000_000}, "'y' must count classes from 0 .got 389000000000 among 390 nodes"),
    ],
)
def test_labels_that_are_no_classes_are_refused(change: dict[str, object], message: str) -> None:
    data = graph()
    data.update(change)
    with pytest.raises(InputError, match=message):
        class_labels(data)


def test_a_column_of_labels_and_small_integers_are_classes() -> None:
    data = graph()
    data.y = data.y.to(torch.int32).unsqueeze(1)
    assert torch.equal(class_labels(data), graph().y)


def test_incomplete_and_overlapping_masks_are_refused() -> None:
    full = split(graph(), "random")[0]
    lone = graph()
    lone.train_mask = full.train_mask
    with pytest.raises(InputError, match="'val_mask' must be set beside the other masks"):
        split(lone)
    assert split(lone, "random")[1].name == "random"
    for mask, other in (("val_mask", "train_mask"), ("test_mask", "train_mask"), ("test_mask", "val_mask")):
        shared = full.clone()
        shared[mask] = shared[mask] | shared[other]
        with pytest.raises(
            InputError, match=f"'{mask}' must share no node with '{other}' .got {int(full[other].sum())}"
        ):
            split(shared)
    for bad, message in (
        (torch.zeros(390, dtype=torch.bool), "'val_mask' must mark at least one node"),
        (torch.ones(390, 10, dtype=torch.bool), r"'val_mask' must hold one bool per node \(got shape \(390, 10\)"),
        (torch.ones(390), "'val_mask' must hold one bool per node .*torch.float32"),
    ):
        broken = full.clone()
        broken.val_mask = bad
        with pytest.raises(InputError, match=message):
            split(broken)


def test_names_that_do_not_apply_are_refused() -> None:
    with pytest.raises(InputError, match="'split' must be .* for a graph without masks .got 'public'"):
        split(graph(), "public")
    with pytest.raises(InputError, match="did you mean 'random'"):
        split(graph(), "randon")
    with pytest.raises(InputError, match="'split' must be .* for a graph not of OGB"):
        split(split(graph(), "random")[0], "ogb")
