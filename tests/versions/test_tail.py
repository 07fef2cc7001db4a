"""Rows far beyond all others, and the fitted tail."""

from __future__ import annotations

import numpy as np
import pytest

from relgraph.versions.tail import far_rows, pareto_tail, tail_start


def test_the_tail_of_a_pareto_distribution_is_recovered() -> None:
    from scipy.stats import genpareto

    true = genpareto(0.3, scale=2.0)
    drawn, values = true.rvs(20_000, random_state=0), np.array([-1.0, 0.0, 1.0, 20.0, 60.0])
    np.testing.assert_allclose(pareto_tail(drawn, values), true.sf(values), rtol=0.2)
    assert pareto_tail(drawn, values)[:2].tolist() == [1.0, 1.0]


def test_the_tail_holds_two_percent_and_at_least_twenty() -> None:
    values = np.arange(3000.0)
    start, excesses = tail_start(values[::-1].reshape(3, -1))
    assert start == 2939 and excesses.tolist() == list(range(1, 61))
    assert len(tail_start(values[:100])[1]) == 20 and len(tail_start(values[:20])[1]) == 0


@pytest.mark.parametrize("shape", ["chi", "exponential", "t4"])
def test_rows_of_usual_tails_are_not_far(shape: str) -> None:
    rng, found = np.random.default_rng(0), []
    for _ in range(50):
        size = (3, 1000)
        drawn = {
            "chi": rng.chisquare(4, size) ** 0.5,
            "exponential": rng.exponential(size=size),
            "t4": np.abs(rng.standard_t(4, size)),
        }
        found.append(far_rows(drawn[shape]).sum())
    assert np.mean(found) < 0.1


@pytest.mark.parametrize("count", [1, 10])
@pytest.mark.parametrize("distance", [12.0, 1e5])
def test_damaged_rows_of_one_run_are_far(count: int, distance: float) -> None:
    rng = np.random.default_rng(0)
    null = rng.chisquare(4, (3, 1200)) ** 0.5
    null[1, :count] = distance * rng.uniform(1, 2, count)
    assert np.flatnonzero(far_rows(null)).tolist() == list(range(count))


def test_equal_or_few_distances_have_no_far_rows() -> None:
    null = np.ones((3, 1000))
    null[0, :2] = 2.0
    assert not far_rows(null).any() and not far_rows(null[:, :5]).any()
