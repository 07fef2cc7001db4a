"""Anchors chosen in a space that the settings name: features, propagated features, or the first run's embeddings."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import numpy as np
import pytest
import torch
from torch_geometric.data import Data

import relgraph as rg
from relgraph.anchors import STRATEGIES, select_anchors
from relgraph.errors import InputError
from relgraph.names import SPACES
from relgraph.stitching import Experiment, StitchSettings, build_document, run_experiment, schema
from relgraph.training import TrainSettings, apply_protocol, fit_many

GEOMETRIC = tuple(name for name, strategy in STRATEGIES.items() if strategy.geometric)
ARMS = ("absolute", "relative-cosine", "converted", "permuted-anchors")


@pytest.fixture(scope="module")
def digits() -> Data:
    return rg.load_dataset("digits")


def settings_in(space: str, strategy: str = "kmeans", **given: Any) -> StitchSettings:
    given = {"encoders": ("sage", "gcn"), "seeds": (3, 1), "arms": ARMS, **given}
    return StitchSettings(num_anchors=16, strategy=strategy, space=space, train=TrainSettings(epochs=3), **given)


@pytest.fixture(scope="module")
def experiments(digits: Data) -> dict[str, Experiment]:
    return {space: run_experiment(digits, settings_in(space)) for space in SPACES}


def chosen(data: Data, strategy: str, space: Any) -> list[int]:
    generator = torch.Generator().manual_seed(0)
    return select_anchors(data, 16, strategy, space=space, generator=generator).tolist()


@pytest.mark.parametrize("strategy", GEOMETRIC)
def test_anchors_are_those_of_the_space(digits: Data, strategy: str) -> None:
    data, _ = apply_protocol(digits)
    first = fit_many(data, "gcn", [4], settings=TrainSettings(epochs=3))[0].model.encode(data)
    seen = []
    for space, points in (("input", "input"), ("propagated", "propagated"), ("run", first)):
        done = run_experiment(
            digits, settings_in(space, strategy, encoders=("gcn",), seeds=(4, 0), arms=("converted",))
        )
        assert done.anchor_ids == chosen(data, strategy, points)
        seen.append(tuple(done.anchor_ids))
    assert len(set(seen)) == 3


def test_the_run_is_the_first_seed_of_the_first_encoder(digits: Data, experiments: dict[str, Experiment]) -> None:
    done = experiments["run"]
    assert (done.kinds[0], done.seeds[0]) == ("sage", 3)
    assert done.anchor_ids == chosen(done.data, "kmeans", done.embeddings[0])


def test_absolute_runs_do_not_depend_on_the_space_and_relative_ones_do(experiments: dict[str, Experiment]) -> None:
    one, other = experiments["propagated"], experiments["run"]
    assert all(torch.equal(z, w) for z, w in zip(one.embeddings, other.embeddings, strict=True))
    assert np.array_equal(one.reference, other.reference)
    assert len(other.relative) == 4 and other.relative_reference is not None
    for row, run in enumerate(other.relative):  # the graph's anchors are those that they were trained with
        own = run.model.predict(other.data)[other.nodes.test].argmax(-1).numpy()
        assert run.model.head.in_features == 16
        assert np.array_equal(other.relative_reference[row], own)
    assert not np.array_equal(one.relative_reference, other.relative_reference)


def test_the_same_plan_twice_is_the_same_to_the_bit(digits: Data, experiments: dict[str, Experiment]) -> None:
    again = run_experiment(digits, settings_in("run"))
    assert again.anchor_ids == experiments["run"].anchor_ids
    for name, result in experiments["run"].arms.items():
        assert np.array_equal(result.predictions, again.arms[name].predictions), name


@pytest.mark.parametrize(("space", "labels"), [("input", "no"), ("propagated", "no"), ("run", "through a trained run")])
def test_the_document_says_where_and_what_it_knew(space: str, labels: str, experiments: dict[str, Experiment]) -> None:
    document = build_document(experiments[space], command="some words")
    jsonschema.validate(json.loads(json.dumps(document, allow_nan=False)), schema())
    assert (document["anchors"]["space"], document["anchors"]["labels_used"]) == (space, labels)
    for key, wrong in (("space", "elsewhere"), ("labels_used", "maybe")):
        changed = {**document, "anchors": {**document["anchors"], key: wrong}}
        assert not jsonschema.Draft202012Validator(schema()).is_valid(changed)


def test_names_in_the_schema_are_those_of_the_spaces() -> None:
    assert schema()["properties"]["anchors"]["properties"]["space"]["enum"] == [*SPACES, None]


def test_every_stage_has_its_time(experiments: dict[str, Experiment]) -> None:
    for done in experiments.values():
        assert list(done.seconds) == ["anchors", "train", "stitch"] and min(done.seconds.values()) > 0


@pytest.mark.parametrize("strategy", [name for name in STRATEGIES if name not in GEOMETRIC])
def test_strategies_that_measure_no_distance_have_no_space(strategy: str) -> None:
    plain = StitchSettings(strategy=strategy)
    assert plain.anchor_space is None and plain.labels_used == STRATEGIES[strategy].labels_used
    for space in ("input", "run"):
        with pytest.raises(InputError, match=f"'space' must be left out for the strategy '{strategy}'.*got '{space}'"):
            StitchSettings(strategy=strategy, space=space)


def test_an_unknown_space_lists_the_known() -> None:
    with pytest.raises(InputError, match=r"'space' must be one of input, propagated, run \(got 'inputs'\)"):
        StitchSettings(strategy="kmeans", space="inputs")


def test_too_many_anchors_are_refused_before_anything_is_trained(digits: Data) -> None:
    settings = StitchSettings(seeds=(0, 1), strategy="kmeans", space="run", num_anchors=5000)
    told: list[str] = []
    with pytest.raises(InputError, match=r"'num_anchors' must be from 1 to 1797, the number of nodes \(got 5000\)"):
        run_experiment(digits, settings, lambda stage, done, total: told.append(stage))
    assert told == []


def test_a_runs_space_serves_an_inner_layer_as_well(digits: Data) -> None:
    settings = settings_in("run", encoders=("gcn",), arms=("absolute", "converted"), stitch_at=1)
    done = run_experiment(digits, settings)
    z = done.absolute[0].model.encode(done.data)
    assert done.anchor_ids == chosen(done.data, "kmeans", z)  # of the embeddings, not of the states at the layer
