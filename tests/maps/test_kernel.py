from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from relgraph.anchors import AnchorSet, PublishedHead, publish
from relgraph.errors import InputError
from relgraph.maps import SHRINKAGES, KernelMap, MatchedAnchors, convert, translate
from relgraph.maps.kernel import candidates, kernel_ridge
from relgraph.maps.modules import similarities
from tests.spaces import F64, head, normal, rotation, slow_weights, space, two_runs, weighted

pytestmark = pytest.mark.filterwarnings(
    "ignore::relgraph.maps.NoCorrespondenceWarning", "ignore::relgraph.maps.FewAnchorsWarning"
)


def fitted(module: nn.Module) -> KernelMap:
    assert isinstance(module, KernelMap)
    return module


@pytest.mark.parametrize("kernel", [("cosine", 1.0), ("rbf", 1.5), ("rbf", 9.0)])
@pytest.mark.parametrize("count", [20, 60])
def test_conversion_equals_the_formula(count: int, kernel: tuple[str, float]) -> None:
    z, source, there = two_runs(count)
    source = weighted(source)
    module = kernel_ridge(MatchedAnchors.match(source, there), 0.01, kernel=kernel)
    assert (module.similarity, module.width, module.shrinkage) == (*kernel, 0.01)
    a, x = source.embeddings - source.center, z - source.center

    def s(p: Tensor, q: Tensor) -> Tensor:
        if module.similarity == "cosine":
            return torch.stack([torch.stack([u @ v / u.norm() / v.norm() for v in q]) for u in p])
        return torch.stack([torch.stack([(-(u - v).square().sum() / 2 / module.width**2).exp() for v in q]) for u in p])

    w = slow_weights(source, there)
    w = w / w.mean()
    ones, share = torch.ones(count, 1, dtype=F64), w / count
    spread = (w * s(a, a).diagonal()).sum() - count * share @ s(a, a) @ share  # around the weighted mean
    gram = s(a, a) + 0.01 * spread / 5 * torch.diag(1 / w)
    inverse = torch.linalg.inv(gram)
    r = inverse - inverse @ ones @ ones.mT @ inverse / (ones.mT @ inverse @ ones)
    b = ones.mT @ inverse @ there.outputs / (ones.mT @ inverse @ ones)
    torch.testing.assert_close(module(z), s(x, a) @ r @ there.outputs + b, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("count", [1, 4, 5])
def test_no_more_anchors_than_dimensions_give_the_weighted_ridge_regression(count: int) -> None:
    z, source, there = two_runs(count)
    source = weighted(source)
    module = fitted(convert(source, there, "kernel-ridge"))
    assert module.similarity == "dot"
    torch.testing.assert_close(module(z), convert(source, there, "ridge")(z), rtol=1e-6, atol=1e-6)
    given = convert(source, there, "kernel-ridge", shrinkage=0.1)
    torch.testing.assert_close(given(z), convert(source, there, "ridge", shrinkage=0.1)(z))


def test_translation_equals_scikit_learns_with_the_selected_kernel() -> None:
    from sklearn.kernel_ridge import KernelRidge as Reference

    curve = torch.linspace(-3, 3, 80, dtype=F64).unsqueeze(1)
    z, y = torch.cat([curve, curve.cos()], dim=1), torch.cat([curve.sin(), curve.square()], dim=1)
    source, target = weighted(space(z, 80)), space(y, 80)
    module = fitted(translate(source, target, "kernel-ridge"))
    assert module.similarity == "rbf"
    torch.testing.assert_close(module(z), y, rtol=0.05, atol=0.05)
    a, w = z - z.mean(0), slow_weights(source, target)
    w = w / w.mean()
    gram, share = similarities(a, a, "rbf", module.width), w / 80
    spread = float((w * gram.diagonal()).sum() - 80 * share @ gram @ share)  # around the weighted mean
    # The reference has no constant: it must find the same coefficients once the constant is subtracted.
    reference = Reference(alpha=module.shrinkage * spread / 2, kernel="rbf", gamma=1 / (2 * module.width**2))
    reference.fit(a.numpy(), (y - module.bias).numpy(), sample_weight=w.numpy())
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

    assert error(module) < 0.2 * error(convert(source, there, "ridge"))
    assert fitted(convert(source, publish(head(3, 4), source), "kernel-ridge")).similarity == "dot"
    line = torch.linspace(-3, 3, 80, dtype=F64).unsqueeze(1)
    for target, similarity in ((line.sin(), "rbf"), (2 * line, "dot")):
        module = fitted(translate(space(line, 80), space(target, 80), "kernel-ridge"))
        assert (module.similarity, module.shrinkage) == (similarity, SHRINKAGES[0])


def test_no_more_anchors_than_dimensions_give_the_dot_product() -> None:
    z = normal(100, 10)
    for count, curved in ((10, False), (80, True)):
        module = fitted(translate(space(z, count), space(z.sin() * 3 + z.square(), count), "kernel-ridge"))
        assert (module.similarity != "dot") == curved


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


def unweighted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MatchedAnchors, "weights", lambda matched: matched.multiplicities)


