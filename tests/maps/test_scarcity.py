"""Wrong input of maps: a finite result with a warning, or one sentence."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from relgraph.anchors import AnchorSet, PublishedHead, publish
from relgraph.errors import InputError
from relgraph.maps import FewAnchorsWarning, convert, fit_map, translate, translate_then
from relgraph.maps.matched import MatchedAnchors
from relgraph.maps.scarcity import scarcity
from tests.spaces import head, normal, rotation, space, two_spaces

CONVERSIONS = (None, "ridge", "kernel-ridge", "kl")
TRANSLATIONS = ("ridge", "kernel-ridge", "procrustes", "orthogonal")


def runs(count: int, outputs: int = 3) -> tuple[Tensor, AnchorSet, PublishedHead]:
    """Two related runs around the origin, so that the head predicts every class."""
    z = normal(200, 5)
    target = space(z @ rotation(5) + 0.3 * normal(200, 5, seed=1), count)
    return z, space(z, count), publish(head(5, outputs), target)


def with_outputs(there: PublishedHead, change: Callable[[Tensor], Tensor]) -> PublishedHead:
    return PublishedHead(there.ids, change(there.outputs), change(there.mean.unsqueeze(0))[0])


def one_value(outputs: Tensor) -> Tensor:
    return torch.tensor([2.0, -1.0, 0.5], dtype=outputs.dtype).expand(len(outputs), 3)


def one_class(outputs: Tensor) -> Tensor:
    return outputs + torch.tensor([1e3, 0.0, 0.0])


@pytest.mark.parametrize("method", CONVERSIONS)
@pytest.mark.parametrize(
    ("count", "change", "message"),
    [
        (1, None, "1 anchor is fewer than the 3 outputs of a head"),
        (2, None, "2 anchors are fewer than the 3 outputs of a head"),
        (12, one_class, "the head predicts the same on all 12 anchors"),
        (12, one_value, "the target has the same values on all 12 anchors"),
    ],
)
def test_anchors_that_say_little_of_a_head_give_finite_outputs_and_a_warning(
    method: str | None, count: int, change: Callable[[Tensor], Tensor] | None, message: str
) -> None:
    z, source, there = runs(count)
    there = there if change is None else with_outputs(there, change)
    with pytest.warns(FewAnchorsWarning, match=f"^{message}.*; take more or other anchors$") as caught:
        module = convert(source, there, method)
    assert [warning.filename for warning in caught] == [__file__]
    assert module(z).isfinite().all() and module(1e6 * z).isfinite().all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit_map(source, there, method)


@pytest.mark.parametrize("method", TRANSLATIONS)
@pytest.mark.parametrize(("count", "message"), [(1, "1 anchor determines"), (2, "2 anchors determine")])
def test_one_or_two_anchors_give_a_finite_translation_and_a_warning(method: str, count: int, message: str) -> None:
    z, y = two_spaces()
    for apply in (translate, lambda *given: translate_then(*given[:2], nn.Identity(), given[2])):
        expected = f"{message} a map in no more than {count} of 4 dimensions"
        with pytest.warns(FewAnchorsWarning, match=expected) as caught:
            module = apply(space(z, count), space(y, count), method)
        assert [warning.filename for warning in caught] == [__file__]
        assert module(z).isfinite().all()


@pytest.mark.parametrize("method", ["ridge", "kernel-ridge", None])
def test_a_head_with_one_class_is_mapped_by_its_values_and_not_by_probabilities(method: str | None) -> None:
    z, source, there = runs(30, outputs=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert convert(source, there, method)(z).isfinite().all()
    with pytest.raises(InputError, match="'kl' needs a head of at least two outputs"):
        convert(source, there, "kl")


@pytest.mark.parametrize("value", [float("inf"), -float("inf"), float("nan")])
def test_infinite_logits_are_refused_where_they_are_published(value: float) -> None:
    outputs = torch.zeros(5, 3)
    outputs[2, 1] = value
    with pytest.raises(InputError, match=r"'outputs' must hold finite numbers \(got (infinity|NaN) in row 2\)"):
        PublishedHead(torch.arange(5), outputs, torch.zeros(3))
    with pytest.raises(InputError, match="'mean' must hold finite numbers"):
        PublishedHead(torch.arange(5), torch.zeros(5, 3), outputs[2])


@pytest.mark.parametrize("method", CONVERSIONS)
def test_the_largest_logits_of_single_precision_give_finite_outputs(method: str | None) -> None:
    z, source, there = runs(40)
    large = with_outputs(there, lambda outputs: outputs / outputs.abs().max() * 3e38)
    assert convert(source, large, method)(z).isfinite().all()


def test_a_space_at_its_center_is_named_and_anchors_that_suffice_are_not() -> None:
    _, source, there = runs(12)
    constant = AnchorSet(source.ids, torch.ones(12, 5), torch.ones(5))
    assert scarcity(MatchedAnchors.match(constant, there)).startswith("all 12 anchors are at the center of the source")
    assert scarcity(MatchedAnchors.match(source, constant)).startswith("the target has the same values on all 12")
    for count, expected in ((3, ""), (2, "2 anchors determine a map in no more than 2 of 5 dimensions")):
        one = PublishedHead(there.ids[:count], there.outputs[:count, :1], there.mean[:1], "regression")
        assert scarcity(MatchedAnchors.match(source.take(source.ids[:count]), one)) == expected
    assert scarcity(MatchedAnchors.match(source, there)) == scarcity(MatchedAnchors.match(source, source)) == ""
    labels = PublishedHead(there.ids, -there.outputs.abs(), there.mean, "multilabel")
    assert scarcity(MatchedAnchors.match(source, labels)).startswith("the head predicts the same on all 12 anchors")
