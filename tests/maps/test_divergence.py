from __future__ import annotations

import pytest
import scipy.optimize
import torch
from scipy.optimize import minimize
from threadpoolctl import threadpool_info, threadpool_limits
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from relgraph.anchors import AnchorSet, PublishedHead, publish
from relgraph.errors import InputError
from relgraph.maps import MatchedAnchors, convert
from relgraph.maps.divergence import kl
from relgraph.task import Mode
from tests.spaces import head, normal, slow_ridge, slow_weights, space, two_runs, weighted

pytestmark = pytest.mark.filterwarnings(
    "ignore::relgraph.maps.NoCorrespondenceWarning", "ignore::relgraph.maps.FewAnchorsWarning"
)


@pytest.mark.parametrize("mode", ["multiclass", "multilabel"])
@pytest.mark.parametrize("count", [4, 12, 80])
@pytest.mark.parametrize(("strength", "beta", "equal"), [(12.0, 2.0, True), (12.0, 2.0, False), (1.0, 0.5, False)])
def test_it_finds_the_minimum_of_the_formula(count: int, mode: Mode, strength: float, beta: float, equal: bool) -> None:
    """Compared with another optimizer in other coordinates, with gradients by autograd."""
    _, source, there = two_runs(count, noise=1.0)
    source = source if equal else weighted(source)
    source.embeddings[1] = source.center + 20 * (source.embeddings[1] - source.center)
    there = PublishedHead(there.ids, there.outputs, there.mean, mode)
    # The first are the defaults with shrinkage 0.1.
    options = {} if (strength, beta) == (12.0, 2.0) else {"prior_strength": strength, "inverse_temperature": beta}
    layer = kl(MatchedAnchors.match(source, there), 0.1, **options)
    assert isinstance(layer, nn.Linear)
    a, contrasts = source.embeddings - source.center, there.outputs - there.mean
    if mode == "multiclass":
        contrasts = contrasts - contrasts.mean(1, keepdim=True)
    roots = source.weights.double().sqrt()
    sizes = a.norm(dim=1)
    n = roots / roots.mean() * (5 * sizes.median() / sizes).clamp(max=1).square()
    assert float(n.min() / n.max()) < 0.9
    start = slow_ridge(a, contrasts, slow_weights(source, there), 0.1).mT
    variance = (n.unsqueeze(1) * a.square()).mean()
    w = slow_weights(source, there)
    of_logits = (w.unsqueeze(1) * contrasts.square()).sum() / (4 * w.sum())

    def loss(weight: Tensor, bias: Tensor) -> Tensor:
        outputs, wanted = beta * (source.embeddings @ weight.mT + bias), beta * there.outputs
        if mode == "multiclass":
            divergence = cross_entropy(outputs, wanted.softmax(1), reduction="none")
        else:
            divergence = binary_cross_entropy_with_logits(outputs, wanted.sigmoid(), reduction="none").sum(1)
        prior = variance * (weight - start).square().sum()
        constant = (bias + weight @ source.center - there.mean).square().sum()
        return (n * divergence).sum() + strength / (2 * of_logits) * (prior + constant)

    def flat(values: object) -> tuple[float, object]:
        t = torch.tensor(values, requires_grad=True)
        value = loss(t[:20].view(4, 5), t[20:])
        value.backward()
        return float(value.detach()), t.grad.numpy()

    first = torch.cat([start.flatten(), there.mean - start @ source.center]).numpy()
    found = minimize(flat, first, jac=True, method="BFGS", options={"gtol": 1e-7, "maxiter": 2000})
    least, got = float(found.fun), float(loss(layer.weight, layer.bias))
    assert got <= least + 1e-6 * count
    assert flat(first)[0] > got
    torch.testing.assert_close(layer.weight, torch.tensor(found.x[:20]).view(4, 5), rtol=1e-2, atol=1e-3)


def test_an_anchor_whose_share_is_the_square_of_a_number_counts_as_that_many_anchors() -> None:
    """Up to the mean: the prior has the weight of so many anchors."""
    z, source, there = two_runs(12)
    contrasts = there.outputs - there.mean
    contrasts = contrasts - contrasts.mean(1, keepdim=True)
    outputs = there.mean + 2 * contrasts / contrasts.norm(dim=1, keepdim=True)  # so that robust weights are equal
    copies = torch.tensor([1, 3, 1, 1, 2, 1, 1, 5, 1, 1, 1, 2])
    rows = torch.arange(12).repeat_interleave(copies)
    many = AnchorSet(torch.arange(len(rows)), source.embeddings[rows], source.center)
    few = AnchorSet(source.ids, source.embeddings, source.center, weights=copies.double() ** 2)
    head, repeated = (PublishedHead(torch.arange(len(part)), part, there.mean) for part in (outputs, outputs[rows]))
    got = kl(MatchedAnchors.match(few, head), 0.05, prior_strength=2.0)(z)
    strength = 2.0 * len(rows) / 12
    expected = kl(MatchedAnchors.match(many, repeated), 0.05, prior_strength=strength)(z)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(kl(MatchedAnchors.match(source, head), 0.05, prior_strength=2.0)(z), got, atol=1e-2)


@pytest.mark.parametrize(("shrinkage", "strength"), [(0.01, 4.0), (1 / 30, 4.0), (0.1, 12.0), (1.0, 120.0)])
def test_the_prior_is_stronger_the_larger_the_shrinkage(shrinkage: float, strength: float) -> None:
    z, source, there = two_runs(40)
    matched = MatchedAnchors.match(source, there)
    default, given = kl(matched, shrinkage)(z), kl(matched, shrinkage, prior_strength=strength)(z)
    torch.testing.assert_close(default, given, rtol=1e-6, atol=1e-6)
    assert not torch.allclose(default, kl(matched, shrinkage, prior_strength=1.1 * strength)(z), atol=1e-4)


