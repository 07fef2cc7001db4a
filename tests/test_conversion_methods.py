"""Conversion by other methods than fixed-shrinkage least squares: kernel ridge, KL divergence, and the choice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import FrozenInstanceError

import pytest
import scipy.optimize
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from threadpoolctl import threadpool_info, threadpool_limits
from torch import Tensor, nn

from relgraph.anchors import AnchorSet, GraphChangedWarning
from relgraph.conversion import CONVERSIONS, Choice, KernelConversion, PublishedHead, convert, publish
from relgraph.conversion.auto import ChosenConversion, deal, held_out
from relgraph.conversion.kernel import rbf
from relgraph.conversion.kl import kl
from relgraph.conversion.linear import linear as linear_method
from relgraph.conversion.pairing import Pairing
from relgraph.errors import InputError
from relgraph.translation import choose_shrinkage
from relgraph.translation.kernel_regression import fit_kernel_ridge, kernel

F64 = torch.float64
EVERY_METHOD = pytest.mark.parametrize("method", CONVERSIONS)

# Most pairs of runs here have nothing in common.
pytestmark = pytest.mark.filterwarnings("ignore::relgraph.conversion.NoCorrespondenceWarning")


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def rotation(width: int, seed: int = 0) -> Tensor:
    return torch.linalg.qr(normal(width, width, seed=seed))[0]


def linear(width: int, outputs: int, seed: int = 0) -> nn.Linear:
    head = nn.Linear(width, outputs, dtype=F64)
    with torch.no_grad():
        head.weight.copy_(normal(outputs, width, seed=seed))
        head.bias.copy_(normal(outputs, seed=seed + 1))
    return head


def published(z: Tensor, count: int, *, fingerprint: str = "") -> AnchorSet:
    return AnchorSet(torch.arange(count), z[:count], z.mean(0), fingerprint)


def two_runs(
    count: int, *, noise: float = 0.3, width: int = 5, seed: int = 0
) -> tuple[Tensor, AnchorSet, PublishedHead]:
    """Embeddings of one run and its space, and the head of another run that knows the same up to noise."""
    z = normal(200, width, seed=seed) + 3
    other = z @ rotation(width, seed) + noise * normal(200, width, seed=seed + 1)
    return z, published(z, count), publish(linear(width, 4, seed), published(other, count))


def pairing_of(space: AnchorSet, there: PublishedHead) -> Pairing:
    return Pairing.of(there, space, torch.arange(len(there)), torch.arange(len(space)))


# Every method.


@EVERY_METHOD
@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_the_result_is_frozen_in_the_type_of_the_space_and_runs_on_nothing(method: str, dtype: torch.dtype) -> None:
    z, space, there = two_runs(40)
    module = convert(there, space.to(dtype), method)
    logits = module(z.to(dtype))
    assert logits.dtype == dtype and logits.shape == (200, 4) and logits.isfinite().all()
    assert module(z[:0].to(dtype)).shape == (0, 4)
    assert not module.training and not any(part.requires_grad for part in module.parameters())
    torch.testing.assert_close(logits.double(), convert(there, space, method)(z), rtol=1e-3, atol=1e-3)


@EVERY_METHOD
def test_every_method_is_a_pure_function_of_the_two_pieces(method: str) -> None:
    z, space, there = two_runs(40)
    state = torch.get_rng_state()
    one = convert(there, space, method)(z)
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(5)
    assert torch.equal(one, convert(there, space, method)(z))


@EVERY_METHOD
@pytest.mark.parametrize("count", [12, 40])
def test_the_order_of_the_anchors_does_not_matter(method: str, count: int) -> None:
    z, space, there = two_runs(count)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(1))
    turned = PublishedHead(there.ids[order], there.logits[order], there.mean_logits, there.mean_from)
    expected = convert(there, space, method)(z)
    torch.testing.assert_close(convert(turned, space, method)(z), expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(convert(there, space.take(space.ids[order]), method)(z), expected, rtol=1e-4, atol=1e-4)


@EVERY_METHOD
@given(seed=st.integers(0, 999), count=st.integers(11, 40), factor=st.floats(1e-2, 1e2))
@example(seed=73, count=23, factor=1.0)  # a head so sure that nothing but the penalty holds the constant of kl
@settings(max_examples=6, deadline=None)
def test_turning_moving_or_scaling_the_space_changes_no_logit(
    method: str, seed: int, count: int, factor: float
) -> None:
    z, space, there = two_runs(count, seed=seed)
    moved = factor * z @ rotation(5, seed + 7) + normal(5, seed=seed + 8)
    torch.testing.assert_close(
        convert(there, published(moved, count), method)(moved), convert(there, space, method)(z), rtol=1e-3, atol=1e-3
    )


@EVERY_METHOD
def test_every_method_reads_nearly_what_the_head_reads(method: str) -> None:
    z = normal(400, 6)
    other, head = 5 * z @ rotation(6) + 1, linear(6, 4)
    module = convert(publish(head, published(other, 60)), published(z, 60), method)
    assert (module(z).argmax(1) == head(other).argmax(1)).double().mean() > 0.97


@EVERY_METHOD
@pytest.mark.parametrize("value", [0.0, 0.1, -1e6])
@pytest.mark.parametrize("count", [1, 2, 12, 30])
def test_a_constant_space_gives_the_same_finite_logits_everywhere(method: str, value: float, count: int) -> None:
    constant = torch.full((40, 4), value)
    there = publish(linear(5, 3), published(normal(40, 5), count))
    logits = convert(there, published(constant, count), method)(constant)
    assert logits.isfinite().all() and torch.equal(logits, logits[:1].expand(40, 3))


@EVERY_METHOD
def test_a_constant_head_stays_constant(method: str) -> None:
    z = normal(60, 4)
    there = PublishedHead(torch.arange(30), torch.tensor([2.0, -1.0]).expand(30, 2), torch.tensor([2.0, -1.0]), "")
    got = convert(there, published(z, 30), method)(z)
    expected = torch.tensor([2.0, -1.0], dtype=F64).expand(60, 2)
    if method == "kl":  # a softmax does not hold the level
        got, expected = got - got.mean(1, keepdim=True), expected - 0.5
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


@EVERY_METHOD
def test_repeated_anchors_and_zero_rows_are_fine(method: str) -> None:
    z = normal(60, 4)
    z[:5], z[5:30] = 0, z[40]
    module = convert(publish(linear(5, 3), published(normal(60, 5), 32)), published(z, 32), method)
    assert module(z).isfinite().all()


@EVERY_METHOD
def test_another_graph_is_a_warning_at_the_callers_line(method: str) -> None:
    space = published(normal(30, 4), 20, fingerprint="a")
    there = publish(linear(5, 3), published(normal(30, 5), 20, fingerprint="b"))
    with pytest.warns(GraphChangedWarning, match="a and b") as caught:
        convert(there, space, method)
    assert caught[0].filename == __file__


@EVERY_METHOD
@pytest.mark.parametrize("shrinkage", [-0.1, float("nan"), "lou"])
def test_shrinkage_is_checked(method: str, shrinkage: float) -> None:
    _, space, there = two_runs(40)
    with pytest.raises(InputError, match=f"'shrinkage' must be .* or 'loo' \\(got {shrinkage}\\)"):
        convert(there, space, method, shrinkage=shrinkage)


# Linear, its shrinkage by leave-one-out.


def test_loo_is_the_shrinkage_that_the_rule_names() -> None:
    z, space, there = two_runs(40)
    chosen = choose_shrinkage(space.embeddings - space.center, there.logits - there.mean_logits)
    expected = convert(there, space, shrinkage=chosen)(z)
    assert torch.equal(convert(there, space, shrinkage="loo")(z), expected)
    assert not torch.allclose(convert(there, space)(z), expected)  # the default is not it


# Kernel ridge.


@pytest.mark.parametrize("using", [("cosine", 1.0), ("rbf", 1.5), ("rbf", 9.0)])
@pytest.mark.parametrize("count", [20, 60])
def test_rbf_equals_the_formula(count: int, using: tuple[str, float]) -> None:
    z, space, there = two_runs(count)
    module = rbf(pairing_of(space, there), 0.01, using=using)
    assert (module.similarity, module.width, module.shrinkage) == (*using, 0.01)
    a, x = space.embeddings - space.center, z - space.center

    def s(p: Tensor, q: Tensor) -> Tensor:
        if module.similarity == "cosine":
            return torch.stack([torch.stack([u @ v / u.norm() / v.norm() for v in q]) for u in p])
        return torch.stack([torch.stack([(-(u - v).square().sum() / 2 / module.width**2).exp() for v in q]) for u in p])

    w = pairing_of(space, there).weights()
    w = w / w.mean()
    ones, share = torch.ones(count, 1, dtype=F64), w / count
    spread = (w * s(a, a).diagonal()).sum() - count * share @ s(a, a) @ share  # around the weighted mean
    gram = s(a, a) + 0.01 * spread / 5 * torch.diag(1 / w)
    inverse = torch.linalg.inv(gram)
    r = inverse - inverse @ ones @ ones.mT @ inverse / (ones.mT @ inverse @ ones)
    b = ones.mT @ inverse @ there.logits / (ones.mT @ inverse @ ones)
    torch.testing.assert_close(module(z), s(x, a) @ r @ there.logits + b, rtol=1e-7, atol=1e-7)


def test_rbf_with_few_anchors_is_a_weighted_linear_conversion() -> None:
    z, space, there = two_runs(20)
    module = convert(there, space, "rbf")
    assert isinstance(module, KernelConversion) and (module.similarity, module.shrinkage) == ("dot", 1e-3)
    a, w = space.embeddings - space.center, torch.diag(pairing_of(space, there).weights())
    square = a.mT @ w @ a
    square = square + 1e-3 * square.trace() / 5 * torch.eye(5, dtype=F64)
    weight = torch.linalg.solve(square, a.mT @ w @ (there.logits - there.mean_logits))
    torch.testing.assert_close(module(z), (z - space.center) @ weight + there.mean_logits)


def test_rbf_bends_where_the_head_does_and_only_there() -> None:
    z = normal(600, 3)
    bent = nn.Sequential(linear(3, 30), nn.Tanh(), linear(30, 3, seed=5))
    there, space = publish(bent, published(z, 200), embeddings=z), published(z, 200)
    module = convert(there, space, "rbf")
    assert isinstance(module, KernelConversion) and module.similarity == "rbf"
    assert "similarity=rbf, width=" in repr(module) and "3 -> 3, 200 anchors" in repr(module)

    def error(conversion: nn.Module) -> float:
        return float((conversion(z[200:]) - bent(z[200:])).square().mean().detach())

    assert error(module) < 0.2 * error(convert(there, space, shrinkage="loo"))
    straight = convert(publish(linear(3, 4), space), space, "rbf")
    assert isinstance(straight, KernelConversion) and straight.similarity == "dot"


def test_no_ridge_is_refused_for_a_kernel() -> None:
    _, space, there = two_runs(40)
    with pytest.raises(InputError, match="'shrinkage' of a kernel must be above 0"):
        convert(there, space, "rbf", shrinkage=0.0)


# KL divergence.


@pytest.mark.parametrize("count", [4, 12, 80])
def test_kl_finds_the_minimum_of_the_formula(count: int) -> None:
    """Compared with another optimizer in other coordinates, with gradients by autograd."""
    _, space, there = two_runs(count, noise=1.0)
    layer = convert(there, space, "kl", shrinkage=0.1)
    a, offset = space.embeddings - space.center, there.logits - there.mean_logits
    offset = offset - offset.mean(1, keepdim=True)
    sizes = offset.norm(dim=1)
    w = torch.diag(1 / (1 + (sizes / sizes.median()) ** 2))
    square = a.mT @ w @ a
    start = torch.linalg.solve(square + 0.1 * square.trace() / 5 * torch.eye(5, dtype=F64), a.mT @ w @ offset).mT

    def loss(weight: Tensor, bias: Tensor) -> Tensor:
        divergence = nn.functional.kl_div(
            (2 * (space.embeddings @ weight.mT + bias)).log_softmax(1), (2 * there.logits).log_softmax(1),
            log_target=True, reduction="sum",
        )  # fmt: skip
        held = divergence + 4 * a.square().mean() * (weight - start).square().sum() / 2
        return held + 0.01 * 4 * (bias + weight @ space.center - there.mean_logits).square().sum() / 2

    def flat(values: object) -> tuple[float, object]:
        t = torch.tensor(values, requires_grad=True)
        value = loss(t[:20].view(4, 5), t[20:])
        value.backward()
        return float(value.detach()), t.grad.numpy()

    bias = there.mean_logits - start @ space.center
    first = torch.cat([start.flatten(), bias]).numpy()
    found = minimize(flat, first, jac=True, method="BFGS", options={"gtol": 1e-7, "maxiter": 2000})
    least, got = float(found.fun), float(loss(layer.weight, layer.bias))
    assert got <= least + 1e-6 * count
    assert flat(first)[0] > got or count == 4  # the linear conversion goes through so few
    torch.testing.assert_close(layer.weight, torch.tensor(found.x[:20]).view(4, 5), rtol=1e-2, atol=1e-3)


def test_kl_is_a_linear_layer_that_is_not_led_astray_by_large_logits() -> None:
    z = normal(1000, 5)
    logits = linear(5, 4)(z).detach()
    logits = logits.sign() * logits.square()  # the same classes as before, and a few enormous values
    there, space = PublishedHead(torch.arange(200), logits[:200], logits.mean(0), ""), published(z, 200)

    def fidelity(module: nn.Module) -> float:
        return float((module(z[200:]).argmax(1) == logits[200:].argmax(1)).double().mean())

    layer = convert(there, space, "kl")
    assert type(layer) is nn.Linear
    assert fidelity(layer) > fidelity(convert(there, space, shrinkage="loo")) + 0.04


@pytest.mark.parametrize("method", ["kl", "rbf", "auto"])
def test_anchors_with_enormous_logits_do_not_decide_for_all_others(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One run's embeddings grow with the number of neighbours, the other's do not."""
    z, degree = normal(1500, 5), normal(1500, 1, seed=3).abs().exp() ** 3
    head = linear(5, 4)
    logits = head(z * degree).detach()
    there, space = PublishedHead(torch.arange(300), logits[:300], logits.mean(0), ""), published(z, 300)

    def fidelity(module: nn.Module) -> float:
        return float((module(z[300:]).argmax(1) == logits[300:].argmax(1)).double().mean())

    weighed = fidelity(convert(there, space, method))
    assert weighed > fidelity(convert(there, space, shrinkage="loo")) + 0.05
    monkeypatch.setattr(Pairing, "weights", lambda pairing: torch.ones_like(pairing.logits[:, 0]))
    assert weighed > fidelity(convert(there, space, method))


