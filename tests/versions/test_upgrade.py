import json
import warnings

import pytest
import torch
from torch import Tensor
from torch_geometric.data import Data

import relgraph as rg
from relgraph.anchors.matching import GraphChangedWarning
from relgraph.errors import InputError
from relgraph.graph import fingerprint
from relgraph.maps import NoCorrespondenceWarning
from relgraph.training import fit_linear_head
from relgraph.versions import AnchorsMovedWarning

ROWS, OLD, WIDTH, CLASSES = 1200, 800, 8, 4


def world(noise: float = 0.0, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, torch.nn.Linear]:
    """Embeddings of two versions, true classes, and the old version's head."""
    generator = torch.Generator().manual_seed(seed)
    before = torch.randn(ROWS, WIDTH, generator=generator)
    after = before @ torch.randn(WIDTH, WIDTH, generator=generator) + 1.0
    after = after + noise * torch.randn(ROWS, WIDTH, generator=generator)
    head = torch.nn.Linear(WIDTH, CLASSES)
    with torch.no_grad():
        head.weight.copy_(2 * torch.randn(CLASSES, WIDTH, generator=generator))
        head.bias.zero_()
        y = (head(before) + torch.randn(ROWS, CLASSES, generator=generator)).argmax(dim=1)
    return before, after, y, head.requires_grad_(False)


def published(before: Tensor, after: Tensor, head: torch.nn.Module, count: int = 200) -> tuple[object, object]:
    rows = torch.arange(count)
    space = rg.AnchorSet.from_rows(after, rows, center_over=torch.arange(OLD))
    return space, rg.publish(head, rg.AnchorSet.from_rows(before[:OLD], rows))


def test_without_labels_a_good_conversion_is_used_and_expected_to_be_good() -> None:
    before, after, _, head = world()
    found = rg.upgrade(*published(before, after, head), after, old=torch.arange(OLD))
    same = (found.head(after).argmax(dim=1) == head(before).argmax(dim=1)).float()
    assert found.verdict == "convert"
    for group, rows in (("old", slice(0, OLD)), ("new", slice(OLD, None))):
        expected = found.expected[group]["convert"].fidelity
        assert expected.low <= float(same[rows].mean()) <= expected.high + 0.02
    assert found.outputs.shape == (ROWS, CLASSES)
    assert json.loads(json.dumps(found.to_dict()))["verdict"] == "convert"


def test_expectations_follow_the_quality_of_the_map() -> None:
    values = []
    for noise in (0.0, 1.0, 4.0):
        before, after, _, head = world(noise)
        values.append(rg.upgrade(*published(before, after, head), after).expectation("fidelity").value)
    assert values == sorted(values, reverse=True)
    assert values[0] - values[-1] > 0.1


def test_a_poor_conversion_is_not_used() -> None:
    before, after, _, head = world(noise=10.0)
    pieces = published(before, after, head)
    assert rg.upgrade(*pieces, after).verdict == "retrain"
    found = rg.upgrade(*pieces, after, kept=head(before))
    assert found.verdict == "keep"
    assert "keep" in found.reason or "old answers" in found.reason


def test_a_share_of_the_old_answers_in_the_outputs_changes_fewer_of_them() -> None:
    before, after, _, head = world(noise=1.0)
    kept, pieces = head(before), published(before, after, head)
    changed = []
    for share in (0.0, 0.5, 1.0):
        found = rg.upgrade(*pieces, after, old=torch.arange(OLD), kept=kept, kept_share=share)
        changed.append(float((found.outputs.argmax(dim=1) != kept.argmax(dim=1)).float().mean()))
        assert torch.equal(found.head(after), rg.upgrade(*pieces, after).head(after))
    assert changed[0] > 1.3 * changed[1] > changed[2] == 0


def test_labels_decide_between_the_three_ways() -> None:
    before, after, y, head = world()
    known = torch.where(torch.arange(ROWS) < 600, y, -1)
    more = {"old": torch.arange(OLD), "y": known, "train": torch.arange(200)}
    good = rg.upgrade(*published(before, after, head), after, kept=-head(before), **more)
    assert good.verdict == "convert"  # 200 labels tell less than the old head knows
    assert good.expected["new"]["keep"].accuracy.value < 0.3
    poor = torch.nn.Linear(WIDTH, CLASSES).requires_grad_(False)  # a head that answers at random
    assert rg.upgrade(*published(before, after, poor), after, **more).verdict == "retrain"
    blind = world(noise=30.0)[1]  # the new embeddings tell nothing
    with pytest.warns(NoCorrespondenceWarning):
        found = rg.upgrade(*published(before, blind, head), blind, kept=head(before), **more)
    assert found.verdict == "keep"


