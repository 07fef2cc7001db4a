"""Agreement with the neighbors against a loop over nodes, what it cannot depend on, and the verdict by it."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import relgraph as rg
from relgraph.errors import InputError
from relgraph.versions import neighbor_agreement
from tests.versions.test_upgrade import CLASSES, OLD, ROWS, published, world


def slowly(answers: dict[str, Tensor], edge_index: Tensor, rows: list[int], beta: float) -> dict[str, float]:
    """The slow reference: one node and one neighbor at a time."""
    believed = sum((beta * one.double()).softmax(dim=1) for one in answers.values()) / len(answers)
    chance = sum(float(one) ** 2 for one in believed.mean(dim=0))
    found = {}
    for name, logits in answers.items():
        shares = []
        for node in rows:
            around = [int(i) for i, j in edge_index.T.tolist() if j == node and i != node]
            if around:
                answer = int(logits[node].argmax())
                shares.append(sum(float(believed[i, answer]) for i in around) / len(around))
        found[name] = (sum(shares) / len(shares) - chance) / (1 - chance)
    return found


def made(seed: int) -> tuple[dict[str, Tensor], Tensor]:
    generator = torch.Generator().manual_seed(seed)
    answers = {name: torch.randn(20, 4, generator=generator) for name in ("one", "other", "third")}
    return answers, torch.randint(0, 18, (2, 60), generator=generator)  # nodes 18 and 19 have no neighbor


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), beta=st.floats(0.5, 4.0))
def test_it_is_that_of_the_reference(seed: int, beta: float) -> None:
    answers, edges = made(seed)
    for rows in (None, torch.tensor([1, 5, 19, 7])):
        found = neighbor_agreement(answers, edges, rows, inverse_temperature=beta)
        expected = slowly(answers, edges, list(range(20)) if rows is None else rows.tolist(), beta)
        assert found == pytest.approx(expected, abs=1e-9)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_order_of_nodes_edges_and_ways_and_constants_do_not_matter(seed: int) -> None:
    answers, edges = made(seed)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(20, generator=generator)
    moved = {name: one[order] + 3.0 for name, one in reversed(answers.items())}
    there = order.argsort()[edges[:, torch.randperm(60, generator=generator)]]
    assert neighbor_agreement(moved, there) == pytest.approx(neighbor_agreement(answers, edges), abs=1e-6)


def test_sure_and_equal_neighbors_agree_fully_and_random_ones_as_by_chance() -> None:
    y = torch.arange(3000) % 3
    logits = 50.0 * torch.nn.functional.one_hot(y, 3).float()
    generator = torch.Generator().manual_seed(0)
    anywhere = torch.randint(0, 3000, (2, 60_000), generator=generator)
    within = anywhere.clone()
    within[1] = within[1] // 3 * 3 + y[within[0]]
    assert neighbor_agreement({"one": logits}, within)["one"] == pytest.approx(1.0)
    assert abs(neighbor_agreement({"one": logits}, anywhere)["one"]) < 0.02


def homophilous(y: Tensor, share: float) -> Tensor:
    """Ten edges a node, this share of them between nodes of one class."""
    generator = torch.Generator().manual_seed(0)
    source = torch.arange(ROWS).repeat(10)
    target = torch.randint(0, ROWS, (len(source),), generator=generator)
    rows = [(y == c).nonzero().view(-1) for c in range(CLASSES)]
    same = torch.stack(
        [rows[int(c)][int(torch.randint(len(rows[int(c)]), (1,), generator=generator))] for c in y[source]]
    )
    inside = torch.rand(len(source), generator=generator) < share
    return torch.stack([source, torch.where(inside, same, target)])


@pytest.mark.parametrize(("poor", "verdict"), [("keep", "convert"), ("convert", "keep")])
def test_without_labels_the_neighbors_tell_the_better_way(poor: str, verdict: str) -> None:
    before, after, y, head = world(noise=0.5 if poor == "keep" else 2.5)
    kept = 1.1 * head(before)
    if poor == "keep":  # right where the anchors are, wrong elsewhere: retention cannot see it
        kept[OLD:] = kept[OLD:][torch.randperm(ROWS - OLD, generator=torch.Generator().manual_seed(1))]
    edges = homophilous(y, 0.8)
    found = rg.upgrade(*published(before, after, head), after, old=torch.arange(OLD), kept=kept, edge_index=edges)
    right = {
        way: float((outputs.argmax(dim=1) == y)[OLD:].float().mean())
        for way, outputs in (("convert", found.head(after)), ("keep", kept))
    }
    assert max(right, key=lambda way: right[way]) == verdict == found.verdict
    assert "neighbors" in found.reason and "neighbors" in str(found)
    assert found.to_dict()["agreement"] == found.agreement


def test_stored_answers_are_compared_on_the_old_rows() -> None:
    before, after, y, head = world(noise=0.5)
    edges, then = homophilous(y, 0.8), head(before)
    mean = torch.zeros(ROWS, CLASSES).index_add_(0, edges[1], then[edges[0]])
    kept = torch.cat([then[:OLD], mean[OLD:]])  # agrees with the neighbors by construction
    old, pieces = torch.arange(OLD), published(before, after, head)
    found = rg.upgrade(*pieces, after, old=old, kept=kept, edge_index=edges)
    assert found.agreement == neighbor_agreement({"convert": found.head(after), "keep": kept}, edges, old)
    assert "old rows" in found.reason
    again = rg.upgrade(*pieces, after, old=old, kept=1.5 * kept, edge_index=edges)  # not as published
    assert "new rows" in again.reason and again.agreement != found.agreement


def test_neighbors_of_other_classes_do_not_judge() -> None:
    before, after, y, head = world(noise=0.5)
    given = {"old": torch.arange(OLD), "kept": head(before)}
    pieces = published(before, after, head)
    without = rg.upgrade(*pieces, after, **given)
    found = rg.upgrade(*pieces, after, **given, edge_index=homophilous(y, 0.0))
    assert (found.verdict, found.reason) == (without.verdict, without.reason)
    assert max(found.agreement.values()) < 0.2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"answers": [torch.zeros(3, 2)]}, "'answers' must be a Mapping .got list.; pass a dictionary of logits"),
        ({"answers": {}}, "'answers' must hold the logits of one way at least"),
        ({"answers": {"one": torch.zeros(3, 2), "other": torch.zeros(4, 2)}}, "'answers' must all have the shape"),
        ({"answers": {"one": torch.full((3, 2), torch.nan)}}, "'answers'"),
        ({"edge_index": torch.tensor([[0], [7]])}, "'edge_index' must name nodes from 0 to 2"),
        ({"rows": torch.tensor([3])}, "'rows' must name rows from 0 to 2"),
        ({"inverse_temperature": 0.0}, "'inverse_temperature' must be above 0"),
    ],
)
def test_wrong_arguments_are_one_sentence(arguments: dict[str, object], sentence: str) -> None:
    given: dict[str, object] = {"answers": {"one": torch.zeros(3, 2)}, "edge_index": torch.tensor([[0], [1]])}
    with pytest.raises(InputError, match=sentence):
        neighbor_agreement(**(given | arguments))  # type: ignore[arg-type]


def test_answers_may_be_arrays() -> None:
    answers, edges = {"one": torch.randn(5, 2), "other": torch.randn(5, 2)}, torch.tensor([[0, 1, 2], [1, 2, 3]])
    arrays = {name: one.numpy() for name, one in answers.items()}
    assert neighbor_agreement(arrays, edges) == neighbor_agreement(answers, edges)  # type: ignore[arg-type]


def test_rows_without_neighbors_have_no_agreement_and_judge_nothing() -> None:
    found = neighbor_agreement({"one": torch.randn(3, 2)}, torch.zeros(2, 0, dtype=torch.long))
    assert found["one"] != found["one"]  # not a number
    before, after, _, head = world()
    given = {"old": torch.arange(OLD), "kept": head(before), "edge_index": torch.tensor([[0], [1]])}
    assert rg.upgrade(*published(before, after, head), after, **given).verdict == "convert"
