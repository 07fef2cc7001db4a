from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from relgraph.errors import InputError
from relgraph.measures import disagreement, matched_cosine

PAIRS = st.lists(st.tuples(st.integers(-1, 4), st.integers(-1, 4)), min_size=1, max_size=40)


@given(PAIRS)
def test_disagreement_is_the_share_of_different_classes(pairs: list[tuple[int, int]]) -> None:
    p, q = torch.tensor(pairs).T
    assert disagreement(p, q) == pytest.approx(sum(a != b for a, b in pairs) / len(pairs))
    assert disagreement(p, q) == disagreement(q, p)


def test_the_largest_output_is_the_prediction() -> None:
    scores, other = torch.tensor([[0.1, 3.0], [2.0, 1.0], [5.0, 9.0]]), torch.tensor([1, 0, 0])
    assert disagreement(scores, other) == pytest.approx(1 / 3)
    assert disagreement(scores, 7 * scores) == 0.0
    masked = torch.where(scores > 1, scores, -torch.inf)  # a class that is excluded
    assert disagreement(scores, masked) == 0.0


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


def test_matched_cosine_saturates_as_documented() -> None:
    x = 10 + torch.randn(50, 5, generator=torch.Generator().manual_seed(0))
    assert matched_cosine(x, x.flip(0)) > 0.95  # rows are shuffled


def test_labels_are_compared_by_their_signs() -> None:
    p = torch.tensor([[3.0, 1.0, -1.0], [-1.0, -2.0, 5.0]])
    q = torch.tensor([[2.0, -1.0, -4.0], [-3.0, 1.0, 2.0]])
    assert disagreement(p, q) == 0.0
    assert disagreement(p, q, mode="multilabel") == pytest.approx(2 / 6)
    assert disagreement(p > 0, (q > 0).long(), mode="multilabel") == pytest.approx(2 / 6)
    with pytest.raises(InputError, match="'mode' must be one of multiclass, multilabel, regression"):
        disagreement(p, q, mode="labels")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="'mode' must be 'multiclass' or 'multilabel' .got 'regression'"):
        disagreement(p, q, mode="regression")
    with pytest.raises(InputError, match="must hold multilabel predictions for the same nodes"):
        disagreement(p, q[:, 0], mode="multilabel")


def test_nan_is_refused_and_its_row_named() -> None:
    good = torch.eye(3)
    bad = good.clone()
    bad[1, 2] = torch.nan
    with pytest.raises(InputError, match=r"'q' must not hold NaN \(got NaN in row 1\)"):
        disagreement(good, bad)
    with pytest.raises(InputError, match="'p' must not hold NaN"):
        disagreement(bad, good, mode="multilabel")
    with pytest.raises(InputError, match="'x' must hold finite numbers .got NaN in row 1"):
        matched_cosine(bad, good)


def test_shapes_are_checked() -> None:
    for sizes in ((3, 4), (0, 0)):
        with pytest.raises(InputError, match="same nodes, at least one"):
            disagreement(*(torch.zeros(size, dtype=torch.int64) for size in sizes))
    for x, y in (((2, 3), (2, 4)), ((0, 3), (0, 3))):
        with pytest.raises(InputError, match="must have the same shape with at least one row"):
            matched_cosine(torch.zeros(x), torch.zeros(y))
    with pytest.raises(InputError, match="'x' must be a matrix"):
        matched_cosine(torch.zeros(3), torch.zeros(3))