def test_the_expected_accuracy_covers_the_true_one() -> None:
    before, after, y, head = world(noise=0.5)
    known = torch.where(torch.arange(ROWS) < 600, y, -1)
    found = rg.upgrade(*published(before, after, head), after, old=torch.arange(OLD), y=known)
    right = (found.head(after).argmax(dim=1) == y).float()
    for group, rows in (("old", slice(0, OLD)), ("new", slice(OLD, None))):
        expected = found.expected[group]["convert"].accuracy
        assert expected.low - 0.03 <= float(right[rows].mean()) <= expected.high + 0.03


def test_tensors_with_gradients_are_answered() -> None:
    before, after, y, head = world()
    pieces, same = published(before, after, head), {"y": y, "train": torch.arange(100)}
    plain = rg.upgrade(*pieces, after, kept=head(before), retrained=head(before), **same)
    grown = {"kept": head(before).requires_grad_(), "retrained": head(before).requires_grad_()}
    assert rg.upgrade(*pieces, after.clone().requires_grad_(), **grown, **same).to_dict() == plain.to_dict()


def test_the_labels_of_other_rows_do_not_matter() -> None:
    before, after, y, head = world(noise=0.5)
    pieces, old = published(before, after, head), torch.arange(OLD)
    known = torch.where(torch.arange(ROWS) < 600, y, -1)
    one = rg.upgrade(*pieces, after, old=old, y=known, train=torch.arange(100))
    known[:100] = (known[:100] + 1) % CLASSES  # trained on: only the retrained head may change
    other = rg.upgrade(*pieces, after, old=old, y=known, train=torch.arange(100))
    assert one.expected["old"]["convert"].accuracy == other.expected["old"]["convert"].accuracy


def test_the_retrained_head_is_measured_on_labels_that_did_not_choose_it() -> None:
    before, after, _, head = world()
    pieces, train, check = published(before, after, head), torch.arange(100), torch.arange(ROWS - 50, ROWS)
    measured, peeked = [], []
    for seed in range(6):  # random labels: every penalty is as good as the others, whatever looks best on 50 labels
        y = torch.randint(0, CLASSES, (ROWS,), generator=torch.Generator().manual_seed(seed))
        y[100:-50] = -1
        own = fit_linear_head(after, y, train, check, CLASSES)(after)
        for given, values in ((None, measured), (own, peeked)):
            found = rg.upgrade(*pieces, after, y=y, train=train, retrained=given)
            values.append(found.expected["old"]["retrain"].accuracy.value)
    assert sum(measured) < sum(peeked)


def test_a_new_class_is_refused_in_training_rows_and_is_wrong_elsewhere() -> None:
    before, after, y, head = world()
    pieces, train = published(before, after, head), torch.arange(200)
    later = torch.where(torch.arange(ROWS) >= ROWS - 300, CLASSES, y)
    share = {}
    for name, labels in (("before", y), ("later", later)):
        share[name] = rg.upgrade(*pieces, after, y=labels, train=train).expected["old"]["convert"].accuracy.value
    assert share["later"] < share["before"] - 0.2
    with pytest.raises(InputError, match="'y' must have classes from 0 to 3, .* to train on .got 4"):
        rg.upgrade(*pieces, after, y=later, train=torch.arange(ROWS - 200))


def test_a_head_that_was_retrained_elsewhere_is_judged_as_well() -> None:
    before, after, y, head = world(noise=2.0)
    known = torch.where(torch.arange(ROWS) < 600, y, -1)
    truth = 5 * torch.nn.functional.one_hot(y, CLASSES).float()
    found = rg.upgrade(*published(before, after, head), after, y=known, retrained=truth)
    assert found.verdict == "retrain"
    assert found.expected["old"]["retrain"].accuracy.value > 0.98
    assert found.expected["old"]["convert"].retention.value < 0.95


