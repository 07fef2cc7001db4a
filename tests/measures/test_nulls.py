"""Moments of nulls in closed form, against all permutations of few rows, and against draws."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from relgraph.measures import Measure, Null
from relgraph.measures.nulls import assignment_null, centered_null, doubly_centered, matched_null, pairs_null
from relgraph.registry import MEASURES
from tests.spaces import normal

# Measures whose null is over permutations of all rows, so that it can be counted out.
COUNTED = ("cka", "cka-unbiased", "linear-regression", "distance-correlation", "rsa", "disagreement")


def permutations(count: int) -> list[Tensor]:
    return [torch.tensor(order) for order in itertools.permutations(range(count))]


def skewed(rows: int, seed: int) -> tuple[Tensor, Tensor]:
    x = normal(rows, 3, seed=seed)
    return x, normal(rows, 3, seed=seed + 1) ** 3 + 0.3 * x


def found(name: str, x: Tensor, y: Tensor):
    measure: Measure = MEASURES.resolve(name)
    return measure.function(x, y, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", COUNTED)
@pytest.mark.parametrize("rows", [4, 5])
def test_moments_are_those_of_all_permutations(name: str, rows: int) -> None:
    x, y = skewed(rows, 3)
    values = np.array([found(name, x, y[order]).value for order in permutations(rows)])
    null = found(name, x, y).null
    assert null is not None and null.std is not None
    assert (null.mean, null.std) == pytest.approx((values.mean(), values.std()), rel=1e-7, abs=1e-12)


def test_the_mean_overlap_of_neighbors_is_that_of_all_permutations() -> None:
    x, y = normal(4, 3), normal(4, 3, seed=1)
    values = [found("mutual-knn", x, y[order]).value for order in permutations(4)]
    null = found("mutual-knn", x, y).null
    assert null is not None and null.std is None and null.mean == pytest.approx(np.mean(values), rel=1e-9)


def test_moments_of_the_forms_are_those_of_all_permutations() -> None:
    u, v, costs = normal(5, 3), normal(5, 3, seed=1), normal(5, 5, seed=2)
    a, b = (m + m.mT for m in (normal(5, 5, seed=3), normal(5, 5, seed=4)))
    centered = [doubly_centered(m) for m in (a, b)]
    apart = []
    for matrix in (a, b):
        matrix = matrix - torch.diag(matrix.diag())
        apart.append(matrix - matrix.sum() / 20 * (1 - torch.eye(5)))
    rows, orders = torch.arange(5), permutations(5)
    cases = [
        (matched_null(u, v), [(u * v[o]).sum(1).mean() for o in orders]),
        (assignment_null(costs), [costs[rows, o].mean() for o in orders]),
        (pairs_null(*apart), [(apart[0] * apart[1][o][:, o]).sum() for o in orders]),
        (
            centered_null(*((float(m.trace()), float((m * m).sum()), float(m.diag() @ m.diag())) for m in centered), 5),
            [(centered[0] * centered[1][o][:, o]).sum() for o in orders],
        ),
    ]
    for null, values in cases:
        counted = torch.stack(values)
        assert null.mean == pytest.approx(float(counted.mean()), rel=1e-9, abs=1e-12)
        assert null.std == pytest.approx(float(counted.std(correction=0)), rel=1e-9)


@pytest.mark.parametrize("name", MEASURES)
def test_draws_have_the_moments_of_the_null(name: str) -> None:
    x, y = skewed(60, 5)
    statistic, generator, count = found(name, x, y), torch.Generator().manual_seed(1), 300
    drawn = np.array([statistic.draw(generator) for _ in range(count)])
    if statistic.null is None:
        assert name in ("procrustes", "procrustes-angular", "svcca", "second-order-cosine", "jensen-shannon")
        return
    assert abs(drawn.mean() - statistic.null.mean) < 4 * drawn.std() / count**0.5
    if statistic.null.std is not None:
        assert drawn.std() == pytest.approx(statistic.null.std, rel=0.25)


@pytest.mark.parametrize("name", ["procrustes", "svcca", "jensen-shannon"])
def test_draws_are_values_after_a_permutation(name: str) -> None:
    x, y = skewed(5, 7)
    possible = np.array([found(name, x, y[order]).value for order in permutations(5)])
    statistic, generator = found(name, x, y), torch.Generator().manual_seed(0)
    drawn = {statistic.draw(generator) for _ in range(20)}
    assert len(drawn) > 5 and all(np.abs(possible - one).min() < 1e-9 for one in drawn)


def test_drawn_neighbors_are_those_of_permuted_rows() -> None:
    x, y = normal(4, 3), normal(4, 3, seed=1)
    for name in ("mutual-knn", "second-order-cosine"):
        possible = np.array([found(name, x, y[order]).value for order in permutations(4)])
        statistic, generator = found(name, x, y), torch.Generator().manual_seed(0)
        drawn = {statistic.draw(generator) for _ in range(20)}
        assert len(drawn) > 1 and all(np.abs(possible - one).min() < 1e-9 for one in drawn)


@pytest.mark.parametrize("name", ["cka", "cka-unbiased", "linear-regression", "distance-correlation", "rsa"])
def test_probabilities_in_closed_form_are_those_of_permutations(name: str) -> None:
    x, y = normal(80, 4) @ torch.diag(torch.tensor([3.0, 1, 1, 0.5]).double()), normal(80, 4, seed=1)
    statistic, generator = found(name, x, y), torch.Generator().manual_seed(1)
    drawn = np.array([statistic.draw(generator) for _ in range(1000)])
    assert statistic.null is not None
    for share in (0.5, 0.1, 0.02):
        at = float(np.quantile(drawn, 1 - share))
        assert share / 2 < statistic.null.p(at, higher=True) < 2 * share


def test_probabilities_of_both_directions() -> None:
    null = Null(0.5, 0.1)
    assert null.p(0.3, higher=False) == pytest.approx(stats.norm.sf(2), rel=1e-9)
    assert null.p(0.3, higher=True) == pytest.approx(1 - stats.norm.sf(2), rel=1e-9)
    assert Null(0.5, 0.1, 1.0).p(0.8, higher=True) == pytest.approx(stats.pearson3.sf(3, 1), rel=1e-9)
    assert Null(0.5, 0.0).p(0.5, higher=True) == 1.0
