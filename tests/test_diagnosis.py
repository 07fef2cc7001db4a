"""What a choice of anchors can carry, against definitions written out slowly."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from relgraph.anchors import AnchorSet, GraphChangedWarning
from relgraph.conversion import PublishedHead, convert, publish
from relgraph.diagnosis import Diagnosis, diagnose
from relgraph.errors import InputError
from relgraph.translation import choose_shrinkage

F64 = torch.float64


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def space_of(z: Tensor, count: int, *, fingerprint: str = "") -> AnchorSet:
    return AnchorSet(torch.arange(count), z[:count], z.mean(0), fingerprint, space="mine")


def head_of(count: int, outputs: int = 3, seed: int = 1) -> PublishedHead:
    return PublishedHead(torch.arange(count), normal(count, outputs, seed=seed), normal(outputs, seed=seed + 1), "")


def linear(width: int, outputs: int) -> nn.Linear:
    head = nn.Linear(width, outputs, dtype=F64)
    with torch.no_grad():
        head.weight.copy_(normal(outputs, width, seed=5))
        head.bias.copy_(normal(outputs, seed=6))
    return head


def covariance(space: AnchorSet) -> Tensor:
    offsets = space.embeddings - space.center
    return offsets.T @ offsets / len(space)


# The spectrum.


@given(count=st.integers(1, 40), width=st.integers(1, 12), seed=st.integers(0, 999))
@settings(max_examples=40, deadline=None)
def test_rank_and_condition_are_those_of_the_covariance(count: int, width: int, seed: int) -> None:
    space = space_of(normal(60, width, seed=seed), count)
    found = diagnose(space, shrinkage=0.1)
    values = torch.linalg.eigvalsh(covariance(space)).clamp(min=0)
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
    read = values @ torch.linalg.inv(torch.diag(shrunk)) @ torch.ones(width, dtype=F64)
    assert found.directions_read == pytest.approx(float(read), rel=1e-6)
    assert found.anchors_per_dimension == count / width


def test_as_many_directions_as_are_there() -> None:
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
def test_turning_moving_or_scaling_the_space_changes_nothing(seed: int, factor: float, count: int) -> None:
    z, y = normal(30, 5, seed=seed), torch.arange(30) % 4
    turned = factor * z @ torch.linalg.qr(normal(5, 5, seed=seed + 1))[0] + normal(5, seed=seed + 2)
    one, two = (
        diagnose(space_of(x, count), published=head_of(count), all_embeddings=x, y=y).to_dict() for x in (z, turned)
    )
    for name, value in one.items():
        assert two[name] == (pytest.approx(value, rel=1e-5) if isinstance(value, float) else value), name


# Leave-one-out.


def slow_leave_one_out(space: AnchorSet, head: PublishedHead, shrinkage: float) -> float:
    a, b = space.embeddings - space.center, head.logits - head.mean_logits
    penalty = shrinkage * a.square().sum() / a.size(1) * torch.eye(a.size(1), dtype=F64)
    error = 0.0
    for left_out in range(len(a)):
        kept = torch.arange(len(a)) != left_out
        weight = torch.linalg.inv(a[kept].T @ a[kept] + penalty) @ a[kept].T @ b[kept]
        error += float((a[left_out] @ weight - b[left_out]).square().sum())
    return error / float(b.square().sum())


@given(
    count=st.integers(1, 25),
    width=st.integers(1, 10),
    shrinkage=st.sampled_from([1e-3, 0.01, 0.5]),
    seed=st.integers(0, 999),
)
@settings(max_examples=40, deadline=None)
def test_leave_one_out_equals_leaving_out_one_by_one(count: int, width: int, shrinkage: float, seed: int) -> None:
    space, head = space_of(normal(40, width, seed=seed), count), head_of(count, seed=seed)
    got = diagnose(space, published=head, shrinkage=shrinkage).leave_one_out
    assert got == pytest.approx(slow_leave_one_out(space, head, shrinkage), rel=1e-6)


def test_the_error_is_that_of_the_conversion_and_small_where_one_run_explains_the_other() -> None:
    z = normal(200, 6)
    head = linear(9, 4)
    target = z @ normal(6, 9, seed=1) + 2
    for count, below in ((100, 1e-3), (12, 0.3)):
        space, there = space_of(z, count), publish(head, space_of(target, count))
        found = diagnose(space, published=there)
        unseen = slice(count, None)
        truth = head(target).detach()
        missed = (convert(there, space)(z) - truth)[unseen].square().sum() / (truth - truth.mean(0))[
            unseen
        ].square().sum()
        assert found.leave_one_out < below and missed < below
        assert not [warning for warning in found.warnings if "left-out" in warning]


def test_unrelated_logits_are_predicted_no_better_than_by_their_mean_and_it_says_so() -> None:
    found = diagnose(space_of(normal(90, 20), 30), published=head_of(30))
    assert found.leave_one_out > 1
    assert any("no better than by the head's mean" in warning for warning in found.warnings)


@pytest.mark.parametrize("count", [4, 8])
def test_without_shrinkage_anchors_that_must_not_be_missed_make_it_infinite(count: int) -> None:
    space = space_of(normal(40, 8), count)
    assert diagnose(space, published=head_of(count), shrinkage=0).leave_one_out == math.inf
    assert diagnose(space_of(normal(40, 8), 30), published=head_of(30), shrinkage=0).leave_one_out < math.inf


def test_a_head_that_never_differs_has_nothing_to_convert() -> None:
    same = PublishedHead(torch.arange(9), torch.ones(9, 2), torch.ones(2), "anchors' mean")
    found = diagnose(space_of(normal(20, 3), 9), published=same)
    assert found.leave_one_out is None and any("nothing to convert" in warning for warning in found.warnings)


# Agreement, rows that do not correspond, anchors that do not fit.


def noisy(count: int, *, noise: float = 0.3, outputs: int = 8) -> tuple[AnchorSet, PublishedHead]:
    z = normal(4 * count, 16)
    target = z @ normal(16, 16, seed=1) + noise * 4 * normal(4 * count, 16, seed=2)
    return space_of(z, count), publish(linear(16, outputs), space_of(target, count))


def test_agreement_is_that_of_conversions_made_without_the_anchor() -> None:
    space, head = noisy(40)
    a, b = space.embeddings - space.center, head.logits - head.mean_logits
    penalty = 0.01 * a.square().sum() / 16 * torch.eye(16, dtype=F64)
    logits = []
    for left_out in range(40):
        kept = torch.arange(40) != left_out
        weight = torch.linalg.inv(a[kept].T @ a[kept] + penalty) @ a[kept].T @ b[kept]
        logits.append(a[left_out] @ weight + head.mean_logits)
    got = torch.stack(logits)
    expected = float((got.argmax(1) == head.logits.argmax(1)).double().mean())
    assert diagnose(space, published=head).agreement == pytest.approx(expected)
    signs = float(((got > 0) == (head.logits > 0)).double().mean())
    assert diagnose(space, published=replace(head, outputs="labels")).agreement == pytest.approx(signs)
    assert diagnose(space, published=replace(head, outputs="values")).agreement is None


def test_a_low_agreement_is_a_warning() -> None:
    space, head = noisy(200, noise=0.6)
    found = diagnose(space, published=head)
    assert found.leave_one_out < 1 and found.agreement < 0.8
    assert [warning for warning in found.warnings if "left-out anchors only" in warning]
    assert not found.suspicious_anchors and "left-out agreement" in str(found)


@pytest.mark.parametrize("outputs", ["classes", "labels", "values"])
def test_rows_that_do_not_correspond_are_said_to(outputs: str) -> None:
    space, head = noisy(128)
    head = replace(head, outputs=outputs)
    assert not [warning for warning in diagnose(space, published=head).warnings if "do not correspond" in warning]
    shifted = replace(head, logits=head.logits.roll(1, 0))
    found = diagnose(space, published=shifted)
    assert [warning for warning in found.warnings if warning.startswith("rows do not correspond")]
    assert not [warning for warning in found.warnings if "more anchors" in warning]


def test_anchors_whose_rows_are_wrong_are_listed() -> None:
    space, head = noisy(256)
    wrong = head.logits.clone()
    wrong[40:65] = wrong[40:65].roll(1, 0)
    found = diagnose(space, published=replace(head, logits=wrong))
    assert set(found.suspicious_anchors) <= set(range(40, 65)) and len(found.suspicious_anchors) >= 18
    assert [warning for warning in found.warnings if "of the anchors do not fit" in warning]
    assert "anchors that do not fit" in str(found)
    assert not diagnose(space, published=head).suspicious_anchors


# Coverage.


@pytest.mark.parametrize("at_a_time", [1, 60, 10**6])
def test_coverage_is_measured_from_every_node(monkeypatch: pytest.MonkeyPatch, at_a_time: int) -> None:
    monkeypatch.setattr("relgraph.diagnosis._DISTANCES", at_a_time)
    z = normal(50, 4) + 7
    found = diagnose(space_of(z, 6), all_embeddings=z)
    nearest = [min(float((row - anchor).norm()) for anchor in z[:6]) for row in z]
    size = sum(float((row - z.mean(0)).norm()) for row in z) / 50
    assert found.mean_distance == pytest.approx(sum(nearest) / 50 / size)
    assert found.largest_distance == pytest.approx(max(nearest) / size)
    assert diagnose(space_of(z, 50), all_embeddings=z).largest_distance == pytest.approx(0, abs=1e-6)


# Classes.


def test_anchors_of_each_class_are_counted() -> None:
    y = torch.tensor([2, 5, 2, 2, 0, 5, -1, 7])
    found = diagnose(AnchorSet(torch.tensor([3, 1, 6, 2]), normal(4, 2), torch.zeros(2)), y=y)
    assert found.class_counts == {0: 0, 2: 2, 5: 1, 7: 0}
    assert (found.class_coverage, found.num_classes) == (0.5, 4)
    assert diagnose(space_of(normal(9, 2), 3), y=torch.zeros(9, 1, dtype=torch.int64)).class_counts == {0: 3}


def test_ids_that_are_not_rows_find_their_labels() -> None:
    ids, y = torch.tensor([30, 10, 20, 40]), torch.tensor([0, 1, 2, 2])
    found = diagnose(AnchorSet(torch.tensor([10, 40]), normal(2, 2), torch.zeros(2)), y=y, node_ids=ids)
    assert found.class_counts == {0: 0, 1: 1, 2: 1}


# What it warns of.


def test_a_good_choice_gets_no_warning() -> None:
    z = normal(200, 4)
    there = publish(linear(4, 3), space_of(z, 32))
    found = diagnose(space_of(z, 32), published=there, all_embeddings=z, y=torch.arange(200) % 3)
    assert found.warnings == []
    assert "warning" not in str(found)


def warned(space: AnchorSet, words: str, **more: Tensor | PublishedHead) -> list[str]:
    return [warning for warning in diagnose(space, **more).warnings if words in warning]


def test_what_cannot_work_is_said() -> None:
    z, y = normal(60, 4), torch.arange(60) % 5
    assert warned(space_of(z, 4), r"fewer anchors (4) than classes (5)", y=y)
    assert not warned(space_of(z, 5), "than classes", y=y)
    assert warned(space_of(z, 2), "fewer anchors (2) than outputs of the head (3)", published=head_of(2))
    assert warned(space_of(z, 3), "fewer anchors (3) than dimensions (4): in the 1 or more")
    assert not warned(space_of(z, 4), "than dimensions")
    flat = z * torch.tensor([1.0, 1e-3, 1e-3, 1e-3], dtype=F64)
    assert warned(space_of(flat, 30), "reads 1.0 directions, and 5 classes need 4", y=y)
    assert warned(space_of(z, 3), "directions, and 5 classes need 4", y=y)
    assert not warned(space_of(z, 30), "directions", y=y, published=head_of(30))
    twice = torch.cat([z[:6], z[:2]])
    assert warned(AnchorSet(torch.arange(8), twice, twice.mean(0)), "2 of the anchors repeat")


def test_a_hub_far_out_is_no_reason_to_warn() -> None:
    z = normal(100, 4)
    z[0] *= 12
    found = diagnose(space_of(z, 40), published=publish(linear(4, 5), space_of(z @ normal(4, 4, seed=3), 40)))
    assert found.effective_rank < 3 and found.directions_read > 3.5
    assert found.warnings == []


def test_a_constant_space_gives_finite_figures_and_a_warning() -> None:
    z = torch.full((20, 3), 0.1)
    there = head_of(5)
    found = diagnose(space_of(z, 5), published=there, all_embeddings=z, y=torch.arange(20) % 2)
    assert found.effective_rank == 0 and found.condition_number == math.inf
    assert found.mean_distance is None and found.largest_distance is None
    assert found.leave_one_out == pytest.approx(1)
    assert found.warnings[0].startswith("constant space")
    assert any("4 of the anchors repeat" in warning for warning in found.warnings)


# Which anchors count.


def test_everything_is_said_of_the_anchors_that_both_have() -> None:
    z, ids = normal(80, 4), torch.randperm(80, generator=torch.Generator().manual_seed(0))
    space = AnchorSet(ids[:40], z[ids[:40]], z.mean(0), space="mine")
    there = PublishedHead(ids[10:50].flip(0), normal(40, 3, seed=1).flip(0), torch.zeros(3), "")
    shared = AnchorSet(ids[10:40], z[ids[10:40]], z.mean(0), space="mine")
    alone = PublishedHead(ids[10:40], normal(40, 3, seed=1)[:30], torch.zeros(3), "")
    y = torch.arange(80) % 3
    one, two = (diagnose(s, published=h, all_embeddings=z, y=y).to_dict() for s, h in ((space, there), (shared, alone)))
    assert one.keys() == two.keys() and one["num_anchors"] == 30
    for name, value in one.items():
        assert two[name] == (pytest.approx(value) if isinstance(value, float) else value), name


def test_too_few_shared_anchors_and_another_graph() -> None:
    z = normal(30, 4)
    with pytest.raises(InputError, match="need 5 ids in common"):
        diagnose(space_of(z, 8), published=head_of(4))
    there = PublishedHead(torch.arange(8), normal(8, 2), torch.zeros(2), "", fingerprint="b")
    with pytest.warns(GraphChangedWarning, match="different graphs") as seen:
        diagnose(space_of(z, 8, fingerprint="a"), published=there)
    assert seen[0].filename == __file__


# How it is told.


def test_it_prints_one_table() -> None:
    z = normal(60, 4)
    text = str(diagnose(space_of(z, 3), published=head_of(3), all_embeddings=z, y=torch.arange(60) % 5))
    lines = text.splitlines()
    assert lines[0] == "space mine"
    table = [line for line in lines[1:] if not line.startswith("warning: ")]
    assert [line.strip().split("  ")[0] for line in table] == [
        "anchors",
        "anchors per dimension",
        "effective rank",
        "directions read",
        "condition number",
        "distance to an anchor",
        "leave-one-out error",
        "left-out agreement",
        "classes with an anchor",
    ]
    starts = {len(line) - len(line[25:].lstrip()) for line in table}
    assert len(starts) == 1
    assert "inf without" in text and "3 of 5 (anchors of 0: 1, 1: 1, 2: 1, 3: 0, 4: 0)" in text
    assert lines[-1].startswith("warning: ") and text.isascii()


def test_what_was_not_asked_for_has_no_line() -> None:
    found = diagnose(space_of(normal(60, 4), 30))
    assert len(str(found).splitlines()) == 6
    assert found.mean_distance is found.leave_one_out is found.class_counts is found.num_classes is None


def test_it_becomes_json() -> None:
    found = diagnose(space_of(normal(60, 4), 3), published=head_of(3), y=torch.arange(60) % 2)
    read = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert read == found.to_dict()
    assert read["condition_number_unshrunk"] is None and read["class_counts"] == {"0": 2, "1": 1}
    assert set(read) == set(Diagnosis.__dataclass_fields__)


# Wrong input.


def test_wrong_input_is_one_sentence() -> None:
    space, y = space_of(normal(30, 4), 8), torch.arange(30)
    with pytest.raises(InputError, match=r"'all_embeddings' must have shape \(N, 4\).*got \(30, 5\)"):
        diagnose(space, all_embeddings=normal(30, 5))
    with pytest.raises(InputError, match="'all_embeddings' must hold finite numbers .got NaN in row 3"):
        diagnose(space, all_embeddings=normal(30, 4).index_fill(0, torch.tensor([3]), torch.nan))
    for wrong in (y.double(), y.expand(2, 30), torch.full((30,), -1)):
        with pytest.raises(InputError, match="'y' must hold one class per node"):
            diagnose(space, y=wrong)
    with pytest.raises(InputError, match="a row for every anchor .none for 5, 6, 7.*'node_ids'"):
        diagnose(space, y=y[:5])
    with pytest.raises(InputError, match=r"'node_ids' must hold one id per row of 'y', 30 \(got 29\)"):
        diagnose(space, y=y, node_ids=y[:29])
    with pytest.raises(InputError, match=r"'shrinkage' must be 0 or more"):
        diagnose(space, shrinkage=-1)


def test_shrinkage_by_leave_one_out_is_the_conversions() -> None:
    z = torch.randn(80, 5, generator=torch.Generator().manual_seed(0))
    space = AnchorSet(torch.arange(60), z[:60], z.mean(0))
    head = publish(torch.nn.Linear(5, 3), space)
    offsets = (z[:60] - z.mean(0)).double()
    chosen = choose_shrinkage(offsets, (head.logits - head.mean_logits).double())
    assert diagnose(space, published=head, shrinkage="loo").shrinkage == chosen
    with pytest.raises(InputError, match="give a head as well"):
        diagnose(space, shrinkage="loo")