def test_ids_that_changed_their_meaning_are_a_warning_and_no_conversion() -> None:
    before, after, _, head = world()
    order = torch.randperm(ROWS, generator=torch.Generator().manual_seed(0))
    space, published_head = published(before, after[order], head)
    with pytest.warns(NoCorrespondenceWarning):
        found = rg.upgrade(space, published_head)
    assert found.verdict == "retrain"
    assert "do not correspond" in found.reason


def test_other_widths_and_fewer_shared_anchors_fit() -> None:
    before, after, _, head = world()
    space, published_head = published(before, torch.hstack([after, after.square()[:, :3]]), head)
    found = rg.upgrade(space, published_head.take(torch.arange(100)))
    assert found.num_anchors == 100
    assert found.verdict == "convert"


def test_a_regression_is_judged_by_its_anchors() -> None:
    before, after, _, head = world()
    rows = torch.arange(200)
    values = rg.PublishedHead(rows, head(before)[rows, :1], torch.zeros(1), "regression")
    found = rg.upgrade(rg.AnchorSet.from_rows(after, rows), values, after)
    assert found.verdict == "convert"
    assert found.expectation().value > 0.9
    with pytest.raises(InputError, match="'kept' must be left out for a head of the mode 'regression'"):
        rg.upgrade(rg.AnchorSet.from_rows(after, rows), values, after, kept=torch.zeros(ROWS, 1))


@pytest.mark.parametrize("mode", ["regression", "multilabel"])
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"ids": torch.arange(3)}, "'ids' must have shape"),
        ({"ids": torch.zeros(ROWS, dtype=torch.long)}, "'ids' must not repeat an id"),
        ({"ids": torch.arange(ROWS).roll(1)}, "'ids' must give every anchor's id to the row of that anchor"),
        ({"old": torch.tensor([ROWS])}, "'old' must name rows"),
        ({"old": torch.tensor([1, 1])}, "'old' must not repeat a row"),
        ({"z": torch.zeros(0, WIDTH)}, "'z' must have rows"),
        ({"z": None, "ids": torch.arange(ROWS)}, "'ids' must be left out without 'z'"),
        ({"y": torch.zeros(ROWS, dtype=torch.long)}, "'y' must be left out for a head of the mode"),
    ],
)
def test_rows_of_values_and_labels_are_checked_as_those_of_classes(
    mode: str, arguments: dict[str, object], sentence: str
) -> None:
    before, after, _, head = world()
    rows, outputs = torch.arange(200), head(before)
    pieces = rg.AnchorSet.from_rows(after, rows), rg.PublishedHead(rows, outputs[rows], outputs.mean(dim=0), mode)  # type: ignore[arg-type]
    found = rg.upgrade(*pieces, after, ids=torch.arange(ROWS), old=torch.arange(OLD))
    assert torch.equal(found.outputs, rg.upgrade(*pieces, after).outputs)
    with pytest.raises(InputError, match=sentence):
        rg.upgrade(*pieces, **({"z": after} | arguments))


@pytest.mark.parametrize("mode", ["multiclass", "regression"])
def test_swapped_anchors_are_counted_in_the_reason(mode: str) -> None:
    before, after, _, head = world(noise=0.1)
    space, _ = published(before, after, head)
    rows, outputs = torch.arange(200), head(before)
    swapped = rows.clone()
    swapped[:50] = swapped[:50].roll(7)
    pieces = space, rg.PublishedHead(swapped, outputs[rows], outputs.mean(dim=0), mode)  # type: ignore[arg-type]
    found = rg.upgrade(*pieces)
    count = len(rg.diagnose(space, head=pieces[1]).suspicious_anchors)
    assert found.verdict == "retrain" and 25 < count <= 55
    assert found.reason.endswith(
        f"; {count} of 200 anchors do not fit the others: check that their ids name the same nodes in both versions"
    )
    assert "not fit the others" not in rg.upgrade(*published(before, after, head)).reason


def test_ids_name_the_rows() -> None:
    before, after, _, head = world(noise=1.0)
    pieces, order = published(before, after, head), torch.randperm(ROWS, generator=torch.Generator().manual_seed(1))
    kept = head(before) + 0.3
    one = rg.upgrade(*pieces, after, kept=kept)
    other = rg.upgrade(*pieces, after[order], ids=order, kept=kept[order])
    for way in ("convert", "keep"):
        assert one.expected["old"][way].fidelity.value == pytest.approx(other.expected["old"][way].fidelity.value)


