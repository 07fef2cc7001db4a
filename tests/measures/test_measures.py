"""Every registered measure: its value by definition, what it declares, and tables that say nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import relgraph as rg
from relgraph.anchors import AnchorSet
from relgraph.maps import fit_map
from relgraph.measures import Measure, distances, neighborhoods, relative_distance, translated_retrieval
from relgraph.measures.base import check_pair
from relgraph.registry import MEASURES
from relgraph.similarity import CHANGES
from tests.measures import slow
from tests.spaces import F64, changed, normal

ALL: dict[str, Measure] = {name: MEASURES.resolve(name) for name in MEASURES}
NEIGHBORS = ("mutual-knn", "second-order-cosine")
EACH = pytest.mark.parametrize("measure", ALL.values(), ids=list(ALL))


def value(measure: Measure, x: Tensor, y: Tensor, seed: int = 0) -> float:
    pair = check_pair(x, y, outputs=measure.kind == "outputs")
    return measure.function(*pair, torch.Generator().manual_seed(seed)).value


def pair(measure: Measure, seed: int, count: int = 40, width: int = 5, other: int = 4) -> tuple[Tensor, Tensor]:
    """Two tables that are related, of different widths unless they are outputs, and not around the origin."""
    x = normal(count, width, seed=seed) @ torch.diag(torch.linspace(1, 3, width, dtype=F64)) + 1
    if measure.kind == "outputs":
        return x, x + normal(count, width, seed=seed + 2)
    return x, x @ normal(width, other, seed=seed + 1) + normal(count, other, seed=seed + 2) - 0.5


@pytest.mark.parametrize("name", slow.BY_NAME)
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**16), count=st.integers(4, 40), width=st.integers(2, 30), other=st.integers(1, 30))
def test_the_value_is_that_of_the_definition(name: str, seed: int, count: int, width: int, other: int) -> None:
    # In one dimension all cosines are tied.
    x, y = pair(ALL[name], seed, count, width, max(other, 2) if name in NEIGHBORS else other)
    assert value(ALL[name], x, y) == pytest.approx(slow.BY_NAME[name](x.numpy(), y.numpy()), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("name", slow.BY_NAME)
def test_the_value_is_that_of_the_definition_in_blocks_and_in_single_precision(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relgraph.measures.spaces.BLOCK", 64)
    x, y = (rows.float() + 100 for rows in pair(ALL[name], 1, 60))
    if name in NEIGHBORS:
        x, y = x - 100, y - 100  # otherwise all rows point in one direction
    found = slow.BY_NAME[name](x.double().numpy(), y.double().numpy())
    assert value(ALL[name], x, y) == pytest.approx(found, rel=1e-6)


def test_the_relative_distance_is_that_of_the_definition() -> None:
    x, y = normal(30, 4), normal(30, 3, seed=1)
    order = torch.randperm(30, generator=torch.Generator().manual_seed(5))
    anchors, others = order[:15], order[15:]
    found = []
    for i in others:
        sides = [[slow.cosine(z[i].numpy(), z[k].numpy()) for k in anchors] for z in (x, y)]
        found.append(slow.cosine(*map(np.array, sides)))
    assert relative_distance(x, y, seed=5) == pytest.approx(1 - np.mean(found), rel=1e-9)
    white = []
    for z in (x, y):
        a = z[anchors] - z.mean(0)
        covariance = a.mT @ a / 15
        covariance += 0.01 * covariance.trace() / z.size(1) * torch.eye(z.size(1), dtype=F64)
        white.append((z[others] - z.mean(0)) @ torch.linalg.inv(covariance) @ a.mT / 15)
    cosines = [slow.cosine(u.numpy(), v.numpy()) for u, v in zip(*white, strict=True)]
    assert relative_distance(x, y, similarity="whitened", seed=5) == pytest.approx(1 - np.mean(cosines), rel=1e-9)


@pytest.mark.parametrize("copies", [False, True])
def test_retrieval_is_that_of_the_translated_rows(copies: bool) -> None:
    x, y = pair(ALL["retrieval"], 2, 60)
    if copies:
        y[30:] = y[:30]
    order = torch.randperm(60, generator=torch.Generator().manual_seed(5))
    a, b = (AnchorSet(torch.arange(30), z[order[:30]], z.mean(0)) for z in (x, y))
    with torch.no_grad():
        queries = fit_map(a, b, "ridge")[0](x[order[30:]])
    found = rg.retrieval(queries, y[order[30:]], metric="euclidean").mrr
    assert translated_retrieval(x, y, seed=5) == pytest.approx(found, rel=1e-9)


@EACH
def test_a_record_says_what_the_registry_says(measure: Measure) -> None:
    assert ALL[measure.name] is measure
    assert MEASURES[measure.name].traits.get("kind", "representations") == measure.kind
    assert measure.invariances <= CHANGES and measure.source and measure.cost
    assert measure.best == (measure.high if measure.direction == "higher" else measure.low)


@EACH
@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 2**16))
def test_declared_invariances_hold(measure: Measure, seed: int) -> None:
    x, y = pair(measure, seed)
    before = value(measure, x, y)
    for change in sorted(measure.invariances):
        after = value(measure, changed(x, change, seed), y), value(measure, x, changed(y, change, seed))
        assert after == pytest.approx((before, before), rel=1e-6, abs=1e-9), change


@EACH
def test_other_changes_move_the_value(measure: Measure) -> None:
    for change in sorted(CHANGES - measure.invariances):
        moved = []
        for seed in range(5):  # values that count rows do not change at every seed
            x, y = pair(measure, seed)
            if measure.kind == "representations":
                x[:, 0] /= 30  # a direction that canonical correlations leave out
            before = value(measure, x, y)
            moved += [abs(value(measure, changed(x, change, seed), y) - before)]
            moved += [abs(value(measure, x, changed(y, change, seed)) - before)]
            if max(moved) > 1e-4:
                break
        assert max(moved) > 1e-4, change


@EACH
@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 2**16), count=st.integers(4, 40))
def test_symmetry_is_as_declared_and_values_are_in_range(measure: Measure, seed: int, count: int) -> None:
    x, y = pair(measure, seed, count)
    there, back = value(measure, x, y), value(measure, y, x)
    assert measure.low <= there <= measure.high
    if measure.symmetric:
        assert there == pytest.approx(back, rel=1e-9, abs=1e-12)
    elif count > 20:
        assert there != pytest.approx(back, rel=1e-6)


@EACH
def test_equal_tables_have_the_best_value_and_related_ones_beat_shuffled_ones(measure: Measure) -> None:
    x, y = pair(measure, 7, 200)
    assert value(measure, x, x) == pytest.approx(measure.best, abs=1e-6)
    sign = 1 if measure.direction == "higher" else -1
    assert sign * (value(measure, x, y) - value(measure, x, y.flip(0))) > 0
    assert value(measure, x, y, seed=3) == value(measure, x, y, seed=3)


# Tables that say nothing about each other.

FEW = {"one row": 1, "two rows": 2, "three rows": 3}


@EACH
@pytest.mark.parametrize("rows", FEW.values(), ids=list(FEW))
def test_few_rows_give_a_number_and_no_score_by_accident(measure: Measure, rows: int) -> None:
    for seed in range(5):
        x, y = (normal(rows, 6, seed=2 * seed + part) for part in (0, 1))
        found = rg.compare(x, y, [measure.name], outputs=measure.kind == "outputs", permutations=19)[measure.name]
        assert measure.low <= found.value <= measure.high
        assert found.score is not None and math.isfinite(found.score)
        assert found.p is not None and 0 < found.p <= 1
        if measure.kind == "representations":  # two models can decide alike for two rows
            assert found.score < 1 and found.value != pytest.approx(measure.best, abs=1e-3)


@EACH
@pytest.mark.parametrize("dtype", [torch.float32, F64])
@pytest.mark.parametrize("constant", ["both", "one"])
def test_a_constant_table_is_like_no_other(measure: Measure, dtype: torch.dtype, constant: str) -> None:
    x = torch.full((40, 6), 0.1, dtype=dtype)
    y = x if constant == "both" else normal(40, 6).to(dtype)
    for a, b in ((x, y), (y, x)):
        found = rg.compare(a, b, [measure.name], outputs=measure.kind == "outputs", permutations=19)[measure.name]
        assert found.p is not None and found.score is not None and math.isfinite(found.value)
        # Other measures of a constant and another table are at their null exactly, that of neighbors up to ties.
        assert abs(found.score) < 0.1 and found.p > 0.04
        if measure.name not in ("jensen-shannon",):  # equal probabilities are equal, and as equal by chance
            assert found.value != pytest.approx(measure.best, abs=0.1)


@EACH
def test_wide_tables_of_few_unrelated_rows_have_no_score(measure: Measure) -> None:
    scores = []
    for seed in range(5):
        x, y = (normal(12, 60, seed=2 * seed + part) for part in (0, 1))
        found = rg.compare(x, y, [measure.name], outputs=measure.kind == "outputs", permutations=19)[measure.name]
        assert found.value != pytest.approx(measure.best, abs=1e-3)
        scores.append(found.score)
    assert abs(np.mean(scores)) < 0.25


@EACH
def test_copies_of_rows_give_a_number(measure: Measure) -> None:
    x, y = (rows.repeat_interleave(6, dim=0) for rows in pair(measure, 1, 10))
    assert measure.low <= value(measure, x, y) <= measure.high
    shuffled = y.view(10, 6, -1).flip(0).reshape(60, -1)
    assert value(measure, x, shuffled) != pytest.approx(measure.best, abs=1e-2)


@EACH
@pytest.mark.parametrize("factor", [1e-25, 1e25])
def test_very_small_and_very_large_numbers_are_as_good(measure: Measure, factor: float) -> None:
    x, y = pair(measure, 3)
    found = value(measure, factor * x, y)
    assert math.isfinite(found)
    if "scaling" in measure.invariances:
        assert found == pytest.approx(value(measure, x, y), rel=1e-6)


def test_ties_of_neighbors_agree_as_often_as_by_chance() -> None:
    classes = torch.eye(4, dtype=F64).repeat(10, 1)  # ten copies each
    found = [neighborhoods.mutual_knn(classes, classes, k=3, seed=seed) for seed in range(15)]
    assert np.mean(found) == pytest.approx(3 / 9, abs=0.04)  # three of the nine other copies, at random in each


def test_samples_of_rows_estimate_the_value_on_all(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = pair(ALL["rsa"], 4, 600)
    whole = {name: value(ALL[name], x, y) for name in ("rsa", "distance-correlation", "mutual-knn")}
    monkeypatch.setattr(distances, "SAMPLE", 200)
    monkeypatch.setattr(distances, "WHOLE", 300)
    draw = torch.Generator().manual_seed(0)
    few = ALL["rsa"].function(x, y, draw)
    assert few.rows == 200 and few.value == pytest.approx(whole["rsa"], abs=0.05)
    blocks = ALL["distance-correlation"].function(x, y, draw)
    assert blocks.rows == 600 and blocks.value == pytest.approx(whole["distance-correlation"], abs=0.05)
    asked = neighborhoods.mutual_knn(x, y, queries=300)
    assert asked != whole["mutual-knn"] and asked == pytest.approx(whole["mutual-knn"], abs=0.03)


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (torch.zeros(3, 2), torch.zeros(4, 2), "must have equally many rows, at least one (got 3 and 4)"),
        (torch.zeros(3, 2), torch.zeros(3, 0), "must have columns (got 2 and 0)"),
        (torch.zeros(3, 2), torch.zeros(3, 3), "must have one column for each class, two or more (got 2 and 3)"),
        (torch.zeros(3, 1), torch.zeros(3, 1), "must have one column for each class, two or more (got 1 and 1)"),
        (torch.zeros(3), torch.zeros(3), "must be a matrix of floating-point numbers"),
    ],
)
def test_wrong_tables_are_one_sentence(x: Tensor, y: Tensor, words: str) -> None:
    with pytest.raises(rg.errors.InputError) as error:
        check_pair(x, y, outputs=True)
    assert words in str(error.value)


@pytest.mark.parametrize("options", [{"k": 0}, {"queries": 0}])
def test_wrong_numbers_of_neighbors_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(rg.errors.InputError, match=f"'{next(iter(options))}' must be at least 1"):
        neighborhoods.mutual_knn(normal(9, 2), normal(9, 2), **options)


def test_probabilities_are_recognized() -> None:
    logits = normal(20, 4)
    other = normal(20, 4, seed=1)
    found = value(ALL["jensen-shannon"], logits, other)
    assert value(ALL["jensen-shannon"], logits.softmax(1), other.softmax(1)) == pytest.approx(found, rel=1e-9)
    assert value(ALL["jensen-shannon"], logits.softmax(1).half(), other) == pytest.approx(found, rel=0.01)
