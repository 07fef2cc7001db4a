"""Runs and views: what a trained run shows to a method."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from relgraph.anchors import AnchorSet, publish
from relgraph.errors import InputError
from relgraph.maps import FewAnchorsWarning
from relgraph.problems import make_problem
from relgraph.stitching import Experiment, Run, View
from relgraph.stitching.run import one_thread, warn_few_anchors
from tests.stitching.small import blocks


def test_a_run_reproduces_its_model(experiment: Experiment) -> None:
    """Behind any layer, of any task, the head on the states gives the outputs of the whole model."""
    problem = experiment.problem
    for run in experiment.runs:
        model = run.trained.model
        outputs = problem.outputs(model, problem.test)
        found = problem.read(run.head, run.z, problem.test)
        torch.testing.assert_close(found, outputs)
        assert np.array_equal(run.record(problem.test), problem.task.record(found))
        assert run.z.shape[0] == len(problem.ids) and not run.z.requires_grad
        assert (run.encoder, run.seed) == (run.trained.encoder, run.trained.seed)


def test_own_records_are_those_of_the_models(experiment: Experiment) -> None:
    problem = experiment.problem
    for record, run in zip(experiment.own, experiment.runs, strict=True):
        np.testing.assert_allclose(record, problem.task.record(problem.outputs(run.trained.model, problem.test)))


def test_a_view_publishes_space_and_head(experiment: Experiment) -> None:
    problem, anchors = experiment.problem, experiment.anchors
    for run, space in zip(experiment.runs, experiment.spaces, strict=True):
        rows = run.z if problem.center_rows is None else run.z[problem.center_rows]
        center = rows.double().mean(0).to(run.z.dtype)
        expected = AnchorSet(problem.ids[anchors], run.z[anchors], center, problem.fingerprint)
        assert (space.id, space.fingerprint) == (expected.id, problem.fingerprint)
        view = View(run, anchors)
        assert view.space is view.space  # computed once
        if view.pointwise:
            found, head = view.published, publish(run.head, space, embeddings=run.z, mode=problem.task.mode)
            assert torch.equal(found.outputs, head.outputs) and found.mode == problem.task.mode
            assert found.mean_from == "center"
    assert len(experiment.heads) == (0 if experiment.settings.at else len(experiment.runs))


def test_the_center_of_whole_graphs_is_the_mean_of_training_graphs(experiments: dict[str, Experiment]) -> None:
    problem, run = experiments["regression"].problem, experiments["regression"].runs[0]
    torch.testing.assert_close(experiments["regression"].spaces[0].center, run.z[problem.train].mean(0))
    assert torch.isin(experiments["regression"].anchors, problem.train).all()


def test_with_head_changes_the_head_only(nodes: Experiment) -> None:
    view = View(nodes.runs[0], nodes.anchors)
    other = view.with_head(torch.nn.Identity())
    assert other.run.z is view.run.z and other.anchors is view.anchors and view.run.head is nodes.runs[0].head
    assert torch.equal(other.read(other.run.head, torch.tensor([3])), view.run.z[[3]])


def test_a_layer_that_does_not_exist_is_refused(nodes: Experiment) -> None:
    with pytest.raises(InputError, match="'at' must be from 1 to 2"):
        Run.of(nodes.problem, nodes.runs[0].trained, 3)


def test_edge_weights_reach_the_rest_of_the_network() -> None:
    """The head behind a layer reads neighbors along weighted edges."""
    from relgraph.training import TrainSettings, fit_many

    problem = make_problem(blocks(weighted=True))
    run = Run.of(problem, fit_many(problem, "gcn", [0], settings=TrainSettings(epochs=3))[0], at=1)
    plain = Run(make_problem(blocks()), run.z, run.head, at=1)
    outputs = problem.outputs(run.trained.model, problem.test)
    torch.testing.assert_close(problem.read(run.head, run.z, problem.test), outputs)
    assert not torch.allclose(plain.problem.read(run.head, run.z, problem.test), outputs)


def test_one_thread_restores_the_number_of_threads() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(RuntimeError), one_thread():
            assert torch.get_num_threads() == 1
            raise RuntimeError
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_fewer_anchors_than_outputs_are_a_warning() -> None:
    with pytest.warns(FewAnchorsWarning, match="2 anchors are fewer than the 3 outputs of a head"):
        warn_few_anchors(2, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_few_anchors(3, 3)
