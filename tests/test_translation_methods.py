"""Every translation keeps what it declares, and each is compared with a slow reference."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from relgraph.anchors import AnchorSet, GraphChangedWarning
from relgraph.errors import InputError
from relgraph.similarity import CHANGES
from relgraph.translation import (
    SHRINKAGES,
    TRANSLATIONS,
    KernelRidge,
    choose_shrinkage,
    generalized_procrustes,
    inverse_relative_projection,
    kernel_ridge,
    orthogonal_linear,
    procrustes,
    ridge_affine,
)
from relgraph.translation.kernel_regression import candidates, fit_kernel_ridge, kernel, kernel_errors
from relgraph.translation.leave_one_out import ridge_errors, smallest_good
from relgraph.translation.weights import moderate_weights

F64 = torch.float64
EVERY_TRANSLATION = pytest.mark.parametrize("name", TRANSLATIONS)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def rotation(width: int, seed: int = 0) -> Tensor:
    return torch.linalg.qr(normal(width, width, seed=seed))[0]


def published(z: Tensor, count: int, *, center: Tensor | None = None, fingerprint: str = "") -> AnchorSet:
    return AnchorSet(torch.arange(count), z[:count], z.mean(0) if center is None else center, fingerprint)


def two_spaces(seed: int = 0, *, width: int = 4, target_width: int = 4) -> tuple[Tensor, Tensor]:
    """Two views of the same nodes, alike up to a linear map and noise."""
    z = normal(60, width, seed=seed) + 2
    return z, z @ normal(width, target_width, seed=seed + 1) + 0.3 * normal(60, target_width, seed=seed + 2)


def changed(z: Tensor, change: str, seed: int) -> Tensor:
    """All nodes of a space after a change of its coordinates."""
    width = z.size(1)
    if change == "rotation":
        return z @ rotation(width, seed)
    if change == "translation":
        return z + 3 * normal(width, seed=seed)
    if change == "scaling":
        return z * (0.2 + 3 * torch.rand(1, generator=torch.Generator().manual_seed(seed), dtype=F64))
    if change == "coordinate-scaling":
        return z * (0.2 + 3 * torch.rand(width, generator=torch.Generator().manual_seed(seed), dtype=F64))
    if change == "node-scaling":
        return z * (0.2 + 3 * torch.rand(len(z), 1, generator=torch.Generator().manual_seed(seed), dtype=F64))
    assert change == "affine"
    return changed(changed(changed(z, "rotation", seed), "coordinate-scaling", seed), "translation", seed)


# One contract for every member.


def test_the_registry_names_its_entries_and_declares_known_changes() -> None:
    assert list(TRANSLATIONS) == ["procrustes", "l-ortho", "ridge-affine", "kernel-ridge", "inverse-relative"]
    for name, entry in TRANSLATIONS.items():
        assert entry.name == name and entry.invariant_to <= CHANGES and entry.follows <= CHANGES


@EVERY_TRANSLATION
@given(seed=st.integers(0, 999), count=st.sampled_from([6, 20, 40]), target_width=st.sampled_from([4, 6]))
@settings(max_examples=6, deadline=None)
def test_declared_changes_of_the_source_move_no_point(name: str, seed: int, count: int, target_width: int) -> None:
    entry, (z, y) = TRANSLATIONS[name], two_spaces(seed, target_width=target_width)
    expected = entry.fit(published(z, count), published(y, count))(z)
    for change in entry.invariant_to:
        other = changed(z, change, seed)
        got = entry.fit(published(other, count), published(y, count))(other)
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


@EVERY_TRANSLATION
@given(seed=st.integers(0, 999), count=st.sampled_from([6, 20, 40]))
@settings(max_examples=6, deadline=None)
def test_declared_changes_of_the_target_move_all_points_with_it(name: str, seed: int, count: int) -> None:
    entry, (z, y) = TRANSLATIONS[name], two_spaces(seed)
    landed = entry.fit(published(z, count), published(y, count))(z)
    for change in entry.follows:
        both = changed(torch.cat([y, landed, y.mean(0, keepdim=True)]), change, seed)
        got = entry.fit(published(z, count), published(both[:60], count, center=both[-1]))(z)
        torch.testing.assert_close(got, both[60:-1], rtol=1e-5, atol=1e-5)


@EVERY_TRANSLATION
def test_undeclared_changes_do_move_points(name: str) -> None:
    entry, (z, _) = TRANSLATIONS[name], two_spaces()
    y = torch.cat(
        [z @ normal(4, 2, seed=1), z.square()], dim=1
    )  # bent: a straight relation hides what a kernel notices
    expected = entry.fit(published(z, 40), published(y, 40))(z)
    for change in sorted(CHANGES - entry.invariant_to):
        other = changed(z, change, 5)
        got = entry.fit(published(other, 40), published(y, 40))(other)
        assert float((got - expected).abs().max()) > 1e-3 * float(expected.abs().max()), change
    # A kernel's coefficients follow any affine change; only its choice of similarity and ridge need not.
    for change in sorted(CHANGES - entry.follows) if name != "kernel-ridge" else ():
        both = changed(torch.cat([y, expected, y.mean(0, keepdim=True)]), change, 5)
        got = entry.fit(published(z, 40), published(both[:60], 40, center=both[-1]))(z)
        assert float((got - both[60:-1]).abs().max()) > 1e-3 * float(expected.abs().max()), change


@EVERY_TRANSLATION
def test_linear_maps_are_declared_and_others_are_not(name: str) -> None:
    curve = torch.linspace(-3, 3, 60, dtype=F64).unsqueeze(1)
    z = torch.cat([curve, curve.cos()], dim=1)
    move = TRANSLATIONS[name].fit(published(z, 60), published(torch.cat([curve.sin(), curve], dim=1), 60))
    middle = move((z[:1] + z[20:21]) / 2) - (move(z[:1]) + move(z[20:21])) / 2
    assert (float(middle.abs().max()) < 1e-9) == TRANSLATIONS[name].linear


@EVERY_TRANSLATION
@pytest.mark.parametrize(("width", "target_width"), [(3, 5), (5, 3)])
@pytest.mark.parametrize("count", [2, 5, 30])
def test_spaces_of_other_widths_types_and_few_anchors_give_finite_points_in_the_type_of_the_source(
    name: str, width: int, target_width: int, count: int
) -> None:
    z, y = two_spaces(width=width, target_width=target_width)
    move = TRANSLATIONS[name].fit(published(z.float(), count), published(y, count))
    assert move(z.float()).dtype == torch.float32 and move(z.float()).isfinite().all()
    assert move(z[:0].float()).shape == (0, target_width)
    assert not list(move.parameters()) and move.state_dict()
    assert f"{width} -> {target_width}" in repr(move)


@EVERY_TRANSLATION
@pytest.mark.parametrize("value", [0.0, 0.1, -1e6])
def test_a_constant_space_lands_in_one_finite_place_and_a_constant_target_is_met(name: str, value: float) -> None:
    z, fit = normal(40, 4), TRANSLATIONS[name].fit
    constant = torch.full((40, 3), value, dtype=F64)
    landed = fit(published(constant, 30), published(z, 30))(constant)
    assert landed.isfinite().all() and torch.equal(landed, landed[:1].expand(40, 4))
    torch.testing.assert_close(fit(published(z, 30), published(constant, 30))(z), constant)


@EVERY_TRANSLATION
def test_anchors_are_paired_by_id_and_other_graphs_are_a_warning(name: str) -> None:
    z, y = two_spaces()
    fit, a, b = TRANSLATIONS[name].fit, published(z, 30, fingerprint="a"), published(y, 30)
    order = torch.randperm(30, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(fit(a, b.take(b.ids[order]))(z), fit(a, b)(z))
    with pytest.raises(InputError, match="need 5 ids in common"):
        fit(a, b.take(b.ids[:4]))
    with pytest.warns(GraphChangedWarning, match="a and b") as caught:
        fit(a, published(y, 30, fingerprint="b"))
    assert caught[0].filename == __file__


# Leave-one-out.


@pytest.mark.parametrize("count", [3, 5, 12])
@pytest.mark.parametrize("shrinkage", [1e-4, 0.01, 0.3])
def test_ridge_errors_are_those_of_fitting_without_each_row(count: int, shrinkage: float) -> None:
    a, b = normal(count, 5), normal(count, 3, seed=1)
    penalty = shrinkage * a.square().sum() / 5 * torch.eye(5, dtype=F64)
    slow = []
    for row in range(count):
        rest = torch.arange(count) != row
        weight = torch.linalg.inv(a[rest].mT @ a[rest] + penalty) @ a[rest].mT @ b[rest]
        slow.append((b[row] - a[row] @ weight).square().sum())
    torch.testing.assert_close(ridge_errors(a, b, [shrinkage])[0], torch.stack(slow))


@pytest.mark.parametrize("using", [("dot", 1.0), ("cosine", 1.0), ("rbf", 1.5), ("rbf", 6.0)])
@pytest.mark.parametrize("count", [4, 12])
@pytest.mark.parametrize("shrinkage", [1e-3, 0.3])
@pytest.mark.parametrize("weighted", [False, True])
def test_kernel_errors_are_those_of_fitting_without_each_row(
    using: tuple[str, float], count: int, shrinkage: float, weighted: bool
) -> None:
    a, b = normal(count, 5), normal(count, 3, seed=1) + 4
    weights = normal(count, seed=2).exp() if weighted else None
    w = torch.ones(count, dtype=F64) if weights is None else weights / weights.mean()
    gram, share = kernel(a, a, *using), w / count
    penalty = shrinkage * ((w * gram.diagonal()).sum() - count * share @ gram @ share) / 5
    slow = []
    for row in range(count):
        rest = torch.arange(count) != row
        # The optimality conditions of kernel ridge regression with a free constant.
        system = torch.ones(count, count, dtype=F64)
        system[:-1, :-1] = gram[rest][:, rest] + penalty * torch.diag(1 / w[rest])
        system[-1, -1] = 0
        solution = torch.linalg.solve(system, torch.cat([b[rest], torch.zeros(1, 3, dtype=F64)]))
        slow.append(w[row] * (b[row] - gram[row, rest] @ solution[:-1] - solution[-1]).square().sum())
    fast = kernel_errors(a, b, using, [shrinkage], weights)[0]
    torch.testing.assert_close(fast, torch.stack(slow), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("using", [("cosine", 1.0), ("rbf", 2.0)])
def test_a_kernel_map_takes_points_a_part_at_a_time(using: tuple[str, float], monkeypatch: pytest.MonkeyPatch) -> None:
    a, b, x = normal(20, 3), normal(20, 2, seed=1), (1e3 * normal(57, 3, seed=2)).requires_grad_()
    fit = fit_kernel_ridge(a, b, using=using)
    module = KernelRidge(torch.zeros(3, dtype=F64), a, fit.coefficients, fit.bias, fit.similarity, fit.width)
    whole = module(x)
    monkeypatch.setattr("relgraph.translation.kernel_regression.SIMILARITIES", 100)
    parts = module(x)
    torch.testing.assert_close(parts, whole)
    (one,), (other,) = torch.autograd.grad(whole.sum(), x), torch.autograd.grad(parts.sum(), x)
    torch.testing.assert_close(one, other)
    assert module(x[:0]).shape == (0, 2)


def test_the_quick_kernel_of_double_precision_equals_the_exact_distances() -> None:
    x, a = 1e3 * normal(30, 5), normal(12, 5, seed=1)
    for width in (0.5, 3.0, 2000.0):
        exact = (-(x.unsqueeze(1) - a).square().sum(2) / (2 * width**2)).exp()
        torch.testing.assert_close(kernel(x, a, "rbf", width), exact, rtol=1e-6, atol=1e-12)
    assert torch.equal(kernel(a, a, "rbf", 1.0).diagonal().round(decimals=9), torch.ones(12, dtype=F64))


@pytest.mark.parametrize("away", [1e6, 1e7, 1e9])
def test_a_centre_far_from_the_anchors_does_not_spoil_the_kernel(away: float) -> None:
    x = normal(160, 3)
    a = AnchorSet(torch.arange(80), x[:80], x.mean(0) + away)
    b = AnchorSet(torch.arange(80), x[:80].sin(), torch.zeros(3))
    mapped = kernel_ridge(a, b)(x[80:])
    assert (mapped - x[80:].sin()).square().mean() < 0.02


def test_a_robust_kernel_map_is_not_bent_by_a_few_far_anchors() -> None:
    x = normal(400, 3)
    y = x @ rotation(3)
    y[:12] = 500 * normal(12, 3, seed=5)  # of these nodes the two runs say nothing alike
    a, b = AnchorSet(torch.arange(200), x[:200], x.mean(0)), AnchorSet(torch.arange(200), y[:200], torch.zeros(3))
    plain, robust = (
        float((kernel_ridge(a, b, robust=robust)(x[200:]) - y[200:]).square().mean()) for robust in (False, True)
    )
    assert robust < 0.2 * plain


def test_weights_are_of_the_usual_size_of_rows() -> None:
    rows = torch.tensor([[3.0, 4.0], [0.0, 5.0], [0.0, 50.0], [0.0, 0.0]], dtype=F64)
    torch.testing.assert_close(moderate_weights(rows[:3]), torch.tensor([1 / 2, 1 / 2, 1 / 101], dtype=F64))
    both = moderate_weights(rows[:3], 2 * rows[:3].flip(0))
    torch.testing.assert_close(both, torch.tensor([1 / 102, 1 / 3, 1 / 102], dtype=F64))
    few = torch.cat([torch.full((60, 1), 1e-16), torch.ones(40, 1)]).double()  # rounding is no size
    torch.testing.assert_close(moderate_weights(few)[60:], torch.full((40,), 1 / (1 + (1 / 0.4) ** 2), dtype=F64))
    for dtype in (torch.float16, torch.float32, F64):
        assert torch.equal(moderate_weights(torch.zeros(3, 2, dtype=dtype)), torch.ones(3, dtype=dtype))


def test_the_smallest_shrinkage_within_half_a_standard_error_is_taken() -> None:
    errors = torch.tensor([[4.0, 4.0, 4.0, 4.0], [1.3, 1.3, 1.3, 1.3], [0.0, 2.0, 0.0, 2.0], [1.1, 1.1, 1.1, 1.1]])
    # Least mean 1, its standard error 1 / sqrt(4): up to 1.25 counts as equal.
    assert smallest_good(errors.double()) == 2
    errors[1] -= 0.06
    assert smallest_good(errors.double()) == 1


def test_the_rule_for_shrinkage_and_where_it_is_not_trusted() -> None:
    a, noise = normal(80, 40), normal(80, 2, seed=1)
    clean, noisy = choose_shrinkage(a, a @ normal(40, 2, seed=2)), choose_shrinkage(a, noise)
    assert (clean, noisy) == (SHRINKAGES[0], SHRINKAGES[-1])
    errors = ridge_errors(a, a[:, :2] + noise)
    assert choose_shrinkage(a, a[:, :2] + noise) == SHRINKAGES[smallest_good(errors)]
    assert choose_shrinkage(a[:24], noise[:24]) == 1e-3  # few
    wide = normal(40, 40)
    assert choose_shrinkage(wide, wide @ normal(40, 2, seed=3)) >= 1e-3  # as many as dimensions
    assert choose_shrinkage(torch.zeros(80, 40), noise) == 1e-3


# Each against its definition.


@given(seed=st.integers(0, 999), width=st.integers(1, 6), factor=st.floats(0.01, 100))
@settings(max_examples=15, deadline=None)
def test_l_ortho_recovers_a_similarity_exactly(seed: int, width: int, factor: float) -> None:
    z = normal(30, width, seed=seed)
    moved = factor * z @ rotation(width, seed) + normal(width, seed=seed + 1)
    torch.testing.assert_close(orthogonal_linear(published(z, 20), published(moved, 20))(z), moved)


def test_l_ortho_is_the_polar_factor_of_the_least_squares_map_and_not_procrustes() -> None:
    z, y = two_spaces()
    a, b = published(z, 40), published(y, 40)
    weight = orthogonal_linear(a, b, scale=False).weight
    least = torch.linalg.lstsq(a.embeddings - a.center, b.embeddings - b.center).solution
    values, vectors = torch.linalg.eigh(least.mT @ least)
    torch.testing.assert_close(weight, least @ vectors @ torch.diag(values.rsqrt()) @ vectors.mT)
    torch.testing.assert_close(weight.mT @ weight, torch.eye(4, dtype=F64))
    assert float((weight - procrustes(a, b, scale=False).weight).abs().max()) > 0.01


def test_ridge_affine_by_leave_one_out_is_that_with_the_number_chosen() -> None:
    z, y = two_spaces()
    a, b = published(z, 40), published(y, 40)
    number = choose_shrinkage(a.embeddings - a.center, b.embeddings - b.center)
    assert torch.equal(ridge_affine(a, b, shrinkage="loo").weight, ridge_affine(a, b, shrinkage=number).weight)
    with pytest.raises(InputError, match=r"'shrinkage' must be a number of at least 0, or 'loo' \(got best\)"):
        ridge_affine(a, b, shrinkage="best")  # type: ignore[arg-type]


def test_kernel_ridge_equals_scikit_learns_on_what_it_chose() -> None:
    from sklearn.kernel_ridge import KernelRidge as Reference

    curve = torch.linspace(-3, 3, 80, dtype=F64).unsqueeze(1)
    z, y = torch.cat([curve, curve.cos()], dim=1), torch.cat([curve.sin(), curve.square()], dim=1)
    move = kernel_ridge(published(z, 80), published(y, 80))
    assert isinstance(move, KernelRidge) and move.similarity == "rbf"
    torch.testing.assert_close(move(z), y, rtol=0.02, atol=0.02)
    a, b = z - z.mean(0), y - y.mean(0)
    fit = fit_kernel_ridge(a, b)
    gram = kernel(a, a, "rbf", fit.width)
    middle = torch.eye(80, dtype=F64) - 1 / 80
    alpha = fit.shrinkage * float((middle @ gram @ middle).trace()) / 2
    # Without a constant of its own, it must find ours once that is taken off.
    reference = Reference(alpha=alpha, kernel="rbf", gamma=1 / (2 * fit.width**2)).fit(
        a.numpy(), (b - fit.bias).numpy()
    )
    torch.testing.assert_close(move(z), torch.from_numpy(reference.predict(a.numpy())) + fit.bias + y.mean(0))
    torch.testing.assert_close(fit.coefficients.sum(0), torch.zeros(2, dtype=F64), rtol=0, atol=1e-6)


def test_candidates_are_spread_around_the_median_distance_and_survive_repeated_anchors() -> None:
    a = normal(30, 4)
    median = float(torch.cdist(a, a)[torch.triu(torch.ones(30, 30), 1).bool()].median())
    assert list(candidates(a))[2:] == [("rbf", pytest.approx(multiple * median)) for multiple in (4, 2, 1, 0.5)]
    mostly_one = torch.cat([a[:1].expand(25, 4), a[:5]])
    assert all(width > 0 for _, width in candidates(mostly_one)) and len(list(candidates(mostly_one))) == 6
    assert list(candidates(a[:1])) == [("dot", 1.0), ("cosine", 1.0)]
    with pytest.raises(InputError, match="'similarity' must be one of cosine, dot, rbf"):
        KernelRidge(a[0], a, a, a[0], "rbv")


def test_a_curved_map_stays_exact_in_single_precision() -> None:
    a, b = normal(200, 6).float().double(), normal(200, 2, seed=1)
    fit = fit_kernel_ridge(a, b, using=("rbf", 12.0), shrinkage=1e-4)
    parts = (torch.zeros(6, dtype=F64), a, fit.coefficients, fit.bias, fit.similarity, fit.width)
    exact = KernelRidge(*parts)(a)
    placed = KernelRidge(*parts).placed(a.float())
    assert placed(a.float()).dtype == torch.float32
    torch.testing.assert_close(placed(a.float()), exact.float())
    assert float((KernelRidge(*parts).float()(a.float()) - exact).abs().max()) > 0.01  # what it is kept from


def test_a_smooth_curve_needs_the_least_ridge_and_a_line_no_curve() -> None:
    curve = torch.linspace(-3, 3, 80, dtype=F64).unsqueeze(1)
    bent, straight = fit_kernel_ridge(curve, curve.sin()), fit_kernel_ridge(curve, 2 * curve)
    assert (bent.similarity, bent.shrinkage) == ("rbf", SHRINKAGES[0])
    assert (straight.similarity, straight.shrinkage) == ("dot", SHRINKAGES[0])


@pytest.mark.parametrize("count", [3, 10])
def test_inverse_projection_goes_through_the_relative_coordinates(count: int) -> None:
    z, y = two_spaces(target_width=6)
    a, b = published(z, count), published(y, count)

    def unit(rows: Tensor) -> Tensor:
        return torch.stack([row / row.norm() for row in rows])

    relative = unit(z - a.center) @ unit(a.embeddings - a.center).mT
    length = torch.stack([row.norm() for row in b.embeddings - b.center]).mean()
    expected = length * relative @ torch.linalg.pinv(unit(b.embeddings - b.center).mT, rtol=0.01) + b.center
    torch.testing.assert_close(inverse_relative_projection(a, b)(z), expected)


def test_inverse_projection_recovers_directions_and_leaves_out_the_noise() -> None:
    z = normal(40, 4)
    moved = 7 * z @ rotation(4) + 2
    landed = inverse_relative_projection(published(z, 20), published(moved, 20))(z) - moved.mean(0)
    expected = moved - moved.mean(0)
    torch.testing.assert_close(nn.functional.normalize(landed), nn.functional.normalize(expected))
    torch.testing.assert_close(landed[:20].norm(dim=1), expected[:20].norm(dim=1).mean().expand(20))
    flat = moved.clone()
    flat[:, 3] = 1e-9 * normal(40, seed=3)  # a dimension of rounding
    assert inverse_relative_projection(published(z, 20), published(flat, 20))(z).abs().max() < 100
    with pytest.raises(InputError, match=r"'cut' must be a share .* \(got 1.5\)"):
        inverse_relative_projection(published(z, 20), published(moved, 20), cut=1.5)


# Generalized Procrustes.


def test_rotated_copies_land_on_each_other() -> None:
    z = normal(50, 5)
    copies = [factor * z @ rotation(5, seed) + seed for seed, factor in ((1, 1.0), (2, 30.0), (3, 0.1), (4, 2.0))]
    maps = generalized_procrustes([published(copy, 20) for copy in copies])
    landed = [move(copy) for move, copy in zip(maps, copies, strict=True)]
    for other in landed[1:]:
        torch.testing.assert_close(other, landed[0])
    torch.testing.assert_close(landed[0].mean(0), torch.zeros(5, dtype=F64), rtol=0, atol=1e-9)
    torch.testing.assert_close((landed[0][:20]).square().sum(1).mean(), torch.ones((), dtype=F64))


def test_without_scale_the_maps_keep_lengths_and_with_two_spaces_it_is_procrustes() -> None:
    z, y = two_spaces()
    a, b = published(z, 30), published(y, 30)
    first, second = generalized_procrustes([a, b], scale=False)
    for move in (first, second):
        torch.testing.assert_close(move.weight.mT @ move.weight, torch.eye(4, dtype=F64))
    torch.testing.assert_close(
        first.weight @ second.weight.mT, procrustes(a, b, scale=False).weight, rtol=1e-4, atol=1e-4
    )


def test_no_other_turn_of_one_space_agrees_better() -> None:
    spaces = [published(normal(40, 4, seed=seed) + normal(40, 4), 25) for seed in range(1, 4)]
    maps = generalized_procrustes(spaces)
    landed = [move(space.embeddings) for move, space in zip(maps, spaces, strict=True)]

    def error(points: list[Tensor]) -> float:
        mean = torch.stack(points).mean(0)
        return float(sum((part - mean).square().sum() for part in points))

    best = error(landed)
    for seed in range(10):
        skew = 0.02 * normal(4, 4, seed=seed)
        turned = landed[1] @ torch.linalg.matrix_exp(skew - skew.mT)
        assert error([landed[0], turned, landed[2]]) > best


def test_spaces_of_different_width_and_shared_ids_only() -> None:
    z = normal(60, 4)
    wide = torch.cat([2 * z @ rotation(4, 1), torch.zeros(60, 2, dtype=F64)], dim=1) @ rotation(6, 2)
    a, b = published(z, 30), published(wide, 40)
    b = b.take(b.ids.flip(0))
    maps = generalized_procrustes([a, b])
    assert [tuple(move.weight.shape) for move in maps] == [(4, 6), (6, 6)]
    torch.testing.assert_close(maps[0](z) - maps[0](z).mean(0), maps[1](wide) - maps[1](wide).mean(0))
    assert all(torch.isfinite(move.weight).all() for move in generalized_procrustes([a, published(0 * z, 30)]))
    with pytest.raises(InputError, match=r"at least two spaces \(got 1\)"):
        generalized_procrustes([a])
    with pytest.raises(InputError, match=r"need 5 ids that all of them have.*got 3"):
        full = published(z, 30)
        generalized_procrustes([full, full.take(torch.arange(0, 13)), full.take(torch.arange(10, 30))])


@pytest.mark.parametrize("name", ["procrustes", "l-ortho"])
@pytest.mark.parametrize("count", [1, 4, 12])
def test_few_anchors_leave_nothing_to_rounding(name: str, count: int) -> None:
    z, other, turn = normal(40, 16), normal(40, 16, seed=1), rotation(16)

    def space(points: Tensor) -> AnchorSet:
        return AnchorSet(torch.arange(count), points[:count], points.mean(0))

    straight = TRANSLATIONS[name].fit(space(z), space(other))(z)
    torch.testing.assert_close(TRANSLATIONS[name].fit(space(z @ turn), space(other))(z @ turn), straight)


@pytest.mark.parametrize("name", TRANSLATIONS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_points_keep_their_own_type(name: str, dtype: torch.dtype) -> None:
    z, other = normal(40, 4).float(), normal(40, 4, seed=1).float()
    a, b = (AnchorSet(torch.arange(40), points, points.mean(0)) for points in (z, other))
    moved = TRANSLATIONS[name].fit(a, b)(z.to(dtype))
    assert moved.dtype == dtype and moved.isfinite().all()