def test_anchors_of_a_regression_have_no_robust_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    z, source, there = two_runs(80)
    outputs = there.outputs * 1e3 ** (torch.arange(80) % 40 == 0).view(-1, 1)
    values = PublishedHead(there.ids, outputs, there.mean, "regression")
    logits = PublishedHead(there.ids, outputs, there.mean)
    got, robust = (convert(weighted(source), head, "kernel-ridge", shrinkage=0.01)(z) for head in (values, logits))
    unweighted(monkeypatch)
    torch.testing.assert_close(convert(weighted(source), values, "kernel-ridge", shrinkage=0.01)(z), got)
    torch.testing.assert_close(convert(weighted(source), logits, "kernel-ridge", shrinkage=0.01)(z), got)
    assert not torch.allclose(robust, got) and not torch.allclose(
        convert(source, values, "kernel-ridge", shrinkage=0.01)(z), got
    )


@pytest.mark.parametrize("method", ["ridge", "kernel-ridge"])
def test_a_translation_is_not_dominated_by_a_few_anchors_of_large_norm(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = normal(400, 3)
    y = x @ rotation(3)
    y[:12] = 500 * normal(12, 3, seed=5)  # unrelated in the two runs
    a, b = space(x, 200), space(y, 200, center=torch.zeros(3, dtype=F64))

    def error() -> float:
        return float((translate(a, b, method)(x[200:]) - y[200:]).square().mean())

    robust = error()
    unweighted(monkeypatch)
    assert robust < 0.2 * error()


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


@pytest.mark.parametrize("method", ["kl", "ridge", "kernel-ridge"])
def test_a_shrinkage_that_is_lost_in_rounding_is_one_sentence(method: str) -> None:
    z, rows = normal(300, 64), torch.arange(40)
    head = PublishedHead(rows, normal(40, 3, seed=1), torch.zeros(3))
    if method == "kernel-ridge":  # two anchors at one point
        rows = torch.arange(200)
        z[1] = z[0]
        head = PublishedHead(rows, normal(200, 3, seed=1), torch.zeros(3))
    with pytest.raises(InputError, match="'shrinkage' must be above rounding"):
        convert(AnchorSet.from_rows(z, rows), head, method, shrinkage=1e-18)


def test_a_curved_map_takes_rows_of_any_shape() -> None:
    z, rows = normal(200, 6), torch.arange(100)
    found = convert(
        AnchorSet.from_rows(z, rows), PublishedHead(rows, z[rows].square()[:, :3], torch.zeros(3)), "kernel-ridge"
    )
    assert not isinstance(found, torch.nn.Linear)
    torch.testing.assert_close(found(z[:12].view(3, 4, 6)), found(z[:12]).view(3, 4, 3))
    torch.testing.assert_close(found(z[0]), found(z[:1])[0])