def test_values_all_count_the_same() -> None:
    z, space, there = two_runs(80)
    there = PublishedHead(
        there.ids, there.logits * 1e3 ** (torch.arange(80) % 40 == 0).view(-1, 1), there.mean_logits, ""
    )
    values = PublishedHead(there.ids, there.logits, there.mean_logits, "", outputs="values")
    a, b = space.embeddings - space.center, there.logits
    fit = fit_kernel_ridge(a, b, center=there.mean_logits)
    similarities = kernel(z - space.center, a, fit.similarity, fit.width)
    got = convert(values, space, "rbf")
    assert isinstance(got, KernelConversion) and got.similarity == fit.similarity
    torch.testing.assert_close(got(z), similarities @ fit.coefficients + fit.bias)
    assert not torch.allclose(convert(there, space, "rbf")(z), got(z))


def test_no_penalty_at_all_is_refused() -> None:
    _, space, there = two_runs(40)
    with pytest.raises(InputError, match=r"'worth' must be above 0 \(got 0\); 1 is a good start"):
        kl(pairing_of(space, there), worth=0)


def test_kl_descends_on_one_thread_and_gives_the_others_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def threads() -> set[int]:
        return {pool["num_threads"] for pool in threadpool_info()}

    def watched(*args: object, **settings: object) -> object:
        seen.append(threads())
        return minimize(*args, **settings)

    seen: list[set[int]] = []
    monkeypatch.setattr(scipy.optimize, "minimize", watched)
    _, space, there = two_runs(20)
    with threadpool_limits(2):
        before = threads()
        convert(there, space, "kl")
        assert threads() == before == {2}
    assert seen == [{1}]


