"""Graphs with several labels per node."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Data

import relgraph as rg
from relgraph.errors import InputError
from relgraph.problems import make_problem
from relgraph.stitching import StitchSettings, build_report, run_experiment
from relgraph.training import TrainSettings


def graph(*, nodes: int = 80) -> Data:
    """Eight groups of nodes, told by three labels, with edges inside a group."""
    generator = torch.Generator().manual_seed(0)
    group = torch.arange(nodes) % 8
    y = torch.stack([group // 4, group // 2 % 2, group % 2], dim=1).float()
    source = torch.arange(nodes).repeat(2)
    edges = torch.stack(
        [source, (source + 8 * torch.randint(1, nodes // 8, source.shape, generator=generator)) % nodes]
    )
    return Data(x=torch.randn(nodes, 6, generator=generator) + y.repeat(1, 2), edge_index=edges, y=y)


def test_columns_are_binary_labels_and_unknown_ones_are_left_out() -> None:
    data = graph()
    data.y[:5] = float("nan")
    data.y[5, 0] = float("nan")
    problem = make_problem(data)
    assert (problem.task.mode, problem.task.metric.name, problem.num_outputs) == ("multilabel", "rocauc", 3)
    labeled = torch.cat([problem.train, problem.validation, problem.test])
    assert not bool(torch.isin(torch.arange(5), labeled).any()) and 5 in labeled.tolist()


def test_one_label_in_floating_point_has_roc_auc_which_shuffled_anchors_do_not_keep() -> None:
    data = graph(nodes=400)
    data.y = (data.y.sum(dim=1, keepdim=True) == 3).float()  # one of eight groups: accuracy of a constant is 0.875
    train = TrainSettings(epochs=30, hidden_channels=16)
    settings = StitchSettings(("gcn",), (0, 1), num_anchors=64, methods=("ridge", "permuted-anchors"), train=train)
    report = build_report(run_experiment(data, settings))
    assert (report["metric"]["name"], report["metric"]["chance"]) == ("ROC-AUC", 0.5)
    ridge, permuted = (report["methods"][name] for name in ("ridge", "permuted-anchors"))
    assert ridge["retention_cross_seed"]["mean"] > 0.8 and 0.3 < permuted["draws"]["mean"] < 0.7
    data.y = data.y.long()
    assert make_problem(data).task.metric.name == "accuracy"


def test_labels_between_0_and_1_are_refused() -> None:
    data = graph()
    data.y[0, 0] = 0.5
    with pytest.raises(InputError, match="0 or 1"):
        make_problem(data)


def test_an_experiment_maps_multilabel_heads() -> None:
    train = TrainSettings(epochs=20, hidden_channels=16)
    methods = ("absolute", "ridge", "kl", "class-centroid", "permuted-anchors")
    settings = StitchSettings(("gcn",), (0, 1), num_anchors=64, methods=methods, train=train)
    experiment = run_experiment(graph(nodes=400), settings)
    found = build_report(experiment)["methods"]
    means = {name: found[name]["cross_seed"]["mean"] for name in methods}
    own = found["ridge"]["own"]["mean"]
    assert own > 0.65 and means["ridge"] > 0.95 * own and means["permuted-anchors"] < means["ridge"]


def test_digits_have_four_properties_that_follow_from_the_digit() -> None:
    data, digits = rg.load_dataset("digits-properties"), rg.load_dataset("digits")
    assert data.y.shape == (digits.y.numel(), 4) and torch.equal(data.edge_index, digits.edge_index)
    for digit in range(10):
        assert data.y[digits.y == digit].unique(dim=0).size(0) == 1
