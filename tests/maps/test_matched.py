from __future__ import annotations

import pytest
import torch
from torch import nn

from relgraph.anchors import AnchorSet, PublishedHead
from relgraph.maps import AffineMap, MatchedAnchors
from relgraph.maps.matched import centered
from relgraph.task import Mode
from tests.spaces import F64, normal, space, two_runs, two_spaces


def test_rows_of_a_head_are_its_outputs_and_those_of_a_space_its_offsets() -> None:
    _, source, there = two_runs(20)
    turned = there.take(there.ids.flip(0))
    matched = MatchedAnchors.match(source, turned)
    assert len(matched) == 20 and torch.equal(matched.ids, source.ids)
    torch.testing.assert_close(matched.offsets, source.embeddings - source.center)
    assert torch.equal(matched.values, there.outputs) and torch.equal(matched.mean, there.mean)
    assert matched.mode == "multiclass" and not matched.origin.any()
    z, y = two_spaces()
    matched = MatchedAnchors.match(space(z, 20), space(y, 20))
    torch.testing.assert_close(matched.values, y[:20] - y.mean(0))
    torch.testing.assert_close(matched.origin, y.mean(0))
    assert matched.mode is None and not matched.mean.any() and torch.equal(matched.targets, matched.values)


def test_contrasts_of_classes_are_around_their_mean_over_classes() -> None:
    _, source, there = two_runs(20)
    for mode in ("multiclass", "multilabel", "regression"):
        matched = MatchedAnchors.match(source, PublishedHead(there.ids, there.outputs, there.mean, mode))
        means = matched.contrasts.mean(1)
        assert bool((means.abs() < 1e-12).all()) == (mode == "multiclass")
        torch.testing.assert_close(
            matched.contrasts - means[:, None], matched.targets - matched.targets.mean(1)[:, None]
        )


@pytest.mark.parametrize(
    ("mode", "outputs", "decides"),
    [("multiclass", 3, True), ("multiclass", 1, False), ("multilabel", 1, True), ("regression", 3, False)],
)
def test_predictions_are_those_of_the_mode(mode: Mode, outputs: int, decides: bool) -> None:
    _, source, there = two_runs(12, outputs=outputs)
    matched = MatchedAnchors.match(source, PublishedHead(there.ids, there.outputs, there.mean, mode))
    assert matched.decides == decides
    expected = {"multiclass": there.outputs.argmax(1), "multilabel": there.outputs > 0, "regression": there.outputs}
    assert torch.equal(matched.predict(matched.values), expected[mode])


def test_a_part_keeps_centers_and_means_and_maps_in_float64() -> None:
    _, source, there = two_runs(20)
    matched = MatchedAnchors.match(source.to(torch.float32), there)
    part = matched.take(torch.tensor([3, 1]))
    assert part.ids.tolist() == [3, 1] and torch.equal(part.values, matched.values[[3, 1]])
    assert torch.equal(part.center, matched.center) and torch.equal(part.mean, matched.mean)
    layers = [one.affine(torch.zeros(5, 4, dtype=F64), one.mean) for one in (matched, part)]
    assert all(isinstance(layer, nn.Linear) for layer in layers)
    assert [layer.weight.dtype for layer in layers] == [torch.float32, F64]


def test_the_bias_of_an_affine_map_is_its_value_at_the_center() -> None:
    z, source, there = two_runs(20)
    weight, bias = normal(5, 4), normal(4, seed=1)
    expected = (z - source.center) @ weight + bias
    layer = MatchedAnchors.match(source, there).affine(weight, bias)
    torch.testing.assert_close(layer(z), expected)
    target = AnchorSet(there.ids, there.outputs, there.mean)
    move = MatchedAnchors.match(source, target).affine(weight, bias)
    assert isinstance(move, AffineMap)
    torch.testing.assert_close(move(z), expected + there.mean)


@pytest.mark.parametrize("value", [0.1, 1e6])
def test_offsets_that_are_rounding_errors_are_zero(value: float) -> None:
    z = torch.full((30, 3), value)
    z[::2] = torch.nextafter(z[::2], torch.tensor(torch.inf))
    assert not centered(space(z, 10), torch.arange(10)).any()
    assert centered(space(z + torch.arange(30)[:, None] * value * 1e-4, 10), torch.arange(10)).any()
