"""The mean of published heads, compared with averages of probabilities written out."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from relgraph.anchors import GraphChangedWarning, PublishedHead, mean_head
from relgraph.errors import InputError
from relgraph.task import Mode


def head(seed: int, *, count: int = 6, width: int = 3, first: int = 0, mode: Mode = "multiclass", **about: str):
    draw = torch.Generator().manual_seed(seed)
    ids = first + torch.randperm(count, generator=draw)
    outputs = 3 * torch.randn(count, width, generator=draw, dtype=torch.float64)
    return PublishedHead(ids, outputs, torch.randn(width, generator=draw, dtype=torch.float64), mode, **about)


def by_id(one: PublishedHead) -> torch.Tensor:
    return one.outputs[one.ids.argsort()]


quick = settings(max_examples=30, deadline=None)
several = st.lists(st.integers(0, 10**6), min_size=1, max_size=5)


def test_the_class_has_it_under_the_name_of_the_tensor() -> None:
    heads = [head(0), head(1)]
    assert torch.equal(PublishedHead.mean(heads).outputs, mean_head(heads).outputs)
    assert isinstance(heads[0].mean, torch.Tensor)
    with pytest.raises(AttributeError, match="mean"):
        _ = object.__new__(PublishedHead).mean


@quick
@given(st.integers(0, 10**6))
def test_of_one_head_it_is_the_head(seed: int) -> None:
    one = head(seed, fingerprint="00ff", anchor_set="a", version="v1", time="2026-03-01")
    same = PublishedHead.mean([one])
    for name in ("ids", "outputs", "mean"):
        assert torch.equal(getattr(same, name), getattr(one, name))
    assert repr(same) == repr(one) and same.time == one.time


@quick
@given(several, st.integers(0, 10**6))
def test_the_order_of_the_heads_does_not_matter(seeds: list[int], seed: int) -> None:
    heads = [head(one) for one in seeds]
    order = torch.randperm(len(heads), generator=torch.Generator().manual_seed(seed))
    shuffled = [heads[i] for i in order]
    one, other = mean_head(heads), mean_head(shuffled)
    torch.testing.assert_close(by_id(one), by_id(other))
    torch.testing.assert_close(one.mean, other.mean)
    assert torch.equal(one.ids, heads[0].ids)


@quick
@given(several)
def test_of_classes_it_is_the_mean_of_log_probabilities(seeds: list[int]) -> None:
    heads = [head(seed) for seed in seeds]
    logs = torch.stack([by_id(one).log_softmax(dim=1) for one in heads])
    torch.testing.assert_close(by_id(mean_head(heads)).softmax(dim=1), logs.mean(dim=0).softmax(dim=1))


@quick
@given(several)
def test_of_labels_it_is_the_mean_of_log_odds(seeds: list[int]) -> None:
    heads = [head(seed, mode="multilabel") for seed in seeds]
    odds = torch.stack([(p := by_id(one).sigmoid()).log() - (1 - p).log() for one in heads])
    torch.testing.assert_close(by_id(mean_head(heads)), odds.mean(dim=0))


@quick
@given(several, st.integers(0, 10**6))
def test_constants_added_to_the_logits_of_an_anchor_change_no_probability(seeds: list[int], seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    heads = [head(seed) for seed in seeds]
    moved = []
    for one in heads:
        shift = 5 * torch.randn(len(one), 1, generator=draw, dtype=torch.float64)
        moved.append(PublishedHead(one.ids, one.outputs + shift, one.mean + shift.mean()))
    one, other = mean_head(heads), mean_head(moved)
    torch.testing.assert_close(one.outputs.softmax(dim=1), other.outputs.softmax(dim=1))
    torch.testing.assert_close(one.mean.softmax(dim=0), other.mean.softmax(dim=0))


def test_only_common_anchors_are_kept() -> None:
    heads = [head(0), head(1, first=2)]
    found = mean_head(heads)
    assert found.ids.tolist() == [id for id in heads[0].ids.tolist() if id >= 2]
    expected = torch.stack([one.take(found.ids).outputs for one in heads]).mean(dim=0)
    torch.testing.assert_close(found.outputs, expected)


def test_what_differs_is_left_empty() -> None:
    a = head(0, anchor_set="a", version="v1", time="2026-03-01", fingerprint="00ff", mean_from="center")
    b = head(1, anchor_set="b", version="v2", time="2026-03-01", fingerprint="00ff", mean_from="run-embeddings")
    found = mean_head([a, b])
    assert (found.anchor_set, found.version, found.time) == ("", "", "2026-03-01")
    assert (found.fingerprint, found.mean_from) == ("00ff", "run-embeddings")


def test_other_graphs_are_a_warning() -> None:
    with pytest.warns(GraphChangedWarning):
        found = mean_head([head(0, fingerprint="00ff"), head(1, fingerprint="00aa")])
    assert found.fingerprint == ""


@pytest.mark.parametrize(
    ("heads", "message"),
    [
        ([], r"at least one PublishedHead and nothing else (got none)"),
        ([head(0), torch.zeros(3)], r"(got a Tensor)"),
        ([head(0), head(1, mode="multilabel")], r"same mode (got multiclass and multilabel)"),
        ([head(0), head(1, width=4)], r"same number of outputs (got 3 and 4)"),
        ([head(0), head(1, first=6)], r"share at least 3 anchors by id if their anchors differ (got 0 of 6 to 6)"),
        ([head(0), head(1, first=4)], r"(got 2 of 6 to 6)"),
    ],
)
def test_heads_that_do_not_fit(heads: list, message: str) -> None:
    with pytest.raises(InputError) as caught:
        mean_head(heads)
    assert message in str(caught.value)
