"""Figures, and intervals that resample runs, against an explicit resampling."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from relgraph.stitching import bootstrap
from relgraph.stitching.bootstrap import pair_figure, run_figure
from relgraph.stitching.metrics import cross_encoder, cross_seed

ENCODERS = ["gcn"] * 5 + ["sage"] * 6
FIVE = ["gcn"] * 5


@pytest.fixture
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as a slow loop can follow."""
    monkeypatch.setattr(bootstrap, "DRAWS", 150)


def drawn_runs(encoders: list[str]) -> list[list[int]]:
    """The same draws as lists of runs, a run as often as it was drawn."""
    weights = bootstrap.run_weights(tuple(encoders), bootstrap.DRAWS)
    return [[run for run, times in enumerate(row) for _ in range(int(times))] for row in weights]


def percentiles(means: list[float]) -> list[float]:
    return [float(bound) for bound in np.quantile(means, [0.025, 0.975])]


def matrix_of(runs: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((runs, runs))


@pytest.mark.parametrize("which", [cross_seed, cross_encoder])
@pytest.mark.parametrize("holes", [False, True])
def test_interval_of_pairs_resamples_runs(few_draws: None, which, holes: bool) -> None:
    matrix, pairs, means = matrix_of(11), which(ENCODERS), []
    if holes:
        matrix[np.random.default_rng(1).random((11, 11)) < 0.3] = np.nan
    for runs in drawn_runs(ENCODERS):
        chosen = [matrix[i, j] for i, j in itertools.product(runs, runs) if i != j and pairs[i, j]]
        defined = [value for value in chosen if not np.isnan(value)]
        if defined:
            means.append(sum(defined) / len(defined))
    assert pair_figure(matrix, pairs, ENCODERS)["interval"] == pytest.approx(percentiles(means))


@pytest.mark.parametrize("holes", [[], [1, 2, 3]])
def test_interval_of_runs_resamples_runs(few_draws: None, holes: list[int]) -> None:
    values, means = np.random.default_rng(2).random(5), []
    values[holes] = np.nan
    for runs in drawn_runs(FIVE):
        defined = [values[run] for run in runs if not np.isnan(values[run])]
        if defined:
            means.append(sum(defined) / len(defined))
    assert run_figure(values, FIVE)["interval"] == pytest.approx(percentiles(means))


def test_draws_without_a_defined_pair_are_left_out(few_draws: None) -> None:
    """Only two runs have defined pairs, so that most draws hold none."""
    matrix = np.full((5, 5), np.nan)
    matrix[0, 1], matrix[1, 0] = 0.25, 0.75
    figure = pair_figure(matrix, cross_seed(FIVE), FIVE)
    assert (figure["n"], figure["mean"], figure["interval"]) == (2, 0.5, [0.5, 0.5])


def test_every_draw_has_as_many_runs_of_each_encoder_as_there_are() -> None:
    weights = bootstrap.run_weights(tuple(ENCODERS), bootstrap.DRAWS)
    assert weights.shape == (bootstrap.DRAWS, 11)
    assert (weights >= 0).all() and (weights == weights.round()).all()
    assert (weights[:, :5].sum(1) == 5).all() and (weights[:, 5:].sum(1) == 6).all()
    np.testing.assert_allclose(weights.mean(0), 1, atol=0.1)  # every run as often as any other
    np.testing.assert_allclose(weights[:, 0].var(), 1 - 1 / 5, atol=0.1)  # binomial: drawn with replacement


@pytest.mark.parametrize("encoders", [["gcn"] * 4, ["gcn"] * 5 + ["sage"] * 4])
def test_no_interval_under_five_runs_of_an_encoder(encoders: list[str]) -> None:
    matrix = matrix_of(len(encoders))
    assert pair_figure(matrix, cross_seed(encoders), encoders)["interval"] is None
    assert run_figure(matrix[0], encoders)["interval"] is None


@pytest.mark.parametrize(("lower_is_worse", "worst"), [(True, 0), (False, -1)])
def test_figures_by_hand(lower_is_worse: bool, worst: int) -> None:
    shared = {"interval": None}
    assert run_figure(np.array([0.5, 0.7, 0.9]), ["gcn"] * 3, lower_is_worse=lower_is_worse) == pytest.approx(
        {"mean": 0.7, "std": 0.2, "n": 3, "worst": [0.5, 0.9][worst], "n_is": "runs", **shared}
    )
    matrix, encoders = np.array([[9.0, 0.2], [0.6, 9.0]]), ["gcn"] * 2  # the diagonal is no pair
    assert pair_figure(matrix, cross_seed(encoders), encoders, lower_is_worse=lower_is_worse) == pytest.approx(
        {"mean": 0.4, "std": np.sqrt(0.08), "n": 2, "worst": [0.2, 0.6][worst], "n_is": "pairs", **shared}
    )


def test_nothing_defined_is_no_figure() -> None:
    assert run_figure(np.full(5, np.nan), FIVE) is None
    assert pair_figure(np.full((5, 5), np.nan), cross_seed(FIVE), FIVE) is None
    assert pair_figure(matrix_of(5), cross_encoder(FIVE), FIVE) is None


def test_a_figure_of_one_value_has_no_spread() -> None:
    figure = run_figure(np.array([0.5, np.nan]), ["gcn"] * 2)
    assert (figure["mean"], figure["std"], figure["n"]) == (0.5, 0.0, 1)


def test_the_interval_contains_the_mean_and_has_no_width_for_equal_values() -> None:
    encoders = ["gcn"] * 6
    same = pair_figure(np.full((6, 6), 0.3), cross_seed(encoders), encoders)
    assert same["interval"] == pytest.approx([0.3, 0.3])
    figure = pair_figure(matrix_of(6), cross_seed(encoders), encoders)
    low, high = figure["interval"]
    assert low < figure["mean"] < high
    assert figure == pair_figure(matrix_of(6), cross_seed(encoders), encoders)


def test_runs_are_the_unit_of_uncertainty() -> None:
    """A matrix that is the sum of effects of its runs: an interval over pairs would be far too short."""
    effect, encoders = np.random.default_rng(3).normal(size=10), ["gcn"] * 10
    figure = pair_figure(effect[:, None] + effect[None, :], cross_seed(encoders), encoders)
    low, high = figure["interval"]
    over_pairs = 2 * 1.96 * figure["std"] / np.sqrt(90)
    over_runs = 2 * 1.96 * 2 * effect.std() / np.sqrt(10)
    assert high - low > 1.5 * over_pairs
    assert high - low == pytest.approx(over_runs, rel=0.25)
