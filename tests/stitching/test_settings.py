"""Settings check themselves."""

from __future__ import annotations

from typing import Any

import pytest

from relgraph.errors import InputError
from relgraph.problems import make_problem
from relgraph.stitching import StitchSettings
from relgraph.training import TrainSettings
from tests.handmade import molecules
from tests.stitching.small import blocks


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"seeds": ()}, r"'seeds' must name at least two runs.*\(got 0\)"),
        ({"seeds": (7,)}, r"'seeds' must name at least two runs.*\(got 1\)"),
        ({"seeds": (1, 2, 1)}, r"'seeds' must not repeat a seed \(got 1, 2, 1\)"),
        ({"encoders": ()}, "'encoders' must name at least one of gat, gcn"),
        ({"encoders": "gcn"}, r"'encoders' must be a tuple of names \(got 'gcn'\); write \('gcn',\)"),
        ({"encoders": ("gnc",)}, r"'encoders' must be one of gat, gcn.*\(got 'gnc'\); did you mean 'gcn'\?"),
        ({"encoders": ("gcn", "sage", "gcn")}, r"'encoders' must not repeat a name \(got gcn, sage, gcn\)"),
        ({"methods": ()}, "'methods' must name at least one of absolute,"),
        ({"methods": ("ridge", "ridgo")}, r"'methods' must be one of .*\(got 'ridgo'\); did you mean 'ridge'\?"),
        ({"methods": ("absolute", "absolute")}, "'methods' must not repeat a name"),
        ({"strategy": "pagernak"}, r"'strategy' must be one of .*did you mean 'pagerank'\?"),
        ({"anchor_features": "runs"}, r"'anchor_features' must be one of .*did you mean 'run'\?"),
        ({"anchor_features": "run"}, r"'anchor_features' must be left out with the strategy 'random' \(got 'run'\)"),
        ({"task": "nodes"}, r"'task' must be one of .*did you mean 'node'\?"),
        ({"num_anchors": 0}, r"'num_anchors' must be at least 1 \(got 0\)"),
        ({"num_anchors": "3"}, r"'num_anchors' must be a whole number \(got '3'\)"),
        ({"seeds": 5}, r"'seeds' must be several numbers \(got 5\)"),
        ({"seeds": (0, 1.5)}, r"'seeds' must be a whole number \(got 1.5\)"),
    ],
)
def test_wrong_settings_are_one_sentence(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        StitchSettings(**given)


def test_training_settings_are_those_of_the_data_unless_given() -> None:
    nodes, graphs = make_problem(blocks()), make_problem(molecules())
    asked = StitchSettings(methods=("absolute",))
    assert (
        asked.resolve(nodes)[1] == TrainSettings()
        and asked.resolve(graphs)[1] == TrainSettings.for_data(graphs) != TrainSettings()
    )
    given = StitchSettings(methods=("absolute",), train=TrainSettings(lr=0.5), epochs=3)
    assert given.resolve(nodes)[1] == TrainSettings(lr=0.5, epochs=3)


def test_resolved_settings_are_complete_and_resolve_to_themselves() -> None:
    problem = make_problem(blocks())
    resolved, train, methods = StitchSettings(epochs=4).resolve(problem)
    assert (resolved.num_anchors, resolved.train, resolved.methods) == (32, train, tuple(methods))
    assert resolved.resolve(problem)[0] == resolved


@pytest.mark.parametrize(
    ("strategy", "features", "measured", "used"),
    [
        ("random", "propagated", None, "none"),
        ("class-stratified", "propagated", None, "labels"),
        ("kmeans", "propagated", "propagated", "none"),
        ("kmeans", "input", "input", "none"),
        ("farthest-point", "run", "run", "run-embeddings"),
    ],
)
def test_settings_say_where_anchors_come_from(strategy: str, features: str, measured: str | None, used: str) -> None:
    settings = StitchSettings(strategy=strategy, anchor_features=features)
    assert (settings.measured_in, settings.labels_used) == (measured, used)