def test_ids_that_name_other_rows_than_the_anchors_are_refused() -> None:
    before, after, _, head = world()
    rows, names = torch.arange(200), torch.arange(ROWS) + 10
    space = rg.AnchorSet.from_rows(after, rows, ids=names)
    published_head = rg.PublishedHead(names[:200], head(before[:200]), head(before).mean(dim=0))
    kept = head(before)
    words = r"'ids' must give every anchor's id to the row of that anchor .got other embeddings in 200 of 200 rows"
    for given in ({"kept": kept}, {"ids": torch.arange(ROWS)}, {"kept": kept, "ids": names.roll(1)}):
        with pytest.raises(InputError, match=words):
            rg.upgrade(space, published_head, after, **given)
    assert rg.upgrade(space, published_head, after, kept=kept, ids=names).expected["old"]["keep"].fidelity.value > 0.95
    assert rg.upgrade(space, published_head, after).verdict == "convert"  # nothing is matched by ids
    with pytest.raises(InputError, match="'ids' must not repeat an id .got 7 more than once"):
        rg.upgrade(space, published_head, after, ids=torch.full((ROWS,), 7))


def test_rows_that_are_the_anchors_up_to_rounding_or_that_are_none_pass() -> None:
    before, after, _, head = world()
    space, published_head = published(before, after + 100, head)
    given = {"kept": head(before)}
    for kind in (torch.float16, torch.bfloat16):
        coarse = rg.AnchorSet(space.ids, space.embeddings.to(kind), space.center.to(kind))
        rg.upgrade(space, published_head, (after + 100).to(kind), **given)
        rg.upgrade(coarse, published_head, after + 100, **given)
    gone = torch.arange(150, ROWS)  # some anchors have disappeared
    found = rg.upgrade(space, published_head, after[gone] + 100, ids=gone, kept=given["kept"][gone])
    assert found.expected["old"]["keep"].fidelity.value > 0.95
    late = torch.arange(OLD, ROWS)  # all of them have
    assert (
        "keep"
        in rg.upgrade(space, published_head, after[late] + 100, ids=late, kept=given["kept"][late]).expected["old"]
    )


def test_rows_that_were_embedded_again_are_a_warning() -> None:
    before, after, _, head = world()
    pieces, noise = published(before, after, head), torch.randn(after.shape, generator=torch.Generator().manual_seed(5))
    with pytest.warns(AnchorsMovedWarning, match="other embeddings in 200 of 200 rows .* near ones") as caught:
        found = rg.upgrade(*pieces, after + 0.2 * noise, kept=head(before))
    assert caught[0].filename == __file__
    assert found.verdict == "convert"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"kept": torch.zeros(3, CLASSES)}, "'kept' must have shape"),
        ({"ids": torch.arange(3)}, "'ids' must have shape"),
        ({"old": torch.tensor([ROWS])}, "'old' must name rows"),
        ({"z": None, "edge_index": torch.zeros(2, 3).long()}, "'edge_index' must be left out without 'z'"),
        ({"z": None, "kept": torch.zeros(3, 4)}, "'kept' must be left out without 'z' .got it alone"),
        ({"old": (torch.arange(ROWS) < OLD).int()}, "'old' must not repeat a row .got 0 more than once"),
        (
            {"y": torch.zeros(ROWS, dtype=torch.long), "train": (torch.arange(ROWS) < 300).int()},
            "'train' must not repeat a row .got 0 more than once",
        ),
        ({"y": torch.full((ROWS,), -1)}, "'y' must have 50 labels"),
        ({"y": torch.zeros(3, dtype=torch.long)}, "'y' must hold one class per row"),
        (
            {"y": torch.ones(ROWS, dtype=torch.bool)},
            "'y' must hold one class per row of 'z', integers .* .got torch.bool",
        ),
        ({"train": torch.arange(3)}, "'train' must be left out without 'y'"),
        ({"retrained": torch.zeros(ROWS, CLASSES)}, "'retrained' must be left out without 'y'"),
        ({"retrained": torch.zeros(ROWS, 2)}, "'retrained' must have shape"),
        ({"z": torch.zeros(ROWS, 3)}, "'z' must be 8 wide"),
        ({"z": torch.zeros(0, WIDTH)}, "'z' must have rows .got none.; leave it out"),
        ({"kept_share": "a"}, "'kept_share' must be a number .got 'a'.; give a float"),
        ({"z": None, "old": torch.arange(3)}, "'old' must be left out without 'z' .got it alone"),
        ({"method": "nearest"}, "'method' must be one of"),
        ({"kept_share": 0.5}, "'kept_share' must be 0 without 'kept'"),
        ({"kept_share": 1.5, "kept": torch.zeros(ROWS, CLASSES)}, "'kept_share' must be between 0 and 1"),
    ],
)
def test_wrong_arguments_are_one_sentence(arguments: dict[str, object], sentence: str) -> None:
    before, after, _, head = world()
    given: dict[str, object] = {"z": after} | arguments
    with pytest.raises(InputError, match=sentence):
        rg.upgrade(*published(before, after, head), **given)


