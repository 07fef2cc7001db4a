"""One network out of two, on a small graph of three blocks."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.utils import stochastic_blockmodel_graph

import relgraph as rg
from relgraph.errors import InputError
from relgraph.nn.cut import cut
from relgraph.stitching import Experiment, StitchSettings, build_document, run_experiment
from relgraph.training import TrainSettings
from relgraph.translation import TRANSLATIONS, translate_then


def blocks() -> Data:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        edges = stochastic_blockmodel_graph([60, 60, 60], 0.09 * torch.eye(3) + 0.01)
        y = torch.arange(3).repeat_interleave(60)
        return Data(x=torch.rand(180, 12) + 0.3 * torch.eye(3).repeat(1, 4)[y], edge_index=edges, y=y)


@pytest.fixture(scope="module")
def experiment() -> Experiment:
    settings = StitchSettings(
        ("gcn", "sage"), (0, 1), ("absolute", "converted"), num_anchors=20, train=TrainSettings(epochs=5)
    )
    return run_experiment(blocks(), settings)


def test_it_is_the_conversion_by_hand(experiment: Experiment) -> None:
    data, (a, b) = experiment.data, (experiment.absolute[row].model for row in (0, 3))
    za, zb = a.encode(data), b.encode(data)
    head = rg.publish(b.head, rg.AnchorSet.from_embeddings(zb, data))
    by_hand = rg.convert(head, rg.AnchorSet.from_embeddings(za, data))(za)
    torch.testing.assert_close(rg.stitch(a, b, data)(data), by_hand)
    again = rg.relative_head(head)(rg.RelativeLayer("whitened")(za, anchors=rg.AnchorSet.from_embeddings(za, data)))
    torch.testing.assert_close(again, by_hand, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("method", ["kl", "rbf", "auto"])
def test_other_methods_are_the_conversion_by_hand_as_well(experiment: Experiment, method: str) -> None:
    data, (a, b) = experiment.data, (experiment.absolute[row].model for row in (0, 3))
    za, zb = a.encode(data), b.encode(data)
    head, space = rg.publish(b.head, rg.AnchorSet.from_embeddings(zb, data)), rg.AnchorSet.from_embeddings(za, data)
    by_hand = rg.convert(head, space, method, shrinkage=0.1)(za)
    torch.testing.assert_close(rg.stitch(a, b, data, method=method, shrinkage=0.1)(data), by_hand)
    with pytest.raises(InputError, match="'method' must be one of"):
        rg.stitch(a, b, data, method="ridge-affine")


@pytest.mark.parametrize("method", TRANSLATIONS)
def test_behind_an_inner_layer_the_method_is_a_translation(experiment: Experiment, method: str) -> None:
    data, (a, b) = experiment.data, (experiment.absolute[row].model for row in (0, 1))
    network = rg.stitch(a, b, data, at=1, method=method)
    (front, _), (other, back) = cut(a, 1), cut(b, 1)
    edges = data.edge_index
    h, foreign = front(data.x, edges).detach(), other(data.x, edges).detach()
    here, there = rg.AnchorSet.from_embeddings(h, data), rg.AnchorSet.from_embeddings(foreign, data)
    options = {"ridge-affine": {"shrinkage": "loo"}, "kernel-ridge": {"robust": True}}.get(method, {})
    by_hand = back(TRANSLATIONS[method].fit(here, there, **options)(h), edges)
    torch.testing.assert_close(network(data), by_hand, rtol=1e-4, atol=1e-4)
    if method in ("ridge-affine", "kernel-ridge"):
        by_hand = back(TRANSLATIONS[method].fit(here, there, **(options | {"shrinkage": 0.2}))(h), edges)
        smooth = rg.stitch(a, b, data, at=1, method=method, shrinkage=0.2)
        torch.testing.assert_close(smooth(data), by_hand, rtol=1e-4, atol=1e-4)


def test_a_translation_without_shrinkage_is_given_none(experiment: Experiment) -> None:
    a, b = (experiment.absolute[row].model for row in (0, 1))
    with pytest.raises(
        InputError,
        match="'shrinkage' must be left out for 'procrustes' .got 0.1., which has none; ridge-affine and kernel-",
    ):
        rg.stitch(a, b, experiment.data, at=1, method="procrustes", shrinkage=0.1)
    with pytest.raises(InputError, match="'method' must be one of"):
        rg.stitch(a, b, experiment.data, at=1, method="kl")


def test_it_has_the_accuracy_of_the_matrix(experiment: Experiment) -> None:
    nodes = experiment.nodes
    matrix = build_document(experiment, command="")["arms"]["converted"]["matrix"]
    for i, source in enumerate(experiment.absolute):
        for j, target in enumerate(experiment.absolute):
            network = rg.stitch(source.model, target.model, experiment.data)
            predicted = network(experiment.data).argmax(-1)[nodes.test]
            assert predicted.tolist() == experiment.arms["converted"].predictions[i, j].tolist()
            assert float((predicted == nodes.y[nodes.test]).double().mean()) == pytest.approx(matrix[i][j])


def test_the_encoder_is_a_copy_of_the_sources_and_the_head_is_frozen(experiment: Experiment) -> None:
    a, b = (experiment.absolute[row].model for row in (0, 2))
    network = rg.stitch(a, b, experiment.data)
    assert network.encoder is not a.encoder and network.head is not b.head
    assert torch.equal(network.encode(experiment.data), a.encode(experiment.data))
    assert (network.head.in_features, network.head.out_features) == (64, 3)
    assert not any(parameter.requires_grad for parameter in network.head.parameters())
    assert not network.training


def test_neither_model_nor_graph_nor_generator_is_changed(experiment: Experiment) -> None:
    a, b = (experiment.absolute[row].model for row in (0, 2))
    before = [value.clone() for model in (a, b) for value in model.state_dict().values()]
    keys, state = set(experiment.data.keys()), torch.get_rng_state()
    rg.stitch(a, b, experiment.data)
    after = [value for model in (a, b) for value in model.state_dict().values()]
    assert all(torch.equal(old, new) for old, new in zip(before, after, strict=True))
    assert set(experiment.data.keys()) == keys and torch.equal(torch.get_rng_state(), state)


def test_models_in_training_stay_in_training(experiment: Experiment) -> None:
    a, b = (experiment.absolute[row].model for row in (0, 2))
    a.train()
    try:
        rg.stitch(a, b, experiment.data)
        assert all(part.training for part in a.modules())
    finally:
        a.eval()


def test_a_head_that_is_not_linear_is_read_too(experiment: Experiment) -> None:
    a = experiment.absolute[0].model
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        head = torch.nn.Sequential(torch.nn.Linear(64, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    b = rg.Model(experiment.absolute[1].model.encoder, head)
    za, zb = (model.encode(experiment.data) for model in (a, b))
    published = rg.publish(head, rg.AnchorSet.from_embeddings(zb, experiment.data), embeddings=zb)
    assert published.mean_from == "embeddings given"
    expected = rg.convert(published, rg.AnchorSet.from_embeddings(za, experiment.data))(za)
    torch.testing.assert_close(rg.stitch(a, b, experiment.data)(experiment.data), expected)


# --- behind an inner layer --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def inner() -> Experiment:
    settings = StitchSettings(("gcn", "sage"), (0, 1), num_anchors=20, train=TrainSettings(epochs=5), stitch_at=1)
    return run_experiment(blocks(), settings)


def test_behind_a_layer_it_says_what_the_experiment_says(inner: Experiment) -> None:
    for i, source in enumerate(inner.absolute):
        for j, target in enumerate(inner.absolute):
            network = rg.stitch(source.model, target.model, inner.data, at=1)
            predicted = network.predict(inner.data).argmax(-1)[inner.nodes.test]
            assert predicted.tolist() == inner.arms["converted"].predictions[i, j].tolist()
            assert torch.equal(network.encode(inner.data), inner.embeddings[i])


def test_behind_the_last_layer_it_reads_embeddings(inner: Experiment) -> None:
    a, b = (inner.absolute[row].model for row in (0, 3))
    za, zb = (rg.AnchorSet.from_embeddings(model.encode(inner.data), inner.data) for model in (a, b))
    by_hand = translate_then(b.head, za, zb, shrinkage="loo")(a.encode(inner.data))
    torch.testing.assert_close(rg.stitch(a, b, inner.data, at=2).predict(inner.data), by_hand.detach())


def test_behind_a_layer_source_and_target_are_copied(inner: Experiment) -> None:
    a, b = (inner.absolute[row].model for row in (0, 2))
    before = [value.clone() for model in (a, b) for value in model.state_dict().values()]
    network = rg.stitch(a, b, inner.data, at=1)
    assert isinstance(network, rg.Model) and not network.training
    assert network.encoder.encoder is not a.encoder and network.head.head.encoder is not b.encoder
    after = [value for model in (a, b) for value in model.state_dict().values()]
    assert all(torch.equal(old, new) for old, new in zip(before, after, strict=True))
    assert not any(part.training for model in (a, b) for part in model.modules())


def test_a_layer_that_is_not_there_is_one_sentence(inner: Experiment) -> None:
    a, b = (inner.absolute[row].model for row in (0, 2))
    with pytest.raises(InputError, match=r"'at' must be from 1 to 2, the layers of a GCNEncoder \(got 3\)"):
        rg.stitch(a, b, inner.data, at=3)
    with pytest.raises(InputError, match="apply relgraph.AddAnchors first"):
        rg.stitch(a, b, blocks(), at=1)
    own = rg.Model(torch.nn.Linear(12, 64), b.head)
    with pytest.raises(InputError, match=r"must have an encoder that says what its layers are \(got a Linear\)"):
        rg.stitch(a, own, inner.data, at=1)


def test_a_graph_without_anchors_says_what_to_do(experiment: Experiment) -> None:
    a, b = (experiment.absolute[row].model for row in (0, 1))
    with pytest.raises(InputError, match="apply relgraph.AddAnchors first"):
        rg.stitch(a, b, blocks())


@pytest.mark.parametrize(
    "num_anchors",
    [20, 64],
)
def test_a_head_that_reads_relative_vectors_is_refused(experiment: Experiment, num_anchors: int) -> None:
    data = rg.AddAnchors(num_anchors)(blocks())
    relative = rg.fit(data, "gcn", head="relative-cosine", epochs=1)
    with pytest.raises(InputError):
        rg.stitch(experiment.absolute[0].model, relative, data)


def test_behind_a_layer_the_target_is_frozen_whatever_its_mode(inner: Experiment) -> None:
    a, b = (inner.absolute[row].model for row in (0, 2))
    expected = rg.stitch(a, b, inner.data, at=1)(inner.data)
    b.train()
    try:
        network = rg.stitch(a, b, inner.data, at=1)
        assert b.training and b.encoder.training
    finally:
        b.eval()
    assert not network.head.training and not any(p.requires_grad for p in network.head.parameters())
    assert torch.equal(network(inner.data), expected)
    with pytest.raises(InputError, match="'target' must be a whole model"):
        rg.stitch(a, network, inner.data)


@pytest.mark.parametrize("at", [None, 1])
def test_what_is_done_to_the_result_leaves_the_source_alone(inner: Experiment, at: int | None) -> None:
    a, b = (inner.absolute[row].model for row in (0, 2))
    rg.stitch(a, b, inner.data, at=at).half().train()
    assert all(parameter.dtype == torch.float32 for parameter in a.parameters())
    assert not any(part.training for part in a.modules())


def test_it_is_told_what_the_outputs_are(experiment: Experiment) -> None:
    data, (a, b) = experiment.data, (experiment.absolute[row].model for row in (0, 3))
    za, zb = a.encode(data), b.encode(data)
    head = rg.publish(b.head, rg.AnchorSet.from_embeddings(zb, data), outputs="labels")
    by_hand = rg.convert(head, rg.AnchorSet.from_embeddings(za, data), "kl")(za)
    torch.testing.assert_close(rg.stitch(a, b, data, method="kl", outputs="labels")(data), by_hand)
    assert not torch.allclose(rg.stitch(a, b, data, method="kl")(data), by_hand)
    for at in (None, 1):
        with pytest.raises(InputError, match="'outputs' must be one of classes, labels, values"):
            rg.stitch(a, b, data, at=at, outputs="label")
