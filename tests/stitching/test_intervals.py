"""Figures, and intervals that resample runs, against an explicit resampling."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from relgraph.stitching import intervals, scores

KINDS = ["gcn"] * 5 + ["sage"] * 6


@pytest.fixture
def few_draws(monkeypatch: pytest.MonkeyPatch) -> int:
    """As many as a slow loop can follow."""
    monkeypatch.setattr(intervals, "DRAWS", 150)
    return 150


def drawn_runs(kinds: list[str]) -> list[list[int]]:
    """The same draws as lists of runs, a run as often as it was drawn."""
    weights = intervals._weights(tuple(kinds), intervals.DRAWS)
    return [[run for run, times in enumerate(row) for _ in range(int(times))] for row in weights]


def percentiles(means: list[float]) -> list[float]:
    return [float(bound) for bound in np.quantile(means, [0.025, 0.975])]


def slow_pair_interval(matrix: np.ndarray, pairs: np.ndarray, kinds: list[str]) -> list[float]:
    means = []
    for runs in drawn_runs(kinds):
        values = [
            matrix[i, j]
            for i, j in itertools.product(runs, runs)
            if i != j and pairs[i, j] and not np.isnan(matrix[i, j])
        ]
        if values:
            means.append(sum(values) / len(values))
    return percentiles(means)


def matrix_of(runs: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((runs, runs))


@pytest.mark.parametrize("which", [scores.cross_seed, scores.cross_encoder])
@pytest.mark.parametrize("holes", [False, True])
def test_the_interval_of_pairs_is_that_of_resampled_runs(few_draws: int, which, holes: bool) -> None:
    matrix = matrix_of(11)
    if holes:
        matrix[np.random.default_rng(1).random((11, 11)) < 0.3] = np.nan
    pairs = which(KINDS)
    figure = intervals.pair_figure(matrix, pairs, KINDS)
    assert figure is not None
    assert figure["interval"] == pytest.approx(slow_pair_interval(matrix, pairs, KINDS))


def test_the_interval_of_runs_is_that_of_resampled_runs(few_draws: int) -> None:
    values = np.random.default_rng(2).random(11)
    figure = intervals.run_figure(values, KINDS)
    assert figure is not None
    means = [sum(values[run] for run in runs) / len(runs) for runs in drawn_runs(KINDS)]
    assert figure["interval"] == pytest.approx(percentiles(means))


def test_draws_in_which_a_single_run_stands_alone_say_nothing(few_draws: int) -> None:
    """Only two runs have defined pairs, so most draws hold none of them."""
    matrix = np.full((5, 5), np.nan)
    matrix[0, 1], matrix[1, 0] = 0.25, 0.75
    kinds = ["gcn"] * 5
    figure = intervals.pair_figure(matrix, scores.cross_seed(kinds), kinds)
    assert figure is not None and (figure["n"], figure["mean"], figure["interval"]) == (2, 0.5, [0.5, 0.5])


def test_every_draw_takes_as_many_runs_of_each_kind_as_there_are() -> None:
    weights = intervals._weights(tuple(KINDS), intervals.DRAWS)
    assert weights.shape == (intervals.DRAWS, 11)
    assert (weights >= 0).all() and (weights == weights.round()).all()
    assert (weights[:, :5].sum(1) == 5).all() and (weights[:, 5:].sum(1) == 6).all()
    np.testing.assert_allclose(weights.mean(0), 1, atol=0.1)  # every run as often as any other
    np.testing.assert_allclose(weights[:, 0].var(), 1 - 1 / 5, atol=0.1)  # binomial: drawn with replacement


def test_the_same_figure_twice() -> None:
    matrix = matrix_of(11)
    one, two = (intervals.pair_figure(matrix, scores.cross_seed(KINDS), KINDS) for _ in range(2))
    assert one == two


@pytest.mark.parametrize("kinds", [["gcn"] * 4, ["gcn"] * 5 + ["sage"] * 4])
def test_there_is_no_interval_under_five_runs_of_a_kind(kinds: list[str]) -> None:
    runs = len(kinds)
    pairs = intervals.pair_figure(matrix_of(runs), scores.cross_seed(kinds), kinds)
    own = intervals.run_figure(matrix_of(runs)[0], kinds)
    assert pairs is not None and own is not None
    assert pairs["interval"] is None and own["interval"] is None


def test_figures_by_hand() -> None:
    assert intervals.run_figure(np.array([0.5, 0.7, 0.9]), ["gcn"] * 3) == pytest.approx(
        {"mean": 0.7, "std": 0.2, "n": 3, "min": 0.5, "interval": None, "n_is": "runs"}
    )
    matrix = np.array([[9.0, 0.2], [0.6, 9.0]])  # the diagonal is no pair
    assert intervals.pair_figure(matrix, scores.cross_seed(["gcn"] * 2), ["gcn"] * 2) == pytest.approx(
        {"mean": 0.4, "std": np.sqrt(0.08), "n": 2, "min": 0.2, "interval": None, "n_is": "pairs"}
    )


def test_nothing_defined_is_no_figure() -> None:
    kinds = ["gcn"] * 5
    assert intervals.run_figure(np.full(5, np.nan), kinds) is None
    assert intervals.pair_figure(np.full((5, 5), np.nan), scores.cross_seed(kinds), kinds) is None
    assert intervals.pair_figure(matrix_of(5), scores.cross_encoder(kinds), kinds) is None


def test_a_figure_of_one_value_has_no_spread() -> None:
    figure = intervals.run_figure(np.array([0.5, np.nan]), ["gcn"] * 2)
    assert figure is not None and (figure["mean"], figure["std"], figure["n"]) == (0.5, 0.0, 1)


def test_runs_that_are_not_defined_are_left_out_of_every_draw(few_draws: int) -> None:
    values = np.array([0.2, np.nan, np.nan, np.nan, 0.8])
    kinds = ["gcn"] * 5
    figure = intervals.run_figure(values, kinds)
    means = []
    for runs in drawn_runs(kinds):
        defined = [values[run] for run in runs if not np.isnan(values[run])]
        if defined:
            means.append(sum(defined) / len(defined))
    assert figure is not None and figure["interval"] == pytest.approx(percentiles(means))


def test_equal_values_leave_no_doubt_and_the_interval_holds_the_mean() -> None:
    kinds = ["gcn"] * 6
    same = intervals.pair_figure(np.full((6, 6), 0.3), scores.cross_seed(kinds), kinds)
    assert same is not None and same["interval"] == pytest.approx([0.3, 0.3])
    figure = intervals.pair_figure(matrix_of(6), scores.cross_seed(kinds), kinds)
    assert figure is not None
    low, high = figure["interval"]
    assert low < figure["mean"] < high


def test_runs_not_pairs_are_what_is_uncertain() -> None:
    """A matrix that is all effect of its runs: an interval over pairs would be far too short."""
    effect = np.random.default_rng(3).normal(size=10)
    kinds = ["gcn"] * 10
    figure = intervals.pair_figure(effect[:, None] + effect[None, :], scores.cross_seed(kinds), kinds)
    assert figure is not None
    low, high = figure["interval"]
    over_pairs = 2 * 1.96 * figure["std"] / np.sqrt(90)
    over_runs = 2 * 1.96 * 2 * effect.std() / np.sqrt(10)
    assert high - low > 1.5 * over_pairs
    assert high - low == pytest.approx(over_runs, rel=0.25)
