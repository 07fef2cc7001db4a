from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import cohen_kappa_score

from relgraph.errors import InputError
from relgraph.task import Task

NAN = float("nan")
CLASSES = Task.of("node", "multiclass")
LABELS = Task.of("graph", "multilabel")
VALUES = Task.of("graph", "regression")


def test_an_unknown_mode_or_metric_is_refused():
    with pytest.raises(InputError, match="'mode' must be one of multiclass, multilabel, regression"):
        Task.of("node", "multi")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="'metric' must be one of"):
        Task.of("node", "multiclass", "acuracy")


def test_losses_against_slow_references():
    torch.manual_seed(0)
    logits, classes = torch.randn(5, 3), torch.tensor([0, 2, 1, 1, 0])
    slow = -sum(logits[i].log_softmax(0)[classes[i]] for i in range(5)) / 5
    assert torch.allclose(CLASSES.loss(logits, classes), slow)
    y = torch.tensor([[0.0, 1.0], [NAN, 1.0], [1.0, NAN]])
    outputs = torch.randn(3, 2)
    terms = [(outputs[i, t], y[i, t]) for i in range(3) for t in range(2) if not y[i, t].isnan()]
    slow = -sum((o.sigmoid() if v else 1 - o.sigmoid()).log() for o, v in terms) / len(terms)
    assert torch.allclose(LABELS.loss(outputs, y), slow)
    assert torch.allclose(VALUES.loss(outputs, y), sum((o - v) ** 2 for o, v in terms) / len(terms))


def test_a_loss_without_known_targets_is_zero_and_has_a_gradient():
    outputs = torch.randn(2, 2, requires_grad=True)
    loss = LABELS.loss(outputs, torch.full((2, 2), NAN))
    loss.backward()
    assert float(loss.detach()) == 0 and outputs.grad is not None and not outputs.grad.any()


def test_predictions_and_records():
    outputs = torch.tensor([[-1.0, 2.0], [3.0, 1.0]])
    assert CLASSES.predict(outputs).tolist() == [1, 0] and CLASSES.record(outputs).tolist() == [1, 0]
    assert LABELS.predict(outputs).tolist() == [[False, True], [True, True]]
    assert torch.equal(VALUES.predict(outputs), outputs)
    assert LABELS.record(outputs).dtype == VALUES.record(outputs).dtype == np.float64


def test_labeled_rows():
    assert CLASSES.labeled(torch.tensor([0, -1, 3])).tolist() == [True, False, True]
    assert LABELS.labeled(torch.tensor([[NAN, 1.0], [NAN, NAN]])).tolist() == [True, False]


def test_agreement_against_independent_references():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 3, 40), rng.integers(0, 3, 40)
    assert CLASSES.agreement(a, b) == pytest.approx(sum(x == y for x, y in zip(a, b, strict=True)) / 40)
    x, y = rng.standard_normal((40, 2)), rng.standard_normal((40, 2))
    kappas = [cohen_kappa_score(x[:, t] > 0, y[:, t] > 0) for t in range(2)]
    assert LABELS.agreement(x, y) == pytest.approx(np.mean(kappas))
    assert VALUES.agreement(x, y) == pytest.approx(np.mean([spearmanr(x[:, t], y[:, t])[0] for t in range(2)]))


def test_constant_outputs_agree_with_nothing():
    ones = np.ones((5, 1))
    assert LABELS.agreement(ones, ones) == 0 and VALUES.agreement(ones, np.arange(5.0)[:, None]) == 0


def test_rows_on_which_two_records_differ():
    assert CLASSES.differ(np.array([0, 1]), np.array([0, 2])).tolist() == [False, True]
    differ = LABELS.differ(np.array([[1.0, -1.0], [1.0, 2.0]]), np.array([[2.0, -3.0], [1.0, -2.0]]))
    assert differ.tolist() == [False, True] and VALUES.differ(np.ones((1, 1)), np.zeros((1, 1))) is None


@given(own=st.floats(0.55, 1), share=st.floats(-1, 2))
def test_retention_is_the_share_of_what_is_above_chance(own: float, share: float):
    stitched = 0.5 + share * (own - 0.5)
    assert float(LABELS.retention(stitched, own, 0.5)) == pytest.approx(share, abs=1e-6)


@pytest.mark.parametrize(("task", "own", "chance"), [(CLASSES, 0.0, 0.0), (LABELS, 0.4, 0.5), (VALUES, 2.5, 2.0)])
def test_retention_of_a_model_that_is_no_better_than_chance_is_undefined(task, own, chance):
    assert np.isnan(task.retention(np.array([0.3]), own, chance)).all()


def test_retention_of_a_matrix_uses_the_own_of_each_column():
    stitched = np.array([[0.9, 0.4], [0.45, 0.8]])
    kept = CLASSES.retention(stitched, np.array([0.9, 0.8]), 0.0)
    assert np.allclose(kept, [[1.0, 0.5], [0.5, 1.0]])


def test_collapsed_models_are_those_near_the_constant_prediction():
    assert CLASSES.collapsed(np.array([0.52, 0.53, 0.4]), 0.5).tolist() == [True, False, True]
    assert VALUES.collapsed(np.array([1.95, 1.0, 2.5]), 2.0).tolist() == [True, False, True]


def test_scaling_of_targets():
    y = torch.tensor([[1.0, 5.0], [3.0, 5.0], [NAN, NAN]])
    mean, scale = VALUES.scaling(y)
    assert mean.tolist() == [2.0, 5.0] and scale.tolist() == [1.0, 1.0]
    mean, scale = LABELS.scaling(y)
    assert mean.tolist() == [0.0] and scale.tolist() == [1.0]


@pytest.mark.parametrize(
    ("task", "y"),
    [
        (CLASSES, torch.zeros(3)), (CLASSES, torch.zeros(2, dtype=torch.long)), (CLASSES, torch.ones(3).bool()),
        (LABELS, torch.zeros(3)), (LABELS, torch.zeros(3, 1).long()), (LABELS, torch.full((3, 1), 0.5)),
        (VALUES, torch.zeros(2, 1)),
    ],
)  # fmt: skip
def test_targets_that_do_not_fit_the_mode_are_refused(task, y):
    with pytest.raises(InputError, match="'y' must hold"):
        task.check_targets(y, 3)
