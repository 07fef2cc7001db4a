"""Conversion of heads that tell labels or values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor, nn

from relgraph.anchors import AnchorSet
from relgraph.conversion import PublishedHead, convert, publish
from relgraph.conversion.kl import kl
from relgraph.conversion.pairing import Pairing
from relgraph.errors import InputError


def pieces(count: int = 40, width: int = 4, outputs: int = 2) -> tuple[AnchorSet, PublishedHead, Tensor]:
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(count * 2, width, generator=generator, dtype=torch.float64)
    turned = z @ torch.linalg.qr(torch.randn(width, width, generator=generator, dtype=torch.float64)).Q
    turned = turned + 0.2 * torch.randn(z.shape, generator=generator, dtype=torch.float64)
    head = nn.Linear(width, outputs).double()
    with torch.no_grad():
        head.weight.copy_(torch.randn(outputs, width, generator=generator))
    rows = torch.arange(count)
    there = publish(head, AnchorSet(rows, turned[:count], turned.mean(0)), outputs="labels")
    return AnchorSet(rows, z[:count], z.mean(0)), there, z


def test_kl_of_labels_finds_the_minimum_of_the_formula() -> None:
    space, there, _ = pieces()
    rows = torch.arange(40)
    pairing = Pairing.of(there, space, rows, rows)
    found, a = kl(pairing, 0.1), pairing.anchors
    sizes = (pairing.logits - pairing.mean).norm(dim=1)
    w = torch.diag(1 / (1 + (sizes / sizes.median()) ** 2))
    square = a.T @ w @ a
    square += 0.1 * square.trace() / 4 * torch.eye(4, dtype=a.dtype)
    start = torch.linalg.solve(square, a.T @ w @ (pairing.logits - pairing.mean)).T
    goal = (2 * pairing.logits).sigmoid()

    def loss(weight: Tensor, bias: Tensor) -> Tensor:
        said = 2 * (a @ weight.T + bias)
        cross = -(goal * nn.functional.logsigmoid(said) + (1 - goal) * nn.functional.logsigmoid(-said)).sum()
        held = 0.01 * 4 / 2 * (bias - pairing.mean).square().sum()
        return cross + 4 / 2 * a.square().mean() * (weight - start).square().sum() + held

    def flat(values: np.ndarray) -> tuple[float, np.ndarray]:
        both = torch.from_numpy(values).view(2, 5).requires_grad_()
        value = loss(both[:, :4], both[:, 4])
        (slope,) = torch.autograd.grad(value, both)
        return float(value.detach()), slope.numpy().ravel()

    best = minimize(flat, np.zeros(10), jac=True, method="BFGS", options={"gtol": 1e-7}).x.reshape(2, 5)
    torch.testing.assert_close(found.weight, torch.from_numpy(best[:, :4]), atol=1e-4, rtol=1e-4)


def test_one_label_is_two_classes_of_which_one_is_zero() -> None:
    space, there, z = pieces(outputs=1)
    zero = torch.zeros_like(there.logits)
    two = PublishedHead(there.ids, torch.cat([there.logits, zero], 1), torch.cat([there.mean_logits, zero[0]]), "")
    one, both = convert(there, space, "kl")(z), convert(two, space, "kl")(z)
    agree = ((one[:, 0] > 0) == (both[:, 0] > both[:, 1])).double().mean()
    assert agree > 0.97


def test_large_logits_stay_finite() -> None:
    space, there, z = pieces()
    big = PublishedHead(there.ids, there.logits * 1e4, there.mean_logits * 1e4, "", outputs="labels")
    assert convert(big, space, "kl")(z).isfinite().all()


def test_auto_compares_signs_of_labels_and_is_linear_on_values() -> None:
    space, there, z = pieces(outputs=1)
    assert convert(there, space, "auto").choice.scores["linear"] > 0.8
    values = PublishedHead(there.ids, there.logits, there.mean_logits, "", outputs="values")
    chosen = convert(values, space, "auto")
    assert chosen.choice.method == "linear" and "values" in chosen.choice.reason
    torch.testing.assert_close(chosen(z), convert(values, space, shrinkage="loo")(z))


def test_kl_of_values_and_of_a_single_class_says_what_to_do() -> None:
    space, there, _ = pieces(outputs=1)
    values = PublishedHead(there.ids, there.logits, there.mean_logits, "", outputs="values")
    with pytest.raises(InputError, match="needs a head of logits .got one that predicts values.; use"):
        convert(values, space, "kl")
    classes = PublishedHead(there.ids, there.logits, there.mean_logits, "")
    with pytest.raises(InputError, match='outputs="labels"'):
        convert(classes, space, "kl")


def test_what_the_outputs_are_is_saved(tmp_path: Path) -> None:
    _, there, _ = pieces()
    there.save(tmp_path / "head.safetensors")
    assert PublishedHead.load(tmp_path / "head.safetensors").outputs == "labels" == there.to(torch.float32).outputs
    with pytest.raises(InputError, match="'outputs' must be one of classes, labels, values .got 'odds'"):
        PublishedHead(there.ids, there.logits, there.mean_logits, "", outputs="odds")  # type: ignore[arg-type]
