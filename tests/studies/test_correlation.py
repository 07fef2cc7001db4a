import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from relgraph.stitching.bootstrap import DRAWS, run_weights
from relgraph.studies.correlation import pair_correlation, weighted_spearman


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 3)), min_size=3, max_size=12))
def test_weights_are_repetitions(pairs):
    x, y, times = (np.array(column) for column in zip(*pairs, strict=True))
    found = weighted_spearman(x.astype(float), y.astype(float), times[None].astype(float))[0]
    repeated = np.repeat(x, times), np.repeat(y, times)
    if min(len(np.unique(one)) for one in repeated) < 2:
        assert np.isnan(found)
    else:
        assert found == pytest.approx(spearmanr(*repeated).statistic, abs=1e-9)


def symmetric(runs, seed):
    drawn = np.random.default_rng(seed).normal(size=(runs, runs))
    return drawn + drawn.T


def test_the_interval_is_the_bootstrap_over_runs():
    a, noise = symmetric(6, 0), symmetric(6, 1)
    b, models = a + noise, ["one"] * 6
    pairs = np.triu(np.ones((6, 6), dtype=bool), 1)
    pairs[0, 1] = False  # a pair that is not in the sample
    found = pair_correlation(a, b, pairs, models)
    assert found["value"] == pytest.approx(spearmanr(a[pairs], b[pairs]).statistic) and found["n"] == 14
    drawn = []
    for weights in run_weights(tuple(models), DRAWS)[:]:
        times = np.outer(weights, weights)[pairs].astype(int)
        one, other = np.repeat(a[pairs], times), np.repeat(b[pairs], times)
        if len(np.unique(one)) > 1:
            drawn.append(spearmanr(one, other).statistic)
    assert found["interval"] == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=1e-9)


def test_few_runs_have_no_interval_and_constant_or_missing_pairs_no_value():
    a, pairs = symmetric(4, 2), np.triu(np.ones((4, 4), dtype=bool), 1)
    assert pair_correlation(a, -a, pairs, ["one"] * 4) == {
        "value": pytest.approx(-1.0), "interval": None, "n": 6, "n_is": "pairs",
    }  # fmt: skip
    assert pair_correlation(a, np.zeros((4, 4)), pairs, ["one"] * 4) is None
    missing = np.where(np.arange(4) < 3, np.nan, a)
    assert pair_correlation(a, np.fmin(missing, missing.T) * np.nan, pairs, ["one"] * 4) is None
