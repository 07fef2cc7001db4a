import numpy as np
import pytest
from scipy import stats

from relgraph.studies import MeanFigure, PredictionRuns, compare, seeds_needed
from relgraph.studies.accuracy import accuracies, accuracy_section


def test_figures_are_those_of_the_textbook():
    values = np.random.default_rng(0).normal(0.8, 0.01, 12)
    found = MeanFigure.of(values)
    low, high = stats.t.interval(0.95, 11, loc=values.mean(), scale=stats.sem(values))
    assert found.interval == pytest.approx((low, high))
    assert (found.std, found.n) == (pytest.approx(values.std(ddof=1)), 12)
    assert found.bootstrap is not None and found.bootstrap[0] < found.mean < found.bootstrap[1]
    assert MeanFigure.of(values[:3]).bootstrap is None


@pytest.mark.parametrize("paired", [True, False])
def test_differences_are_those_of_scipy(paired):
    rng = np.random.default_rng(1)
    a, b = rng.normal(0.82, 0.01, 8), rng.normal(0.81, 0.02, 8)
    found = compare(a, b, paired=paired)
    test = stats.ttest_rel(a, b) if paired else stats.ttest_ind(a, b, equal_var=False)
    interval = test.confidence_interval()
    assert found.p == pytest.approx(test.pvalue)
    assert found.interval == pytest.approx((interval.low, interval.high))
    statistic = stats.mannwhitneyu(a, b).statistic
    assert found.run_wins == pytest.approx(statistic / 64)


def test_ties_count_one_half_and_signs_turn_with_the_models():
    a, b = np.array([0.5, 0.5, 0.6, 0.6, 0.7]), np.array([0.5, 0.6, 0.6, 0.5, 0.6])
    one, two = compare(a, b), compare(b, a)
    assert one.run_wins + two.run_wins == pytest.approx(1)
    assert one.mean_wins + two.mean_wins == pytest.approx(1, abs=0.05)  # the draws differ
    assert one.difference == pytest.approx(-two.difference)
    same = compare(a, a, paired=True)
    assert (same.run_wins, same.mean_wins, same.seeds_needed, same.p) == (0.5, 0.5, None, None)
    shuffled = np.array([0.1, 0.7, 0.3, 0.2])
    assert compare(shuffled, np.sort(shuffled)).seeds_needed is None  # the sums may round differently


def test_models_that_never_vary_need_two_seeds():
    found = compare(np.full(6, 0.9), np.full(6, 0.8))
    assert (found.seeds_needed, found.run_wins, found.mean_wins) == (2, 1.0, 1.0)
    assert found.interval == pytest.approx((0.1, 0.1))


@pytest.mark.parametrize(("difference", "std"), [(0.01, 0.02), (0.004, 0.015), (0.02, 0.02)])
def test_seeds_needed_give_the_power_in_a_simulation(difference, std):
    count = seeds_needed(difference, std)
    drawn = np.random.default_rng(2).normal(difference, std, (20_000, count))
    found = (stats.ttest_1samp(drawn, 0, axis=1).pvalue < 0.05).mean()
    assert 0.79 < found < 0.85


def test_seeds_needed_of_two_unpaired_models_give_the_power_in_a_simulation():
    rng = np.random.default_rng(3)
    a, b = rng.normal(0.82, 0.01, 400), rng.normal(0.81, 0.015, 400)
    count = compare(a, b).seeds_needed
    first, second = rng.normal(a.mean(), a.std(), (9_000, count)), rng.normal(b.mean(), b.std(), (9_000, count))
    found = (stats.ttest_ind(first, second, axis=1, equal_var=False).pvalue < 0.05).mean()
    assert 0.78 < found < 0.84


def test_the_bootstrap_agrees_with_the_probability_that_the_mean_is_higher():
    rng = np.random.default_rng(4)
    a, b = rng.normal(0.8, 0.02, 40), rng.normal(0.797, 0.02, 40)
    found = compare(a, b)
    error = np.sqrt(a.var() / 40 + b.var() / 40)
    assert found.mean_wins == pytest.approx(stats.norm.cdf(found.difference / error), abs=0.03)


def test_runs_of_the_same_names_are_paired_unless_told():
    rng = np.random.default_rng(5)
    runs = PredictionRuns.of({"a": rng.integers(0, 2, (3, 20)), "b": rng.integers(0, 2, (3, 20))}, y=np.zeros(20))
    assert accuracy_section(runs)["comparisons"][0]["paired"]
    assert not accuracy_section(runs, paired=False)["comparisons"][0]["paired"]
    renamed = PredictionRuns.of(
        {"a": runs.classes[:3], "b": runs.classes[3:]}, y=np.zeros(20), seeds={"a": [0, 1, 2], "b": [7, 8, 9]}
    )
    assert not accuracy_section(renamed)["comparisons"][0]["paired"]


def test_unknown_labels_do_not_count():
    runs = PredictionRuns.of([[0, 1, 1], [1, 1, 1]], y=[0, 1, -1])
    assert accuracies(runs).tolist() == [1.0, 0.5]
    assert accuracy_section(runs)["rows"] == 2
