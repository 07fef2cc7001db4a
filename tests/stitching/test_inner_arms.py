"""Stitching behind an inner layer: the head is the rest of a network, which passes messages."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import numpy as np
import pytest
import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.utils import stochastic_blockmodel_graph

import relgraph as rg
from relgraph.errors import InputError
from relgraph.nn.cut import cut
from relgraph.stitching import ARMS, Experiment, StitchSettings, build_document, run_experiment, schema
from relgraph.stitching.arms import Nodes, Run
from relgraph.stitching.inner_arms import INNER_ARMS, arms_at
from relgraph.training import TrainSettings
from relgraph.translation import kernel_ridge, procrustes, ridge_affine

ENCODERS = ("gcn", "sage", "gat", "gcn2")


def blocks(*, weighted: bool = False) -> Data:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        edges = stochastic_blockmodel_graph([60, 60, 60], 0.09 * torch.eye(3) + 0.02)
        y = torch.arange(3).repeat_interleave(60)
        data = Data(x=torch.rand(180, 12) + 0.3 * torch.eye(3).repeat(1, 4)[y], edge_index=edges, y=y)
        if weighted:
            data.edge_weight = torch.rand(edges.size(1)) + 0.1
        return data


def settings_at(layer: int | None, encoders: tuple[str, ...] = ENCODERS, **given: Any) -> StitchSettings:
    given = {"num_anchors": 30, "train": TrainSettings(epochs=30, hidden_channels=16), **given}
    return StitchSettings(encoders, (0, 1), stitch_at=layer, **given)


@pytest.fixture(scope="module")
def experiment() -> Experiment:
    """Four encoders, two of which are equally wide as a third; no arm named, so that those that can meet do."""
    return run_experiment(blocks(), settings_at(1))


@pytest.fixture(scope="module")
def document(experiment: Experiment) -> dict[str, Any]:
    return build_document(experiment, command="some words")


def states(experiment: Experiment, row: int, layer: int) -> Tensor:
    data = experiment.data
    with torch.no_grad():
        h: Tensor = cut(experiment.absolute[row].model, layer)[0](data.x, data.edge_index)
    return h


def space(experiment: Experiment, row: int, layer: int) -> rg.AnchorSet:
    return rg.AnchorSet.from_embeddings(states(experiment, row, layer), experiment.data)


# --- each arm by hand -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", [1, 2])
@pytest.mark.parametrize("name", ["absolute", "converted", "converted-rbf", "procrustes"])
def test_each_arm_is_what_it_says(experiment: Experiment, name: str, layer: int) -> None:
    data, test = experiment.data, experiment.nodes.test
    done = experiment if layer == 1 else run_experiment(blocks(), settings_at(2, ("gcn", "sage", "gat")))
    count = len(done.kinds)
    fits = {
        "converted": lambda s, t: ridge_affine(s, t, shrinkage="loo"),
        "converted-rbf": lambda s, t: kernel_ridge(s, t, robust=True),
        "procrustes": procrustes,
    }
    for i in range(count):
        for j in range(count):
            h, back = states(done, i, layer), cut(done.absolute[j].model, layer)[1]
            if name == "absolute" and h.size(1) != back.in_channels:
                assert (done.arms[name].predictions[i, j] == -1).all()
                continue
            if name != "absolute":
                h = fits[name](space(done, i, layer), space(done, j, layer))(h)
            with torch.no_grad():
                logits = back(h, data.edge_index)  # of all nodes, and only then the rows that are compared
            assert np.array_equal(done.arms[name].predictions[i, j], logits[test].argmax(-1).numpy())


def test_the_diagonal_of_absolute_is_what_the_models_say(experiment: Experiment) -> None:
    for row in range(len(experiment.kinds)):
        assert np.array_equal(experiment.arms["absolute"].predictions[row, row], experiment.reference[row])


def test_reference_and_runs_are_those_of_the_last_layer(experiment: Experiment) -> None:
    last = run_experiment(blocks(), settings_at(None, arms=("absolute", "converted")))
    assert np.array_equal(experiment.reference, last.reference)
    assert [run.validation for run in experiment.absolute] == [run.validation for run in last.absolute]
    assert not np.array_equal(experiment.arms["converted"].predictions, last.arms["converted"].predictions)


def test_class_centroid_looks_at_the_states(experiment: Experiment) -> None:
    nodes = experiment.nodes
    for row in range(len(experiment.kinds)):
        h = states(experiment, row, 1)
        means = torch.stack([h[nodes.train][nodes.y[nodes.train] == label].mean(0) for label in range(3)])
        nearest = (h[nodes.test, None] - means).norm(dim=-1).argmin(-1).numpy()
        assert (experiment.arms["class-centroid"].predictions[row, 0] == nearest).mean() > 0.99


def test_a_neighbours_state_matters_to_a_test_node(experiment: Experiment) -> None:
    """A back that saw the test nodes alone would not notice that the others are gone."""
    nodes, data = experiment.nodes, experiment.data
    model = experiment.absolute[0].model
    back, h, at = cut(model, 1)[1], states(experiment, 0, 1), space(experiment, 0, 1)
    moved = h.clone()
    moved[nodes.train] = 0
    arm = INNER_ARMS["absolute"]
    logits = [
        arm.meet(arm.publish(run, nodes), arm.publish(run, nodes))
        for run in (Run(z, back, at, (data.edge_index,)) for z in (h, moved))
    ]
    assert logits[0] is not None and logits[1] is not None and not torch.equal(logits[0], logits[1])


def test_edge_weights_reach_the_back() -> None:
    plain, weighted = (
        run_experiment(data, settings_at(1, ("gcn",), arms=("absolute",))) for data in (blocks(), blocks(weighted=True))
    )
    for row, run in enumerate(weighted.absolute):
        own = run.model.predict(weighted.data)[weighted.nodes.test].argmax(-1).numpy()
        assert np.array_equal(weighted.arms["absolute"].predictions[row, row], own)
    assert not np.array_equal(plain.reference, weighted.reference)


# --- what is known ----------------------------------------------------------------------------------------------


def test_another_basis_of_the_states_is_seen_through(experiment: Experiment) -> None:
    """The states turned, moved and scaled: translated, the back says what it said; untranslated, it does not."""
    data, nodes = experiment.data, experiment.nodes
    h, back = states(experiment, 0, 1).double(), cut(experiment.absolute[0].model, 1)[1]
    turn = torch.linalg.qr(torch.randn(16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)).Q
    runs = [run_of(z.float(), back, data) for z in (h, 3 * h @ turn + 1)]
    expected = back(h.float(), data.edge_index)[nodes.test].detach()
    size = expected.std()
    assert (meet("procrustes", runs[1], runs[0], nodes) - expected).abs().max() < 1e-3 * size
    assert (meet("converted", runs[1], runs[0], nodes) - expected).abs().max() < 0.1 * size
    assert (meet("absolute", runs[1], runs[0], nodes) - expected).abs().max() > size


def run_of(z: Tensor, back: torch.nn.Module, data: Data) -> Run:
    return Run(z, back, rg.AnchorSet.from_embeddings(z, data), (data.edge_index,))


def meet(name: str, source: Run, target: Run, nodes: Nodes) -> Tensor:
    arm = INNER_ARMS[name]
    logits = arm.meet(arm.publish(source, nodes), arm.publish(target, nodes))
    assert logits is not None and not logits.requires_grad
    return logits


def test_every_pair_is_translated_whatever_its_widths(experiment: Experiment) -> None:
    assert [z.size(1) for z in experiment.embeddings] == [16, 16, 16, 16, 16, 16, 32, 32]
    for name, result in experiment.arms.items():
        undefined = (result.predictions < 0).all(-1)
        assert undefined.any() == (name == "absolute") and not (result.predictions < 0)[~undefined].any()


def test_the_control_shuffles_anew_and_again_the_same(experiment: Experiment) -> None:
    again = run_experiment(blocks(), settings_at(1))
    for name, result in experiment.arms.items():
        assert np.array_equal(result.predictions, again.arms[name].predictions), name
    one, two = experiment.arms["permuted-anchors"], again.arms["permuted-anchors"]
    assert one.draws is not None and len(one.draws) == 56 and np.array_equal(one.draws, two.draws)
    assert not np.array_equal(one.predictions, experiment.arms["converted"].predictions)


# --- document and settings --------------------------------------------------------------------------------------


def test_the_document_names_the_layer_and_validates(document: dict[str, Any]) -> None:
    jsonschema.validate(json.loads(json.dumps(document, allow_nan=False)), schema())
    assert document["stitch_at"] == 1
    assert list(document["arms"]) == list(INNER_ARMS)
    assert document["arms"]["permuted-anchors"]["kappa"]["draws"] == 56
    for wrong in (0, "last", 1.5):
        assert not jsonschema.Draft202012Validator(schema()).is_valid({**document, "stitch_at": wrong})


def test_retention_is_against_the_absolute_models(experiment: Experiment, document: dict[str, Any]) -> None:
    y = experiment.nodes.y[experiment.nodes.test].numpy()
    own = (experiment.reference == y).mean(-1)
    matrix = np.array(document["arms"]["converted"]["matrix"])
    pairs = [(i, i + 1) for i in range(0, 8, 2)] + [(i + 1, i) for i in range(0, 8, 2)]
    expected = np.mean([matrix[i, j] / min(own[i], own[j]) for i, j in pairs])
    assert document["arms"]["converted"]["retention_cross_seed"]["mean"] == pytest.approx(expected)


def test_inner_arms_are_a_part_of_all_arms_and_of_the_same_kinds() -> None:
    assert arms_at(None) is ARMS and set(arms_at(1)) < set(ARMS)
    assert list(INNER_ARMS) == [name for name in ARMS if name in INNER_ARMS]
    for name, arm in INNER_ARMS.items():
        assert (arm.kind, arm.trains, arm.end_to_end) == (ARMS[name].kind, ARMS[name].trains, False)


def test_by_default_the_arms_that_can_meet_are_taken() -> None:
    assert StitchSettings(stitch_at=1).arms == tuple(INNER_ARMS) and StitchSettings().arms == tuple(ARMS)
    assert StitchSettings(stitch_at=1, arms=("procrustes",)).arms == ("procrustes",)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"stitch_at": 3}, r"'stitch_at' must be from 1 to 2, the layers of 'gcn' \(got 3\); leave it out"),
        ({"stitch_at": 0}, r"'stitch_at' must be from 1 to 2, the layers of 'gcn' \(got 0\)"),
        ({"stitch_at": 2, "encoders": ("gcn", "mlp")}, r"'stitch_at' must be from 1 to 1, the layers of 'mlp'"),
        (
            {"stitch_at": 1, "encoders": ("gcn", "gat"), "train": TrainSettings(num_layers=3)},
            r"'num_layers' must be 2 for the encoder 'gat'",
        ),
        *(
            ({"stitch_at": 1, "arms": ("absolute", name)}, rf"'arms' must be of absolute, converted.*\(got '{name}'\)")
            for name in ARMS
            if name not in INNER_ARMS
        ),
    ],
)
def test_a_layer_or_an_arm_that_cannot_be_is_one_sentence(given: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        StitchSettings(**given)


def test_a_deeper_encoder_is_stitched_at_a_deeper_layer() -> None:
    train = TrainSettings(epochs=5, hidden_channels=16, num_layers=3)
    done = run_experiment(blocks(), settings_at(2, ("gcn", "sage"), train=train, arms=("absolute", "converted")))
    assert [z.size(1) for z in done.embeddings] == [16] * 4
    for row in range(4):
        assert np.array_equal(done.arms["absolute"].predictions[row, row], done.reference[row])