def test_kl_needs_two_outputs() -> None:
    z, space, _ = two_runs(30)
    with pytest.raises(InputError, match="at least two outputs"):
        convert(publish(linear(5, 1), published(z, 30)), space, "kl")


# The choice.


def test_auto_scores_what_a_slow_cross_validation_scores() -> None:
    _, space, there = two_runs(50, noise=1.5)
    module = convert(there, space, "auto", shrinkage=0.01)
    assert isinstance(module, ChosenConversion) and list(module.choice.scores) == ["kl", "rbf", "linear"]
    pairing, folds = pairing_of(space, there), deal(space.ids)
    bent = rbf(pairing, 0.01)
    slow: dict[str, Callable[[Pairing], nn.Module]] = {
        "kl": lambda part: kl(part, 0.01),
        "rbf": lambda part: rbf(part, 0.01, using=(bent.similarity, bent.width)),
        "linear": lambda part: linear_method(part, 0.01),
    }
    for name, method in slow.items():
        right = 0
        for row in range(50):
            rest = (folds != folds[row]).nonzero().view(-1)
            said = method(pairing.take(rest))(space.embeddings[row : row + 1])
            right += int(said.argmax()) == int(there.logits[row].argmax())
        assert module.choice.scores[name] == pytest.approx(right / 50), name


