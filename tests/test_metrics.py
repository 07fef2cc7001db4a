from __future__ import annotations

import numpy as np
import pytest

from relgraph.metrics import ACCURACY, AVERAGE_PRECISION, HITS_AT_100, RMSE, ROCAUC

NAN = float("nan")


def pairs_auc(y, scores):
    wins = [(p > n) + (p == n) / 2 for p in scores[y == 1] for n in scores[y == 0]]
    return np.mean(wins)


def test_accuracy_counts_labeled_rows_only():
    assert ACCURACY.value(np.array([0, 1, -1, 2]), np.array([0, 2, 2, 2])) == pytest.approx(2 / 3)
    assert np.isnan(ACCURACY.value(np.array([-1]), np.array([0])))


def test_rocauc_against_the_share_of_ordered_pairs():
    rng = np.random.default_rng(0)
    y, outputs = rng.integers(0, 2, (30, 2)).astype(float), rng.standard_normal((30, 2)).round(1)
    y[:5, 0] = NAN
    slow = [pairs_auc(y[~np.isnan(y[:, t]), t], outputs[~np.isnan(y[:, t]), t]) for t in range(2)]
    assert ROCAUC.value(y, outputs) == pytest.approx(np.mean(slow))


def test_labels_of_one_class_are_left_out():
    y = np.array([[1.0, 0.0], [1.0, 1.0]])
    outputs = np.array([[0.3, 0.1], [0.2, 0.7]])
    assert ROCAUC.value(y, outputs) == 1.0 and np.isnan(ROCAUC.value(y[:, :1], outputs[:, :1]))


def test_average_precision_of_a_constant_is_the_share_of_positives():
    y = np.array([[1.0], [0.0], [0.0], [1.0], [0.0]])
    assert AVERAGE_PRECISION.chance(y, y) == pytest.approx(0.4)


def test_rmse_is_the_mean_over_targets():
    y, outputs = np.array([[1.0, 0.0], [3.0, NAN]]), np.array([[2.0, 4.0], [3.0, 9.0]])
    assert RMSE.value(y, outputs) == pytest.approx((np.sqrt(0.5) + 4.0) / 2)


def test_an_output_that_is_no_number_is_not_left_out():
    y = np.array([[1.0, 0.0], [3.0, 1.0]])
    assert np.isnan(RMSE.value(y, np.array([[2.0, NAN], [3.0, 1.0]])))


def test_what_trivial_predictions_get_is_measured_on_evaluated_rows():
    assert ACCURACY.chance(np.array([0]), np.array([1, 1, 0])) == 0
    assert ACCURACY.constant(np.array([0, 0, 0]), np.array([1, 1, 0, -1])) == pytest.approx(2 / 3)
    train, test = np.array([[1.0], [3.0]]), np.array([[2.0], [5.0]])
    assert RMSE.chance(train, test) == pytest.approx(np.sqrt((0 + 9) / 2))
    assert ROCAUC.chance(train, test) == 0.5


def test_hits_at_100_against_the_evaluator_of_ogb():
    from ogb.linkproppred import Evaluator

    rng = np.random.default_rng(0)
    y = (np.arange(900) < 300).astype(float)[:, None]
    outputs = (rng.standard_normal((900, 1)) + y).round(1)  # with ties
    evaluator = Evaluator("ogbl-ppa")
    assert evaluator.K == 100
    expected = evaluator.eval({"y_pred_pos": outputs[:300, 0], "y_pred_neg": outputs[300:, 0]})["hits@100"]
    assert 0 < expected < 1 and HITS_AT_100.value(y, outputs) == pytest.approx(expected)
    assert np.isnan(HITS_AT_100.value(y[:399], outputs[:399]))  # 99 negatives
