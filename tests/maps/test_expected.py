"""Expected fidelity, compared with fits that a loop makes and with the fidelity on further rows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import binomtest

from relgraph.anchors import AnchorSet, PublishedHead, publish
from relgraph.maps import MatchedAnchors, convert, expected_fidelity
from relgraph.maps.divergence import KL
from relgraph.maps.ridge import RIDGE
from relgraph.task import Mode, Task
from tests.spaces import head, normal, space

ROWS = 2000


def pair(count: int, seed: int = 0, mode: Mode = "multiclass") -> tuple[torch.Tensor, torch.Tensor, AnchorSet]:
    """Source rows, the head's outputs on the rows of its own space, and the source's anchors."""
    z = normal(ROWS, 8, seed=seed)
    target = z @ normal(8, 8, seed=seed + 1) + normal(ROWS, 8, seed=seed + 2)
    return z, head(8, 4, seed=seed)(target).detach(), space(z, count)


def published(outputs: torch.Tensor, count: int, mode: Mode = "multiclass") -> PublishedHead:
    return PublishedHead(torch.arange(count), outputs[:count], outputs.mean(0), mode)


def test_it_is_the_share_of_left_out_anchors_with_the_same_class_and_its_wilson_interval() -> None:
    _, outputs, anchors = pair(30)
    there = published(outputs, 30)
    matched = MatchedAnchors.match(anchors, there)
    fold = torch.randperm(30, generator=torch.Generator().manual_seed(0)) % 10
    same = 0
    for left in range(30):
        rest = (fold != fold[left]).nonzero().view(-1)
        kept = PublishedHead(there.ids[rest], there.outputs[rest], there.mean)
        fitted = convert(AnchorSet(anchors.ids[rest], anchors.embeddings[rest], anchors.center), kept, "ridge")
        same += int(fitted(anchors.embeddings[left : left + 1]).argmax() == there.outputs[left].argmax())
    found = expected_fidelity(matched, RIDGE)
    assert found is not None and 0 < same < 30 and found.value == pytest.approx(same / 30)
    interval = binomtest(same, 30).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), abs=1e-6)


@pytest.mark.parametrize("mode", ["multiclass", "multilabel", "regression"])
def test_the_interval_contains_the_fidelity_on_further_rows(mode: Mode) -> None:
    inside = []
    for seed in range(0, 30, 3):
        z, outputs, anchors = pair(100, seed)
        there = published(outputs, 100, mode)
        found = expected_fidelity(MatchedAnchors.match(anchors, there), RIDGE)
        task = Task.of("node", mode)
        fidelity = task.agreement(task.record(convert(anchors, there, "ridge")(z)[100:]), task.record(outputs[100:]))
        assert found is not None and found.low < found.value < found.high < 1
        inside.append(found.low <= fidelity <= found.high)
    assert np.mean(inside) >= 0.8


def test_anchors_count_as_the_share_of_rows_that_they_stand_for() -> None:
    _, outputs, anchors = pair(60)
    there = published(outputs, 60)
    plain = expected_fidelity(MatchedAnchors.match(anchors, there), KL)
    shares = torch.ones(60)
    shares[:10] = 30.0
    weighted = AnchorSet(anchors.ids, anchors.embeddings, anchors.center, weights=shares)
    found = expected_fidelity(MatchedAnchors.match(weighted, there), KL)
    assert plain is not None and found is not None
    assert found.low < plain.low < plain.value < found.value < found.high  # about 11 anchors count, and these fit well


def test_without_a_head_or_a_second_anchor_nothing_is_expected() -> None:
    z, outputs, anchors = pair(2)
    assert expected_fidelity(MatchedAnchors.match(anchors, space(z, 2)), RIDGE) is None
    one = anchors.take(torch.tensor([0]))
    there = published(outputs, 2)
    assert expected_fidelity(MatchedAnchors.match(one, there.take(torch.tensor([0]))), RIDGE) is None
    assert expected_fidelity(MatchedAnchors.match(anchors, there), RIDGE, 0.0) is None
    found = expected_fidelity(MatchedAnchors.match(anchors, there), RIDGE)
    assert found is not None and 0 <= found.low < found.high <= 1


def test_the_same_pieces_give_the_same_figures() -> None:
    z, _, anchors = pair(40)
    matched = MatchedAnchors.match(anchors, publish(head(8, 3), space(z, 40), mode="multilabel"))
    assert expected_fidelity(matched, KL) == expected_fidelity(matched, KL)


@pytest.mark.parametrize("mode", ["multilabel", "regression"])
def test_intervals_of_weighted_anchors_are_those_of_their_effective_number(mode: Mode) -> None:
    _, outputs, anchors = pair(60)
    there = published(outputs, 60, mode)
    weights = torch.cat([torch.full((12,), 0.07), torch.full((48,), 0.16 / 48)])  # as precise as some fifteen
    skewed = AnchorSet(anchors.ids, anchors.embeddings, anchors.center, weights=weights)
    equal, uneven = (expected_fidelity(MatchedAnchors.match(one, there), RIDGE) for one in (anchors, skewed))
    assert equal is not None and uneven is not None
    assert uneven.high - uneven.low > 1.4 * (equal.high - equal.low)
