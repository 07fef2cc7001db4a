from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import Tensor

from relgraph.anchors import AnchorSet, PublishedHead
from relgraph.errors import InputError
from relgraph.maps import SHRINKAGES, MatchedAnchors, choose_shrinkage, resolve_shrinkage
from relgraph.maps.leave_one_out import Smoother, half_standard_error_rule
from relgraph.maps.modules import similarities
from relgraph.similarity import check_shrinkage
from tests.spaces import F64, normal


@pytest.mark.parametrize("count", [3, 5, 12])
@pytest.mark.parametrize("shrinkage", [1e-4, 0.01, 0.3])
def test_errors_are_those_of_ridge_regressions_without_each_row(count: int, shrinkage: float) -> None:
    a, b = normal(count, 5), normal(count, 3, seed=1)
    penalty = shrinkage * float(a.square().sum()) / 5
    slow = []
    for row in range(count):
        rest = torch.arange(count) != row
        square = a[rest].mT @ a[rest] + penalty * torch.eye(5, dtype=F64)
        slow.append(b[row] - a[row] @ torch.linalg.inv(square) @ a[rest].mT @ b[rest])
    smoother = Smoother.of_rows(a)
    torch.testing.assert_close(next(smoother.errors(b, [penalty])), torch.stack(slow))
    torch.testing.assert_close(smoother.squared_errors(b, [penalty])[0], torch.stack(slow).square().sum(1))
    through_products = Smoother.of_kernel(a @ a.mT)
    torch.testing.assert_close(next(through_products.errors(b, [penalty])), torch.stack(slow))
    hat = a @ torch.linalg.inv(a.mT @ a + penalty * torch.eye(5, dtype=F64)) @ a.mT
    torch.testing.assert_close(smoother.free(penalty), 1 - hat.diagonal())
    assert smoother.degrees_of_freedom(penalty) == pytest.approx(float(hat.trace()))


@pytest.mark.parametrize("count", [4, 12])
@pytest.mark.parametrize("weighted", [False, True])
def test_errors_with_an_intercept_are_those_of_kernel_regressions_without_each_row(count: int, weighted: bool) -> None:
    a, b = normal(count, 5), normal(count, 3, seed=1) + 4
    w = normal(count, seed=2).exp() if weighted else torch.ones(count, dtype=F64)
    roots = w.sqrt().unsqueeze(1)
    for kernel in (("dot", 1.0), ("cosine", 1.0), ("rbf", 1.5), ("rbf", 6.0)):
        gram = similarities(a, a, *kernel)
        smoother = Smoother.of_kernel(roots * gram * roots.mT)
        for penalty in (1e-2, 3.0):
            slow = []
            for row in range(count):
                rest = torch.arange(count) != row
                # The optimality conditions of kernel ridge regression with a free constant.
                system = torch.ones(count, count, dtype=F64)
                system[:-1, :-1] = gram[rest][:, rest] + penalty * torch.diag(1 / w[rest])
                system[-1, -1] = 0
                solution = torch.linalg.solve(system, torch.cat([b[rest], torch.zeros(1, 3, dtype=F64)]))
                slow.append(w[row].sqrt() * (b[row] - gram[row, rest] @ solution[:-1] - solution[-1]))
            fast = next(smoother.errors(roots * b, [penalty], roots))
            torch.testing.assert_close(fast, torch.stack(slow), rtol=1e-6, atol=1e-9, msg=f"{kernel}, {penalty}")


def test_the_first_setting_within_half_a_standard_error_is_selected() -> None:
    errors = torch.tensor([[4.0, 4.0, 4.0, 4.0], [1.3, 1.3, 1.3, 1.3], [0.0, 2.0, 0.0, 2.0], [1.1, 1.1, 1.1, 1.1]])
    # Least mean 1, its standard error 1 / sqrt(4): up to 1.25 counts as equal.
    assert half_standard_error_rule(errors.double()) == 2
    assert half_standard_error_rule(errors.double(), last=True) == 3
    errors[1] -= 0.06
    assert half_standard_error_rule(errors.double()) == 1


