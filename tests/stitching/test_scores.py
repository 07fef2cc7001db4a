"""Every score against loops over runs and nodes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relgraph.stitching import scores

# Predictions of every encoder with every head (R, R, n), of every model (R, n), and classes (n,).
Case = tuple[np.ndarray, np.ndarray, np.ndarray, list[str]]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    runs, nodes = draw(st.integers(1, 5)), draw(st.integers(1, 8))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    predictions = rng.integers(0, 3, (runs, runs, nodes)).astype(np.int16)
    predictions[rng.random((runs, runs)) < 0.3] = -1
    kinds = sorted(draw(st.lists(st.sampled_from(["gat", "gcn"]), min_size=runs, max_size=runs)))
    return predictions, rng.integers(0, 3, (runs, nodes)).astype(np.int16), rng.integers(0, 3, nodes), kinds


def slow_accuracy(predictions: np.ndarray, y: np.ndarray) -> np.ndarray:
    runs = len(predictions)
    out = np.full((runs, runs), np.nan)
    for i in range(runs):
        for j in range(runs):
            if predictions[i, j, 0] >= 0:
                out[i, j] = sum(int(p == t) for p, t in zip(predictions[i, j], y, strict=True)) / len(y)
    return out


def slow_retention(accuracy: np.ndarray, own: np.ndarray, floor: float, kinds: list[str]) -> np.ndarray:
    """As DESIGN's words have it: a collapsed absolute run counts as its kind's median own."""
    counted = []
    for kind, value in zip(kinds, own, strict=True):
        if value < floor + 0.05 * (1 - floor):
            same = sorted(float(other) for other_kind, other in zip(kinds, own, strict=True) if other_kind == kind)
            half = len(same) // 2
            value = same[half] if len(same) % 2 else (same[half - 1] + same[half]) / 2
        counted.append(float(value))
    out = np.full(accuracy.shape, np.nan)
    for i in range(len(own)):
        for j in range(len(own)):
            weaker = min(counted[i], counted[j])
            if not math.isnan(accuracy[i, j]) and weaker > 0:
                out[i, j] = accuracy[i, j] / weaker
    return out


def slow_fidelity(predictions: np.ndarray, reference: np.ndarray, *, decisive: bool) -> np.ndarray:
    runs = len(predictions)
    out = np.full((runs, runs), np.nan)
    for i in range(runs):
        for j in range(runs):
            nodes = [n for n in range(reference.shape[1]) if not decisive or reference[i, n] != reference[j, n]]
            if predictions[i, j, 0] >= 0 and nodes:
                out[i, j] = sum(int(predictions[i, j, n] == reference[j, n]) for n in nodes) / len(nodes)
    return out


@given(st.lists(st.integers(0, 4), min_size=1, max_size=20))
def test_the_floor_is_what_the_best_constant_gets(y: list[int]) -> None:
    best = max(sum(int(label == constant) for label in y) / len(y) for constant in range(5))
    assert scores.accuracy_floor(np.array(y)) == pytest.approx(best)


@pytest.mark.parametrize("floor", [0.0, 0.1, 0.5, 0.9])
def test_a_run_is_collapsed_within_a_twentieth_of_the_way_to_perfect(floor: float) -> None:
    border = floor + 0.05 * (1 - floor)
    own = np.array([0.0, floor, border - 1e-9, border + 1e-9, 1.0])
    assert scores.collapsed(own, floor).tolist() == [True, True, True, False, False]


@given(cases())
def test_accuracy_is_counted_node_by_node(case: Case) -> None:
    predictions, _, y, _ = case
    np.testing.assert_allclose(scores.accuracy_matrix(predictions, y), slow_accuracy(predictions, y))


@given(cases(), st.sampled_from([0.05, 0.4, 0.7]))
def test_retention_is_over_the_weaker_absolute_model(case: Case, floor: float) -> None:
    predictions, reference, y, kinds = case
    accuracy = slow_accuracy(predictions, y)
    own = (reference == y).mean(1)
    before = own.copy()
    retention = scores.retention_matrix(accuracy, own, floor, kinds)
    np.testing.assert_allclose(retention, slow_retention(accuracy, own, floor, kinds))
    assert np.array_equal(own, before)


def test_retention_by_hand() -> None:
    accuracy = np.array([[0.8, 0.6], [0.5, 0.9]])
    np.testing.assert_allclose(
        scores.retention_matrix(accuracy, np.array([0.8, 0.9]), 0.3, ["gcn", "gcn"]),
        [[1.0, 0.75], [0.625, 1.0]],
    )
    # The third run has collapsed and counts as the median of its kind, 0.8; the other kind is not asked.
    own = np.array([0.8, 0.9, 0.3, 0.1])
    retention = scores.retention_matrix(np.full((4, 4), 0.4), own, 0.3, ["gcn", "gcn", "gcn", "sage"])
    np.testing.assert_allclose(retention[0], [0.5, 0.5, 0.5, 4.0])
    np.testing.assert_allclose(retention[1], [0.5, 0.4 / 0.9, 0.5, 4.0])


def test_retention_of_runs_that_get_nothing_right_is_not_defined() -> None:
    retention = scores.retention_matrix(np.array([[0.0, 0.5], [0.2, 0.0]]), np.zeros(2), 0.6, ["gcn", "gcn"])
    assert np.isnan(retention).all()


@given(cases())
def test_fidelity_is_agreement_with_the_heads_own_model(case: Case) -> None:
    predictions, reference, _, _ = case
    np.testing.assert_allclose(
        scores.fidelity_matrix(predictions, reference), slow_fidelity(predictions, reference, decisive=False)
    )


@given(cases())
def test_decisive_fidelity_asks_only_where_the_two_models_differ(case: Case) -> None:
    predictions, reference, _, _ = case
    decisive = scores.decisive_fidelity_matrix(predictions, reference)
    np.testing.assert_allclose(decisive, slow_fidelity(predictions, reference, decisive=True))
    assert np.isnan(np.diagonal(decisive)).all()


def test_repeating_the_source_has_no_decisive_fidelity_and_repeating_the_target_has_all() -> None:
    reference = np.array([[0, 1, 1, 0], [0, 0, 1, 1]], dtype=np.int16)
    source = np.stack([np.stack([row, row]) for row in reference])
    target = np.stack([reference, reference])
    off = ~np.eye(2, dtype=bool)
    assert (scores.decisive_fidelity_matrix(source, reference)[off] == 0).all()
    assert (scores.decisive_fidelity_matrix(target, reference)[off] == 1).all()
    assert (scores.fidelity_matrix(source, reference)[off] == 0.5).all()


@given(cases())
def test_disagreement_is_counted_node_by_node(case: Case) -> None:
    _, reference, _, _ = case
    runs, nodes = reference.shape
    slow = [
        [sum(int(reference[i, n] != reference[j, n]) for n in range(nodes)) / nodes for j in range(runs)]
        for i in range(runs)
    ]
    np.testing.assert_allclose(scores.disagreement_matrix(reference), slow)


@given(st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=6))
def test_pairs_are_of_the_same_encoder_or_of_two(kinds: list[str]) -> None:
    runs = range(len(kinds))
    assert scores.cross_seed(kinds).tolist() == [[i != j and kinds[i] == kinds[j] for j in runs] for i in runs]
    assert scores.cross_encoder(kinds).tolist() == [[kinds[i] != kinds[j] for j in runs] for i in runs]
