"""Problems of whole graphs: batches, embeddings, anchors among training graphs, chance levels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch

from relgraph.errors import InputError
from relgraph.problems import make_problem
from relgraph.problems.graph import GraphProblem, graph_features
from relgraph.training import TrainSettings
from tests.handmade import molecules

SETTINGS = TrainSettings.molecules(hidden_channels=8, num_layers=2, batch_size=16)


def test_rows_ids_and_center_are_those_of_the_dataset() -> None:
    dataset = molecules(targets=2)
    problem = make_problem(dataset)
    assert isinstance(problem, GraphProblem) and not problem.restarts_stream
    assert (problem.task.level, problem.task.mode, problem.num_outputs) == ("graph", "multilabel", 2)
    assert torch.equal(problem.train, dataset.train) and torch.equal(problem.ids, torch.arange(60))
    assert torch.equal(problem.candidates, dataset.train) and torch.equal(problem.center_rows, dataset.train)
    assert problem.split.to_dict()["train"] == 40 and problem.split.seed is None
    assert problem.describe()["num_graphs"] == 60


def test_embeddings_and_outputs_are_those_of_each_graph_in_order() -> None:
    problem = make_problem(molecules())
    model = problem.build("gcn", 0, SETTINGS)
    before = torch.get_rng_state()
    z, outputs = problem.embed(model), problem.outputs(model, problem.test)
    assert torch.equal(before, torch.get_rng_state())
    alone = model.embed(Batch.from_data_list([problem.data.graphs[17]]))
    torch.testing.assert_close(z[17:18], alone)
    assert z.shape == (60, 8) and not z.requires_grad
    torch.testing.assert_close(outputs, problem.read(model.head, z, problem.test).detach())
    with pytest.raises(InputError, match="'at' must be left out for a graph-level task"):
        problem.embed(model, 1)
    with pytest.raises(InputError, match="'head' must be 'linear'"):
        problem.build("gcn", 0, SETTINGS, "relative-cosine")


def test_an_epoch_visits_every_training_graph_once_in_random_order() -> None:
    problem = make_problem(molecules("regression"))
    model = problem.build("gcn", 0, SETTINGS)
    torch.manual_seed(0)
    epochs = [torch.cat([y for _, y in problem.batches(model, SETTINGS)]) for _ in range(2)]
    wanted = problem.y[problem.train].sort(dim=0).values
    assert all(torch.equal(y.sort(dim=0).values, wanted) for y in epochs)
    assert not torch.equal(*epochs)


@pytest.mark.parametrize(("graphs", "batches"), [(17, 1), (18, 2), (32, 2), (33, 2)])
def test_a_last_batch_of_one_graph_is_left_out(graphs: int, batches: int) -> None:
    dataset = molecules()
    problem = make_problem(replace(dataset, train=torch.arange(graphs)))
    model = problem.build("gin", 0, SETTINGS)
    sizes = [len(y) for _, y in problem.batches(model, SETTINGS)]
    assert len(sizes) == batches and min(sizes) > 1


def test_the_chance_level_of_a_regression_comes_from_training_targets() -> None:
    dataset = molecules("regression")
    y = dataset.y.clone()
    y[dataset.test] += 100.0
    problem = make_problem(replace(dataset, y=y))
    test = y[dataset.test].double().numpy()
    wanted = float(np.sqrt(((test - y[dataset.train].double().numpy().mean()) ** 2).mean()))
    assert problem.chance == pytest.approx(wanted, rel=1e-5) == problem.constant
    assert problem.chance > 50  # the mean of the test targets would give about 1
    assert make_problem(molecules()).chance == 0.5


def test_anchors_are_training_graphs_and_the_seed_determines_them() -> None:
    problem = make_problem(molecules())
    for strategy in ("random", "kmeans", "farthest-point"):
        rows = problem.choose_anchors(7, strategy, seed=1)
        assert bool(torch.isin(rows, problem.train).all()) and rows.unique().numel() == 7
        assert torch.equal(rows, problem.choose_anchors(7, strategy, seed=1))
    given = torch.rand(60, 3, generator=torch.Generator().manual_seed(0))
    assert not torch.equal(problem.choose_anchors(7, "kmeans", features=given), problem.choose_anchors(7, "kmeans"))
    with pytest.raises(InputError, match="'num_anchors' must be from 1 to 40, the number of training graphs .got 41"):
        problem.choose_anchors(41)
    with pytest.raises(InputError, match="'strategy' must be .* for whole graphs .got 'degree'"):
        problem.choose_anchors(4, "degree")


def test_features_of_graphs_are_shares_of_their_values() -> None:
    dataset = molecules()
    features = graph_features(dataset)
    assert features.shape[0] == 60 and features.isfinite().all()
    torch.testing.assert_close(features.std(dim=0), torch.ones(features.size(1)))
    sizes = torch.tensor([graph.num_nodes for graph in dataset.graphs]).log1p()
    torch.testing.assert_close(features[:, 0], sizes / sizes.std())
    share = torch.tensor([float((graph.x[:, 0] == 0).float().mean()) for graph in dataset.graphs])
    torch.testing.assert_close(features[:, 1], share / share.std())


def test_the_fingerprint_reads_the_graphs_and_the_digest_reads_everything() -> None:
    dataset = molecules()
    problem = make_problem(dataset)
    shorter = make_problem(replace(dataset, graphs=[*dataset.graphs[:-1], dataset.graphs[0]]))
    assert problem.fingerprint != shorter.fingerprint
    assert problem.fingerprint == make_problem(molecules("regression")).fingerprint
    digests = {problem.digest(), shorter.digest(), make_problem(molecules("regression")).digest()}
    digests.add(make_problem(replace(dataset, train=dataset.train[:-1])).digest())
    digests.add(make_problem(replace(dataset, validation=dataset.validation[:-1])).digest())
    assert len(digests) == 5


def test_datasets_that_cannot_be_trained_on_are_refused() -> None:
    dataset = molecules()
    for bad, message in (
        (replace(dataset, train=dataset.train[:1]), "'train' must name at least 2 labeled graphs .got 1"),
        (replace(dataset, validation=dataset.train[:0]), "'validation' must name at least 1 labeled graph"),
        (replace(dataset, y=torch.full_like(dataset.y, torch.nan)), "'y' must hold a training label .* target 0"),
        (replace(dataset, y=dataset.y + 1), "'y' must hold labels 0 or 1"),
    ):
        with pytest.raises(InputError, match=message):
            make_problem(bad)
    with pytest.raises(InputError, match="'split' must be 'public' or left out"):
        make_problem(dataset, split="random")
    with pytest.raises(InputError, match="'encoder' must be one of gcn, gin, sage"):
        make_problem(dataset).build("mlp", 0, SETTINGS)