def test_auto_takes_kl_where_all_are_right() -> None:
    z = normal(100, 5)
    there, space = publish(linear(5, 4), published(z, 60)), published(z, 60)
    module = convert(there, space, "auto")
    assert isinstance(module, ChosenConversion) and module.choice.method == "kl"
    assert type(module.conversion) is nn.Linear
    torch.testing.assert_close(module(z), convert(there, space, "kl")(z))


def test_auto_takes_what_bends_where_the_line_fails_and_says_so() -> None:
    z = normal(400, 2)
    logits = torch.stack([z.square().sum(1), torch.full((400,), 1.4, dtype=F64)], dim=1)  # inside or outside a circle
    there = PublishedHead(torch.arange(150), logits[:150], logits.mean(0), "embeddings given")
    module = convert(there, published(z, 150), "auto")
    assert isinstance(module, ChosenConversion) and module.choice.method == "rbf"
    assert module.choice.scores["rbf"] > 0.9 > module.choice.scores["linear"]
    assert "chose rbf (highest fidelity on held-out anchors; kl 0." in repr(module)
    assert (module(z[150:]).argmax(1) == logits[150:].argmax(1)).double().mean() > 0.9


@pytest.mark.parametrize(
    ("count", "outputs", "why"), [(9, 4, "fewer than 10 anchors"), (30, 1, "a single output"), (1, 4, "fewer than 10")]
)
def test_auto_is_linear_where_nothing_can_be_compared(count: int, outputs: int, why: str) -> None:
    z = normal(50, 5)
    module = convert(publish(linear(5, outputs), published(z, count)), published(z, count), "auto")
    assert isinstance(module, ChosenConversion) and module.choice.method == "linear" and why in module.choice.reason
    assert dict(module.choice.scores) == {}


