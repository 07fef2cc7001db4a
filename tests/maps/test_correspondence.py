from __future__ import annotations

import warnings

import pytest
import torch

from relgraph.anchors import AnchorSet, PublishedHead, publish
from relgraph.maps import MatchedAnchors, NoCorrespondenceWarning, convert, fit_map
from relgraph.maps.correspondence import correspondence, misfits
from relgraph.task import Mode
from tests.spaces import head, normal, space


def related(count: int = 100, mode: Mode = "multiclass") -> tuple[AnchorSet, PublishedHead]:
    z = normal(300, 8)
    target = z @ normal(8, 8, seed=1) + 0.5 * z.flip(1)
    return space(z, count), publish(head(8, 4), space(target, count), mode=mode)


def shuffled(source: AnchorSet) -> AnchorSet:
    order = torch.randperm(len(source), generator=torch.Generator().manual_seed(2))
    return AnchorSet(source.ids, source.embeddings[order], source.center)


@pytest.mark.parametrize("mode", ["multiclass", "multilabel", "regression"])
@pytest.mark.parametrize("method", ["ridge", "kl", "kernel-ridge"])
def test_rows_in_another_order_are_a_warning(method: str, mode: Mode) -> None:
    if method == "kl" and mode == "regression":
        return
    source, there = related(mode=mode)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        convert(source, there, method)
        fit_map(shuffled(source), there, method)  # for controls: no comparison
    with pytest.warns(NoCorrespondenceWarning, match="permuted rows.*check that ids name the same nodes") as seen:
        convert(shuffled(source), there, method)
    assert seen[0].filename == __file__


def test_few_anchors_constant_spaces_and_constant_heads_are_not_judged() -> None:
    source, there = related()
    assert correspondence(MatchedAnchors.match(source, there)) is not None
    for count, judged in ((31, False), (32, True)):
        ids = torch.arange(count)
        assert (correspondence(MatchedAnchors.match(source.take(ids), there.take(ids))) is not None) == judged
    constant = AnchorSet(source.ids, torch.ones(100, 8), torch.ones(8))
    assert correspondence(MatchedAnchors.match(constant, there)) is None
    same = PublishedHead(there.ids, there.outputs[:1].expand(100, 4), there.mean)
    assert correspondence(MatchedAnchors.match(source, same)) is None


def test_a_curved_relation_counts_for_curved_maps_only() -> None:
    z = normal(400, 2)
    logits = torch.stack([z.square().sum(1), torch.full((400,), 1.4).double()], dim=1)
    matched = MatchedAnchors.match(space(z, 150), PublishedHead(torch.arange(150), logits[:150], logits.mean(0)))
    straight, curved = correspondence(matched), correspondence(matched, curved=True)
    assert straight is not None and not straight.better
    assert curved is not None and curved.better and curved.agreement > curved.by_chance + 0.2
    source, there = space(z, 150), PublishedHead(torch.arange(150), logits[:150], logits.mean(0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        convert(source, there, "kernel-ridge")
    for method in ("ridge", "kl"):
        with pytest.warns(NoCorrespondenceWarning):
            convert(source, there, method)


def test_agreement_is_that_of_regressions_without_the_anchor_and_the_control_permutes_rows() -> None:
    source, there = related(60)
    found = correspondence(MatchedAnchors.match(source, there))
    assert found is not None and found.better and found.agreement > 0.7 > found.by_chance + 0.2
    assert "predicts what the head predicts in" in str(found)
    values = correspondence(MatchedAnchors.match(*related(60, "regression")))
    assert values is not None and values.better and values.agreement is None and values.by_chance is None
    assert str(values) == "left-out anchors are predicted no better than with permuted rows"


def test_misfits_are_anchors_with_the_outputs_of_other_nodes() -> None:
    source, there = related(256)
    outputs = there.outputs.clone()
    outputs[40:65] = outputs[40:65].roll(1, 0)
    wrong = MatchedAnchors.match(source, PublishedHead(there.ids, outputs, there.mean))
    found = misfits(wrong, 0.01).tolist()
    assert set(found) <= set(range(40, 65)) and len(found) >= 15
    assert not len(misfits(MatchedAnchors.match(source, there), 0.01))
    assert not len(misfits(wrong, 0.0)) and not len(misfits(wrong.take(torch.arange(40, 71)), 0.01))
