from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import relgraph as rg
from relgraph.errors import InputError
from relgraph.maps import SHRINKAGES, FewAnchorsWarning, MatchedAnchors, choose_shrinkage, residual_metric
from relgraph.maps.kernel import kernel_ridge
from relgraph.maps.modules import similarities
from relgraph.maps.residual_metric import choose_metric_shrinkage, inverse_root, left_out_residuals
from relgraph.registry import MAPS
from tests.spaces import F64, normal, slow_ridge, slow_weights, space, two_spaces, weighted

METHODS = [name for name in MAPS if MAPS.resolve(name).targets != "outputs"]


@pytest.mark.parametrize("method", METHODS)
def test_distances_are_those_of_the_covariance_of_the_residuals(method: str) -> None:
    z, y = two_spaces(target_width=3)
    a, b = space(z, 40), space(y, 40)
    metric, translation = residual_metric(a, b, method, shrinkage=0.2), rg.translate(a, b, method)
    residuals = left_out_residuals(MatchedAnchors.match(a, b), method)
    covariance = sum(torch.outer(row, row) for row in residuals) / 40
    covariance = covariance + 0.2 * covariance.trace() / 3 * torch.eye(3, dtype=F64)
    difference = translation(z) - y
    wanted = torch.stack([row @ torch.linalg.inv(covariance) @ row for row in difference])
    torch.testing.assert_close(metric(z, y), wanted)
    assert isinstance(metric.target, nn.Linear)


def test_residuals_of_ridge_are_those_of_fits_without_the_anchor() -> None:
    z, y = two_spaces(target_width=3)
    a, b = weighted(space(z, 25)), space(y, 25)
    found = left_out_residuals(MatchedAnchors.match(a, b))
    weights, rows, goal = slow_weights(a, b), a.embeddings - a.center, b.embeddings - b.center
    roots = weights.sqrt().unsqueeze(1)
    penalty = choose_shrinkage(roots * rows, roots * goal) * float((roots * rows).square().sum())
    for k in range(25):
        rest = torch.arange(25) != k
        # The penalty of the fit to all anchors, which slow_ridge scales by the trace of those that are left.
        shrinkage = penalty / float((roots * rows)[rest].square().sum())
        fitted = slow_ridge(rows[rest], goal[rest], weights[rest], shrinkage)
        torch.testing.assert_close(found[k], rows[k] @ fitted - goal[k])


