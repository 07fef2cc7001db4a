"""Figures and warnings of a diagnosis, compared with slow definitions."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from relgraph.anchors import AnchorSet, GraphChangedWarning, PublishedHead, publish
from relgraph.diagnosis import Diagnosis, diagnose
from relgraph.errors import InputError
from relgraph.maps import MatchedAnchors, choose_shrinkage, convert, expected_fidelity
from relgraph.maps.divergence import KL
from relgraph.maps.ridge import RIDGE
from relgraph.task import Mode
from tests.spaces import F64, head, normal, rotation, slow_weights, space, weighted


def head_of(count: int, outputs: int = 3, seed: int = 1) -> PublishedHead:
    return PublishedHead(torch.arange(count), normal(count, outputs, seed=seed), normal(outputs, seed=seed + 1))


def warned(anchors: AnchorSet, words: str, **more: Any) -> list[str]:
    return [warning for warning in diagnose(anchors, **more).warnings if words in warning]


# The spectrum.


@given(count=st.integers(1, 40), width=st.integers(1, 12), seed=st.integers(0, 999))
@settings(max_examples=40, deadline=None)
def test_rank_condition_and_degrees_of_freedom_are_those_of_the_covariance(count: int, width: int, seed: int) -> None:
    anchors = space(normal(60, width, seed=seed), count)
    found = diagnose(anchors, shrinkage=0.1)
    offsets = anchors.embeddings - anchors.center
    values = torch.linalg.eigvalsh(offsets.T @ offsets / count).clamp(min=0)
    share = values / values.sum()
    entropy = -sum(p * math.log(p) for p in share.tolist() if p > 0)
    assert found.effective_rank == pytest.approx(math.exp(entropy), rel=1e-6)
    assert found.effective_rank <= min(count, width) + 1e-9
    shrunk = values + 0.1 * values.mean()
    assert found.condition_number == pytest.approx(float(shrunk[-1] / shrunk[0]), rel=1e-6)
    if count < width:
        assert found.condition_number_unshrunk == math.inf
    else:
        assert found.condition_number_unshrunk == pytest.approx(float(values[-1] / values[0]), rel=1e-5)
    hat = offsets @ torch.linalg.inv(offsets.T @ offsets + 0.1 * count * values.mean() * torch.eye(width)) @ offsets.T
    assert found.degrees_of_freedom == pytest.approx(float(hat.trace()), rel=1e-6)
    assert found.anchors_per_dimension == count / width


def test_the_effective_rank_counts_directions() -> None:
    corners = torch.cat([torch.eye(5), -torch.eye(5)])
    assert diagnose(AnchorSet(torch.arange(10), corners, torch.zeros(5))).effective_rank == pytest.approx(5)
    line = torch.arange(6.0)[:, None] * torch.tensor([[3.0, 4.0, 0.0]])
    found = diagnose(AnchorSet(torch.arange(6), line, line.mean(0)))
    assert found.effective_rank == pytest.approx(1) and found.condition_number_unshrunk == math.inf


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_rounding_of_the_stored_numbers_is_no_direction(dtype: torch.dtype) -> None:
    plane = (normal(50, 2) @ normal(2, 6, seed=1) + 3).to(dtype)
    found = diagnose(AnchorSet(torch.arange(50), plane, plane.mean(0)))
    assert found.condition_number_unshrunk == math.inf
    assert found.effective_rank < 2.01


@given(seed=st.integers(0, 999), factor=st.floats(1e-3, 1e3), count=st.integers(3, 20))
@settings(max_examples=25, deadline=None)
def test_rotating_shifting_or_scaling_the_space_changes_no_figure(seed: int, factor: float, count: int) -> None:
    z, y = normal(30, 5, seed=seed), torch.arange(30) % 4
    moved = factor * z @ rotation(5, seed + 1) + normal(5, seed=seed + 2)
    one, two = (
        diagnose(space(x, count, id="mine"), head=head_of(count), embeddings=x, y=y).to_dict() for x in (z, moved)
    )
    for name, value in one.items():
        assert two[name] == (pytest.approx(value, rel=1e-5) if isinstance(value, float) else value), name


# Left-out anchors.


def left_out(anchors: AnchorSet, there: PublishedHead, shrinkage: float) -> Tensor:
    """Outputs for every anchor by the weighted ridge regression on the others, one by one."""
    roots = slow_weights(anchors, there).sqrt().unsqueeze(1)
    rows = anchors.embeddings - anchors.center
    a, b = roots * rows, roots * (there.outputs - there.mean)
    penalty = shrinkage * a.square().sum() / a.size(1) * torch.eye(a.size(1), dtype=F64)
    outputs = []
    for row in range(len(a)):
        kept = torch.arange(len(a)) != row
        outputs.append(rows[row] @ torch.linalg.inv(a[kept].T @ a[kept] + penalty) @ a[kept].T @ b[kept] + there.mean)
    return torch.stack(outputs)


@given(
    count=st.integers(1, 25),
    width=st.integers(1, 10),
    shrinkage=st.sampled_from([1e-3, 0.01, 0.5]),
    seed=st.integers(0, 999),
)
@settings(max_examples=40, deadline=None)
def test_the_leave_one_out_error_equals_leaving_out_one_by_one(
    count: int, width: int, shrinkage: float, seed: int
) -> None:
    anchors, there = space(normal(40, width, seed=seed), count), head_of(count, seed=seed)
    anchors = weighted(anchors) if seed % 2 else anchors
    w = slow_weights(anchors, there).unsqueeze(1)
    slow = (w * (left_out(anchors, there, shrinkage) - there.outputs).square()).sum()
    slow = slow / (w * (there.outputs - there.mean).square()).sum()
    found = diagnose(anchors, head=there, shrinkage=shrinkage)
    assert found.leave_one_out == pytest.approx(float(slow), rel=1e-6)


def test_the_error_is_that_of_the_conversion_on_other_rows() -> None:
    z, own = normal(200, 6), head(9, 4)
    target = z @ normal(6, 9, seed=1) + 2
    truth = own(target).detach()
    for count, below in ((100, 1e-3), (12, 0.3)):
        anchors, there = space(z, count), publish(own, space(target, count))
        found = diagnose(anchors, head=there, shrinkage=0.01)
        missed = (convert(anchors, there, "ridge", shrinkage=0.01)(z) - truth)[count:].square().sum()
        assert found.leave_one_out < below and missed / (truth - truth.mean(0))[count:].square().sum() < below
        assert not warned(anchors, "left-out", head=there, shrinkage=0.01)


def test_unrelated_outputs_are_a_warning() -> None:
    anchors = space(normal(90, 20), 30)
    assert diagnose(anchors, head=head_of(30)).leave_one_out > 0.95
    assert warned(anchors, "hardly better than by the head's mean", head=head_of(30))


@pytest.mark.parametrize("count", [4, 8])
def test_without_shrinkage_the_error_is_infinite_if_the_other_anchors_do_not_span_the_space(count: int) -> None:
    found = diagnose(space(normal(40, 8), count), head=head_of(count), shrinkage=0)
    assert found.leave_one_out == math.inf and found.expected_fidelity is None
    assert diagnose(space(normal(40, 8), 30), head=head_of(30), shrinkage=0).leave_one_out < math.inf


def test_a_constant_head_is_a_warning() -> None:
    same = PublishedHead(torch.arange(9), torch.ones(9, 2), torch.ones(2))
    found = diagnose(space(normal(20, 3), 9), head=same)
    assert found.leave_one_out is None and any("nothing to convert" in warning for warning in found.warnings)


def test_the_shrinkage_is_that_of_the_conversion() -> None:
    z = normal(80, 5)
    anchors, there = space(z, 60), publish(head(5, 3), space(z + 0.5 * normal(80, 5, seed=3), 60))
    roots = slow_weights(anchors, there).sqrt().unsqueeze(1)
    chosen = choose_shrinkage(roots * (anchors.embeddings - anchors.center), roots * (there.outputs - there.mean))
    assert chosen != 0.01
    assert diagnose(anchors, head=there).shrinkage == diagnose(anchors, head=there, shrinkage="loo").shrinkage == chosen
    assert diagnose(anchors).shrinkage == 0.01
    with pytest.raises(
        InputError, match="'shrinkage' must be a number without a head .got 'loo'.; pass 'head' as well"
    ):
        diagnose(anchors, shrinkage="loo")


# Agreement, rows that do not correspond, anchors that do not fit.


def noisy(count: int, *, noise: float = 0.3, mode: Mode = "multiclass") -> tuple[AnchorSet, PublishedHead]:
    z = normal(4 * count, 16)
    target = z @ normal(16, 16, seed=1) + noise * 4 * normal(4 * count, 16, seed=2)
    return space(z, count), publish(head(16, 8, seed=5), space(target, count), mode=mode)


def test_the_expected_fidelity_is_that_of_the_method_by_cross_validation() -> None:
    anchors, there = noisy(40)
    matched = MatchedAnchors.match(anchors, there)
    for method, estimator in ((None, KL), ("ridge", RIDGE)):
        expected = expected_fidelity(matched, estimator)
        found = diagnose(anchors, head=there, method=method)
        assert expected is not None and found.expected_fidelity == expected.value
        assert found.fidelity_interval == [expected.low, expected.high]
    with pytest.raises(InputError, match="'method' must be one of .* \\(got 'procrustes', for embeddings only\\)"):
        diagnose(anchors, head=there, method="procrustes")


def test_a_low_fidelity_is_a_warning() -> None:
    anchors, there = noisy(200, noise=0.6)
    found = diagnose(anchors, head=there)
    assert found.leave_one_out < 1 and found.expected_fidelity < 0.8
    assert warned(anchors, "expected fidelity of a converted head is only 0.", head=there)
    assert not found.suspicious_anchors and "expected fidelity" in str(found)


@pytest.mark.parametrize("mode", ["multiclass", "multilabel", "regression"])
def test_rows_that_do_not_correspond_are_a_warning(mode: Mode) -> None:
    anchors, there = noisy(128, mode=mode)
    assert not warned(anchors, "do not correspond", head=there)
    shifted = PublishedHead(there.ids, there.outputs.roll(1, 0), there.mean, mode)
    assert warned(anchors, "rows do not correspond: ", head=shifted)
    assert not warned(anchors, "more anchors", head=shifted)


def test_anchors_with_wrong_rows_are_listed() -> None:
    anchors, there = noisy(256)
    outputs = there.outputs.clone()
    outputs[40:65] = outputs[40:65].roll(1, 0)
    found = diagnose(anchors, head=PublishedHead(there.ids, outputs, there.mean))
    assert set(found.suspicious_anchors) <= set(range(40, 65)) and len(found.suspicious_anchors) >= 18
    assert [warning for warning in found.warnings if "of the anchors do not fit the others" in warning]
    assert "suspicious anchors" in str(found)
    assert diagnose(anchors, head=there).suspicious_anchors == []


# Distances and classes.


@pytest.mark.parametrize("chunk", [1, 60, 10**6])
def test_distances_are_measured_from_every_row(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr("relgraph.diagnosis._CHUNK", chunk)
    z = normal(50, 4) + 7
    found = diagnose(space(z, 6), embeddings=z)
    nearest = [min(float((row - anchor).norm()) for anchor in z[:6]) for row in z]
    size = sum(float((row - z.mean(0)).norm()) for row in z) / 50
    assert found.mean_distance == pytest.approx(sum(nearest) / 50 / size)
    assert found.largest_distance == pytest.approx(max(nearest) / size)
    assert diagnose(space(z, 50), embeddings=z).largest_distance == pytest.approx(0, abs=1e-6)


def test_anchors_of_each_class_are_counted() -> None:
    y = torch.tensor([2, 5, 2, 2, 0, 5, -1, 7])
    found = diagnose(AnchorSet(torch.tensor([3, 1, 6, 2]), normal(4, 2), torch.zeros(2)), y=y)
    assert found.class_counts == {0: 0, 2: 2, 5: 1, 7: 0}
    assert (found.class_coverage, found.num_classes) == (0.5, 4)
    assert diagnose(space(normal(9, 2), 3), y=torch.zeros(9, 1, dtype=torch.int64)).class_counts == {0: 3}
    ids = torch.tensor([30, 10, 20, 40])
    found = diagnose(AnchorSet(torch.tensor([10, 40]), normal(2, 2), torch.zeros(2)), y=y[:4], node_ids=ids)
    assert found.class_counts == {2: 1, 5: 1}


# Warnings.


def test_a_good_choice_has_no_warning() -> None:
    z = normal(200, 4)
    there = publish(head(4, 3), space(z, 32))
    found = diagnose(space(z, 32), head=there, embeddings=z, y=torch.arange(200) % 3)
    assert found.warnings == [] and "warning" not in str(found)


def test_choices_that_cannot_work_are_warnings() -> None:
    z, y = normal(60, 4), torch.arange(60) % 5
    assert warned(space(z, 4), "fewer anchors (4) than classes (5)", y=y)
    assert not warned(space(z, 5), "than classes", y=y)
    assert warned(space(z, 2), "fewer anchors (2) than outputs of the head (3)", head=head_of(2))
    assert warned(space(z, 3), "fewer anchors (3) than dimensions (4): in at least 1")
    assert not warned(space(z, 4), "than dimensions")
    flat = z * torch.tensor([1.0, 1e-3, 1e-3, 1e-3], dtype=F64)
    assert warned(space(flat, 30), "has 1.0 effective degrees of freedom, and 5 classes need 4", y=y)
    assert warned(space(z, 3), "degrees of freedom, and 5 classes need 4", y=y)
    assert not warned(space(z, 30), "degrees of freedom", y=y, head=head_of(30), shrinkage=0.01)
    twice = torch.cat([z[:6], z[:2]])
    assert warned(AnchorSet(torch.arange(8), twice, twice.mean(0)), "2 of the anchors repeat")


def test_an_anchor_of_very_large_norm_is_no_warning() -> None:
    z = normal(100, 4)
    z[0] *= 12
    there = publish(head(4, 5, seed=5), space(z @ normal(4, 4, seed=3), 40))
    plain, found = diagnose(space(z, 40)), diagnose(space(z, 40), head=there)
    assert plain.effective_rank < 3 and min(plain.degrees_of_freedom, found.degrees_of_freedom) > 3.5
    assert found.effective_rank > 3.5  # in the regression it has a small weight
    assert plain.warnings == found.warnings == []


def test_a_constant_space_gives_finite_figures_and_a_warning() -> None:
    z = torch.full((20, 3), 0.1)
    found = diagnose(space(z, 5), head=head_of(5), embeddings=z, y=torch.arange(20) % 2)
    assert found.effective_rank == found.degrees_of_freedom == 0 and found.condition_number == math.inf
    assert found.mean_distance is None and found.largest_distance is None
    assert found.leave_one_out == pytest.approx(1)
    assert found.warnings[0].startswith("constant space")
    assert any("4 of the anchors repeat" in warning for warning in found.warnings)


# Shared anchors.


def test_all_figures_are_those_of_the_shared_anchors() -> None:
    z, ids = normal(80, 4), torch.randperm(80, generator=torch.Generator().manual_seed(0))
    anchors = AnchorSet(ids[:40], z[ids[:40]], z.mean(0), id="mine")
    there = PublishedHead(ids[10:50].flip(0), normal(40, 3, seed=1).flip(0), torch.zeros(3))
    shared = AnchorSet(ids[10:40], z[ids[10:40]], z.mean(0), id="mine")
    alone = PublishedHead(ids[10:40], normal(40, 3, seed=1)[:30], torch.zeros(3))
    y = torch.arange(80) % 3
    one, two = (
        diagnose(a, head=h, embeddings=z, y=y, shrinkage=0.01).to_dict() for a, h in ((anchors, there), (shared, alone))
    )
    assert one.keys() == two.keys() and one["num_anchors"] == 30
    for name, value in one.items():
        assert two[name] == (pytest.approx(value) if isinstance(value, float) else value), name


def test_too_few_shared_anchors_and_another_graph() -> None:
    z = normal(30, 4)
    with pytest.raises(InputError, match="need 5 ids in common"):
        diagnose(space(z, 8), head=head_of(4))
    there = PublishedHead(torch.arange(8), normal(8, 2), torch.zeros(2), fingerprint="b")
    with pytest.warns(GraphChangedWarning, match="different graphs") as seen:
        diagnose(space(z, 8, fingerprint="a"), head=there)
    assert seen[0].filename == __file__


# Output.


def test_it_prints_one_table() -> None:
    z = normal(60, 4)
    text = str(diagnose(space(z, 3, id="mine"), head=head_of(3), embeddings=z, y=torch.arange(60) % 5))
    lines = text.splitlines()
    assert lines[0] == "anchor set mine"
    table = [line for line in lines[1:] if not line.startswith("warning: ")]
    assert [line.strip().split("  ")[0] for line in table] == [
        "anchors",
        "anchors per dimension",
        "effective rank",
        "degrees of freedom",
        "condition number",
        "distance to an anchor",
        "leave-one-out error",
        "expected fidelity",
        "classes with an anchor",
    ]
    assert len({len(line) - len(line[25:].lstrip()) for line in table}) == 1
    assert "inf without" in text and "3 of 5 (anchors of 0: 1, 1: 1, 2: 1, 3: 0, 4: 0)" in text
    assert lines[-1].startswith("warning: ") and text.isascii()


def test_figures_without_their_argument_are_left_out() -> None:
    found = diagnose(space(normal(60, 4), 30))
    assert len(str(found).splitlines()) == 6
    assert found.mean_distance is found.leave_one_out is found.class_counts is found.num_classes is None


def test_it_becomes_json() -> None:
    found = diagnose(space(normal(60, 4), 3), head=head_of(3), y=torch.arange(60) % 2)
    read = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert read == found.to_dict()
    assert read["condition_number_unshrunk"] is None and read["class_counts"] == {"0": 2, "1": 1}
    assert set(read) == set(Diagnosis.__dataclass_fields__)


def test_wrong_input_is_one_sentence() -> None:
    anchors, y = space(normal(30, 4), 8), torch.arange(30)
    with pytest.raises(InputError, match=r"'embeddings' must have shape \(N, 4\).*got \(30, 5\)"):
        diagnose(anchors, embeddings=normal(30, 5))
    with pytest.raises(InputError, match="'embeddings' must hold finite numbers .got NaN in row 3"):
        diagnose(anchors, embeddings=normal(30, 4).index_fill(0, torch.tensor([3]), torch.nan))
    for wrong in (y.double(), y.expand(2, 30), torch.full((30,), -1)):
        with pytest.raises(InputError, match="'y' must hold one class per row"):
            diagnose(anchors, y=wrong)
    with pytest.raises(InputError, match="a row for every anchor .none for 5, 6, 7.*'node_ids'"):
        diagnose(anchors, y=y[:5])
    with pytest.raises(InputError, match=r"'node_ids' must hold one id per row of 'y', 30 \(got 29\)"):
        diagnose(anchors, y=y, node_ids=y[:29])
    with pytest.raises(InputError, match="'shrinkage' must be a finite number of at least 0"):
        diagnose(anchors, shrinkage=-1)
    for call, name in ((lambda: diagnose(head_of(8)), "anchors"), (lambda: diagnose(anchors, head=anchors), "head")):
        with pytest.raises(InputError, match=f"'{name}' must be a"):
            call()  # type: ignore[no-untyped-call]
