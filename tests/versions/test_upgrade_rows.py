"""What an upgrade answers to rows, and which rows it trusts."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

import relgraph as rg
from relgraph.errors import InputError
from relgraph.maps import MatchedAnchors, expected_fidelity
from relgraph.maps.methods import estimator_for
from relgraph.training import fit_linear_head
from relgraph.training.linear_probe import measurable_head
from relgraph.versions import Expected, RowsElsewhereWarning, adjust_priors, blend, smooth
from relgraph.versions.expectation import HALF_WIDTH
from relgraph.versions.verdict import ALLOWANCES
from tests.versions.test_upgrade import CLASSES, OLD, ROWS, WIDTH, published, world

OLD_ROWS = torch.arange(OLD)


def ring() -> torch.Tensor:
    """Edges of a ring, both ways, and loops."""
    around = torch.arange(ROWS)
    return torch.hstack([torch.stack([around, around.roll(1)]), torch.stack([around.roll(1), around])])


def test_every_row_may_be_new() -> None:
    before, after, _, head = world(noise=0.5)
    pieces = published(before[:OLD], after[:OLD], head)
    later, edges = after[OLD:], torch.randint(0, ROWS - OLD, (2, 2000), generator=torch.Generator().manual_seed(0))
    none = torch.zeros(ROWS - OLD, dtype=torch.bool)
    found = rg.upgrade(*pieces, later, ids=torch.arange(OLD, ROWS), old=none, edge_index=edges)
    assert set(found.expected) == {"anchors", "new"} and found.num_rows == {"new": ROWS - OLD}
    same = (found.head(later).argmax(dim=1) == head(before[OLD:]).argmax(dim=1)).float().mean()
    expected = found.expected["new"]["convert"].fidelity
    assert expected.low - 0.03 <= float(same) <= expected.high + 0.03
    assert "convert, new rows" in str(found)


def test_stored_answers_of_rows_that_are_all_new_are_not_compared_with_the_neighbors() -> None:
    before, after, _, head = world()
    edges = torch.stack([torch.arange(ROWS), torch.arange(ROWS).roll(1)])
    none = np.zeros(ROWS, dtype=bool)
    found = rg.upgrade(*published(before, after, head), after, old=none, kept=head(before), edge_index=edges)
    assert found.verdict == "convert" and not found.agreement


@pytest.mark.parametrize(("remembered", "share"), [(False, 0.0), (True, 0.0), (True, 0.3)])
@pytest.mark.parametrize("edges", [None, ring()])
def test_outputs_are_adjusted_smoothed_with_the_old_answers_and_blended(
    remembered: bool, share: float, edges: torch.Tensor | None
) -> None:
    before, after, _, head = world(noise=1.0)
    order = torch.randperm(ROWS, generator=torch.Generator().manual_seed(3))
    old, rest = order[:OLD], order[OLD:]
    space = rg.AnchorSet.from_rows(after, old[:200], center_over=old)
    pieces = space, rg.publish(head, rg.AnchorSet.from_rows(before, old[:200], center_over=old))
    kept = head(before) if remembered else None
    found = rg.upgrade(*pieces, after, old=old, kept=kept, edge_index=edges, kept_share=share)
    expected = adjust_priors(rg.convert(*pieces)(after), rest)
    if edges is not None:
        expected = smooth(expected, edges, *(() if kept is None else (kept[old], old)))
    if share:
        expected = blend(expected, kept, share=share)
    torch.testing.assert_close(found.outputs, expected)


def test_labels_of_a_group_decide_its_accuracy() -> None:
    before, after, y, head = world(noise=0.5)
    y = torch.where(torch.arange(ROWS) < OLD, y, (y + 1) % CLASSES)  # the head is wrong on nearly all new rows
    found = rg.upgrade(*published(before, after, head), after, old=OLD_ROWS, y=y)
    right = (found.head(after).argmax(dim=1) == y).float()
    for group, rows in (("old", slice(0, OLD)), ("new", slice(OLD, None))):
        expected = found.expected[group]["convert"].accuracy
        assert expected.low - 0.02 <= float(right[rows].mean()) <= expected.high + 0.02
    few = torch.where(torch.arange(ROWS) < OLD + 40, y, -1)  # too few of the new rows: all labels judge both groups
    pooled = rg.upgrade(*published(before, after, head), after, old=OLD_ROWS, y=few).expected
    assert abs(pooled["new"]["convert"].accuracy.value - pooled["old"]["convert"].accuracy.value) < 0.05


@pytest.mark.parametrize("kind", ["half", "brain", "log-probabilities"])
def test_stored_answers_are_recognized_whatever_their_form(kind: str) -> None:
    before, after, _, head = world(noise=1.0)
    kept = head(before)
    form = {"half": kept.half().float(), "brain": kept.bfloat16().float(), "log-probabilities": kept.log_softmax(1)}
    found = rg.upgrade(*published(before, after, head), after, old=OLD_ROWS, kept=form[kind], edge_index=ring())
    assert found.expected["new"]["keep"].fidelity is None
    assert not found.agreement or "old rows" in found.reason


def test_embeddings_of_another_run_are_a_warning_and_no_conversion() -> None:
    before, after, y, head = world()
    generator = torch.Generator().manual_seed(7)
    pieces, other = published(before, after, head), 3 * torch.randn(ROWS, WIDTH, generator=generator) + 8
    with pytest.warns(RowsElsewhereWarning, match="old rows are .* times as far .*; pass 'z' of the run") as caught:
        found = rg.upgrade(*pieces, other, old=OLD_ROWS)
    assert caught[0].filename == __file__
    assert found.verdict == "retrain" and "times as far" in found.reason
    assert found.expected["old"]["convert"] == found.expected["new"]["convert"] == Expected()
    assert found.expectation() is None and found.expected["anchors"]["convert"].fidelity.value > 0.9
    values = rg.PublishedHead(pieces[1].ids, pieces[1].outputs[:, :1], torch.zeros(1), "regression")
    with pytest.warns(RowsElsewhereWarning):
        assert rg.upgrade(pieces[0], values, other).verdict == "retrain"
    with pytest.warns(RowsElsewhereWarning):  # labels tell more than distances
        assert "by the labels" in rg.upgrade(*pieces, other, y=y).reason
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert rg.upgrade(*pieces, after, old=OLD_ROWS).verdict == "convert"
        near = after[:OLD].sub(after[0]).norm(dim=1).argsort()[:150]  # anchors that lie close together
        space = rg.AnchorSet.from_rows(after, near, center_over=OLD_ROWS)
        rg.upgrade(space, rg.PublishedHead(near, head(before[near]), head(before).mean(0)), after, old=OLD_ROWS)


def test_far_new_rows_are_noted_and_others_are_not() -> None:
    before, after, _, head = world()
    far = torch.cat([after[:OLD], 5 * after[OLD:]])
    far[OLD:, 0] += 60
    pieces = published(before, after, head)
    for z, noted in ((far, True), (after, False)):
        found = rg.upgrade(*pieces, z, old=OLD_ROWS)
        assert any("times as far from the nearest anchor as old ones" in note for note in found.notes) == noted
        assert set(found.distances) == {"old", "new", "rows"}


def test_anchors_among_the_rows_are_not_near_themselves() -> None:
    before, after, _, head = world()
    pieces = published(before[:OLD], after[:OLD], head, count=OLD)
    found = rg.upgrade(*pieces, after, old=OLD_ROWS)
    assert not found.notes
    assert 0.8 < found.distances["new"] / found.distances["old"] < 1.25
    assert found.distances["rows"] == pytest.approx(found.distances["old"])  # all old rows are anchors
    apart = torch.cdist(after[:OLD].double(), after[:OLD].double())
    slow = apart.fill_diagonal_(torch.inf).amin(dim=1).mean() / (after[:OLD] - after[:OLD].mean(0)).norm(dim=1).mean()
    assert found.distances["old"] == pytest.approx(float(slow), rel=1e-4)


@pytest.mark.parametrize("mode", ["multiclass", "multilabel", "regression"])
def test_a_head_that_answers_all_anchors_alike_is_not_converted(mode: str) -> None:
    before, after, _, head = world()
    space, rows = published(before, after, head)[0], torch.arange(200)
    outputs = torch.tensor([2.0, -1.0, -1.0]).expand(200, 3)
    if mode == "multiclass":
        outputs = outputs + 0.01 * head(before)[rows, :3]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = rg.upgrade(space, rg.PublishedHead(rows, outputs, outputs.mean(dim=0), mode))  # type: ignore[arg-type]
        one = rg.upgrade(space, rg.PublishedHead(rows, head(before)[rows, :1], torch.zeros(1)))
    for upgrade in (found, one):
        assert upgrade.verdict == "retrain" and "answers all anchors alike" in upgrade.reason


def test_a_new_head_and_what_it_predicts_for_measured_rows_are_judged_as_the_own_one() -> None:
    before, after, y, head = world(noise=1.0)
    known = torch.where(torch.arange(ROWS) < 600, y, -1)
    pieces, train = published(before, after, head), torch.arange(200)
    own = rg.upgrade(*pieces, after, y=known, train=train)
    fitted, predictions = measurable_head(after, y, train, torch.arange(200, 600), CLASSES)
    given = rg.upgrade(*pieces, after, y=known, train=train, retrained=(fitted(after), predictions))
    assert given.to_dict() == own.to_dict()
    peeked = fit_linear_head(after, y, train, torch.arange(200, 600), CLASSES)(after)
    assert rg.upgrade(*pieces, after, y=known, train=train, retrained=peeked).to_dict() != own.to_dict()
    with pytest.raises(InputError, match=r"'retrained' must have integers \(400,\) in second place"):
        rg.upgrade(*pieces, after, y=known, train=train, retrained=(peeked, predictions[:5]))


def test_classes_that_no_label_trains_are_noted_and_nothing_is_relative_to_a_guess() -> None:
    before, after, y, head = world()
    one = (y == 3).nonzero().view(-1)[:100]
    known = torch.where(y == 3, -1, y)
    known[one] = 3
    found = rg.upgrade(*published(before, after, head), after, y=known, train=one)
    assert found.expected["old"]["convert"].retention is None
    assert any("no label to train on has the class 0, 1, 2" in note for note in found.notes)


def test_expectations_of_anchors_count_them_by_their_shares() -> None:
    before, after, _, head = world(noise=2.0)
    rows, count = torch.arange(300), 300
    outputs = head(before)
    sure = outputs[rows].softmax(dim=1).amax(dim=1)
    low, high = torch.ones(count), torch.ones(count)
    low[sure < sure.median()], high[sure >= sure.median()] = 20, 20
    values = []
    for weights in (low, high):
        space = rg.AnchorSet(rows, after[rows], after.mean(dim=0), weights=weights)
        published_head = rg.PublishedHead(rows, outputs[rows], outputs.mean(dim=0))
        values.append(rg.upgrade(space, published_head).expected["anchors"]["convert"].fidelity.value)
    assert values[0] < values[1] - 0.1


def test_the_expectation_is_the_least_of_the_groups_of_rows() -> None:
    before, after, _, head = world(noise=1.0)
    pieces, unsure = published(before, after, head), head(before).softmax(dim=1).amax(dim=1).argsort()[:300]
    old = torch.ones(ROWS, dtype=torch.bool).index_fill_(0, unsure, False)
    found = rg.upgrade(*pieces, after, old=old)
    assert found.expectation() == found.expected["new"]["convert"].fidelity
    assert found.expectation().value < found.expected["old"]["convert"].fidelity.value
    alone = rg.upgrade(*pieces, after[unsure], ids=unsure, old=[])
    assert alone.expectation() == alone.expected["new"]["convert"].fidelity


def test_what_confidence_does_not_tell_widens_the_intervals() -> None:
    before, after, _, head = world(noise=2.0)
    found = rg.upgrade(*published(before, after, head), after, old=OLD_ROWS)
    for group in ("old", "new"):
        expected = found.expected[group]["convert"].fidelity
        assert expected.value - expected.low >= HALF_WIDTH * ALLOWANCES[group]


def test_values_are_expected_with_the_interval_of_their_level() -> None:
    before, after, _, head = world(noise=1.0)
    rows = torch.arange(200)
    space = rg.AnchorSet.from_rows(after, rows)
    values = rg.PublishedHead(rows, head(before)[rows], torch.zeros(CLASSES), "regression")
    expected = rg.upgrade(space, values).expectation()
    wider = expected_fidelity(MatchedAnchors.match(space, values), estimator_for(values))
    assert expected.value == pytest.approx(wider.value)
    assert expected.value - expected.low == pytest.approx(1.645 / 1.96 * (wider.value - wider.low), rel=1e-3)


def test_a_way_that_is_ahead_by_noise_only_is_not_chosen_and_the_reason_says_so() -> None:
    before, after, y, head = world()
    known = torch.where(torch.arange(ROWS) < 300, y, -1)
    pieces = published(before, after, head)
    answers = rg.upgrade(*pieces, after).head(after)
    other = answers.clone()
    right = ((answers.argmax(dim=1) == y) & (known >= 0)).nonzero().view(-1)
    for count, verdict in ((2, "retrain"), (60, "convert")):
        other[right[:count]] = -answers[right[:count]]
        found = rg.upgrade(*pieces, after, y=known, retrained=other)
        assert found.verdict == verdict
        assert found.reason.endswith("ahead by no more than noise") == (verdict == "retrain")
