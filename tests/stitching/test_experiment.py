"""The whole job on the embedded graph, in a few epochs: shapes, order, repeatability and errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from torch_geometric.data import Data

import relgraph as rg
from relgraph.errors import InputError
from relgraph.stitching import ARMS, Experiment, StitchSettings, build_document, run_experiment
from relgraph.training import TrainSettings

# The baseline and the trained head are the slow ones; test_document has them on a smaller graph.
QUICK = ("absolute", "relative-cosine", "converted", "procrustes", "permuted-anchors")
SETTINGS = StitchSettings(("gcn", "sage"), (3, 1), QUICK, num_anchors=16, train=TrainSettings(epochs=5))


@pytest.fixture(scope="module")
def digits() -> Data:
    return rg.load_dataset("digits")


@pytest.fixture(scope="module")
def experiment(digits: Data) -> Experiment:
    return run_experiment(digits, SETTINGS)


@contextmanager
def unchanged(data: Data) -> Iterator[None]:
    before, state = data.clone(), torch.get_rng_state()
    yield
    assert set(data.keys()) == set(before.keys())
    for key in before.keys():  # noqa: SIM118 - a Data is not a dict
        same = torch.equal(data[key], before[key]) if torch.is_tensor(data[key]) else data[key] == before[key]
        assert same, key
    assert torch.equal(torch.get_rng_state(), state)


# --- what comes out ---------------------------------------------------------------------------------------------


def test_runs_are_ordered_by_encoder_then_by_seed(experiment: Experiment) -> None:
    assert experiment.kinds == ["gcn", "gcn", "sage", "sage"]
    assert experiment.seeds == [3, 1, 3, 1]
    assert [run.encoder for run in experiment.relative] == experiment.kinds
    assert [run.seed for run in experiment.relative] == experiment.seeds
    assert [z.shape for z in experiment.embeddings] == [(1797, 64)] * 2 + [(1797, 128)] * 2


def test_every_arm_has_a_prediction_for_every_pair_and_test_node(experiment: Experiment) -> None:
    nodes = experiment.nodes
    assert list(experiment.arms) == list(QUICK)
    for name, result in experiment.arms.items():
        predictions = result.predictions
        assert predictions.shape == (4, 4, nodes.test.numel()) and len(result.seconds) == 4
        same_width = np.array(experiment.kinds)[:, None] == np.array(experiment.kinds)[None, :]
        undefined = (predictions < 0).all(-1)
        assert np.array_equal(undefined, ~same_width if name == "absolute" else np.zeros((4, 4), dtype=bool))
        assert ((predictions >= 0) | undefined[..., None]).all() and predictions.max() < nodes.num_classes
        assert (result.draws is not None) == (name == "permuted-anchors")


@pytest.mark.parametrize(("arm", "group"), [("absolute", "absolute"), ("relative-cosine", "relative")])
def test_the_diagonal_is_what_the_models_themselves_predict(experiment: Experiment, arm: str, group: str) -> None:
    reference = experiment.reference if arm == "absolute" else experiment.relative_reference
    assert reference is not None
    for row, run in enumerate(getattr(experiment, group)):
        own = run.model.predict(experiment.data)[experiment.nodes.test].argmax(-1).numpy()
        assert np.array_equal(reference[row], own)
        assert np.array_equal(experiment.arms[arm].predictions[row, row], own)


def test_the_diagonal_of_the_matrix_is_own(experiment: Experiment) -> None:
    document = build_document(experiment, command="")
    for name, arm in document["arms"].items():
        diagonal = [arm["matrix"][row][row] for row in range(4)]
        owns = [run["arms"][name]["own"] for run in document["runs"]]
        if name == "permuted-anchors":
            assert owns == [None] * 4 and arm["own"] is None
        else:
            assert owns == pytest.approx(diagonal)
            assert arm["own"]["mean"] == pytest.approx(sum(diagonal) / 4)


def test_a_conversion_is_far_better_than_no_conversion(experiment: Experiment) -> None:
    arms = build_document(experiment, command="")["arms"]
    assert arms["converted"]["cross_seed"]["mean"] > 0.7 > 0.5 > arms["absolute"]["cross_seed"]["mean"]
    assert abs(arms["permuted-anchors"]["kappa"]["mean"]) < 0.15


def test_anchors_and_nodes_are_those_of_the_protocol(experiment: Experiment) -> None:
    data, nodes = experiment.data, experiment.nodes
    assert experiment.protocol.name == "random" and experiment.protocol.seed == 0
    assert [experiment.protocol.train, experiment.protocol.validation, experiment.protocol.test] == [200, 300, 1297]
    for rows, mask in ((nodes.train, "train_mask"), (nodes.validation, "val_mask"), (nodes.test, "test_mask")):
        assert rows.tolist() == data[mask].nonzero().view(-1).tolist()
    assert experiment.anchor_ids == data.node_id[rg.anchor_index(data)].tolist()
    assert len(set(experiment.anchor_ids)) == 16 and nodes.num_classes == 10


def test_the_same_plan_twice_is_the_same_to_the_bit_and_leaves_nothing_changed(
    digits: Data, experiment: Experiment
) -> None:
    with unchanged(digits):
        again = run_experiment(digits, SETTINGS)
    for name, result in experiment.arms.items():
        assert np.array_equal(result.predictions, again.arms[name].predictions), name
    assert np.array_equal(experiment.reference, again.reference)
    assert all(torch.equal(z, w) for z, w in zip(experiment.embeddings, again.embeddings, strict=True))
    one, two = (build_document(done, command="") for done in (experiment, again))
    for document in (one, two):
        del document["seconds"]
        for run in document["runs"]:
            del run["train_seconds"]
            for arm in run["arms"].values():
                del arm["seconds"]
    assert one == two


def test_fewer_arms_give_the_same_figures(digits: Data, experiment: Experiment) -> None:
    settings = StitchSettings(("gcn", "sage"), (3, 1), ("converted",), num_anchors=16, train=TrainSettings(epochs=5))
    part = run_experiment(digits, settings)
    assert list(part.arms) == ["converted"]
    assert part.relative == [] and part.relative_reference is None
    assert np.array_equal(part.arms["converted"].predictions, experiment.arms["converted"].predictions)
    whole = build_document(experiment, command="")
    alone = build_document(part, command="")
    assert alone["arms"] == {"converted": whole["arms"]["converted"]}
    assert alone["robustness"] == whole["robustness"]


def test_other_splits_and_anchors_are_asked_for_by_seed(digits: Data) -> None:
    seen = []
    for anchor_seed, split_seed in ((0, 0), (1, 0), (0, 1)):
        settings = StitchSettings(
            seeds=(0, 1),
            arms=("absolute",),
            num_anchors=4,
            anchor_seed=anchor_seed,
            split_seed=split_seed,
            train=TrainSettings(epochs=1),
        )
        done = run_experiment(digits, settings)
        seen.append((done.anchor_ids, done.nodes.test.tolist()))
    assert seen[0][0] == seen[2][0] != seen[1][0]
    assert seen[0][1] == seen[1][1] != seen[2][1]


def test_progress_adds_up(digits: Data) -> None:
    steps: dict[str, list[tuple[int, int]]] = {}
    settings = StitchSettings(
        ("gcn", "gat"), (0, 1), ("absolute", "relative-cosine"), num_anchors=4, train=TrainSettings(epochs=2)
    )
    run_experiment(digits, settings, lambda stage, done, total: steps.setdefault(stage, []).append((done, total)))
    assert set(steps) == {"train", "stitch"}
    for stage, total in (("train", 16), ("stitch", 2)):
        assert {given for _, given in steps[stage]} == {total}
        assert sum(done for done, _ in steps[stage]) == total


# --- settings ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"seeds": ()}, r"'seeds' must name at least two runs.*\(got 0\)"),
        ({"seeds": (7,)}, r"'seeds' must name at least two runs.*\(got 1\)"),
        ({"seeds": (1, 2, 1)}, r"'seeds' must not repeat a seed \(got 1, 2, 1\)"),
        ({"encoders": ()}, "'encoders' must name at least one of gat, gcn, gcn2, gin, mlp, sage, transformer"),
        (
            {"encoders": ("gnc",)},
            r"'encoders' must be one of gat, gcn, gcn2, gin, mlp, sage, transformer \(got 'gnc'\); did you mean 'gcn'",
        ),
        ({"encoders": ("gcn", "sage", "gcn")}, r"'encoders' must not repeat a name \(got gcn, sage, gcn\)"),
        ({"arms": ()}, "'arms' must name at least one of absolute,"),
        ({"arms": ("converted", "convert")}, r"'arms' must be one of .*\(got 'convert'\); did you mean 'converted'\?"),
        ({"arms": ("absolute", "absolute")}, "'arms' must not repeat a name"),
        ({"strategy": "pagernak"}, r"'strategy' must be one of .*did you mean 'pagerank'\?"),
        ({"num_anchors": 0}, r"'num_anchors' must be at least 1 \(got 0\)"),
    ],
)
def test_settings_check_themselves(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        StitchSettings(**given)


def test_by_default_everything_is_stitched_from_five_seeds() -> None:
    settings = StitchSettings()
    assert settings.arms == tuple(ARMS) and settings.seeds == (0, 1, 2, 3, 4)
    assert settings.encoders == ("gcn",) and settings.num_anchors == 32


# --- graphs that do not allow it --------------------------------------------------------------------------------


def refused(data: Data, message: str, **given: Any) -> None:
    given = {"num_anchors": 4, "seeds": (0, 1), "train": TrainSettings(epochs=1), **given}
    with unchanged(data), pytest.raises(InputError, match=message):
        run_experiment(data, StitchSettings(**given))


def small() -> Data:
    generator = torch.Generator().manual_seed(0)
    return Data(
        x=torch.rand(60, 5, generator=generator),
        edge_index=torch.randint(60, (2, 200), generator=generator),
        y=torch.arange(60) % 3,
    )


def test_labels_features_and_masks_are_asked_for() -> None:
    data = small()
    del data.y
    refused(data, "'data' must have class labels 'y'")
    data = small()
    data.y = data.y.float()
    refused(data, "'y' must hold one integer class per node")
    refused(small(), "'split' must be 'random' or 'paper' for a graph that brings no masks", split="public")
    refused(small(), r"'split' must be one of .*did you mean 'random'\?", split="randon")
    data = Data(edge_index=small().edge_index, y=small().y, num_nodes=60)
    refused(data, "must have features 'x'")


def test_more_anchors_than_nodes_are_refused() -> None:
    refused(small(), r"'num_anchors' must be from 1 to 60, the number of nodes \(got 61\)", num_anchors=61)
    done = run_experiment(
        small(), StitchSettings(seeds=(0, 1), arms=("converted",), num_anchors=60, train=TrainSettings(epochs=1))
    )
    assert sorted(done.anchor_ids) == list(range(60))


def test_test_nodes_without_labels_do_not_count() -> None:
    data, rows = small(), torch.arange(60)
    data.train_mask, data.val_mask, data.test_mask = rows < 20, (rows >= 20) & (rows < 40), rows >= 40
    data.y[50:] = -1
    settings = StitchSettings(seeds=(0, 1), arms=("converted",), num_anchors=4, train=TrainSettings(epochs=1))
    assert run_experiment(data, settings).nodes.test.tolist() == list(range(40, 50))
    data.y[40:] = -1
    refused(data, r"'test_mask' must mark at least one labelled node \(got none\)")


def test_the_papers_split_tests_on_its_validation_nodes_and_says_so() -> None:
    settings = StitchSettings(
        seeds=(0, 1), arms=("converted",), num_anchors=4, split="paper", train=TrainSettings(epochs=1)
    )
    done = run_experiment(small(), settings)
    assert torch.equal(done.nodes.test, done.nodes.validation) and "optimistic" in done.protocol.note


def test_one_class_is_refused_before_anything_is_trained(digits: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    data = digits.clone()
    data.y = torch.zeros_like(data.y)
    monkeypatch.setattr("relgraph.stitching.experiment.fit_many", lambda *_, **__: pytest.fail("trained"))
    with pytest.raises(InputError, match="'y' must hold at least two classes"):
        run_experiment(data, StitchSettings(num_anchors=8))
