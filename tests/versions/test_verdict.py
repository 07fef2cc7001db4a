"""What is expected of each way to go on, and the verdict."""

from __future__ import annotations

import pytest
import torch

import relgraph as rg
from relgraph.maps import NoCorrespondenceWarning
from tests.versions.test_upgrade import CLASSES, OLD, ROWS, published, world


def test_a_new_encoder_that_is_better_than_the_old_one_is_within_the_expected_retention() -> None:
    before, after, y, head = world()
    generator = torch.Generator().manual_seed(1)
    outputs = head(before + 0.4 * torch.randn(before.shape, generator=generator))  # the old embeddings are noisy
    rows = torch.arange(400)
    old = rg.PublishedHead(rows, outputs[rows], outputs.mean(dim=0))
    found = rg.upgrade(rg.AnchorSet.from_rows(after, rows), old, after)
    right = [float((one.argmax(dim=1) == y).float().mean()) for one in (found.head(after), outputs)]
    expected = found.expectation("retention")
    assert expected.value < 1.02 < right[0] / right[1] < expected.high
    assert expected.high == pytest.approx(2 - expected.low)


def test_retention_of_a_retrained_head_is_as_uncertain_as_answers_differ() -> None:
    before, after, y, head = world(noise=0.5)
    known = torch.where(torch.arange(ROWS) < 600, y, -1)
    pieces, own = published(before, after, head), rg.upgrade(*published(before, after, head)).head(after)
    widths = []
    for share in (0.0, 0.1, 0.5):
        other = torch.where((torch.rand(ROWS, 1, generator=torch.Generator().manual_seed(0)) < share), -own, own)
        found = rg.upgrade(*pieces, after, y=known, retrained=other).expected["old"]["convert"].retention
        widths.append(found.high - found.low)
    assert widths[0] == pytest.approx(0, abs=1e-6)  # the same answers
    assert widths[0] < widths[1] < widths[2]


@pytest.mark.parametrize("given", [{}, {"kept": True}])
def test_anchors_that_do_not_correspond_are_never_converted_whatever_labels_say(given: dict[str, bool]) -> None:
    before, after, y, head = world()
    order = torch.randperm(ROWS, generator=torch.Generator().manual_seed(0))
    space, published_head = published(before, after[order], head)
    more = {"kept": -head(before)} if given else {}
    with pytest.warns(NoCorrespondenceWarning):
        found = rg.upgrade(space, published_head, after[order], y=y, **more)
    assert found.verdict == ("keep" if given else "retrain")


def test_a_converted_head_that_is_no_better_than_the_largest_class_is_not_used() -> None:
    before, after, y, head = world()
    pieces = published(before, after, head)
    assert rg.upgrade(*pieces, after, y=y).verdict == "convert"
    found = rg.upgrade(*pieces, after, y=(y + 1) % CLASSES)
    assert found.verdict == "retrain"
    assert "no more than the share of the largest class" in found.reason


def test_the_expected_retention_is_within_its_interval_where_rows_are_surer_than_the_anchors() -> None:
    before, after, _, head = world(noise=0.3)
    sure = head(before).softmax(dim=1).amax(dim=1).argsort(descending=True)
    for count in (1, 50, 600):
        rows = sure[:count]
        expected = rg.upgrade(*published(before, after, head), after[rows], ids=rows).expectation("retention")
        assert expected.low <= expected.value <= 1 <= expected.high


def test_stored_answers_tell_nothing_of_those_to_new_rows() -> None:
    before, after, _, head = world(noise=10.0)
    kept = head(before)
    kept[OLD:] = torch.randn(ROWS - OLD, CLASSES, generator=torch.Generator().manual_seed(0))
    found = rg.upgrade(*published(before, after, head), after, old=torch.arange(OLD), kept=kept)
    assert found.expected["old"]["keep"].fidelity.value > 0.95
    assert found.expected["new"]["keep"].fidelity is None
    assert found.verdict == "keep"
    assert found.reason.endswith("on old rows; of others nothing is known")
    kept[:OLD] += 0.2 * torch.randn(OLD, CLASSES, generator=torch.Generator().manual_seed(1))  # of the later graph
    again = rg.upgrade(*published(before, after, head), after, old=torch.arange(OLD), kept=kept)
    assert again.expected["new"]["keep"].fidelity is not None


