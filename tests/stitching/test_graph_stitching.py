"""Stitching on whole graphs: anchors, arms, scores, the experiment and its document."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import torch
from scipy.stats import rankdata
from sklearn.metrics import cohen_kappa_score

from relgraph import names
from relgraph.errors import InputError
from relgraph.stitching import to_json
from relgraph.stitching.arms import Nodes, Run
from relgraph.stitching.graphs import (
    GRAPH_ARMS,
    GraphExperiment,
    GraphStitchSettings,
    arms_for,
    build_graph_document,
    dataset_fingerprint,
    graph_anchors,
    graph_features,
    graph_schema,
    graph_space,
    run_graph_experiment,
    scores,
)
from relgraph.stitching.pictures import draw_matrix
from relgraph.training import METRICS, GraphTrainSettings, embed
from tests.handmade import molecules

SMALL = GraphTrainSettings(epochs=3, hidden_channels=8, num_layers=1, dropout=0.0)


@pytest.fixture(scope="module", params=["binary", "regression"])
def finished(request: pytest.FixtureRequest) -> GraphExperiment:
    dataset = molecules(request.param, tasks=2)
    return run_graph_experiment(dataset, GraphStitchSettings(("gcn", "gin"), (0, 1), num_anchors=24, train=SMALL))


def test_names_are_those_of_the_registry() -> None:
    assert list(names.GRAPH_ARMS) == list(GRAPH_ARMS)


@pytest.mark.parametrize("strategy", names.GRAPH_STRATEGIES)
def test_anchors_are_training_graphs_and_know_no_label(strategy: str) -> None:
    dataset = molecules()
    anchors = graph_anchors(dataset, 12, strategy, seed=3)
    assert anchors.unique().numel() == 12 and torch.isin(anchors, dataset.train).all()
    blind = replace(dataset, y=torch.full_like(dataset.y, torch.nan))
    assert torch.equal(anchors, graph_anchors(blind, 12, strategy, seed=3))
    assert graph_anchors(dataset, 40, strategy).sort().values.tolist() == dataset.train.sort().values.tolist()


def test_features_are_shares_of_values() -> None:
    dataset = molecules(count=8)
    features, x = graph_features(dataset), dataset.graphs[3].x
    shares = torch.tensor([float((graph.x[:, 0] == 2).float().mean()) for graph in dataset.graphs])
    wanted = shares / shares.std()
    assert any(torch.allclose(column, wanted) for column in features.T)
    assert features.isfinite().all() and len(features) == 8 and x.size(1) == 9


def test_the_space_is_made_of_training_graphs_only() -> None:
    dataset = molecules()
    z = torch.randn(60, 4)
    space = graph_space(z, dataset, dataset.train[:5])
    torch.testing.assert_close(space.center, z[dataset.train].mean(0))
    moved = z.clone()
    moved[dataset.test] += 100
    assert graph_space(moved, dataset, dataset.train[:5]).space == space.space
    with pytest.raises(InputError, match=f"'anchors' must be positions of training graphs .got {int(dataset.test[0])}"):
        graph_space(z, dataset, torch.cat([dataset.train[:3], dataset.test[:1]]))
    with pytest.raises(InputError, match="'z' must hold one row per graph .got 3 rows for 60"):
        graph_space(z[:3], dataset, dataset.train[:2])


def test_too_many_anchors_and_unknown_strategies_are_refused() -> None:
    for count in (0, 41):
        with pytest.raises(InputError, match=f"'num_anchors' must be from 1 to 40, .* .got {count}"):
            graph_anchors(molecules(), count)
    with pytest.raises(InputError, match="'strategy' must be one of farthest-point, kmeans, random .got 'degree'"):
        graph_anchors(molecules(), 3, "degree")


def test_the_fingerprint_is_of_the_graphs_in_their_order() -> None:
    dataset = molecules()
    again = replace(dataset, y=dataset.y * 2)
    turned = replace(dataset, graphs=list(dataset.graphs)[::-1])
    assert dataset_fingerprint(dataset) == dataset_fingerprint(again) != dataset_fingerprint(turned)


def test_every_arm_that_applies_has_met_every_pair(finished: GraphExperiment) -> None:
    task = finished.dataset.task
    assert list(finished.arms) == list(arms_for(task))
    for result in finished.arms.values():
        assert result.outputs.shape == (4, 4, 10, 2) and np.isfinite(result.outputs).all()
    draws = finished.arms["permuted-anchors"].draws
    assert draws is not None and draws.shape == (20, 10, 2)
    own = finished.arms["absolute"].outputs[np.arange(4), np.arange(4)]
    np.testing.assert_allclose(own, finished.reference, atol=1e-5)


def test_the_same_settings_give_the_same_outputs(finished: GraphExperiment) -> None:
    again = run_graph_experiment(finished.dataset, finished.settings)
    for name, result in finished.arms.items():
        assert np.array_equal(result.outputs, again.arms[name].outputs)


def test_conversion_of_a_turned_space_is_the_head_itself() -> None:
    dataset = molecules("regression")
    settings = GraphStitchSettings(("gcn",), (0, 1), arms=("converted-loo",), num_anchors=40, train=SMALL)
    experiment = run_graph_experiment(dataset, settings)
    z = embed(experiment.runs[0].model, dataset)
    turn = torch.linalg.qr(torch.randn(8, 8, generator=torch.Generator().manual_seed(0))).Q
    head, arm = experiment.runs[0].model.head, GRAPH_ARMS["converted"]
    nodes = Nodes(dataset.y, dataset.train, dataset.validation, dataset.test, experiment.anchors, 1)
    one, other = (
        arm.publish(Run(place, head, graph_space(place, dataset, experiment.anchors), outputs="values"), nodes)
        for place in (z, z @ turn + 3)
    )
    torch.testing.assert_close(arm.meet(other, one), arm.meet(one, one), atol=1e-3, rtol=1e-3)


def test_baselines_equal_their_definitions() -> None:
    z = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
    binary = molecules("binary", tasks=2)
    nodes = Nodes(binary.y, binary.train, binary.validation, binary.test, binary.train[:5], 2)
    run = Run(z, torch.nn.Linear(3, 2), graph_space(z, binary, binary.train[:5]))
    found = GRAPH_ARMS["class-centroid"].publish(run, nodes)
    train = [int(row) for row in binary.train]
    for task in range(2):
        zeros, ones = (torch.stack([z[r] for r in train if binary.y[r, task] == c]).mean(0) for c in (0, 1))
        for place, row in enumerate(binary.test.tolist()):
            assert found[place, task] == pytest.approx(
                float((z[row] - zeros).norm() - (z[row] - ones).norm()), abs=1e-5
            )
    values = molecules("regression")
    exact = replace(values, y=z @ torch.tensor([[1.0], [2.0], [0.0]]) + 5)
    nodes = replace(nodes, y=exact.y, train=exact.train, test=exact.test, num_classes=1)
    torch.testing.assert_close(
        GRAPH_ARMS["label-ridge"].publish(run, nodes).float(), exact.y[exact.test], atol=0.02, rtol=0
    )


def test_scores_equal_their_definitions() -> None:
    rng = np.random.default_rng(0)
    outputs, reference = rng.normal(size=(2, 2, 30, 1)), rng.normal(size=(2, 30, 1))
    kappa = scores.fidelity_matrix(outputs, reference, "binary")
    rank = scores.fidelity_matrix(outputs, reference, "regression")
    for i, j in np.ndindex(2, 2):
        one, other = outputs[i, j, :, 0], reference[j, :, 0]
        assert kappa[i, j] == pytest.approx(cohen_kappa_score(one > 0, other > 0))
        assert rank[i, j] == pytest.approx(np.corrcoef(rankdata(one), rankdata(other))[0, 1])
    assert scores.fidelity(np.zeros((4, 1)), reference[0, :4], "regression") == 0
    outputs[0, 1] = np.nan
    assert np.isnan(scores.metric_matrix(outputs, reference[0], METRICS["rmse"])[0, 1])


@pytest.mark.parametrize(
    ("metric", "floor", "own", "stitched", "wanted"),
    [
        ("rocauc", 0.5, [0.8, 0.7], 0.7, 1.0),  # of the weaker, 0.7
        ("rocauc", 0.5, [0.8, 0.51], 0.6, 0.1 / 0.155),  # collapsed, so the median of its kind, 0.655
        ("rmse", 2.0, [1.0, 1.5], 1.75, 0.5),
        ("rmse", 2.0, [1.95, 1.99], 1.5, np.nan),  # nothing to retain
    ],
)
def test_retention_has_a_floor(metric: str, floor: float, own: list[float], stitched: float, wanted: float) -> None:
    values = np.full((2, 2), stitched)
    found = scores.retention_matrix(values, np.array(own), floor, METRICS[metric], ["gcn", "gcn"])
    np.testing.assert_allclose([found[0, 1], found[1, 0]], [wanted, wanted], equal_nan=True)


def test_the_document_holds_to_its_schema_and_is_drawn(finished: GraphExperiment, tmp_path: Path) -> None:
    document = build_graph_document(finished, command="a call")
    jsonschema.validate(document, graph_schema())
    to_json(document)
    absolute = document["arms"]["absolute"]
    y, outputs = finished.dataset.y[finished.dataset.test].numpy(), finished.arms["absolute"].outputs
    metric = METRICS[finished.dataset.metric]
    assert absolute["matrix"][0][3] == pytest.approx(metric.value(y, outputs[0, 3]))
    values = np.array(absolute["matrix"])[[0, 1, 2, 3], [1, 0, 3, 2]]
    assert absolute["cross_seed"]["mean"] == pytest.approx(values.mean())
    assert absolute["cross_seed"]["worst"] == pytest.approx(
        values.min() if metric.direction == "higher" else values.max()
    )
    assert document["arms"]["permuted-anchors"]["own"] is None
    assert draw_matrix(document, tmp_path / "matrix.png").stat().st_size > 1000


def test_arms_that_do_not_apply_are_refused() -> None:
    settings = GraphStitchSettings(("gcn",), (0, 1), arms=("converted-kl",), num_anchors=8, train=SMALL)
    with pytest.raises(InputError, match="'arms' must be of .* for a task of regression .got 'converted-kl'"):
        run_graph_experiment(molecules("regression"), settings)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"encoders": ("gat",)}, "'encoder' must|'encoders' must be one of gcn, gin, sage"),
        ({"encoders": ()}, "'encoders' must name at least one"),
        ({"arms": ("absolute", "absolute")}, "'arms' must not repeat"),
        ({"seeds": (0,)}, "'seeds' must name at least two runs"),
        ({"seeds": (1, 1)}, "'seeds' must not repeat"),
    ],
)
def test_settings_are_checked(given: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        GraphStitchSettings(**given)
