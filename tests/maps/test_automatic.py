from __future__ import annotations

from collections.abc import Callable
from dataclasses import FrozenInstanceError

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from relgraph.anchors import AnchorSet, PublishedHead, publish
from relgraph.maps import Choice, ChosenMap, MatchedAnchors, choose_shrinkage, convert
from relgraph.maps.automatic import assign_folds, cross_val_predict
from relgraph.maps.divergence import kl
from relgraph.maps.kernel import kernel_ridge
from relgraph.maps.ridge import ridge
from tests.spaces import F64, head, normal, space, two_runs

pytestmark = pytest.mark.filterwarnings("ignore::relgraph.maps.NoCorrespondenceWarning")


def chosen(source: AnchorSet, there: PublishedHead, **options: float) -> ChosenMap:
    module = convert(source, there, "auto", **options)
    assert isinstance(module, ChosenMap)
    return module


def test_scores_equal_those_of_a_slow_cross_validation() -> None:
    _, source, there = two_runs(50, noise=1.5)
    module = chosen(source, there, shrinkage=0.01)
    assert list(module.choice.scores) == ["kl", "kernel-ridge", "ridge"]
    matched, folds = MatchedAnchors.match(source, there), assign_folds(source.ids)
    curved = kernel_ridge(matched, 0.01)
    slow: dict[str, Callable[[MatchedAnchors], nn.Module]] = {
        "kl": lambda part: kl(part, 0.01),
        "kernel-ridge": lambda part: kernel_ridge(part, 0.01, kernel=(curved.similarity, curved.width)),
        "ridge": lambda part: ridge(part, 0.01),
    }
    for name, method in slow.items():
        right = 0
        for row in range(50):
            rest = (folds != folds[row]).nonzero().view(-1)
            outputs = method(matched.take(rest))(source.embeddings[row : row + 1])
            right += int(outputs.argmax()) == int(there.outputs[row].argmax())
        assert module.choice.scores[name] == pytest.approx(right / 50), name


def test_the_shrinkage_of_kl_is_that_of_its_weighted_ridge_regression() -> None:
    z, degree = normal(600, 5), normal(600, 1, seed=3).abs().exp() ** 2
    outputs = head(5, 4)((z + 2 * normal(600, 5, seed=2)) * degree).detach()
    source, there = space(z, 60), PublishedHead(torch.arange(60), outputs[:60], outputs.mean(0))
    matched = MatchedAnchors.match(source, there)
    weighted, plain = choose_shrinkage(*matched.weighted_rows()), choose_shrinkage(matched.offsets, matched.targets)
    scores = [
        float((cross_val_predict(matched, lambda part, g=g: kl(part, g)) == outputs[:60].argmax(1)).double().mean())
        for g in (weighted, plain)
    ]
    assert weighted != plain and scores[0] != scores[1]
    assert chosen(source, there).choice.scores["kl"] == scores[0]


def test_ties_are_broken_in_favor_of_kl() -> None:
    z = normal(100, 5)
    there, source = publish(head(5, 4), space(z, 60)), space(z, 60)
    module = chosen(source, there)
    assert module.choice.method == "kl" and type(module.map) is nn.Linear and not module.training
    torch.testing.assert_close(module(z), convert(source, there, "kl")(z))


def test_the_kernel_is_selected_where_a_line_fails() -> None:
    z = normal(400, 2)
    logits = torch.stack([z.square().sum(1), torch.full((400,), 1.4, dtype=F64)], dim=1)  # inside or outside a circle
    module = chosen(space(z, 150), PublishedHead(torch.arange(150), logits[:150], logits.mean(0)))
    assert module.choice.method == "kernel-ridge"
    assert module.choice.scores["kernel-ridge"] > 0.9 > module.choice.scores["ridge"]
    assert "kernel-ridge (highest fidelity on held-out anchors; kl 0." in repr(module)
    assert (module(z[150:]).argmax(1) == logits[150:].argmax(1)).double().mean() > 0.9


def test_signs_of_labels_are_compared() -> None:
    _, source, there = two_runs(60, outputs=1)
    labels = PublishedHead(there.ids, there.outputs, there.mean, "multilabel")
    module = chosen(source, labels)
    assert module.choice.scores["ridge"] > 0.8
    matched = MatchedAnchors.match(source, labels)
    signs = cross_val_predict(matched, lambda part: kl(part, 0.1))
    assert signs.dtype == torch.bool and signs.shape == (60, 1)


@pytest.mark.parametrize(
    ("count", "outputs", "mode", "why"),
    [
        (9, 4, "multiclass", "fewer than 10 anchors"),
        (1, 4, "multiclass", "fewer than 10"),
        (30, 1, "multiclass", "no classes"),
        (30, 4, "regression", "no classes"),
    ],
)
def test_ridge_is_used_where_nothing_can_be_compared(count: int, outputs: int, mode: str, why: str) -> None:
    z = normal(50, 5)
    there = publish(head(5, outputs), space(z, count), mode=mode)
    module = chosen(space(z, count), there)
    assert module.choice.method == "ridge" and why in module.choice.reason and not module.choice.scores
    torch.testing.assert_close(module(z), convert(space(z, count), there)(z))
    assert len(chosen(space(z, 10), publish(head(5, 4), space(z, 10))).choice.scores) == 3


def test_without_shrinkage_the_kernel_is_left_out() -> None:
    z, source, there = two_runs(60)
    module = chosen(source, there, shrinkage=0)
    assert list(module.choice.scores) == ["kl", "ridge"] and module(z).isfinite().all()


@given(count=st.integers(5, 60), seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_folds_are_even_and_depend_on_ids_only(count: int, seed: int) -> None:
    ids = torch.randperm(1000, generator=torch.Generator().manual_seed(seed))[:count]
    folds = assign_folds(ids)
    sizes = torch.bincount(folds, minlength=5)
    assert len(sizes) == 5 and int(sizes.max() - sizes.min()) <= 1
    assert torch.equal(assign_folds(ids.flip(0)), folds.flip(0))


def test_folds_do_not_follow_the_order_of_the_ids() -> None:
    """Ids may be sorted by class: a fold must not be a contiguous range of them."""
    folds = assign_folds(torch.arange(50))
    assert folds.tolist() != (torch.arange(50) % 5).tolist()
    assert all(int((folds == fold).nonzero().view(-1).diff().max()) > 1 for fold in range(5))
    assert torch.equal(folds, assign_folds(torch.arange(50)))


def test_held_out_anchors_are_not_used() -> None:
    _, source, there = two_runs(20)
    seen: list[set[int]] = []

    def method(part: MatchedAnchors) -> nn.Module:
        seen.append(set(part.ids.tolist()))
        return ridge(part, 0.01)

    cross_val_predict(MatchedAnchors.match(source, there), method)
    assert len(seen) == 5 and all(len(part) == 16 for part in seen)
    assert all(sum(row not in part for part in seen) == 1 for row in range(20))


def test_a_choice_is_frozen() -> None:
    choice = Choice("ridge", {"ridge": 0.5}, "why")
    assert str(choice) == "ridge (why; ridge 0.500)"
    with pytest.raises(FrozenInstanceError):
        choice.method = "kl"  # type: ignore[misc]