def test_labels_of_old_rows_do_not_speak_for_stored_answers_to_new_ones() -> None:
    before, after, y, head = world(noise=1.0)
    kept = head(before)
    kept[OLD:] = 9 * torch.nn.functional.one_hot((y[OLD:] + 1) % CLASSES, CLASSES).float()  # sure and wrong
    more = {"old": torch.arange(OLD), "kept": kept, "train": torch.arange(200)}
    known = torch.where(torch.arange(ROWS) < 600, y, -1)

    def expected() -> dict[str, float]:
        found = rg.upgrade(*published(before, after, head), after, y=known, **more).expected
        return {group: found[group]["keep"].accuracy.value for group in ("old", "new")}

    assert expected()["new"] == expected()["old"]
    known[OLD:] = y[OLD:]
    assert expected()["new"] < 0.5 < expected()["old"]


def test_left_out_anchors_that_all_agree_give_no_certainty() -> None:
    before, after, _, head = world()
    expected = rg.upgrade(*published(before, after, head, count=100)).expectation("fidelity")
    assert expected.low < expected.value - 0.01


def test_retention_by_neighbors_is_relative_to_the_old_answers_and_may_be_above_one() -> None:
    generator = torch.Generator().manual_seed(2)
    before, after, y, head = world()
    noisy = head(before) + 2 * torch.randn(ROWS, CLASSES, generator=generator)  # old answers that are worse
    classes = [(y == number).nonzero().view(-1) for number in range(CLASSES)]
    edges = torch.hstack([torch.stack([rows, rows.roll(shift)]) for rows in classes for shift in (1, 2, 3)])
    pieces, more = published(before, after, head), {"old": torch.arange(OLD), "edge_index": edges}
    for kept in (noisy, head(before) + 0.3 * torch.randn(ROWS, CLASSES, generator=generator)):
        found = rg.upgrade(*pieces, after, kept=kept, **more)
        for group, rows in (("old", slice(0, OLD)), ("new", slice(OLD, None))):
            right = [(one.argmax(dim=1) == y)[rows].float().mean() for one in (found.head(after), kept)]
            expected = found.expected[group]["convert"].retention
            assert expected.low <= float(right[0] / right[1]) <= expected.high
            assert found.expected[group]["keep"].retention is None
    assert rg.upgrade(*pieces, after, kept=noisy, **more).expected["old"]["convert"].retention.value > 1.05


def test_neighbors_do_not_tell_the_retention_of_stored_answers() -> None:
    before, after, y, head = world()
    classes = [(y == number).nonzero().view(-1) for number in range(CLASSES)]
    edges = torch.hstack([torch.stack([rows, rows.roll(shift)]) for rows in classes for shift in (1, 2, 3)])
    pieces, kept = published(before, after, head), head(before)
    found = rg.upgrade(*pieces, after, old=torch.arange(OLD), kept=kept, edge_index=edges)
    assert found.agreement and "old rows" in found.reason
    assert found.expected == rg.upgrade(*pieces, after, old=torch.arange(OLD), kept=kept).expected


def test_neighbors_that_have_nothing_in_common_do_not_tell_retention() -> None:
    before, after, _, head = world()
    edges = torch.randint(0, ROWS, (2, 6 * ROWS), generator=torch.Generator().manual_seed(0))
    pieces = published(before, after, head)
    kept = head(before) + 0.3 * torch.randn(ROWS, CLASSES, generator=torch.Generator().manual_seed(1))
    plain = rg.upgrade(*pieces, after, kept=kept).expected
    assert rg.upgrade(*pieces, after, kept=kept, edge_index=edges).expected == plain
