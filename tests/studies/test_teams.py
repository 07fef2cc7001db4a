from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import relgraph as rg
from relgraph.problems import make_problem
from relgraph.stitching import Run
from relgraph.studies.teams import (
    ArmFigures,
    accuracies_of,
    consensus_outputs,
    decided,
    ensemble_outputs,
    kept_accuracies,
    kept_heads,
    later_runs,
    team_disagreements,
    team_size,
    teams_of,
)
from relgraph.training import TrainSettings, fit_many
from tests.studies import slow


@pytest.fixture(scope="module")
def problem():
    return make_problem(rg.load_dataset("digits"))


@pytest.fixture(scope="module")
def models(problem):
    return [run.model for run in fit_many(problem, "gcn", range(4), settings=TrainSettings(epochs=4))]


@pytest.fixture(scope="module")
def runs(problem, models):
    return [Run(problem, problem.embed(model), model.head, "gcn", seed) for seed, model in enumerate(models)]


@given(st.integers(2, 200))
def test_two_teams_fit_and_five_do_from_25_runs_on(count):
    size = team_size(count)
    teams = teams_of(list(range(count)), size)
    assert 1 <= size <= 10 and len(teams) >= 2
    assert len(teams) >= 5 or count < 25
    assert sorted({run for team in teams for run in team}) == list(range(len(teams) * size))  # disjoint


def test_the_consensus_is_that_of_the_library(problem, models, runs):
    expected = rg.consensus(models, problem.data).predict(problem.data)
    torch.testing.assert_close(consensus_outputs(runs), expected, rtol=1e-4, atol=1e-4)


def test_the_ensemble_of_one_is_plain_and_of_several_their_mean(problem, runs):
    own = [run.head(run.z).detach() for run in runs]
    assert torch.equal(ensemble_outputs(runs[:1]), own[0])
    torch.testing.assert_close(ensemble_outputs(runs), sum(own) / 4)
    np.testing.assert_array_equal(decided(problem, own[:1])[0], own[0][problem.test].argmax(1).numpy())


def test_disagreement_of_teams_of_one_is_that_of_the_loop_over_pairs():
    classes = np.random.default_rng(0).integers(0, 3, (5, 40))
    matrix = team_disagreements([one[None] for one in classes])
    assert matrix[np.triu_indices(5, 1)].mean() == pytest.approx(slow.disagreement(classes))
    y = np.zeros(40, dtype=int)
    assert accuracies_of([classes[:2], classes[2:]], y) == pytest.approx(
        [(classes[:2] == 0).mean(), (classes[2:] == 0).mean()]
    )


def test_a_kept_head_is_a_conversion_compared_with_its_own_run(problem, runs):
    pairs = later_runs(4, [1])
    differs, right = kept_heads(runs, pairs)
    assert np.isfinite(differs).sum() == 4 and (np.isfinite(differs) == pairs).all()
    rows = torch.arange(len(runs[0].z))
    head = rg.publish(runs[1].head, rg.AnchorSet.from_rows(runs[1].z, rows))
    converted = rg.convert(rg.AnchorSet.from_rows(runs[2].z, rows), head)
    found = converted(runs[2].z)[problem.test].argmax(1)
    own = runs[1].head(runs[1].z)[problem.test].argmax(1)
    assert differs[1, 2] == pytest.approx(float((found != own).double().mean()))
    assert right[1, 2] == pytest.approx(float((found == problem.y[problem.test]).double().mean()))


def test_a_head_kept_on_its_own_encoder_hardly_changes(runs):
    differs, _ = kept_heads(runs, np.eye(4, dtype=bool))
    assert np.diagonal(differs).max() < 0.02


def test_gains_of_kept_heads_are_over_their_owners():
    pairs = np.array([[False, True], [False, False]])
    right = np.array([[np.nan, 0.7], [np.nan, np.nan]])
    np.testing.assert_allclose(kept_accuracies(np.array([0.6, 0.5]), right, pairs), [np.nan, 0.6])


@given(st.floats(0.1, 3.0), st.integers(0, 99))
def test_an_arm_that_is_plain_but_for_a_factor_has_that_ratio_without_spread(factor, seed):
    matrix = np.random.default_rng(seed).uniform(0.01, 0.3, (6, 6))
    right, every = np.full(6, 0.8), ~np.eye(6, dtype=bool)
    found = ArmFigures.of(factor * matrix, right, every, (matrix, right), ["gcn"] * 6)
    assert found.ratio["mean"] == pytest.approx(factor)
    assert found.ratio["interval"] == pytest.approx([factor, factor])
    assert (found.gain["mean"], found.accuracy["mean"]) == (0.0, pytest.approx(0.8))


def test_plain_models_that_never_differ_have_no_ratio():
    zero = np.zeros((2, 2))
    found = ArmFigures.of(zero, np.ones(2), ~np.eye(2, dtype=bool), (zero, np.ones(2)), ["gcn"] * 2)
    assert found.ratio is None and found.disagreement["mean"] == 0.0


def test_outputs_of_teams_need_no_gradient():
    head = nn.Linear(2, 2)
    team = [SimpleNamespace(z=torch.eye(2), head=head)]
    assert not ensemble_outputs(team).requires_grad
