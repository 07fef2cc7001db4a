from __future__ import annotations

import torch

from relgraph.maps import MatchedAnchors, cauchy_weights
from tests.spaces import F64, space, two_runs, two_spaces


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


def test_weights_of_matched_anchors_depend_on_the_target() -> None:
    _, source, there = two_runs(20)
    ones = torch.ones(20, dtype=F64)
    targets = there.outputs - there.mean
    for mode, expected in (
        ("multiclass", cauchy_weights(targets - targets.mean(1, keepdim=True))),
        ("multilabel", cauchy_weights(targets)),
        ("regression", ones),
    ):
        published = type(there)(there.ids, there.outputs, there.mean, mode)
        torch.testing.assert_close(MatchedAnchors.match(source, published).weights(), expected)
    z, y = two_spaces()
    a, b = space(z, 20), space(y, 20)
    assert torch.equal(MatchedAnchors.match(a, b).weights(), ones)
    robust = cauchy_weights(a.embeddings - a.center, b.embeddings - b.center)
    torch.testing.assert_close(MatchedAnchors.match(a, b, robust=True).weights(), robust)
