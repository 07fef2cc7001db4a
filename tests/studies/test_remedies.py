import json

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch_geometric.nn.conv.gcn_conv import gcn_norm
from torch_geometric.utils import to_dense_adj

import relgraph as rg
from relgraph.problems import make_problem
from relgraph.stitching import Run
from relgraph.studies.remedies import NOT_ASKED, TITLES, centroid_classes, convex_classes, model_remedies
from relgraph.studies.teams import ensemble_outputs
from relgraph.training import fit_many
from tests.studies import slow
from tests.training.graphs import clusters

SETTINGS = rg.TrainSettings(epochs=4, hidden_channels=8)


@pytest.fixture(scope="module")
def data():
    return clusters()


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def study(data, cache):
    return rg.stability(data, "gcn", 4, settings=SETTINGS, remedies=True, cache=cache)


@pytest.fixture(scope="module")
def runs(study):
    return [Run.of(study.material.problem, one) for one in study.material.trained]


def found(study):
    return study.sections["remedies"]["models"]["gcn"]


def test_every_remedy_has_figures_and_costs(study):
    section = found(study)
    assert (section["runs"], section["team_size"], section["teams"]) == (4, 2, 2)
    assert list(section["remedies"]) == list(TITLES) and section["left_out"] == {}
    costs = {name: (one["of"], one["encoders"], one["trainings"]) for name, one in section["remedies"].items()}
    assert costs == {
        "plain": ("runs", 1, 1),
        "kept": ("runs", 1, 1),
        "consensus": ("teams", 1, 2),
        "ensemble": ("teams", 2, 2),
        "distilled": ("teams", 1, 3),
        "frozen": ("runs", 1, 1),
        "centroid": ("runs", 1, 1),
        "convex": ("runs", 0, 1),
    }
    text = str(study)
    assert "gcn, 4 runs, 2 teams of 2" in text and all(title in text for title in TITLES.values())
    json.dumps(study.to_dict(), allow_nan=False)


def test_plain_is_what_the_other_sections_say(study):
    plain = found(study)["remedies"]["plain"]
    assert plain["disagreement"]["mean"] == pytest.approx(slow.disagreement(study.runs.classes))
    assert plain["accuracy"]["mean"] == pytest.approx(study.sections["accuracy"]["models"]["gcn"]["mean"])
    assert (plain["ratio"]["mean"], plain["gain"]["mean"]) == (pytest.approx(1), 0.0)


def test_the_ensemble_is_compared_with_plain_models_of_the_same_teams(study, runs):
    problem, classes = study.material.problem, study.runs.classes
    one, two = (ensemble_outputs(team)[problem.test].argmax(1).numpy() for team in (runs[:2], runs[2:]))
    ensemble = found(study)["remedies"]["ensemble"]
    assert ensemble["disagreement"]["mean"] == pytest.approx((one != two).mean())
    plain = np.mean([(classes[i] != classes[j]).mean() for i in (0, 1) for j in (2, 3)])
    assert ensemble["ratio"]["mean"] == pytest.approx((one != two).mean() / plain)
    right = np.mean([(which == study.runs.y).mean() for which in (one, two)])
    assert ensemble["gain"]["mean"] == pytest.approx(right - (classes == study.runs.y).mean())


def test_the_distilled_model_is_trained_on_the_ensembles_probabilities_alone(study, runs):
    problem = study.material.problem
    soft = ensemble_outputs(runs[2:]).softmax(dim=1)
    (run,) = fit_many(problem.with_soft_targets(soft), "gcn", [5], settings=SETTINGS)
    expected = problem.outputs(run.model, problem.test).argmax(1).numpy()
    np.testing.assert_array_equal(study.material.further["gcn"]["distilled"][1], expected)


def test_labels_of_test_rows_change_no_prediction(data, study, tmp_path):
    other = data.clone()
    other.y[data.test_mask] = 0
    again = rg.stability(other, "gcn", 4, settings=SETTINGS, remedies=True, cache=tmp_path)
    for name in ("frozen", "distilled"):
        np.testing.assert_array_equal(study.material.further["gcn"][name], again.material.further["gcn"][name])
    one, two = found(study)["remedies"], found(again)["remedies"]
    assert {name: value["disagreement"] for name, value in one.items()} == {
        name: value["disagreement"] for name, value in two.items()
    }


def test_all_runs_have_the_same_frozen_head(data):
    problem = make_problem(data)
    trained = fit_many(problem, "gcn", [0, 1], head="frozen", settings=SETTINGS)
    first, second = (run.model for run in trained)
    assert torch.equal(first.head.weight, second.head.weight)
    assert not torch.equal(first.encoder.layers[0].conv.lin.weight, second.encoder.layers[0].conv.lin.weight)
    assert torch.equal(first.head.weight, problem.build("gcn", 7, SETTINGS, "frozen").head.weight)


def test_the_convex_baseline_is_logistic_regression_on_propagated_features(data):
    problem = make_problem(data)
    edges, weights = gcn_norm(data.edge_index, num_nodes=len(data.x))
    adjacency = to_dense_adj(edges, edge_attr=weights, max_num_nodes=len(data.x))[0].T
    x = (adjacency @ adjacency @ data.x).double().numpy()
    best, right = None, -1.0
    for strength in (0.1, 1.0, 10.0, 100.0, 1000.0):
        model = LogisticRegression(C=strength, max_iter=1000).fit(x[problem.train], data.y[problem.train])
        score = model.score(x[problem.validation], data.y[problem.validation])
        if score > right:
            best, right = model, score
    np.testing.assert_array_equal(convex_classes(problem), best.predict(x[problem.test]))


def test_centroids_are_class_means_of_training_embeddings(study, runs):
    problem, run = study.material.problem, runs[0]
    means = [run.z[problem.train][problem.y[problem.train] == label].mean(0) for label in range(3)]
    nearest = [min(range(3), key=lambda label: float((row - means[label]).norm())) for row in run.z[problem.test]]
    assert centroid_classes(run).tolist() == nearest


def test_two_runs_have_no_teams_and_cheap_remedies_alone(data, cache):
    section = found(rg.stability(data, "gcn", 2, settings=SETTINGS, cache=cache))
    assert list(section["remedies"]) == ["plain", "kept", "centroid", "convex"]
    reasons = section["left_out"]
    assert reasons["consensus"] == reasons["distilled"] == "two teams need at least four runs (got 2)"
    assert reasons["frozen"] == NOT_ASKED


def test_the_same_run_twice_disagrees_nowhere(runs):
    section = model_remedies([runs[0]] * 4, {})
    for name, one in section["remedies"].items():
        assert one["disagreement"]["mean"] <= (0.02 if name == "kept" else 0.0), name
        assert one["ratio"] is None or name == "kept"


def test_predictions_alone_have_no_remedies():
    study = rg.stability(runs=[[0, 1, 1], [0, 1, 0]], labels=[0, 1, 1])
    assert "remedies" not in study.sections and len(study.notes) == 1  # that of the representations


def test_every_encoder_has_remedies_of_its_own(data, cache):
    section = rg.stability(data, ("gcn", "mlp"), 2, settings=SETTINGS, cache=cache).sections["remedies"]
    assert list(section["models"]) == ["gcn", "mlp"]