def test_it_is_more_faithful_than_least_squares_for_large_logits() -> None:
    z = normal(1000, 5)
    logits = head(5, 4)(z).detach()
    logits = logits.sign() * logits.square()  # the same classes as before, and a few very large values
    there, source = PublishedHead(torch.arange(200), logits[:200], logits.mean(0)), space(z, 200)

    def fidelity(module: nn.Module) -> float:
        return float((module(z[200:]).argmax(1) == logits[200:].argmax(1)).double().mean())

    layer = convert(source, there, "kl")
    assert isinstance(layer, nn.Linear)
    assert fidelity(layer) > fidelity(convert(source, there, "ridge")) + 0.04


@pytest.mark.parametrize(("method", "power", "gain"), [("ridge", 1, 0.01), ("kernel-ridge", 3, 0.1)])
def test_weights_keep_anchors_with_very_large_logits_from_dominating(
    method: str, power: int, gain: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One run's embeddings grow with the number of neighbors, the other's do not."""
    z, degree = normal(1500, 5), normal(1500, 1, seed=3).abs().exp() ** power
    logits = head(5, 4)(z * degree).detach()
    there, source = PublishedHead(torch.arange(300), logits[:300], logits.mean(0)), space(z, 300)

    def fidelity(module: nn.Module) -> float:
        return float((module(z[300:]).argmax(1) == logits[300:].argmax(1)).double().mean())

    robust = fidelity(convert(source, there, method))
    monkeypatch.setattr(MatchedAnchors, "weights", lambda matched: matched.multiplicities)
    assert robust > fidelity(convert(source, there, method)) + gain


@pytest.mark.parametrize("method", ["kl", "ridge"])
@pytest.mark.parametrize("case", ["one anchor of 30", "one anchor of 100", "degrees"])
def test_anchors_of_extreme_norm_decide_little(method: str, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    z, count = normal(1500, 5), 30 if case.endswith("30") else 100
    logits = head(5, 4)(z).detach()
    rows = z * normal(1500, 1, seed=3).exp() ** 1.5 if case == "degrees" else z
    anchors = rows[:count].clone()
    if case != "degrees":
        anchors[0] *= 100
    source = AnchorSet(torch.arange(count), anchors, rows.mean(0))
    there = PublishedHead(torch.arange(count), logits[:count], logits.mean(0))

    def fidelity() -> float:
        found = convert(source, there, method)(rows)
        return float((found.argmax(1) == logits.argmax(1)).double().mean())

    robust = fidelity()
    monkeypatch.setattr(MatchedAnchors, "counts", property(lambda matched: matched.multiplicities))
    assert robust > fidelity() + 0.1


def test_it_does_not_depend_on_the_unit_of_logits_and_temperature() -> None:
    z, source, there = two_runs(40)
    larger = PublishedHead(there.ids, 10 * there.outputs, 10 * there.mean)
    got = kl(MatchedAnchors.match(source, larger), 0.05, inverse_temperature=0.2)(z)
    torch.testing.assert_close(got / 10, kl(MatchedAnchors.match(source, there), 0.05)(z), rtol=1e-5, atol=1e-5)


def test_one_label_is_two_classes_one_of_which_has_logit_zero() -> None:
    z, source, there = two_runs(40, outputs=1)
    one = PublishedHead(there.ids, there.outputs, there.mean, "multilabel")
    zero = torch.zeros_like(there.outputs)
    two = PublishedHead(there.ids, torch.cat([there.outputs, zero], 1), torch.cat([there.mean, zero[0]]))
    label, both = convert(source, one, "kl")(z), convert(source, two, "kl")(z)
    assert ((label[:, 0] > 0) == (both[:, 0] > both[:, 1])).double().mean() > 0.97


@pytest.mark.parametrize("mode", ["multiclass", "multilabel"])
def test_large_logits_stay_finite(mode: Mode) -> None:
    z, source, there = two_runs(40)
    large = PublishedHead(there.ids, there.outputs * 1e4, there.mean * 1e4, mode)
    assert convert(source, large, "kl")(z).isfinite().all()


def test_heads_and_priors_that_do_not_fit_are_refused() -> None:
    z, source, there = two_runs(30, outputs=1)
    values = PublishedHead(there.ids, there.outputs, there.mean, "regression")
    with pytest.raises(InputError, match="needs a head of logits .got a regression.; use 'ridge' or 'kernel-ridge'"):
        convert(source, values, "kl")
    with pytest.raises(InputError, match="at least two outputs .got 1.*mode='multilabel'"):
        convert(source, publish(head(5, 1), space(z, 30)), "kl")
    matched = MatchedAnchors.match(*two_runs(30)[1:])
    with pytest.raises(InputError, match=r"'prior_strength' must be above 0 \(got 0\); leave it out for the default"):
        kl(matched, prior_strength=0)


def test_the_optimizer_runs_on_one_thread_and_restores_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def threads() -> set[int]:
        return {pool["num_threads"] for pool in threadpool_info()}

    def watched(*args: object, **settings: object) -> object:
        seen.append(threads())
        return minimize(*args, **settings)

    seen: list[set[int]] = []
    monkeypatch.setattr(scipy.optimize, "minimize", watched)
    _, source, there = two_runs(20)
    with threadpool_limits(2):
        before = threads()
        convert(source, there, "kl")
        assert threads() == before == {2}
    assert seen == [{1}]
