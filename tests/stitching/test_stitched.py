"""One network from two, on a small graph of three blocks."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch_geometric.data import Data

import relgraph as rg
from relgraph.errors import InputError
from relgraph.maps import FewAnchorsWarning, TranslatedHead
from relgraph.nn import TailHead
from relgraph.stitching import Experiment, stitch
from tests.stitching.small import blocks

pytestmark = pytest.mark.filterwarnings("ignore::relgraph.maps.FewAnchorsWarning")  # heads after few epochs

MAPS = ("ridge", "kernel-ridge", "procrustes", "orthogonal")


@pytest.fixture(scope="module")
def data(nodes: Experiment) -> Data:
    """The graph with the anchors of the experiment."""
    anchored: Data = nodes.problem.with_anchors(nodes.anchors).data
    return anchored


@pytest.fixture(scope="module")
def models(nodes: Experiment) -> list[rg.Model]:
    """Two GCNs and two GraphSAGEs."""
    return [run.trained.model for run in nodes.runs]


def pieces(source: rg.Model, target: rg.Model, data: Data, **options: Any) -> tuple[Any, Any]:
    za, zb = source.embed(data), target.embed(data)
    space = rg.AnchorSet.from_embeddings(za, data)
    return space, rg.publish(target.head, rg.AnchorSet.from_embeddings(zb, data), embeddings=zb, **options)


@pytest.mark.parametrize(
    ("method", "shrinkage"), [("ridge", None), ("ridge", 0.1), ("kl", 0.1), ("kernel-ridge", 0.1), (None, None)]
)
def test_a_linear_head_is_converted(
    models: list[rg.Model], data: Data, method: str | None, shrinkage: float | None
) -> None:
    a, b = models[0], models[3]
    by_hand = rg.convert(*pieces(a, b, data), method, shrinkage=shrinkage)(a.embed(data))
    torch.testing.assert_close(stitch(a, b, data, method=method, shrinkage=shrinkage)(data), by_hand)


@pytest.mark.parametrize("method", ["procrustes", "orthogonal"])
def test_maps_between_spaces_translate_at_the_last_layer_too(models: list[rg.Model], data: Data, method: str) -> None:
    a, b = models[:2]
    spaces = [rg.AnchorSet.from_embeddings(model.embed(data), data) for model in (a, b)]
    by_hand = b.head(rg.translate(*spaces, method)(a.embed(data)))
    torch.testing.assert_close(stitch(a, b, data, method=method)(data), by_hand.detach())


@pytest.mark.parametrize("method", MAPS)
def test_behind_an_inner_layer_the_space_is_translated(models: list[rg.Model], data: Data, method: str) -> None:
    a, b = models[:2]
    h, foreign = (model.encoder[:1](data.x, data.edge_index).detach() for model in (a, b))
    spaces = [rg.AnchorSet.from_embeddings(z, data) for z in (h, foreign)]
    for shrinkage in (None, 0.2) if method in ("ridge", "kernel-ridge") else (None,):
        move = rg.translate(*spaces, method, shrinkage=shrinkage)
        by_hand = TailHead(b.encoder[1:], b.head)(move(h), data.edge_index)
        network = stitch(a, b, data, at=1, method=method, shrinkage=shrinkage)
        torch.testing.assert_close(network(data), by_hand.detach(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["nodes", "inner"])
def test_it_predicts_as_the_experiment(kind: str, experiments: dict[str, Experiment], data: Data) -> None:
    done = experiments[kind]
    for i, source in enumerate(done.runs):
        for j, target in enumerate(done.runs):
            network = stitch(source.trained.model, target.trained.model, data, at=done.settings.at)
            predicted = network.predict(data).argmax(-1)[done.problem.test].numpy()
            assert np.array_equal(predicted, done.stitched["kl" if kind == "nodes" else "ridge"].outputs[i, j])


def test_behind_the_last_layer_by_number_it_reads_embeddings(models: list[rg.Model], data: Data) -> None:
    torch.testing.assert_close(stitch(*models[1:3], data, at=2)(data), stitch(*models[1:3], data)(data))


@pytest.mark.parametrize("at", [None, 1])
def test_the_result_shares_nothing_with_the_two_models(models: list[rg.Model], data: Data, at: int | None) -> None:
    a, b = models[:2]
    before = [value.clone() for model in (a, b) for value in model.state_dict().values()]
    state, keys = torch.get_rng_state(), set(data.keys())
    network = stitch(a, b, data, at=at)
    assert not {id(p) for p in network.parameters()} & {id(p) for model in (a, b) for p in model.parameters()}
    assert not any(parameter.requires_grad for parameter in network.head.parameters())
    assert all(parameter.requires_grad for parameter in network.encoder.parameters()) and not network.training
    network.half().train()
    after = [value for model in (a, b) for value in model.state_dict().values()]
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    assert not any(part.training for model in (a, b) for part in model.modules())
    assert torch.equal(torch.get_rng_state(), state) and set(data.keys()) == keys


@pytest.mark.parametrize("at", [None, 1])
def test_modes_are_kept_and_the_head_is_frozen(models: list[rg.Model], data: Data, at: int | None) -> None:
    a, b = copy.deepcopy(models[0]).train(), copy.deepcopy(models[1]).train()
    network = stitch(a, b, data, at=at)
    assert network.training and network.encoder.training and not network.head.training
    assert all(part.training for model in (a, b) for part in model.modules())
    torch.testing.assert_close(network.eval()(data), stitch(*models[:2], data, at=at)(data))


def test_a_head_that_is_not_linear_is_translated_to(models: list[rg.Model], data: Data) -> None:
    a = models[0]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        b = rg.Model(models[1].encoder, nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3)))
    spaces = [rg.AnchorSet.from_embeddings(model.embed(data), data) for model in (a, b)]
    network = stitch(a, b, data)
    assert isinstance(network.head, TranslatedHead)
    torch.testing.assert_close(network(data), rg.translate_then(*spaces, b.head)(a.embed(data)).detach())
    by_outputs = rg.convert(*pieces(a, b, data), "kl")(a.embed(data))
    torch.testing.assert_close(stitch(a, b, data, method="kl")(data), by_outputs)


def test_the_mode_of_the_outputs_reaches_the_fit(models: list[rg.Model], data: Data) -> None:
    a, b = models[0], models[3]
    by_hand = rg.convert(*pieces(a, b, data, mode="multilabel"), "kl")(a.embed(data))
    torch.testing.assert_close(stitch(a, b, data, method="kl", mode="multilabel")(data), by_hand)
    assert not torch.allclose(stitch(a, b, data, method="kl")(data), by_hand)
    by_default = rg.convert(*pieces(a, b, data, mode="regression"), "ridge")(a.embed(data))
    torch.testing.assert_close(stitch(a, b, data, mode="regression")(data), by_default)


def test_several_labels_a_node_are_recognized(models: list[rg.Model], data: Data) -> None:
    a, b = models[:2]
    several = data.clone()
    several.y = torch.nn.functional.one_hot(data.y, b.head.weight.size(0)).float()
    several.y[0] = float("nan")
    labels = stitch(a, b, data, mode="multilabel")(data)
    assert torch.equal(stitch(a, b, several)(data), labels)
    assert not torch.allclose(stitch(a, b, several, mode="multiclass")(data), labels)
    several.y = several.y[:, :-1]  # those of another task
    assert torch.equal(stitch(a, b, several)(data), stitch(a, b, data)(data))


def test_fewer_anchors_than_outputs_are_a_warning(models: list[rg.Model]) -> None:
    data = rg.AddAnchors(2)(blocks())
    with pytest.warns(FewAnchorsWarning, match="2 anchors are fewer than the 3 outputs") as caught:
        stitch(models[0], models[1], data)
    assert caught[0].filename == __file__


class Branching(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


def test_wrong_arguments_are_one_sentence(models: list[rg.Model], data: Data) -> None:
    a, b = models[:2]
    own, branching = rg.Model(nn.Linear(12, 8), b.head), rg.Model(Branching(), b.head)
    relative = rg.fit(data, "gcn", head="relative-cosine", epochs=1)
    for given, options, message in (
        ((a, b, blocks()), {}, "apply relgraph.AddAnchors first"),
        ((a, b, blocks()), {"at": 1}, "apply relgraph.AddAnchors first"),
        ((a, b, data), {"at": 3}, r"'at' must be from 1 to 2, the layers of 'source' \(got 3\)"),
        ((a, b, data), {"at": True}, r"'at' must be from 1 to 2, the layers of 'source' \(got True\)"),
        ((a, own, data), {"at": 2}, r"'at' must be from 1 to 1, the layers 'linear', or their names \(got 2\)"),
        ((a, branching, data), {"at": 1}, r"'target' must be traceable by torch.fx \(got a Branching: .*; pass its"),
        ((a, relative, data), {}, "'target' must have a head on embeddings"),
        ((a, relative, data), {"at": 1}, "'target' must have a head on embeddings"),
        ((relative, b, data), {"at": 1}, "'source' must have a head on embeddings"),
        ((nn.Linear(2, 3), b, data), {}, r"'source' must be a relgraph.Model \(got Linear\); use relgraph.Model\("),
        ((a, b, data), {"method": "linear"}, "'method' must be one of"),
        ((a, b, data), {"at": 1, "method": "kl"}, "'method' must be one of"),
        ((a, b, data), {"method": "procrustes", "shrinkage": 0.1}, "'shrinkage' must be left out for 'procrustes'"),
        ((a, b, data), {"mode": "labels"}, "'mode' must be one of multiclass, multilabel, regression"),
    ):
        with pytest.raises(InputError, match=message):
            stitch(*given, **options)


def test_a_relative_model_can_be_a_source(models: list[rg.Model], data: Data) -> None:
    relative = rg.fit(data, "gcn", head="relative-cosine", epochs=2, hidden_channels=8)
    by_hand = rg.convert(*pieces(relative, models[1], data))(relative.embed(data))
    torch.testing.assert_close(stitch(relative, models[1], data)(data), by_hand)
