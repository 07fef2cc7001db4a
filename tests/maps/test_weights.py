from __future__ import annotations

import pytest
import torch

from relgraph.anchors import AnchorSet
from relgraph.maps import MatchedAnchors, bounded_weights, cauchy_weights
from tests.spaces import F64, slow_weights, space, two_runs, two_spaces, weighted


def test_weights_follow_norms_relative_to_their_median() -> None:
    rows = torch.tensor([[3.0, 4.0], [0.0, 5.0], [0.0, 50.0], [0.0, 0.0]], dtype=F64)
    torch.testing.assert_close(cauchy_weights(rows[:3]), torch.tensor([1 / 2, 1 / 2, 1 / 101], dtype=F64))
    both = cauchy_weights(rows[:3], 2 * rows[:3].flip(0))
    torch.testing.assert_close(both, torch.tensor([1 / 102, 1 / 3, 1 / 102], dtype=F64))


def test_a_median_that_is_rounding_error_is_replaced_by_the_mean() -> None:
    few = torch.cat([torch.full((60, 1), 1e-16), torch.ones(40, 1)]).double()
    torch.testing.assert_close(cauchy_weights(few)[60:], torch.full((40,), 1 / (1 + (1 / 0.4) ** 2), dtype=F64))
    for dtype in (torch.float16, torch.float32, F64):
        assert torch.equal(cauchy_weights(torch.zeros(3, 2, dtype=dtype)), torch.ones(3, dtype=dtype))


def test_bounded_weights_are_one_up_to_five_medians_and_hold_the_square_there_beyond() -> None:
    rows = torch.tensor([[3.0, 4.0], [0.0, 5.0], [0.0, 24.9], [0.0, 250.0], [0.0, 0.0]], dtype=F64)
    weights = bounded_weights(rows)
    torch.testing.assert_close(weights, torch.tensor([1, 1, 1, 0.01, 1], dtype=F64))
    assert float((weights[3].sqrt() * rows[3]).norm()) == pytest.approx(25)
    torch.testing.assert_close(bounded_weights(rows, 1.0)[2], torch.tensor((5 / 24.9) ** 2, dtype=F64))
    assert torch.equal(bounded_weights(torch.zeros(3, 2)), torch.ones(3))


@pytest.mark.parametrize("equal", [True, False])
def test_weights_of_matched_anchors_depend_on_the_target(equal: bool) -> None:
    _, source, there = two_runs(20)
    source.embeddings[3] += 40  # far away
    source = source if equal else weighted(source)
    for mode in ("multiclass", "multilabel", "regression"):
        published = type(there)(there.ids, there.outputs, there.mean, mode)
        got = MatchedAnchors.match(source, published).weights()
        torch.testing.assert_close(got, slow_weights(source, published))
        assert (float(got.std()) < 1e-12) == (equal and mode == "regression")
    z, y = two_spaces()
    a, b = space(z, 20), space(y, 20)
    a = a if equal else weighted(a)
    torch.testing.assert_close(MatchedAnchors.match(a, b).weights(), slow_weights(a, b))


def test_multiplicities_are_roots_of_the_shares_with_mean_one() -> None:
    _, source, there = two_runs(4)
    shares = torch.tensor([0.01, 0.04, 0.16, 0.36])
    few = AnchorSet(source.ids, source.embeddings, source.center, weights=shares)
    matched = MatchedAnchors.match(few, there)
    expected = torch.tensor([1.0, 2.0, 4.0, 6.0], dtype=F64) / 3.25
    torch.testing.assert_close(matched.multiplicities, expected, rtol=1e-6, atol=0)
    part = matched.take(torch.tensor([3, 0]))
    torch.testing.assert_close(part.multiplicities, torch.tensor([12 / 7, 2 / 7], dtype=F64), rtol=1e-6, atol=0)
    torch.testing.assert_close(MatchedAnchors.match(source, there).multiplicities, torch.ones(4, dtype=F64))


def test_shares_are_matched_by_id_and_only_those_of_the_source_count() -> None:
    _, source, there = two_runs(20)
    source = weighted(source)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(1))
    one, other = MatchedAnchors.match(source, there), MatchedAnchors.match(source.take(source.ids[order]), there)
    torch.testing.assert_close(other.multiplicities, one.multiplicities[order])
    z, y = two_spaces()
    a, b = space(z, 20), space(y, 20)
    expected = MatchedAnchors.match(a, b).weights()
    assert torch.equal(MatchedAnchors.match(a, weighted(b)).weights(), expected)
    assert not torch.allclose(MatchedAnchors.match(weighted(a), b).weights(), expected)
