import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from relgraph.studies import PredictionRuns, row_table
from relgraph.studies.flips import predict_flips
from relgraph.studies.rows import auc, by_group, calibration, groups_of, least_stable, row_margin, strata
from tests.studies import slow

CLASSES = st.tuples(st.integers(2, 7), st.integers(2, 15)).flatmap(
    lambda shape: hnp.arrays(np.int64, shape, elements=st.integers(0, 3))
)


@settings(max_examples=30, deadline=None)
@given(CLASSES)
def test_a_row_is_what_counting_its_answers_says(classes):
    table = row_table(PredictionRuns.of(classes), "model")
    np.testing.assert_allclose(table["entropy"], slow.entropy(classes), atol=1e-12)
    for row, column in enumerate(classes.T.tolist()):
        order = sorted(set(column), key=lambda one: (-column.count(one), one))
        assert table["answer"][row] == order[0]
        assert table["second"][row] == (order[1] if len(order) > 1 else -1)
        assert table["agreeing"][row] == column.count(order[0])
        assert table["disagreement"][row] == pytest.approx(slow.disagreement(classes[:, [row]]))


def test_margins_are_means_over_runs():
    logits = np.random.default_rng(0).normal(size=(3, 5, 4))
    p = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    ordered = np.sort(p, axis=2)
    np.testing.assert_allclose(row_margin(logits), (ordered[..., -1] - ordered[..., -2]).mean(axis=0))


def test_groups_of_rows_add_up_to_all_rows():
    rng = np.random.default_rng(1)
    classes, y = rng.integers(0, 3, (6, 80)), rng.integers(-1, 3, 80)
    degree = rng.integers(0, 12, 80).astype(float)
    degree[:3] = [np.nan, np.inf, 60]
    runs = PredictionRuns.of(classes, y=y, properties={"degree": degree, "other": rng.normal(size=80)})
    found = strata(runs, "model")
    assert set(found) == {"class", "degree", "other"}
    for groups in found.values():
        assert sum(group["rows"] for group in groups) == 80
        mean = sum(group["rows"] * group["disagreement"]["mean"] for group in groups) / 80
        assert mean == pytest.approx(slow.disagreement(classes))
    assert [group["group"] for group in found["class"]] == ["0", "1", "2", "undefined"]
    assert found["class"][-1]["accuracy"] is None
    assert {group["group"] for group in found["degree"]} >= {"50-99", "unreachable", "undefined"}
    alone = PredictionRuns.of(classes[:, y == 1], y=y[y == 1])
    accuracy = found["class"][1]["accuracy"]
    assert accuracy["mean"] == pytest.approx((alone.classes == 1).mean())
    low, high = accuracy["interval"]
    assert (accuracy["n"], accuracy["n_is"]) == (6, "runs") and low < accuracy["mean"] < high


def test_groups_without_labels_are_those_of_the_answers():
    found = strata(PredictionRuns.of([[0, 1, 1], [0, 1, 0]]), "model")
    assert set(found) == {"answer"}
    assert [group["rows"] for group in found["answer"]] == [2, 1]  # the tie goes to the lowest class


def test_ends_of_groups():
    numbers, names = groups_of(np.array([0.0, 0.19, 0.2, 0.99, 1.0]), (0, 0.2, 0.4, 0.6, 0.8, 1))
    assert [names[number] for number in numbers] == [
        "0 to below 0.2", "0 to below 0.2", "0.2 to below 0.4", "0.8 to below 1", "1",
    ]  # fmt: skip


def test_a_group_has_an_interval_from_five_runs_on():
    runs = PredictionRuns.of(np.random.default_rng(2).integers(0, 3, (5, 40)))
    (group,) = by_group(runs, "model", np.zeros(40, dtype=np.int64), ["all"])
    low, high = group["disagreement"]["interval"]
    assert low < group["disagreement"]["mean"] < high


def test_calibration_counts_the_right_answers_by_agreement():
    classes = np.array([[0, 0, 1, 1, 2], [0, 0, 1, 0, 2], [0, 1, 1, 0, 2]])
    runs = PredictionRuns.of(classes, y=[0, 0, 2, 1, -1])
    found = calibration(row_table(runs, "model"), 3)
    assert found["unanimous"] == {"rows": 2, "accuracy": 0.5}
    assert found["other"] == {"rows": 2, "accuracy": 0.5}
    assert [part["agreeing"] for part in found["by_agreeing"]] == [2, 3]
    assert found["auc"] == 0.5
    assert calibration(row_table(PredictionRuns.of(classes), "model"), 3) is None


def test_the_least_stable_rows_come_first_and_stable_ones_not_at_all():
    classes = np.array([[0, 0, 1], [0, 1, 1], [0, 2, 0], [0, 1, 1]])
    found = least_stable(row_table(PredictionRuns.of(classes, ids=["a", "b", "c"]), "model"))
    assert [row["id"] for row in found] == ["b", "c"]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4)), min_size=2, max_size=20))
def test_auc_is_the_share_of_pairs_in_order(rows):
    positive, score = (np.array(column) for column in zip(*rows, strict=True))
    expected = slow.auc(positive, score)
    found = auc(positive, score.astype(float))
    assert found == (None if expected is None else pytest.approx(expected))


def drifting(runs, rows, seed):
    """Classes of which each row flips with a probability of its own."""
    rng = np.random.default_rng(seed)
    share = rng.beta(0.3, 1.5, rows)
    return (rng.random((runs, rows)) < share).astype(np.int64), share


def test_flips_are_judged_by_runs_that_the_scores_do_not_know():
    classes, share = drifting(8, 60, 3)
    runs = PredictionRuns.of(classes, properties={"degree": share})
    found = predict_flips(runs, "model", fit=4)
    assert (found["fit"], found["rest"], found["blocks"]) == (4, 4, 2)
    each, some = [], []
    for block, rest in ((classes[:4], classes[4:]), (classes[4:], classes[:4])):
        answer = (block.sum(axis=0) * 2 > 4).astype(int)
        score = slow.entropy(block)
        each.append(slow.auc((rest != answer).reshape(-1), np.tile(score, 4)))
        some.append(slow.auc((rest != rest[0]).any(axis=0), score))
    assert found["each"]["entropy"]["mean"] == pytest.approx(np.mean(each))
    assert found["any"]["entropy"]["mean"] == pytest.approx(np.mean(some))
    assert found["any"]["degree"]["mean"] == pytest.approx(
        1 - slow.auc((classes != classes[0]).any(axis=0), share), abs=0.2
    )


def test_stable_rows_of_ten_runs_stay_stable_and_a_random_property_tells_nothing():
    classes, _ = drifting(50, 400, 4)
    noise = np.random.default_rng(5).normal(size=400)
    found = predict_flips(PredictionRuns.of(classes, properties={"noise": noise}), "model")
    assert (found["fit"], found["rest"], found["blocks"]) == (10, 40, 5)
    assert found["each"]["entropy"]["mean"] > 0.75 > 0.6 > found["each"]["noise"]["mean"] > 0.4


def test_too_few_runs_and_runs_without_flips_tell_nothing():
    assert predict_flips(PredictionRuns.of(np.zeros((3, 5), dtype=int)), "model") is None
    assert predict_flips(PredictionRuns.of(np.zeros((4, 5), dtype=int)), "model")["each"]["entropy"] is None