def slow_choice(a: Tensor, b: Tensor, strongest: bool = False) -> float:
    """The rule with one regression per left-out row and shrinkage."""
    square, product, errors = a.mT @ a, a.mT @ b, []
    for shrinkage in SHRINKAGES:
        penalty = shrinkage * square.trace() / a.size(1) * torch.eye(a.size(1), dtype=F64)
        without = torch.stack([square - torch.outer(row, row) + penalty for row in a])
        goals = torch.stack([product - torch.outer(row, goal) for row, goal in zip(a, b, strict=True)])
        errors.append((b - (a.unsqueeze(1) @ torch.linalg.solve(without, goals)).squeeze(1)).square().sum(1))
    means = torch.stack(errors).mean(1)
    best = int(means.argmin())
    allowed = means[best] + errors[best].std(correction=0) / len(a) ** 0.5 / 2
    equal = [shrinkage for shrinkage, mean in zip(SHRINKAGES, means, strict=True) if mean <= allowed]
    return equal[-1 if strongest else 0]


@pytest.mark.parametrize(
    ("count", "width"),
    [(8, 5), (8, 20), (16, 5), (24, 24), (25, 24), (62, 50), pytest.param(2000, 6, marks=pytest.mark.slow)],
)
def test_one_rule_for_shrinkage_holds_for_every_number_of_anchors(count: int, width: int) -> None:
    """From 8 anchors to thousands, as many anchors as dimensions included."""
    found = set()
    for seed in range(3):
        a, noise = normal(count, width, seed=seed), normal(count, 2, seed=seed + 10)
        line = a @ normal(width, 2, seed=seed + 20)
        for share in (0.0, 0.3, 1.0):
            b = (1 - share) * line / line.std() + share * noise
            assert choose_shrinkage(a, b) == slow_choice(a, b), (seed, share)
            assert choose_shrinkage(a, b, strongest=True) == slow_choice(a, b, strongest=True), (seed, share)
            found.add(choose_shrinkage(a, b))
    assert len(found) > 2 or count > 100 * width  # so many anchors need no shrinkage


def test_the_shrinkage_follows_the_noise_from_one_end_of_the_grid_to_the_other() -> None:
    a, noise = normal(80, 40), normal(80, 2, seed=1)
    assert SHRINKAGES[-1] == 1.0 and list(SHRINKAGES) == sorted(SHRINKAGES)
    assert choose_shrinkage(a, a @ normal(40, 2, seed=2)) == SHRINKAGES[0]
    assert SHRINKAGES[0] < choose_shrinkage(a, a[:, :2] + 0.5 * noise) < SHRINKAGES[-1]
    assert choose_shrinkage(a, noise) == choose_shrinkage(torch.zeros(80, 40), noise) == SHRINKAGES[-1]
    assert {choose_shrinkage(normal(1, 5, seed=seed), normal(1, 2)) for seed in range(20)} == {SHRINKAGES[0]}


def test_values_are_shrunk_more_than_logits_of_the_same_anchors() -> None:
    anchors, outputs = normal(60, 20), normal(60, 2, seed=1)
    outputs = anchors[:, :2] + outputs
    found = {}
    for mode in ("regression", "multiclass"):
        space = AnchorSet.from_rows(anchors, torch.arange(60))
        head = PublishedHead(torch.arange(60), outputs, outputs.mean(dim=0), mode=mode)
        matched = MatchedAnchors.match(space, head)
        rows = matched.offsets, matched.targets
        found[mode] = matched.shrinkage(*rows, "loo")
        assert found[mode] == choose_shrinkage(*rows, strongest=mode == "regression")
        assert matched.shrinkage(*rows, 0.5) == 0.5
    assert found["regression"] > found["multiclass"]


def test_shrinkage_is_checked() -> None:
    for wrong in (-0.1, float("nan"), float("inf"), "best", None, True, torch.ones(2)):
        with pytest.raises(InputError, match="'shrinkage' must be a finite number of at least 0, or 'loo' .got"):
            check_shrinkage(wrong, "loo")  # type: ignore[arg-type]
    a, b = normal(30, 3), normal(30, 1, seed=1)
    for number in (np.float32(0.25), np.float64(0.25), np.float16(0.25), Fraction(1, 4)):
        assert resolve_shrinkage(a, b, number) == 0.25  # type: ignore[arg-type]
    assert resolve_shrinkage(a, b, np.int64(2)) == 2.0
    assert resolve_shrinkage(a, b, 0) == 0.0 and resolve_shrinkage(a, b, "loo") == choose_shrinkage(a, b)