@given(count=st.integers(5, 60), seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_folds_are_even_and_go_with_the_id(count: int, seed: int) -> None:
    ids = torch.randperm(1000, generator=torch.Generator().manual_seed(seed))[:count]
    folds = deal(ids)
    sizes = torch.bincount(folds, minlength=5)
    assert len(sizes) == 5 and int(sizes.max() - sizes.min()) <= 1
    assert torch.equal(deal(ids.flip(0)), folds.flip(0))


def test_held_out_anchors_are_not_seen() -> None:
    _, space, there = two_runs(20)
    seen: list[set[int]] = []

    def method(part: Pairing) -> nn.Module:
        seen.append(set(part.ids.tolist()))
        return linear_method(part, 0.01)

    held_out(pairing_of(space, there), method)
    assert len(seen) == 5 and all(len(part) == 16 for part in seen)
    assert all(sum(row not in part for part in seen) == 1 for row in range(20))


def test_a_choice_is_a_fixed_record() -> None:
    choice = Choice("linear", {"linear": 0.5}, "why")
    assert str(choice) == "linear (why; linear 0.500)"
    with pytest.raises(FrozenInstanceError):
        choice.method = "kl"  # type: ignore[misc]


def test_auto_without_shrinkage_leaves_the_kernel_out() -> None:
    z, space, there = two_runs(60)
    module = convert(there, space, "auto", shrinkage=0)
    assert isinstance(module, ChosenConversion) and list(module.choice.scores) == ["kl", "linear"]
    assert module(z).isfinite().all()
