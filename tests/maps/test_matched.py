from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn

import relgraph as rg
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


HALF = [(torch.bfloat16, 40.0), (torch.float16, 300.0)]


@pytest.mark.parametrize(("dtype", "value"), HALF)
def test_a_constant_space_in_half_precision_has_no_offsets(dtype: torch.dtype, value: float) -> None:
    z = torch.full((30, 3), value).to(dtype)
    z[::2] = torch.nextafter(z[::2], torch.tensor(torch.inf, dtype=dtype))
    assert not centered(space(z, 10), torch.arange(10)).any()
    exact = value * (1 + torch.arange(8) / 7) * torch.ones(30, 1)  # computed in float32, and rounded twice
    noisy = (exact * (1 + 1e-7 * normal(30, 8).float())).to(dtype)
    assert not centered(space(noisy, 10), torch.arange(10)).any()
    assert not centered(space(exact, 10).to(dtype), torch.arange(10)).any()


@pytest.mark.parametrize(("dtype", "value"), HALF)
@pytest.mark.parametrize("size", [1.0, 0.3])
def test_a_space_around_a_large_mean_is_one_in_half_precision_too(
    dtype: torch.dtype, value: float, size: float
) -> None:
    z = normal(500, 8).float()
    outputs = z @ normal(8, 4, seed=1).float()
    ids, rows = torch.arange(200), (z * size + value).to(dtype)
    there = PublishedHead(ids, outputs[ids], outputs.mean(0))
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for kind in (dtype, torch.float32):
            made = rg.convert(AnchorSet.from_rows(rows.to(kind), ids), there)(rows.to(kind))
            found[kind] = float((made.argmax(1) == outputs.argmax(1)).float().mean())
            about = rg.diagnose(AnchorSet.from_rows(rows.to(kind), ids), head=there, embeddings=rows.to(kind))
            assert about.effective_rank > 7.5 and (size < 1 or about.mean_distance is not None)
    assert found[dtype] > found[torch.float32] - 0.2 and found[dtype] > 0.6
