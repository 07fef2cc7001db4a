"""Every matrix against loops over runs and rows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata
from sklearn.metrics import cohen_kappa_score, roc_auc_score

from relgraph.stitching import metrics
from relgraph.task import Task

CLASSES = Task.of("node", "multiclass")
LABELS = Task.of("graph", "multilabel")
VALUES = Task.of("graph", "regression")

# Records of every pair (R, R, n), of every model (R, n), and classes (n,).
Case = tuple[np.ndarray, np.ndarray, np.ndarray, list[str]]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    runs, rows = draw(st.integers(1, 5)), draw(st.integers(1, 8))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    records = rng.integers(0, 3, (runs, runs, rows)).astype(np.int16)
    records[rng.random((runs, runs)) < 0.3] = -1
    encoders = sorted(draw(st.lists(st.sampled_from(["gat", "gcn"]), min_size=runs, max_size=runs)))
    return records, rng.integers(0, 3, (runs, rows)).astype(np.int16), rng.integers(0, 3, rows), encoders


def slow(records: np.ndarray, expected: np.ndarray, own: np.ndarray | None = None) -> np.ndarray:
    """Share of rows with the expected class ``(R, n)``; with ``own``, of the rows where models i and j differ."""
    runs, rows = len(records), records.shape[2]
    out = np.full((runs, runs), np.nan)
    for i in range(runs):
        for j in range(runs):
            counted = [n for n in range(rows) if own is None or own[i, n] != own[j, n]]
            if records[i, j, 0] >= 0 and counted:
                out[i, j] = sum(int(records[i, j, n] == expected[j, n]) for n in counted) / len(counted)
    return out


@given(cases())
def test_accuracy_is_counted_row_by_row(case: Case) -> None:
    records, own, y, _ = case
    np.testing.assert_allclose(metrics.metric_matrix(CLASSES, records, y), slow(records, np.stack([y] * len(own))))


@given(cases())
def test_fidelity_is_agreement_with_the_heads_own_model(case: Case) -> None:
    records, own, _, _ = case
    np.testing.assert_allclose(metrics.fidelity_matrix(CLASSES, records, own), slow(records, own))


@given(cases())
def test_decisive_fidelity_counts_rows_where_the_models_differ(case: Case) -> None:
    records, own, _, _ = case
    decisive = metrics.decisive_matrix(CLASSES, records, own)
    np.testing.assert_allclose(decisive, slow(records, own, own))
    assert np.isnan(np.diagonal(decisive)).all()


@given(cases())
def test_disagreement_is_counted_row_by_row(case: Case) -> None:
    own = case[1]
    runs, rows = own.shape
    expected = [[sum(own[i, n] != own[j, n] for n in range(rows)) / rows for j in range(runs)] for i in range(runs)]
    np.testing.assert_allclose(metrics.disagreement_matrix(CLASSES, own), expected)
    np.testing.assert_allclose(metrics.agreement_matrix(CLASSES, own), 1 - np.array(expected))


def test_the_sources_own_predictions_have_no_decisive_fidelity_and_the_targets_have_all() -> None:
    own = np.array([[0, 1, 1, 0], [0, 0, 1, 1]], dtype=np.int16)
    source, target = np.stack([np.stack([row, row]) for row in own]), np.stack([own, own])
    off = ~np.eye(2, dtype=bool)
    assert (metrics.decisive_matrix(CLASSES, source, own)[off] == 0).all()
    assert (metrics.decisive_matrix(CLASSES, target, own)[off] == 1).all()
    assert (metrics.fidelity_matrix(CLASSES, source, own)[off] == 0.5).all()


@pytest.mark.parametrize("targets", [1, 3])
def test_labels_and_values_by_other_libraries(targets: int) -> None:
    rng = np.random.default_rng(0)
    records, own = rng.normal(size=(2, 2, 30, targets)), rng.normal(size=(2, 30, targets))
    y = (rng.random((30, targets)) > 0.5).astype(float)
    records[1, 1] = np.nan
    kappa, rank = (metrics.fidelity_matrix(task, records, own) for task in (LABELS, VALUES))
    decisive, area = metrics.decisive_matrix(LABELS, records, own), metrics.metric_matrix(LABELS, records, y)
    for i, j in ((0, 0), (0, 1), (1, 0)):
        one, other = records[i, j], own[j]
        assert area[i, j] == pytest.approx(roc_auc_score(y, one))
        pairs = [(one[:, t], other[:, t]) for t in range(targets)]
        assert kappa[i, j] == pytest.approx(np.mean([cohen_kappa_score(a > 0, b > 0) for a, b in pairs]))
        assert rank[i, j] == pytest.approx(np.mean([np.corrcoef(rankdata(a), rankdata(b))[0, 1] for a, b in pairs]))
        if i != j:
            rows = ((own[i] > 0) != (own[j] > 0)).any(1)
            expected = np.mean([cohen_kappa_score(a[rows] > 0, b[rows] > 0) for a, b in pairs])
            assert decisive[i, j] == pytest.approx(expected)
    assert np.isnan([found[1, 1] for found in (kappa, rank, area, decisive)]).all()
    assert np.isnan(metrics.decisive_matrix(VALUES, records, own)).all()
    assert np.isnan(metrics.disagreement_matrix(VALUES, own)).all()


@given(st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=6))
def test_pairs_are_of_one_encoder_or_of_two(encoders: list[str]) -> None:
    seeds, others = metrics.cross_seed(encoders), metrics.cross_encoder(encoders)
    for i, one in enumerate(encoders):
        for j, other in enumerate(encoders):
            assert (seeds[i, j], others[i, j]) == (i != j and one == other, one != other)


@pytest.mark.parametrize(
    ("task", "chance", "own", "stitched", "expected"),
    [
        (CLASSES, 0.0, [0.8, 0.5], 0.4, [0.5, 0.8]),
        (LABELS, 0.5, [0.75, 0.5], 0.625, [0.5, math.nan]),  # the second head is no better than chance
        (VALUES, 2.0, [1.0, 1.5], 1.75, [0.25, 0.5]),
        (VALUES, 2.0, [1.0, 2.5], 1.5, [0.5, math.nan]),
    ],
)
def test_retention_is_counted_from_chance_to_the_own_value_of_the_head(
    task: Task, chance: float, own: list[float], stitched: float, expected: list[float]
) -> None:
    found = task.retention(np.full((2, 2), stitched), np.array(own)[None, :], chance)
    np.testing.assert_allclose(found, [expected, expected])
