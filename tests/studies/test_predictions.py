import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from relgraph.measures import disagreement as of_two
from relgraph.studies import PredictionRuns, pair_matrices
from relgraph.studies.predictions import (
    class_counts,
    grouped_disagreement,
    predictions_section,
    row_disagreement,
    symmetric_kl,
    unanimous_share,
)
from tests.studies import slow

SIZES = st.tuples(st.integers(2, 6), st.integers(1, 12))
CLASSES = SIZES.flatmap(lambda shape: hnp.arrays(np.int64, shape, elements=st.integers(0, 3)))


def mean_of_pairs(matrix, ordered=False):
    pairs = ~np.eye(len(matrix), dtype=bool) if ordered else np.triu(np.ones(matrix.shape, dtype=bool), 1)
    return float(np.nanmean(matrix[pairs])) if np.isfinite(matrix[pairs]).any() else np.nan


@settings(max_examples=40, deadline=None)
@given(CLASSES, st.data())
def test_every_measure_is_that_of_the_loops_over_pairs(classes, data):
    y = data.draw(hnp.arrays(np.int64, classes.shape[1], elements=st.integers(0, 3)))
    found = pair_matrices(PredictionRuns.of(classes, y=y))
    assert mean_of_pairs(found["disagreement"]) == pytest.approx(slow.disagreement(classes))
    assert mean_of_pairs(found["normalized"]) == pytest.approx(slow.normalized(classes, y), nan_ok=True)
    for name, right in (("on_right", True), ("on_wrong", False)):
        assert mean_of_pairs(found[name], ordered=True) == pytest.approx(
            slow.conditional(classes, y, right), nan_ok=True
        )
    counts = class_counts(classes, 4)
    assert row_disagreement(counts).mean() == pytest.approx(slow.disagreement(classes))
    assert unanimous_share(counts) == slow.unanimous(classes)


@settings(max_examples=30, deadline=None)
@given(CLASSES, st.data())
def test_names_of_classes_and_orders_of_rows_and_runs_change_nothing(classes, data):
    names = np.array(data.draw(st.permutations(range(4))))
    rows = np.array(data.draw(st.permutations(range(classes.shape[1]))))
    runs = np.array(data.draw(st.permutations(range(len(classes)))))
    before, after = (pair_matrices(PredictionRuns.of(one)) for one in (classes, names[classes][runs][:, rows]))
    np.testing.assert_allclose(after["disagreement"], before["disagreement"][np.ix_(runs, runs)])


def test_two_runs_disagree_as_the_measure_says():
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 3, (2, 40))
    found = pair_matrices(PredictionRuns.of(classes))["disagreement"]
    assert found[0, 1] == found[1, 0] == of_two(*classes)


def test_groups_are_computed_as_if_alone_and_empty_ones_are_undefined():
    rng = np.random.default_rng(1)
    classes, groups = rng.integers(0, 3, (4, 50)), rng.choice([0, 1, 3], 50)
    found = grouped_disagreement(classes, groups, 4)
    for group in (0, 1, 3):
        np.testing.assert_allclose(found[group], grouped_disagreement(classes[:, groups == group])[0])
    assert np.isnan(found[2]).all()


@pytest.mark.parametrize("block", [1, 10, 1 << 22])
def test_symmetric_kl_is_that_of_the_loops_in_blocks_of_any_size(block, monkeypatch):
    monkeypatch.setattr("relgraph.studies.predictions.BLOCK", block)
    logits = 3 * np.random.default_rng(2).normal(size=(4, 9, 3))
    found = symmetric_kl(logits)
    assert mean_of_pairs(found) == pytest.approx(slow.symmetric_kl(logits), rel=1e-12)
    np.testing.assert_allclose(symmetric_kl(logits + 100.0 * np.arange(9)[:, None]), found, rtol=1e-9)


def test_the_same_logits_have_no_divergence():
    logits = np.repeat(np.random.default_rng(3).normal(size=(1, 5, 3)), 3, axis=0)
    np.testing.assert_allclose(symmetric_kl(logits), 0, atol=1e-14)


def test_unlabeled_rows_count_for_disagreement_alone():
    classes, y = np.array([[0, 1, 0], [0, 0, 1]]), [0, 1, -1]
    found = pair_matrices(PredictionRuns.of(classes, y=y))
    assert found["disagreement"][0, 1] == pytest.approx(2 / 3)
    known = pair_matrices(PredictionRuns.of(classes[:, :2], y=y[:2]))
    np.testing.assert_array_equal(found["on_right"], known["on_right"])
    np.testing.assert_array_equal(found["normalized"], known["normalized"])


def test_a_section_has_models_and_what_is_between_them():
    rng = np.random.default_rng(4)
    one, two = rng.integers(0, 3, (6, 30)), rng.integers(0, 3, (5, 30))
    found = predictions_section(PredictionRuns.of({"one": one, "two": two}))
    assert found["models"]["one"]["disagreement"]["mean"] == pytest.approx(slow.disagreement(one))
    assert found["models"]["one"]["disagreement"]["n"] == 15
    assert len(found["models"]["two"]["disagreement"]["interval"]) == 2
    between = found["between"][0]
    assert between["disagreement"]["mean"] == pytest.approx((one[:, None] != two[None]).mean())
    assert between["disagreement"]["n"] == 30
