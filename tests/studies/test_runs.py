import numpy as np
import pytest
import torch

from relgraph.errors import InputError
from relgraph.studies import PredictionRuns
from relgraph.studies.runs import labels_of, prediction


def test_outputs_are_read_as_classes_and_probabilities_as_their_logarithms():
    logits = np.random.default_rng(0).normal(size=(3, 5, 4)).astype(np.float32)
    runs = PredictionRuns.of(torch.from_numpy(logits))
    np.testing.assert_array_equal(runs.classes, logits.argmax(axis=2))
    np.testing.assert_array_equal(runs.logits, logits)
    p = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    known = PredictionRuns.of(p)
    np.testing.assert_allclose(np.exp(known.logits), p, rtol=1e-5)
    assert runs.num_classes == 4


def test_two_classes_and_a_label_that_no_run_predicts():
    runs = PredictionRuns.of([[0, 1], [0, 0]], y=[3, -1])
    assert (runs.num_classes, runs.labeled) == (4, True)
    assert not PredictionRuns.of([[0, 1], [0, 0]], y=[-1, -1]).labeled
    assert PredictionRuns.of([[False, True], [True, True]]).num_classes == 2


def test_runs_with_and_without_logits_are_used_as_classes_with_a_note():
    runs = PredictionRuns.of([np.array([0, 1]), np.array([[0.0, 1.0], [2.0, 0.0]])])
    assert runs.logits is None
    assert runs.notes == ("1 of 2 runs hold classes only: logits are not used.",)


def test_rows_are_matched_by_ids():
    runs = PredictionRuns.of([[0, 1], [1, 1]], ids=["b", "a"]).with_rows(
        ["a", "c", "b"], y=[5, 6, 7], properties={"degree": [1.0, 2.0, 3.0]}
    )
    assert runs.y.tolist() == [7, 5]
    assert runs.properties["degree"].tolist() == [3.0, 1.0]
    with pytest.raises(InputError, match="must all be ids of the data"):
        PredictionRuns.of([[0, 1], [1, 1]]).with_rows([0, 5])
    kept = PredictionRuns.of([[0, 1], [1, 1]], y=[0, 0]).with_rows([0, 1], y=[1, 1])
    assert kept.y.tolist() == [0, 0]


WRONG = {
    "one run": (lambda: PredictionRuns.of([[0, 1]]), "at least two runs of every model (got one of 'model')"),
    "none": (lambda: PredictionRuns.of([]), "must hold at least two runs (got none)"),
    "other rows": (lambda: PredictionRuns.of([[0, 1], [0]]), "for the same rows (got 1 and 2 rows)"),
    "no rows": (lambda: PredictionRuns.of([[], []]), "must have at least one row"),
    "negative": (lambda: PredictionRuns.of([[0, -1], [0, 1]]), "classes from 0 on (got -1)"),
    "fractions": (lambda: PredictionRuns.of([[0.5], [0.2]]), "integer classes (n,) or logits (n, C)"),
    "one column": (lambda: PredictionRuns.of(np.zeros((2, 3, 1))), "at least two columns"),
    "integers as logits": (lambda: PredictionRuns.of(np.zeros((2, 3, 2), dtype=int)), "save logits as floats"),
    "nan": (lambda: PredictionRuns.of([[[0.0, np.nan]], [[0.0, 1.0]]]), "must be finite"),
    "widths": (lambda: PredictionRuns.of([np.ones((2, 3)), np.ones((2, 4))]), "the same classes (got 3 and 4 columns)"),
    "ids": (lambda: PredictionRuns.of([[0, 1], [1, 1]], ids=[4, 4]), "must not repeat an id"),
    "labels": (lambda: PredictionRuns.of([[0, 1], [1, 1]], y=[0]), "'labels' must hold one value for each of 2 rows"),
    "names": (lambda: PredictionRuns.of({"a": [[0], [1]]}, seeds={"a": [1, 1]}), "must be different for the runs"),
    "label kind": (lambda: PredictionRuns.of([[0], [1]], y=["cat"]), "must hold integer classes (n,)"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_is_one_sentence(case):
    make, words = WRONG[case]
    with pytest.raises(InputError) as caught:
        make()
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_labels_may_be_missing_and_half_precision_is_enough():
    assert labels_of([1.0, float("nan"), -7]).tolist() == [1, -1, -1]
    classes, outputs = prediction(np.array([[0, 2]], dtype=np.float16), "it")
    assert (classes.tolist(), outputs.dtype) == ([1], np.float32)
