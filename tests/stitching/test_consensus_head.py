"""The consensus of several models, on a small graph of three blocks."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch_geometric.data import Data

import relgraph as rg
from relgraph.anchors import PublishedHead, mean_head
from relgraph.errors import InputError
from relgraph.maps import FewAnchorsWarning
from relgraph.nn.model import RelativeModel
from relgraph.stitching import Experiment
from relgraph.stitching.consensus_head import default_rows, divergence, fit_consensus
from tests.stitching.small import blocks

pytestmark = pytest.mark.filterwarnings("ignore::relgraph.maps.FewAnchorsWarning")  # heads after few epochs


@pytest.fixture(scope="module")
def data(nodes: Experiment) -> Data:
    """The graph with the anchors of the experiment."""
    anchored: Data = nodes.problem.with_anchors(nodes.anchors).data
    return anchored


@pytest.fixture(scope="module")
def models(nodes: Experiment) -> list[rg.Model]:
    """Two GCNs and two GraphSAGEs."""
    return [run.trained.model for run in nodes.runs]


def by_hand(models: list[rg.Model], data: Data, encoder: int, rows: torch.Tensor, **options: Any) -> torch.Tensor:
    """The mean of the models' published heads, converted to one space."""
    spaces = [rg.AnchorSet.from_rows(model.embed(data), rows) for model in models]
    heads = [rg.publish(model.head, space) for model, space in zip(models, spaces, strict=True)]
    return rg.convert(spaces[encoder], mean_head(heads), **options)(models[encoder].embed(data))


