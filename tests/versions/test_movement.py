"""Movement between versions against slow references, its invariances, its calibration, and rows that moved."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import false_discovery_control, ortho_group
from torch import Tensor

from relgraph.errors import InputError
from relgraph.versions.movement import (
    PENALTY,
    ROUNDS,
    SHRINKAGE,
    TUNING,
    Movement,
    common_frame,
    left_out,
    leveled,
    movement,
    near_mean,
    others_spread,
    whitening,
)
from tests.versions.made import ROWS, runs


def test_a_row_is_predicted_by_a_map_that_was_fitted_without_it() -> None:
    (run, frame), _ = runs(2, rows=50)
    found = left_out(run, frame)
    weights = torch.ones(50, dtype=torch.float64)
    for _ in range(ROUNDS):
        expected = torch.stack([_predict_without(run, frame, weights, row) - frame[row] for row in range(50)])
        squares = expected.square().sum(dim=1)
        used, weights = weights, 1 / (1 + squares / (TUNING * squares.median()))
    assert bool((used < 0.9).any())
    torch.testing.assert_close(found, expected)


def _predict_without(run: Tensor, frame: Tensor, weights: Tensor, row: int) -> Tensor:
    """Weighted ridge regression with an intercept on all other rows, at the penalty of all rows."""
    penalty = PENALTY * float((weights.unsqueeze(1) * run.square()).sum()) / run.size(1)
    kept = torch.arange(len(run)) != row
    x = torch.cat([run, torch.ones(len(run), 1, dtype=run.dtype)], dim=1)
    ridge = penalty * torch.eye(x.size(1), dtype=run.dtype)
    ridge[-1, -1] = 0
    weighted = weights[kept].unsqueeze(1) * x[kept]
    return x[row] @ torch.linalg.solve(weighted.mT @ x[kept] + ridge, weighted.mT @ frame[kept])


def test_the_whitening_is_the_inverse_root_of_a_shrunken_robust_covariance() -> None:
    residuals = torch.randn(3, 60, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    around, weights = residuals - residuals.mean(0), np.ones(60)
    for _ in range(ROUNDS):
        covariance = sum(weights[i] * np.outer(r[i], r[i]) for r in around.numpy() for i in range(60)) / weights.sum()
        covariance += SHRINKAGE * np.trace(covariance) / 4 * np.eye(4)
        inverse = np.linalg.inv(covariance)
        squares = np.array([sum(r[i] @ inverse @ r[i] for r in around.numpy()) for i in range(60)])
        weights = 1 / (1 + squares / (TUNING * np.sort(squares)[(60 - 1) // 2]))
    root = whitening(residuals).numpy()
    np.testing.assert_allclose(root @ root.T, inverse)


def test_p_values_count_null_distances() -> None:
    rng = np.random.default_rng(0)
    found = Movement(rng.random(20).round(1), rng.random((3, 20)).round(1), 1.0, np.ones(3))
    slow = np.array([(1 + sum(other >= one for other in found.null.flat)) / 61 for one in found.distances])
    ranked = slow > 21 / 61
    assert 5 < ranked.sum() < 20
    np.testing.assert_allclose(found.p_values()[ranked], slow[ranked])


def test_p_values_fall_with_distance_and_below_one_over_the_size_of_the_null() -> None:
    found = movement(*runs(rows=1000))
    p = Movement(np.linspace(0, 30, 1000), found.null, 1.0, np.ones(3)).p_values()
    assert bool((np.diff(p) <= 0).all()) and 0 < p[-1] < 1 / found.null.size / 100
    start = np.quantile(found.null, 0.98)
    around = Movement(start + np.linspace(-1e-3, 1e-3, 1000), found.null, 1.0, np.ones(3)).p_values()
    assert around[0] == pytest.approx(around[-1], rel=0.05)


def test_a_single_row_that_moved_is_found_and_seldom_another() -> None:
    others = []
    for seed in range(20):
        found = movement(*runs(moved=1, seed=seed, rows=400))
        q = false_discovery_control(found.p_values())
        assert q[0] < 0.05
        others.append(int((q[1:] <= 0.05).sum()))
    assert np.mean(others) < 0.3


@pytest.mark.parametrize("size", [1e4, 1e8, 1e30])
def test_a_damaged_row_is_found_and_hides_no_other(size: float) -> None:
    """Unbounded, a row of 1e8 alone would determine the frame, in which the others are rounding errors."""
    old, new = runs(moved=5, seed=0, rows=400)
    new[0][7] = size * torch.randn(new[0].size(1), generator=torch.Generator().manual_seed(1))
    q = false_discovery_control(movement(old, new).p_values())
    assert q[7] == q.min()
    assert (q[:5] < 0.05).all() and (q[8:] > 0.05).mean() > 0.99


@pytest.mark.parametrize(
    ("many", "damage"), [*((many, damage) for many in (2, 3) for damage in ("tripled", "zero", "long")), (3, "swapped")]
)
def test_a_damaged_row_of_an_old_run_hides_no_other(many: int, damage: str) -> None:
    """One null distance far beyond all others determined the fitted tail, and no row was found."""
    old, new = runs(many, moved=12, seed=1, rows=600)
    before = false_discovery_control(movement(old, new).p_values()) <= 0.05
    assert before[:12].all()
    run = old[1].clone()
    run[[100, 101]] = {
        "tripled": torch.stack([3 * run[100], run[101]]),
        "zero": torch.stack([0 * run[100] - 2, run[101]]),
        "swapped": run[[101, 100]],
        "long": torch.stack([1e4 * run[100], run[101]]),
    }[damage]
    found = movement([old[0], run, *old[2:]], new)
    q = false_discovery_control(found.p_values())
    assert found.untested[100] and not found.untested[:12].any() and found.untested.sum() <= 2
    assert found.p_values()[100] == 1.0
    assert (q[:12] <= 0.05).all() and (q[12:] <= 0.05).sum() <= before[12:].sum() + 3


def test_seed_noise_that_differs_between_rows_is_no_movement() -> None:
    """Quiet rows move by errors of the map alone, by other factors in each run than the others."""
    moved = []
    for seed in range(24):
        rng = np.random.default_rng(1000 + seed)
        space, noise = rng.normal(size=(1000, 4)), np.where(np.arange(1000) < 600, 0.003, 0.1)[:, None]
        noisy = [space + noise * rng.normal(size=(1000, 4)) for _ in range(4)]
        made = [torch.from_numpy(run @ rng.normal(size=(4, 6))) for run in noisy]
        moved.append(int((false_discovery_control(movement(made[:3], made[3:]).p_values()) <= 0.05).sum()))
    assert np.count_nonzero(moved) <= 1 and max(moved) <= 5


def test_leveling_removes_factors_of_a_run_that_depend_on_the_spread() -> None:
    generator = torch.Generator().manual_seed(0)
    spreads = torch.rand(3, 400, generator=generator, dtype=torch.float64).exp().sort(dim=1).values
    null, moved = spreads.square(), spreads.log().mean(dim=0).exp().square()
    same_null, same = leveled(null, moved, spreads)
    torch.testing.assert_close(same_null, null, rtol=0.1, atol=0)
    torch.testing.assert_close(same, moved, rtol=0.1, atol=0)
    factor = spreads.log().mean(dim=0).mul(3).exp()
    torch.testing.assert_close(leveled(null, factor * moved, spreads)[1], moved, rtol=0.3, atol=0)
    few = leveled(null[:, :79], moved[:79], spreads[:, :79])[1]  # too few for strata: one factor for all rows
    torch.testing.assert_close(few / few.median(), moved[:79] / moved[:79].median())


def test_rows_that_no_run_moves_give_finite_values() -> None:
    old, new = runs(rows=300)
    for run in [*old[1:], *new]:
        run[:150] = old[0][:150]
    found = movement(old, new)
    assert np.isfinite(found.distances).all() and np.isfinite(found.p_values()).all()


def test_the_spread_of_a_run_leaves_that_run_out() -> None:
    old, new = runs()
    frame, residuals = common_frame([*old, *new])
    before = near_mean(others_spread(residuals[:3]), frame)
    residuals[1] += 10 * torch.rand_like(residuals[1])
    after = near_mean(others_spread(residuals[:3]), frame)
    torch.testing.assert_close(before[1], after[1], rtol=0, atol=0)
    assert not before[0].allclose(after[0])


@settings(max_examples=10, deadline=None)
@given(which=st.integers(0, 3), seed=st.integers(0, 1000), scale=st.floats(0.01, 100), shift=st.floats(-10, 10))
def test_rotating_shifting_and_scaling_a_table_changes_nothing(
    which: int, seed: int, scale: float, shift: float
) -> None:
    old, new = runs(moved=5)
    turn = torch.from_numpy(ortho_group.rvs(6, random_state=seed))
    tables = [*old, *new]
    tables[which] = scale * tables[which] @ turn + shift
    before, after = movement(old, new), movement(tables[:3], tables[3:])
    np.testing.assert_allclose(after.distances, before.distances, rtol=1e-6)
    np.testing.assert_allclose(after.p_values(), before.p_values(), atol=2 / (3 * ROWS))
    assert after.overall == pytest.approx(before.overall)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000))
def test_permuting_rows_permutes_p_values(seed: int) -> None:
    old, new = runs(moved=5)
    order = torch.randperm(ROWS, generator=torch.Generator().manual_seed(seed))
    before, after = movement(old, new), movement([run[order] for run in old], [run[order] for run in new])
    np.testing.assert_allclose(after.distances, before.distances[order], rtol=1e-6)
    np.testing.assert_allclose(after.p_values(), before.p_values()[order], atol=2 / (3 * ROWS))


def test_the_order_of_old_runs_does_not_matter() -> None:
    old, new = runs(moved=5)
    before, after = movement(old, new), movement(old[::-1], new)
    np.testing.assert_allclose(after.distances, before.distances, rtol=1e-8)
    np.testing.assert_allclose(after.null[::-1], before.null, rtol=1e-8)


@pytest.mark.parametrize(("many", "more"), [(2, 1), (3, 1), (3, 2)])
def test_without_a_change_p_values_are_uniform(many: int, more: int) -> None:
    values = np.concatenate([movement(*runs(many, more, seed=seed)).p_values() for seed in range(20)])
    for level in (0.05, 0.2, 0.5):
        assert (values < level).mean() == pytest.approx(level, abs=0.02)


def test_rows_that_moved_are_found_and_bend_no_map() -> None:
    for seed in range(3):
        found = movement(*runs(moved=24, seed=seed))
        assert found.p_values()[:24].max() < found.p_values()[24:].min() + 0.01
        assert (found.p_values()[24:] < 0.05).mean() < 0.09


def test_a_noisier_run_is_measured_by_its_own_median() -> None:
    old, new = runs(moved=12)
    louder = [run + 0.5 * torch.randn(run.shape, generator=torch.Generator().manual_seed(1)) for run in new]
    found = movement(old, louder)
    assert found.overall > 1.5 and found.overall > 1.3 * found.seeds.max()
    assert (found.p_values()[12:] < 0.05).mean() < 0.12


def test_widths_may_differ() -> None:
    old, _ = runs()
    _, new = runs(moved=5, width=9)
    assert movement(old, new).p_values()[:5].max() < 0.02
    with_copy = [old[0], torch.cat([old[1], old[1][:, :2]], dim=1), old[2]]
    assert movement(with_copy, new).p_values()[:5].max() < 0.02


@pytest.mark.parametrize("copy", ["same", "turned", "stretched", "wider"])
def test_two_old_runs_must_not_be_the_same_space(copy: str) -> None:
    generator = torch.Generator().manual_seed(0)
    run = torch.randn(ROWS, 4, generator=generator, dtype=torch.float64)
    turns = {
        "same": torch.eye(4),
        "turned": torch.linalg.qr(run[:4])[0],
        "stretched": torch.diag(torch.tensor([1.0, 2.0, 10.0, 100.0])),
        "wider": run[:4].repeat(1, 2),
    }
    turn = turns[copy].to(torch.float64)
    with pytest.raises(InputError, match="'null' must hold other seeds"):
        movement([run, run @ turn], [run + 1])
    old, new = runs(moved=5)
    for both in ([*old, old[0]], [old[1], *old]):  # the spread of the others must not hide it
        with pytest.raises(InputError, match="'null' must hold other seeds than 'old', each once"):
            movement(both, new)


def test_numbers_whose_squares_are_not_finite_are_refused() -> None:
    old, new = runs()
    with pytest.raises(InputError, match="'old' must hold numbers below 1e.100 .got "):
        movement([old[0] * 1e200, *old[1:]], new)


def test_a_constant_table_is_refused() -> None:
    old, _ = runs()
    constant = torch.full((ROWS, 6), 0.1, dtype=torch.float64)
    with pytest.raises(InputError, match="'new' must have different rows .got one vector in every row.; "):
        movement(old, [constant])
    with pytest.raises(InputError, match="'old' must have different rows"):
        movement([*old, constant], old)
