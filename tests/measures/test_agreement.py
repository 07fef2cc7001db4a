from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from relgraph.errors import InputError
from relgraph.measures import cohen_kappa, disagreement, matched_cosine

PAIRS = st.lists(st.tuples(st.integers(-1, 4), st.integers(-1, 4)), min_size=1, max_size=40)


@given(PAIRS)
def test_both_equal_the_obvious_formula(pairs: list[tuple[int, int]]) -> None:
    p, q = torch.tensor(pairs).T
    assert disagreement(p, q) == pytest.approx(sum(a != b for a, b in pairs) / len(pairs))
    assert disagreement(p, q) == disagreement(q, p)
    if p.unique().numel() == 1 and torch.equal(p, q):
        assert cohen_kappa(p, q) == 0.0
    else:
        assert cohen_kappa(p, q) == pytest.approx(cohen_kappa_score(p.numpy(), q.numpy()), abs=1e-12)


def test_scores_count_by_their_largest() -> None:
    scores, other = torch.tensor([[0.1, 3.0], [2.0, 1.0], [5.0, 9.0]]), torch.tensor([1, 0, 0])
    assert disagreement(scores, other) == pytest.approx(1 / 3)
    assert disagreement(scores, 7 * scores) == 0.0 and cohen_kappa(scores, scores + 1) == 1.0


def test_kappa_of_one_constant_run_is_zero() -> None:
    truth, constant = torch.arange(9) % 3, torch.ones(9, dtype=torch.int64)
    assert cohen_kappa(constant, truth) == pytest.approx(0.0)
    assert cohen_kappa(constant, constant) == 0.0
    assert cohen_kappa(constant, 0 * constant) == 0.0


def test_kappa_of_shuffled_predictions_is_near_zero_and_full_agreement_is_one() -> None:
    truth = torch.arange(3000) % 3
    shuffled = truth[torch.randperm(3000, generator=torch.Generator().manual_seed(0))]
    assert abs(cohen_kappa(shuffled, truth)) < 0.05 and cohen_kappa(truth, truth) == 1.0


def test_matched_cosine_equals_the_obvious_loop() -> None:
    draw = torch.Generator().manual_seed(0)
    x, y = torch.randn(20, 5, generator=draw), torch.randn(20, 5, generator=draw)
    x[3] = 0
    cosines = [
        float(a @ b / (a.norm() * b.norm())) if a.any() else 0.0 for a, b in zip(x.double(), y.double(), strict=True)
    ]
    assert matched_cosine(x, y) == pytest.approx(sum(cosines) / 20, abs=1e-6)
    assert matched_cosine(x, 3 * x) == pytest.approx(19 / 20, abs=1e-6)
    assert matched_cosine(x[:3], -x[:3]) == pytest.approx(-1, abs=1e-6)
    assert matched_cosine(x.half(), y.half()) == pytest.approx(matched_cosine(x, y), abs=1e-3)


def test_matched_cosine_saturates_as_its_documentation_says() -> None:
    x = 10 + torch.randn(50, 5, generator=torch.Generator().manual_seed(0))
    assert matched_cosine(x, x.flip(0)) > 0.95  # the nodes are mixed up


def test_labels_are_compared_by_their_signs() -> None:
    p = torch.tensor([[3.0, 1.0, -1.0], [-1.0, -2.0, 5.0]])
    q = torch.tensor([[2.0, -1.0, -4.0], [-3.0, 1.0, 2.0]])
    assert disagreement(p, q) == 0.0
    assert disagreement(p, q, outputs="labels") == pytest.approx(2 / 6)
    assert disagreement(p > 0, (q > 0).long(), outputs="labels") == pytest.approx(2 / 6)
    with pytest.raises(InputError, match="'outputs' must be one of classes, labels"):
        disagreement(p, q, outputs="values")
    with pytest.raises(InputError, match="a column per label where 'outputs' is 'labels'"):
        disagreement(p, q[:, 0], outputs="labels")


def test_nan_is_refused_and_its_row_named() -> None:
    good = torch.eye(3)
    bad = good.clone()
    bad[1, 2] = torch.nan
    for measure in (disagreement, cohen_kappa):
        with pytest.raises(InputError, match=r"'q' must not hold NaN \(got NaN in row 1\)"):
            measure(good, bad)
    with pytest.raises(InputError, match="'p' must not hold NaN"):
        disagreement(bad, good, outputs="labels")
    with pytest.raises(InputError, match="'x' must hold finite numbers .got NaN in row 1"):
        matched_cosine(bad, good)
    masked = torch.where(good > 0, good, -torch.inf)  # a class that is ruled out
    assert disagreement(good, masked) == 0.0


def test_shapes_are_checked() -> None:
    for measure in (disagreement, cohen_kappa):
        with pytest.raises(InputError, match="same nodes, at least one"):
            measure(torch.zeros(3, dtype=torch.int64), torch.zeros(4, dtype=torch.int64))
        with pytest.raises(InputError, match="same nodes, at least one"):
            measure(torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64))
    for x, y in (((2, 3), (2, 4)), ((0, 3), (0, 3)), ((3,), (3,))):
        with pytest.raises(InputError, match="matrices of one shape"):
            matched_cosine(torch.zeros(x), torch.zeros(y))
