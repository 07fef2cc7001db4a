import numpy as np
import pytest
import torch

from relgraph.versions import Calibration, Expectation
from relgraph.versions.expectation import PENALTY, PSEUDO_COUNT, _fit, log_odds


def test_log_odds_are_those_of_the_largest_probability() -> None:
    outputs = torch.tensor([[0.3, -0.2, 0.0], [5.0, 1.0, -3.0]], dtype=torch.float64)
    best = (2 * outputs).softmax(dim=1).amax(dim=1)
    np.testing.assert_allclose(log_odds(outputs), (best / (1 - best)).log().numpy())


def test_certain_outputs_have_finite_log_odds() -> None:
    assert np.isfinite(log_odds(torch.tensor([[1e4, -1e4], [0.0, 0.0]]))).all()


def drawn(count: int, shift: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Confidences of rows, and whether the answers are right, which is more frequent where they are confident."""
    generator = np.random.default_rng(seed)
    confidence = generator.normal(shift, 1.5, count)
    return confidence, (generator.random(count) < 1 / (1 + np.exp(-0.5 - 0.8 * confidence))).astype(float)


def test_the_interval_covers_the_share_on_rows_of_other_confidence() -> None:
    others, right = drawn(20_000, -1.0, 99)
    covered = []
    for seed in range(60):
        confidence, known = drawn(200, 1.0, seed)
        found = Expectation.of(
            *(lambda values: (values[0], values[1:]))(Calibration([known], confidence).means(others)[0])
        )
        covered.append(found.low <= right.mean() <= found.high)
        assert abs(known.mean() - right.mean()) > 0.1  # the plain share of known rows would be wrong
    assert 0.8 <= np.mean(covered) <= 0.98


def test_the_curves_are_those_of_a_logistic_regression() -> None:
    from sklearn.linear_model import LogisticRegression

    points, known = drawn(80, 0.0, 0)
    weights = np.vstack([np.ones(80), np.arange(80) % 3])
    pseudo = np.array([[PSEUDO_COUNT, PSEUDO_COUNT], [0.1, 2.0]])
    slopes, biases = _fit(known, points, weights, pseudo)
    rows, sides = np.append(points, [0.0, 0.0])[:, None], np.append(known, [1.0, 0.0])
    for weight, counts, slope, bias in zip(weights, pseudo, slopes, biases, strict=True):
        model = LogisticRegression(C=1 / PENALTY, tol=1e-10, max_iter=1000)
        model.fit(rows, sides, sample_weight=np.append(weight, counts))
        np.testing.assert_allclose([slope, bias], [model.coef_[0, 0], model.intercept_[0]], atol=1e-4)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_one_sided_answers_give_no_certainty(share: float) -> None:
    values = Calibration([np.full(50, share)], np.linspace(-1, 1, 50)).means(np.zeros(10))[0]
    assert 0 < values[0] < 1
    assert abs(values[0] - share) < 0.05
    found = Expectation.of(values[0], values[1:])
    # Jeffreys: the interval of 50 successes without a failure ends at 1 - 0.037.
    assert 0.02 < found.high - found.low < 0.06


def test_many_rows_are_their_quantiles() -> None:
    confidence, known = drawn(300, 0.0, 1)
    calibration = Calibration([known], confidence)
    rows = np.random.default_rng(0).normal(0.5, 1.0, 50_000)
    many = calibration.means(rows)[0][0]
    slow = np.mean([calibration.means(part)[0][0] for part in np.array_split(rows, 25)])
    assert abs(many - slow) < 1e-3


def test_an_allowance_widens_the_interval_only() -> None:
    values = np.random.default_rng(0).normal(0.9, 0.01, 500)
    narrow, wide = Expectation.of(0.9, values), Expectation.of(0.9, values, 0.05)
    assert Expectation.of(0.9, values, 0.2).high == 1.0
    assert Expectation.of(0.9, values, 0.2, most=2.0).high > 1.2
    assert narrow.value == wide.value
    assert wide.high - wide.low > 3 * (narrow.high - narrow.low)


@pytest.mark.parametrize("allowance", [0.0, 0.02])
def test_the_interval_of_a_share_stays_between_its_ends(allowance: float) -> None:
    low = Expectation.of(0.01, np.array([0.005, 0.01, 0.015]), allowance)
    high = Expectation.of(0.99, np.array([0.985, 0.99, 0.995]), allowance)
    assert 0.0 <= low.low < 0.01 < low.high and high.low < 0.99 < high.high <= 1.0
    assert low.low == pytest.approx(1 - high.high) and low.high == pytest.approx(1 - high.low)
    assert Expectation.of(0.99, np.array([0.985, 0.99, 0.995]), 0.02, most=np.inf).high > 1.0