@pytest.mark.parametrize("encoder", [0, 2])
def test_it_is_the_converted_mean_of_the_published_heads(models: list[rg.Model], data: Data, encoder: int) -> None:
    found = rg.consensus(models, data, encoder=encoder)
    assert isinstance(found.head, nn.Linear) and not found.training
    expected = by_hand(models, data, encoder, torch.arange(180))
    torch.testing.assert_close(found.predict(data).softmax(1), expected.softmax(1), atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(found.embed(data), models[encoder].embed(data))


def test_rows_may_be_the_anchors_a_mask_or_a_number(models: list[rg.Model], data: Data) -> None:
    anchors = rg.anchor_index(data)
    expected = by_hand(models, data, 0, anchors).softmax(1)
    mask = torch.zeros(180, dtype=torch.bool)
    mask[anchors] = True
    for rows in (anchors, mask):
        found = rg.consensus(models, data, encoder=0, rows=rows)
        torch.testing.assert_close(found.predict(data).softmax(1), expected, atol=1e-4, rtol=1e-3)
    few, same = (rg.consensus(models, data, encoder=0, rows=50).predict(data) for _ in range(2))
    assert torch.equal(few, same)
    torch.testing.assert_close(
        few.softmax(1), by_hand(models, data, 0, default_rows(180, 50)).softmax(1), atol=1e-4, rtol=1e-3
    )


def test_the_closest_encoder_is_chosen(models: list[rg.Model], data: Data) -> None:
    wanted = torch.stack([model.predict(data) for model in models]).mean(0)
    each = [rg.consensus(models, data, encoder=i).predict(data) for i in range(len(models))]
    distances = [divergence(one, wanted, "multiclass") for one in each]
    best = min(range(len(models)), key=distances.__getitem__)
    torch.testing.assert_close(rg.consensus(models, data).predict(data), each[best])
    assert len(set(distances)) > 1


def test_a_single_linear_model_is_served_nearly_as_it_is(models: list[rg.Model], data: Data) -> None:
    found, own = rg.consensus(models[:1], data).predict(data), models[0].predict(data)
    assert float((found.argmax(1) == own.argmax(1)).float().mean()) > 0.97


def test_models_are_left_alone_and_shared_with_nothing(models: list[rg.Model], data: Data) -> None:
    before = [copy.deepcopy(model.state_dict()) for model in models]
    found = rg.consensus(models, data)
    with torch.no_grad():
        for parameter in found.parameters():
            parameter.zero_()
    for model, state in zip(models, before, strict=True):
        assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(("mode", "width"), [("multilabel", 3), ("regression", 2)])
def test_other_modes(models: list[rg.Model], data: Data, mode: Any, width: int) -> None:
    draw = torch.Generator().manual_seed(0)
    several = []
    for model in models:
        head = nn.Linear(model.embed(data).size(1), width)
        head.weight.data = torch.randn(head.weight.shape, generator=draw) / 4
        several.append(rg.Model(model.encoder, nn.Sequential(head, nn.Tanh())))
    wanted = torch.stack([model.predict(data) for model in several]).mean(0)
    found = rg.consensus(several, data, mode=mode).predict(data)
    alone = [rg.consensus([model], data, mode=mode).predict(data) for model in several]
    assert divergence(found, wanted, mode) < min(divergence(one, wanted, mode) for one in alone)


def test_divergence_is_that_of_distributions() -> None:
    draw = torch.Generator().manual_seed(0)
    o, t = torch.randn(2, 7, 3, generator=draw, dtype=torch.float64)
    p, q = t.softmax(1), o.softmax(1)
    assert divergence(o, t, "multiclass") == pytest.approx(float((p * (p / q).log()).sum(1).mean()))
    assert divergence(o + 5, t, "multiclass") == pytest.approx(divergence(o, t, "multiclass"))
    p, q = t.sigmoid(), o.sigmoid()
    expected = F.binary_cross_entropy(q, p, reduction="none") - F.binary_cross_entropy(p, p, reduction="none")
    assert divergence(o, t, "multilabel") == pytest.approx(float(expected.sum(1).mean()))
    assert divergence(o, t, "regression") == pytest.approx(float(((o - t) ** 2).sum(1).mean()))


def test_a_model_on_relative_representations_can_be_a_member(models: list[rg.Model], data: Data) -> None:
    member = RelativeModel(models[0].encoder, rg.RelativeLayer(), nn.Linear(16, 3))
    with torch.no_grad():
        member.head.weight.copy_(torch.randn(3, 16, generator=torch.Generator().manual_seed(0)))
    found = rg.consensus([member], data)
    assert type(found) is rg.Model and isinstance(found.head, nn.Linear)
    same = found.predict(data).argmax(1) == member.predict(data).argmax(1)
    assert float(same.float().mean()) > 0.9


def test_few_rows_are_a_warning(models: list[rg.Model], data: Data) -> None:
    with pytest.warns(FewAnchorsWarning):
        rg.consensus(models, data, rows=2)


def test_what_does_not_fit(models: list[rg.Model], data: Data) -> None:
    other = rg.Model(models[0].encoder, nn.Linear(8, 5))
    for arguments, options, message in (
        (([], data), {}, "at least one relgraph.Model and nothing else (got a list)"),
        (([models[0], models[0].encoder], data), {}, "(got a GCNEncoder)"),
        (([models[0], other], data), {}, "same outputs for the same rows (got shapes (180, 3) and (180, 5))"),
        ((models, data), {"encoder": 4}, "'encoder' must be from 0 to 3, the number of a model (got 4)"),
        ((models, data), {"encoder": True}, "(got True)"),
        ((models, data), {"rows": 181}, "'rows' must be from 1 to 180, the number of rows (got 181)"),
        ((models, data), {"rows": torch.tensor([180])}, "rows"),
        ((models, data), {"mode": "classes"}, "mode"),
        ((models, data), {"method": "procrustes"}, "method"),
        ((models[0], data), {}, "(got a single Model)"),
    ):
        with pytest.raises(InputError) as caught:
            rg.consensus(*arguments, **options)
        assert message in str(caught.value)
    mixed = [rg.Model(models[0].encoder, models[0].head, kind) for kind in (None, "paper")]
    with pytest.raises(InputError, match="nodes of the same type"):
        rg.consensus(mixed, blocks())
    with pytest.raises(InputError, match="at least one AnchorSet"):
        fit_consensus([], PublishedHead(torch.arange(3), torch.eye(3), torch.zeros(3)))