@pytest.mark.parametrize("kernel", [("dot", 1.0), ("cosine", 1.0), ("rbf", 2.0)])
def test_residuals_of_a_fitted_kernel_map_are_those_of_refits_without_the_anchor(kernel: tuple[str, float]) -> None:
    z, y = two_spaces(target_width=3)
    matched = MatchedAnchors.match(weighted(space(z, 40)), space(y, 40))
    fitted = kernel_ridge(matched, 0.03, kernel=kernel)
    found = left_out_residuals(matched, "kernel-ridge", fitted)
    # The same system with the penalty and the weights of all anchors, and one row less.
    weights = matched.weights() / matched.weights().mean()
    gram = similarities(matched.offsets, matched.offsets, *kernel)
    root = weights.sqrt()
    spread = (root * gram * root.unsqueeze(1)).diagonal().sum()
    if kernel[0] != "dot":
        spread = spread - weights @ gram @ weights / 40
    penalty = 0.03 * float(spread) / matched.offsets.size(1)
    for i in (0, 7, 39):
        rest = torch.arange(40) != i
        inverse = torch.linalg.inv(gram[rest][:, rest] + penalty * torch.diag(1 / weights[rest]))
        bias = torch.zeros(1, matched.values.size(1), dtype=F64)
        if kernel[0] != "dot":
            bias = (inverse.sum(0) @ matched.values[rest] / inverse.sum()).unsqueeze(0)
        predicted = gram[i, rest] @ inverse @ (matched.values[rest] - bias) + bias[0]
        torch.testing.assert_close(found[i], predicted - matched.values[i], rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("method", ["kernel-ridge", "procrustes", "orthogonal"])
def test_a_single_anchor_that_is_left_out_is_predicted_by_the_mean(method: str) -> None:
    matched = MatchedAnchors.match(*(space(z, 40) for z in two_spaces())).take(torch.tensor([3]))
    torch.testing.assert_close(left_out_residuals(matched, method), -matched.values)
    fitted = kernel_ridge(matched)
    torch.testing.assert_close(left_out_residuals(matched, "kernel-ridge", fitted), -matched.values)


def test_residuals_of_other_methods_leave_out_ten_drawn_folds() -> None:
    z, y = two_spaces()
    a, b = space(z, 33), space(y, 33)
    found = left_out_residuals(MatchedAnchors.match(a, b), "procrustes")
    fold = torch.randperm(33, generator=torch.Generator().manual_seed(0)) % 10  # as of expected_fidelity
    rest, left = ((fold != 4).nonzero().view(-1), (fold == 4).nonzero().view(-1))
    assert left.tolist() != [4, 14, 24]  # the order of anchors may mean something
    fitted = rg.translate(a.take(rest), b.take(rest), "procrustes")
    torch.testing.assert_close(found[left], fitted(z[left]) - y[left])


def test_it_finds_rows_that_noise_in_one_direction_hides_from_the_euclidean_distance() -> None:
    z = normal(300, 6)
    noise = normal(300, 6, seed=1) * torch.tensor([3.0, 0.01, 0.01, 0.01, 0.01, 0.01], dtype=F64)
    a, b, truth = space(z, 100), space(z + noise, 100), torch.arange(100, 300)
    metric, translation = residual_metric(a, b), rg.translate(a, b)
    queries, keys = (z + noise)[100:], z
    plain = rg.retrieval(queries, translation(keys), truth=truth, metric="euclidean")
    better = rg.retrieval(metric.target(queries), metric.source(keys), truth=truth, metric="euclidean")
    assert better.recall(1) > 0.9 > plain.recall(1) + 0.3


def test_identical_spaces_and_directions_without_errors_give_finite_weights() -> None:
    z = normal(40, 4)
    metric = residual_metric(space(z, 30), space(z, 30))
    assert bool(metric(z, z).isfinite().all())
    assert torch.equal(inverse_root(torch.zeros(5, 3, dtype=F64), 0.1).square().sum(0), torch.ones(3, dtype=F64))
    flat = inverse_root(torch.tensor([[1.0, 0.0]], dtype=F64), 0.0)
    assert bool(flat.isfinite().all())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"shrinkage": -1.0}, "'shrinkage'"),
        ({"shrinkage": "best"}, "'shrinkage' must be a finite number .*'best'"),
        ({"method": "kl"}, "'method'"),
        ({"source": torch.eye(2)}, "AnchorSet"),
    ],
)
def test_wrong_input_is_one_sentence(change: dict[str, object], words: str) -> None:
    z, y = two_spaces()
    given: dict[str, object] = {"source": space(z, 40), "target": space(y, 40)} | change
    with pytest.raises(InputError, match=words):
        residual_metric(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [6, 12, 200])
def test_the_shrinkage_of_left_out_residuals_is_that_of_the_definition(count: int) -> None:
    residuals = normal(count, 5) * torch.tensor([0.1, 1, 1, 2, 5.0])
    variance = residuals.square().sum() / count / 5
    found = {}
    for shrinkage in SHRINKAGES:
        total = 0.0
        for row in range(count):
            others = residuals[torch.arange(count) != row]
            covariance = others.mT @ others / (count - 1) + shrinkage * variance * torch.eye(5)
            total += float(
                torch.distributions.MultivariateNormal(torch.zeros(5, dtype=F64), covariance).log_prob(residuals[row])
            )
        found[shrinkage] = total
    assert choose_metric_shrinkage(residuals) == max(found, key=lambda one: found[one])


def test_the_shrinkage_may_be_left_out_or_any_number() -> None:
    z, y = two_spaces()
    spaces = space(z, 40), space(y, 40)
    chosen = choose_metric_shrinkage(left_out_residuals(MatchedAnchors.match(*spaces)))
    found, expected = residual_metric(*spaces, shrinkage="loo"), residual_metric(*spaces, shrinkage=chosen)
    assert torch.equal(found(z, y), expected(z, y))
    number = residual_metric(*spaces, shrinkage=np.float32(0.5))  # type: ignore[arg-type]
    assert torch.equal(number(z, y), residual_metric(*spaces, shrinkage=0.5)(z, y))
    same = residual_metric(spaces[0], spaces[0], shrinkage="loo")
    assert bool(same(z, z).isfinite().all())


def test_two_anchors_are_too_few() -> None:
    z, y = two_spaces()
    with pytest.warns(FewAnchorsWarning), pytest.raises(InputError, match="3 anchors or more"):
        residual_metric(space(z, 2), space(y, 2))