def test_too_few_anchors_are_refused() -> None:
    before, after, _, head = world()
    with pytest.raises(InputError, match=r"must share at least 9 anchors.*got 8"):
        rg.upgrade(*published(before, after, head, count=8))


def test_nothing_is_random() -> None:
    before, after, _, head = world(noise=1.0)
    pieces = published(before, after, head)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert rg.upgrade(*pieces, after).to_dict() == rg.upgrade(*pieces, after).to_dict()


def test_a_grown_graph_is_a_note_and_another_one_a_warning() -> None:
    before, after, _, head = world()
    edges = torch.randint(0, 700, (2, 3000), generator=torch.Generator().manual_seed(0))
    old, new = Data(edge_index=edges, num_nodes=OLD), Data(edge_index=edges, num_nodes=ROWS)
    other = Data(edge_index=(edges + 1) % ROWS, num_nodes=ROWS)
    names = [fingerprint(graph) for graph in (old, new, other)]
    rows = torch.arange(200)
    space = rg.AnchorSet.from_rows(after, rows, fingerprint=names[1], version="2026-02")
    published_head = rg.publish(
        head, rg.AnchorSet.from_rows(before[:OLD], rows, fingerprint=names[0], version="2026-01")
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = rg.upgrade(space, published_head)
    assert found.notes == (
        "from version 2026-01 to version 2026-02", "the graph has grown from 800 to 1,200 nodes",
    )  # fmt: skip
    with pytest.warns(GraphChangedWarning):
        found = rg.upgrade(rg.AnchorSet.from_rows(after, rows, fingerprint=names[2]), published_head)
    assert "differ" in found.notes[-1]


@pytest.mark.parametrize("kind", [torch.float16, torch.float64])
@pytest.mark.parametrize("pieces_kind", [torch.float32, torch.float64])
def test_embeddings_are_used_in_the_type_of_the_pieces(kind: torch.dtype, pieces_kind: torch.dtype) -> None:
    before, after, y, head = world(noise=0.5)
    space, published_head = published(before, after, head)
    space = rg.AnchorSet(space.ids, space.embeddings.to(pieces_kind), space.center.to(pieces_kind))
    given = {"old": torch.arange(OLD), "y": y, "train": torch.arange(200), "kept": head(before)}
    expected = rg.upgrade(space, published_head, after, **given)
    found = rg.upgrade(space, published_head, after.to(kind), **given)
    assert found.outputs.dtype == expected.outputs.dtype == pieces_kind
    torch.testing.assert_close(found.outputs, expected.outputs, atol=0.05, rtol=0.01)
    values = rg.PublishedHead(published_head.ids, published_head.outputs[:, :1], torch.zeros(1), "regression")
    assert rg.upgrade(space, values, after.to(kind)).outputs.dtype == pieces_kind
    with pytest.raises(InputError, match="'z' must be 8 wide, as the anchors .got 3"):
        rg.upgrade(space, values, after[:, :3])


def test_arrays_give_what_tensors_give() -> None:
    before, after, y, head = world(noise=1.0)
    edges = torch.randint(0, ROWS, (2, 4 * ROWS), generator=torch.Generator().manual_seed(0))
    given = {"ids": torch.arange(ROWS), "old": torch.arange(OLD), "kept": head(before), "y": y}
    given |= {"train": torch.arange(200), "edge_index": edges}
    pieces = published(before, after, head)
    expected = rg.upgrade(*pieces, after, **given)
    found = rg.upgrade(*pieces, after.numpy().astype(float), **{name: one.numpy() for name, one in given.items()})
    assert found.to_dict() == expected.to_dict()
    assert torch.equal(found.outputs, expected.outputs)
