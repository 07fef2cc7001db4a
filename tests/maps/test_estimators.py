"""One contract for every map in the registry: translations, conversions, or both."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from relgraph.anchors import AnchorSet, PublishedHead, publish
from relgraph.errors import InputError
from relgraph.maps import AffineMap, Estimator, MatchedAnchors, Shrinkage, convert, translate
from relgraph.registry import MAPS
from relgraph.similarity import CHANGES
from tests.spaces import F64, changed, head, normal, rotation, space, two_runs, two_spaces, weighted

ENTRIES: dict[str, Estimator] = {name: MAPS.resolve(name) for name in MAPS}
TRANSLATIONS = [name for name, entry in ENTRIES.items() if entry.targets != "outputs"]
CONVERSIONS = [name for name, entry in ENTRIES.items() if entry.targets != "embeddings"]
EVERY_TRANSLATION = pytest.mark.parametrize("name", TRANSLATIONS)
EVERY_CONVERSION = pytest.mark.parametrize("name", CONVERSIONS)

pytestmark = pytest.mark.filterwarnings(
    "ignore::relgraph.maps.NoCorrespondenceWarning", "ignore::relgraph.maps.FewAnchorsWarning"
)


def test_entries_have_their_own_name_and_declare_known_changes() -> None:
    for name, entry in ENTRIES.items():
        assert MAPS[name].traits.get("targets", "any") == entry.targets, name
        assert entry.name == name and entry.invariant_to <= CHANGES and entry.follows <= CHANGES


def test_an_estimator_registered_from_outside_works() -> None:
    def zero(matched: MatchedAnchors, shrinkage: Shrinkage) -> nn.Module:
        return matched.affine(matched.offsets.new_zeros(matched.offsets.size(1), matched.values.size(1)), matched.mean)

    z, source, there = two_runs(20)
    MAPS.register("zero", Estimator("zero", zero, shrinks=False), "everything to the mean")
    try:
        torch.testing.assert_close(convert(source, there, "zero")(z), there.mean.expand(200, 4))
        torch.testing.assert_close(translate(source, source, "zero")(z), source.center.expand(200, 5))
    finally:
        MAPS.remove("zero")
    with pytest.raises(InputError, match="'method' must be one of kernel-ridge, kl, orthogonal, procrustes, ridge"):
        convert(source, there, "zero")


# Translations.


@EVERY_TRANSLATION
@given(seed=st.integers(0, 999), count=st.sampled_from([6, 20, 40]), target_width=st.sampled_from([4, 6]))
@settings(max_examples=6, deadline=None)
def test_declared_changes_of_the_source_move_no_row(name: str, seed: int, count: int, target_width: int) -> None:
    z, y = two_spaces(seed, target_width=target_width)
    shares = weighted if seed % 2 else AnchorSet.to  # half of the cases with anchors of different weights
    expected = translate(shares(space(z, count)), space(y, count), name)(z)
    for change in ENTRIES[name].invariant_to:
        other = changed(z, change, seed)
        got = translate(shares(space(other, count)), space(y, count), name)(other)
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


@EVERY_TRANSLATION
@given(seed=st.integers(0, 999), count=st.sampled_from([6, 20, 40]))
@settings(max_examples=6, deadline=None)
def test_declared_changes_of_the_target_move_all_rows_with_it(name: str, seed: int, count: int) -> None:
    z, y = two_spaces(seed)
    shrinkage = 0.01 if ENTRIES[name].shrinks else None  # an affine change may change the selected one
    mapped = translate(space(z, count), space(y, count), name, shrinkage=shrinkage)(z)
    for change in ENTRIES[name].follows:
        both = changed(torch.cat([y, mapped, y.mean(0, keepdim=True)]), change, seed)
        target = space(both[:60], count, center=both[-1])
        got = translate(space(z, count), target, name, shrinkage=shrinkage)(z)
        torch.testing.assert_close(got, both[60:-1], rtol=1e-5, atol=1e-5)


@EVERY_TRANSLATION
def test_undeclared_changes_do_move_rows(name: str) -> None:
    entry, (z, _) = ENTRIES[name], two_spaces()
    shrinkage = 0.05 if entry.shrinks else None
    # Curved: a straight relation would be recovered exactly from any coordinates.
    y = torch.cat([z @ normal(4, 2, seed=1), z.square()], dim=1)
    expected = translate(space(z, 40), space(y, 40), name, shrinkage=shrinkage)(z)
    for change in sorted(CHANGES - entry.invariant_to):
        other = changed(z, change, 5)
        got = translate(space(other, 40), space(y, 40), name, shrinkage=shrinkage)(other)
        assert float((got - expected).abs().max()) > 1e-3 * float(expected.abs().max()), change
    # A kernel's coefficients follow any affine change; only the selected kernel need not.
    for change in sorted(CHANGES - entry.follows) if name != "kernel-ridge" else ():
        both = changed(torch.cat([y, expected, y.mean(0, keepdim=True)]), change, 5)
        got = translate(space(z, 40), space(both[:60], 40, center=both[-1]), name, shrinkage=shrinkage)(z)
        assert float((got - both[60:-1]).abs().max()) > 1e-3 * float(expected.abs().max()), change


@EVERY_TRANSLATION
def test_maps_are_affine_if_declared_and_only_then(name: str) -> None:
    curve = torch.linspace(-3, 3, 60, dtype=F64).unsqueeze(1)
    z = torch.cat([curve, curve.cos()], dim=1)
    move = translate(space(z, 60), space(torch.cat([curve.sin(), curve], dim=1), 60), name)
    middle = move((z[:1] + z[20:21]) / 2) - (move(z[:1]) + move(z[20:21])) / 2
    assert (float(middle.abs().max()) < 1e-9) == ENTRIES[name].linear == isinstance(move, AffineMap)


@EVERY_TRANSLATION
@pytest.mark.parametrize(("width", "target_width"), [(3, 5), (5, 3)])
def test_other_widths_types_and_few_anchors_give_finite_rows_in_the_type_of_the_input(
    name: str, width: int, target_width: int
) -> None:
    z, y = two_spaces(width=width, target_width=target_width)
    for count in (2, 5, 30):
        move = translate(space(z.float(), count), space(y, count), name)
        for dtype in (torch.float32, F64, torch.bfloat16):
            assert move(z.to(dtype)).dtype == dtype and move(z.to(dtype)).isfinite().all()
        assert move(z[:0].float()).shape == (0, target_width)
        assert not list(move.parameters()) and move.state_dict() and not move.training
        assert f"{width} -> {target_width}" in repr(move)


@EVERY_TRANSLATION
@pytest.mark.parametrize("value", [0.0, 0.1, -1e6])
def test_a_constant_space_is_mapped_to_one_row_and_to_a_constant_space(name: str, value: float) -> None:
    z, constant = normal(40, 4), torch.full((40, 3), value, dtype=F64)
    mapped = translate(space(constant, 30), space(z, 30), name)(constant)
    assert mapped.isfinite().all() and torch.equal(mapped, mapped[:1].expand(40, 4))
    if ENTRIES[name].linear:
        torch.testing.assert_close(mapped, z.mean(0).expand(40, 4))
    torch.testing.assert_close(translate(space(z, 30), space(constant, 30), name)(z), constant)


# Conversions.


@EVERY_CONVERSION
@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_the_result_is_frozen_in_the_type_of_the_source(name: str, dtype: torch.dtype) -> None:
    z, source, there = two_runs(40)
    module = convert(source.to(dtype), there, name)
    outputs = module(z.to(dtype))
    assert outputs.dtype == dtype and outputs.shape == (200, 4) and outputs.isfinite().all()
    assert module(z[:0].to(dtype)).shape == (0, 4)
    assert not module.training and not any(part.requires_grad for part in module.parameters())
    assert not ENTRIES[name].linear or isinstance(module, nn.Linear)
    torch.testing.assert_close(outputs.double(), convert(source, there, name)(z), rtol=1e-3, atol=1e-3)


@EVERY_CONVERSION
def test_rows_of_every_type_give_outputs_in_their_type_and_integers_in_that_of_the_map(name: str) -> None:
    z, source, there = two_runs(40)
    source = source.to(torch.float32)
    module = convert(source, there, name)
    wanted = module(z.float())
    for dtype, tolerance in ((F64, 1e-4), (torch.bfloat16, 0.3), (torch.float16, 0.05)):
        found = module(z.to(dtype))
        assert found.dtype == dtype
        torch.testing.assert_close(found.float(), wanted, rtol=tolerance, atol=tolerance)
    whole = (10 * z[:3]).to(torch.int8)
    assert torch.equal(module(whole), module(whole.float()).to(module(whole).dtype))
    assert module(whole).is_floating_point()


@EVERY_TRANSLATION
def test_integer_rows_are_translated_in_the_type_of_the_map(name: str) -> None:
    z, source, _ = two_runs(40)
    module = translate(source, source, name)
    whole = (10 * z[:3]).to(torch.int8)
    torch.testing.assert_close(module(whole), module(whole.double()))


@EVERY_CONVERSION
def test_a_conversion_depends_on_the_two_pieces_only(name: str) -> None:
    z, source, there = two_runs(40)
    state = torch.get_rng_state()
    one = convert(source, there, name)(z)
    assert torch.equal(state, torch.get_rng_state())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        assert torch.equal(one, convert(source, there, name)(z))


@EVERY_CONVERSION
@given(seed=st.integers(0, 999), count=st.integers(11, 40), factor=st.floats(1e-2, 1e2))
@example(seed=73, count=23, factor=1.0)  # saturated probabilities: only the prior determines the constant of kl
@settings(max_examples=6, deadline=None)
def test_rotating_shifting_or_scaling_the_source_changes_no_output(
    name: str, seed: int, count: int, factor: float
) -> None:
    z, source, there = two_runs(count, seed=seed)
    moved = factor * z @ rotation(5, seed + 7) + normal(5, seed=seed + 8)
    torch.testing.assert_close(
        convert(space(moved, count), there, name)(moved), convert(source, there, name)(z), rtol=1e-3, atol=1e-3
    )


@EVERY_CONVERSION
def test_other_linear_changes_of_the_source_change_outputs(name: str) -> None:
    z, source, there = two_runs(40, noise=1.0)
    expected = convert(source, there, name, shrinkage=0.1)(z)
    for change in sorted(CHANGES - ENTRIES[name].invariant_to):
        other = changed(z, change, 3)
        assert (convert(space(other, 40), there, name, shrinkage=0.1)(other) - expected).abs().max() > 1e-3, change


@EVERY_CONVERSION
def test_coordinates_of_the_target_space_do_not_matter(name: str) -> None:
    z, target, own = normal(60, 4), normal(60, 5, seed=1), head(5, 3)
    turn, shift = 7 * rotation(5), normal(5, seed=3)
    same = nn.Linear(5, 3, dtype=F64)
    with torch.no_grad():
        same.weight.copy_(own.weight @ torch.linalg.inv(turn).mT)
        same.bias.copy_(own.bias - same.weight @ shift)
    one, other = publish(own, space(target, 30)), publish(same, space(target @ turn + shift, 30))
    expected = convert(space(z, 30), one, name)(z)
    torch.testing.assert_close(convert(space(z, 30), other, name)(z), expected, rtol=1e-6, atol=1e-6)


@EVERY_CONVERSION
def test_outputs_for_a_related_space_are_nearly_those_of_the_head(name: str) -> None:
    z, own = normal(400, 6), head(6, 4)
    other = 5 * z @ rotation(6) + 1
    module = convert(space(z, 60), publish(own, space(other, 60)), name)
    assert (module(z).argmax(1) == own(other).argmax(1)).double().mean() > 0.97


@EVERY_CONVERSION
@pytest.mark.parametrize("value", [0.0, 0.1, -1e6])
def test_a_constant_space_gives_the_same_finite_outputs_everywhere(name: str, value: float) -> None:
    constant = torch.full((40, 4), value)
    for count in (1, 2, 12, 30):
        there = publish(head(5, 3), space(normal(40, 5), count))
        outputs = convert(space(constant, count), there, name)(constant)
        assert outputs.isfinite().all() and torch.equal(outputs, outputs[:1].expand(40, 3))
        if name == "ridge":
            torch.testing.assert_close(outputs, there.mean.float().expand(40, 3))


@EVERY_CONVERSION
def test_a_constant_head_stays_constant(name: str) -> None:
    z, mean = normal(60, 4), torch.tensor([2.0, -1.0])
    got = convert(space(z, 30), PublishedHead(torch.arange(30), mean.expand(30, 2), mean), name)(z)
    expected = mean.double().expand(60, 2)
    if name == "kl":  # a softmax does not determine the level
        got, expected = got - got.mean(1, keepdim=True), expected - 0.5
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


@EVERY_CONVERSION
def test_repeated_anchors_and_zero_rows_are_accepted(name: str) -> None:
    z = normal(60, 4)
    z[:5], z[5:30] = 0, z[40]
    assert convert(space(z, 32), publish(head(5, 3), space(normal(60, 5), 32)), name)(z).isfinite().all()


# Both.


def both_kinds() -> list[tuple[str, Tensor, AnchorSet, AnchorSet | PublishedHead]]:
    z, source, there = two_runs(40)
    target = space(z @ rotation(5, 3) + 0.1 * normal(200, 5, seed=4), 40)
    return [(name, z, source, target) for name in TRANSLATIONS] + [(name, z, source, there) for name in CONVERSIONS]


@pytest.mark.parametrize("count", [12, 40])
def test_anchors_are_matched_by_id(count: int) -> None:
    order = torch.randperm(count, generator=torch.Generator().manual_seed(1))
    for name, z, source, target in both_kinds():
        source, target = source.take(source.ids[:count]), target.take(target.ids[:count])
        apply = translate if isinstance(target, AnchorSet) else convert
        expected = apply(source, target, name)(z)
        for one, other in ((source, target.take(target.ids[order])), (source.take(source.ids[order]), target)):
            torch.testing.assert_close(apply(one, other, name)(z), expected, rtol=1e-4, atol=1e-4, msg=name)


@pytest.mark.parametrize("shrinkage", [-0.1, float("nan"), float("inf"), "lou"])
def test_shrinkage_is_checked_by_every_estimator(shrinkage: float) -> None:
    for name, _, source, target in both_kinds():
        apply = translate if isinstance(target, AnchorSet) else convert
        reason = "must be a finite number of at least 0, or 'loo'" if ENTRIES[name].shrinks else "must be left out for"
        with pytest.raises(InputError, match=f"'shrinkage' {reason}.*got {shrinkage!r}"):
            apply(source, target, name, shrinkage=shrinkage)


def test_the_default_shrinkage_is_selected_by_leave_one_out() -> None:
    for name, z, source, target in both_kinds():
        if ENTRIES[name].shrinks:
            apply = translate if isinstance(target, AnchorSet) else convert
            default = apply(source, target, name)(z)
            assert torch.equal(default, apply(source, target, name, shrinkage="loo")(z)), name
            assert not torch.allclose(default, apply(source, target, name, shrinkage=0.1)(z)), name
            assert not torch.allclose(default, apply(source, target, name, shrinkage=0.01)(z)), name
