from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from relgraph.anchors import AnchorSet, PublishedHead, publish
from relgraph.errors import InputError
from relgraph.maps import SHRINKAGES, KernelMap, MatchedAnchors, convert, translate
from relgraph.maps.kernel import candidates, kernel_ridge
from relgraph.maps.modules import similarities
from tests.spaces import F64, head, normal, rotation, space, two_runs

pytestmark = pytest.mark.filterwarnings("ignore::relgraph.maps.NoCorrespondenceWarning")


def fitted(module: nn.Module) -> KernelMap:
    assert isinstance(module, KernelMap)
    return module


@pytest.mark.parametrize("kernel", [("cosine", 1.0), ("rbf", 1.5), ("rbf", 9.0)])
@pytest.mark.parametrize("count", [20, 60])
def test_conversion_equals_the_formula(count: int, kernel: tuple[str, float]) -> None:
    z, source, there = two_runs(count)
    matched = MatchedAnchors.match(source, there)
    module = kernel_ridge(matched, 0.01, kernel=kernel)
    assert (module.similarity, module.width, module.shrinkage) == (*kernel, 0.01)
    a, x = source.embeddings - source.center, z - source.center

    def s(p: Tensor, q: Tensor) -> Tensor:
        if module.similarity == "cosine":
            return torch.stack([torch.stack([u @ v / u.norm() / v.norm() for v in q]) for u in p])
        return torch.stack([torch.stack([(-(u - v).square().sum() / 2 / module.width**2).exp() for v in q]) for u in p])

    w = matched.weights() / matched.weights().mean()
    ones, share = torch.ones(count, 1, dtype=F64), w / count
    spread = (w * s(a, a).diagonal()).sum() - count * share @ s(a, a) @ share  # around the weighted mean
    gram = s(a, a) + 0.01 * spread / 5 * torch.diag(1 / w)
    inverse = torch.linalg.inv(gram)
    r = inverse - inverse @ ones @ ones.mT @ inverse / (ones.mT @ inverse @ ones)
    b = ones.mT @ inverse @ there.outputs / (ones.mT @ inverse @ ones)
    torch.testing.assert_close(module(z), s(x, a) @ r @ there.outputs + b, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("count", [20, 24])
def test_few_anchors_give_a_weighted_linear_map_through_the_mean(count: int) -> None:
    z, source, there = two_runs(count)
    module = fitted(convert(source, there, "kernel-ridge"))
    assert (module.similarity, module.shrinkage) == ("dot", 1e-3)
    a, w = source.embeddings - source.center, torch.diag(MatchedAnchors.match(source, there).weights())
    square = a.mT @ w @ a
    square = square + 1e-3 * square.trace() / 5 * torch.eye(5, dtype=F64)
    weight = torch.linalg.solve(square, a.mT @ w @ (there.outputs - there.mean))
    torch.testing.assert_close(module(z), (z - source.center) @ weight + there.mean)


def test_translation_equals_scikit_learns_with_the_selected_kernel() -> None:
    from sklearn.kernel_ridge import KernelRidge as Reference

    curve = torch.linspace(-3, 3, 80, dtype=F64).unsqueeze(1)
    z, y = torch.cat([curve, curve.cos()], dim=1), torch.cat([curve.sin(), curve.square()], dim=1)
    module = fitted(translate(space(z, 80), space(y, 80), "kernel-ridge"))
    assert module.similarity == "rbf"
    torch.testing.assert_close(module(z), y, rtol=0.02, atol=0.02)
    a, middle = z - z.mean(0), torch.eye(80, dtype=F64) - 1 / 80
    alpha = module.shrinkage * float((middle @ similarities(a, a, "rbf", module.width) @ middle).trace()) / 2
    # The reference has no constant: it must find the same coefficients once the constant is subtracted.
    reference = Reference(alpha=alpha, kernel="rbf", gamma=1 / (2 * module.width**2))
    reference.fit(a.numpy(), (y - module.bias).numpy())
    torch.testing.assert_close(module(z), torch.from_numpy(reference.predict(a.numpy())) + module.bias)
    torch.testing.assert_close(module.coefficients.sum(0), torch.zeros(2, dtype=F64), rtol=0, atol=1e-6)


def test_a_curved_relation_selects_a_curved_kernel_and_a_line_the_dot_product() -> None:
    z = normal(600, 3)
    curved = nn.Sequential(head(3, 30), nn.Tanh(), head(30, 3, seed=5))
    source = space(z, 200)
    there = publish(curved, source, embeddings=z)
    module = fitted(convert(source, there, "kernel-ridge"))
    assert module.similarity == "rbf" and not module.training
    assert "similarity=rbf, width=" in repr(module) and "3 -> 3, 200 anchors" in repr(module)

    def error(conversion: nn.Module) -> float:
        return float((conversion(z[200:]) - curved(z[200:])).square().mean().detach())

    assert error(module) < 0.2 * error(convert(source, there))
    assert fitted(convert(source, publish(head(3, 4), source), "kernel-ridge")).similarity == "dot"
    line = torch.linspace(-3, 3, 80, dtype=F64).unsqueeze(1)
    for target, similarity in ((line.sin(), "rbf"), (2 * line, "dot")):
        module = fitted(translate(space(line, 80), space(target, 80), "kernel-ridge"))
        assert (module.similarity, module.shrinkage) == (similarity, SHRINKAGES[0])


def test_no_more_anchors_than_dimensions_give_the_dot_product() -> None:
    z = normal(100, 40)
    for count, curved in ((40, False), (60, True)):
        module = fitted(translate(space(z, count), space(z.sin() * 3 + z.square(), count), "kernel-ridge"))
        assert (module.similarity != "dot") == curved
        assert module.shrinkage >= 1e-3 or curved


def test_about_as_many_anchors_as_dimensions_raise_the_shrinkage() -> None:
    z = normal(100, 50)
    line = z @ normal(50, 3, seed=1)
    for count, shrinkage in ((62, 1e-3), (63, SHRINKAGES[0])):
        module = fitted(translate(space(z, count), space(line, count), "kernel-ridge"))
        assert (module.similarity, module.shrinkage) == ("dot", shrinkage), count


def test_a_constant_added_to_the_outputs_is_added_to_the_map_and_changes_no_choice() -> None:
    z = normal(300, 3)
    curved = nn.Sequential(head(3, 30), nn.Tanh(), head(30, 3, seed=5))
    there = publish(curved, space(z, 120), embeddings=z)
    shifted = PublishedHead(there.ids, there.outputs + 1000, there.mean + 1000)
    one, other = (fitted(convert(space(z, 120), published, "kernel-ridge")) for published in (there, shifted))
    assert one.similarity == "rbf"
    assert (one.similarity, one.width, one.shrinkage) == (other.similarity, other.width, other.shrinkage)
    torch.testing.assert_close(one(z) + 1000, other(z))


def test_shrinkage_zero_is_refused() -> None:
    _, source, there = two_runs(40)
    with pytest.raises(InputError, match="'shrinkage' of a kernel must be above 0"):
        convert(source, there, "kernel-ridge", shrinkage=0.0)


def test_anchors_of_a_regression_have_equal_weights() -> None:
    z, source, there = two_runs(80)
    outputs = there.outputs * 1e3 ** (torch.arange(80) % 40 == 0).view(-1, 1)
    values = PublishedHead(there.ids, outputs, there.mean, "regression")
    logits = PublishedHead(there.ids, outputs, there.mean)
    got = fitted(convert(source, values, "kernel-ridge"))
    unweighted = translate(source, AnchorSet(there.ids, outputs, there.mean), "kernel-ridge")
    torch.testing.assert_close(got(z), unweighted(z))
    assert not torch.allclose(convert(source, logits, "kernel-ridge")(z), got(z))


def test_robust_translation_is_not_dominated_by_a_few_anchors_of_large_norm() -> None:
    x = normal(400, 3)
    y = x @ rotation(3)
    y[:12] = 500 * normal(12, 3, seed=5)  # unrelated in the two runs
    a, b = space(x, 200), space(y, 200, center=torch.zeros(3, dtype=F64))
    plain, robust = (
        float((translate(a, b, "kernel-ridge", robust=robust)(x[200:]) - y[200:]).square().mean())
        for robust in (False, True)
    )
    assert robust < 0.2 * plain


def test_candidate_widths_surround_the_median_distance() -> None:
    a = normal(30, 4)
    median = float(torch.cdist(a, a)[torch.triu(torch.ones(30, 30), 1).bool()].median())
    assert list(candidates(a))[2:] == [("rbf", pytest.approx(multiple * median)) for multiple in (4, 2, 1, 0.5)]
    mostly_one = torch.cat([a[:1].expand(25, 4), a[:5]])
    assert all(width > 0 for _, width in candidates(mostly_one)) and len(list(candidates(mostly_one))) == 6


@pytest.mark.parametrize("away", [1e6, 1e9])
def test_a_center_far_from_the_anchors_does_no_harm(away: float) -> None:
    x = normal(160, 3)
    mapped = translate(space(x, 80, center=x.mean(0) + away), space(x.sin(), 80), "kernel-ridge")(x[80:])
    assert (mapped - x[80:].sin()).square().mean() < 0.02
