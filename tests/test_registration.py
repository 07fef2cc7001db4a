"""Names registered from outside the package work through the public functions and in a stitching experiment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch_geometric.data import Data

import relgraph as rg
from relgraph import registry
from relgraph.errors import InputError
from relgraph.metrics import ACCURACY
from relgraph.nn import Encoder, GCNEncoder
from relgraph.registry import Registry
from relgraph.similarity import relative
from relgraph.stitching import Method, StitchSettings, View, build_report, run_experiment
from relgraph.training import TrainSettings
from tests.stitching.small import blocks

SMALL = TrainSettings(epochs=2, hidden_channels=8)


@contextmanager
def registered(names: Registry, name: str, target: Any, **traits: Any) -> Iterator[None]:
    names.register(name, target, "for this test", **traits)
    try:
        yield
    finally:
        names.remove(name)


class Narrow(GCNEncoder):
    """A GCN of three channels, whatever is asked for."""

    def __init__(self, in_channels: int, **options: Any) -> None:
        super().__init__(in_channels, **{**options, "hidden_channels": 3})


def first_nodes(points: Tensor, num_anchors: int, generator: torch.Generator | None = None) -> Tensor:
    """The nodes of the smallest first coordinate."""
    return points[:, 0].argsort()[:num_anchors]


class Constant(Method):
    """Predicts class 1 for every row."""

    kind = "baseline"

    def predict(self, source: View, target: View, rows: Tensor, generator: torch.Generator) -> Tensor:
        """The second unit vector."""
        return torch.eye(source.run.problem.num_outputs)[1].expand(rows.numel(), -1)


def load_mine(name: str, root: Any, features: Any) -> Data:
    """The three blocks under another name."""
    data = blocks()
    data.dataset_name, data.source = name, "made here"
    return data


def stitched(data: Any, **given: Any) -> dict[str, Any]:
    asked = {"encoders": ("gcn",), "seeds": (0, 1), "methods": ("absolute", "ridge"), "num_anchors": 16, "train": SMALL}
    return build_report(run_experiment(data, StitchSettings(**{**asked, **given})))


def test_an_encoder() -> None:
    with registered(registry.ENCODERS, "narrow", Narrow):
        data = rg.AddAnchors(16)(blocks())
        model = rg.fit(data, "narrow", epochs=2)
        assert isinstance(model.encoder, Encoder) and model.embed(data).shape == (180, 3)
        assert rg.stitch(model, rg.fit(data, "gcn", epochs=2), data, at=1)(data).shape == (180, 3)
        report = stitched(blocks(), encoders=("gcn", "narrow"))
        assert list(report["methods"]["ridge"]["per_encoder"]) == ["gcn", "narrow"]
        assert stitched(blocks(), encoders=("narrow",), at=1)["stitch_at"] == 1
    with pytest.raises(InputError, match="'encoders' must be one of"):
        StitchSettings(encoders=("narrow",))


def test_a_similarity() -> None:
    cosine = registry.SIMILARITIES.resolve("cosine")
    with registered(registry.SIMILARITIES, "mine", replace(cosine, name="mine")):
        z, anchors = torch.randn(9, 4, generator=torch.Generator().manual_seed(0)), torch.eye(4)
        assert torch.equal(relative(z, anchors, "mine"), relative(z, anchors, "cosine"))
        data = rg.AddAnchors(16)(blocks())
        torch.manual_seed(0)
        encoder, layer = GCNEncoder(12, 8), rg.RelativeLayer("mine")
        model = rg.nn.RelativeModel(encoder, layer, torch.nn.Linear(16, 3)).eval()
        assert model(data).shape == (180, 3)
        folded = rg.fold(model.head, layer.freeze(torch.eye(16, 8)))
        torch.testing.assert_close(folded(encoder(data.x, data.edge_index)), model(data), rtol=1e-4, atol=1e-5)


def test_a_strategy() -> None:
    with registered(registry.STRATEGIES, "first-nodes", first_nodes, points=True):
        data = blocks()
        expected = data.x[:, 0].argsort()[:16]
        assert torch.equal(rg.select_anchors(data, 16, "first-nodes", features="input"), expected)
        assert rg.anchor_index(rg.AddAnchors(16, "first-nodes", features="input")(data)).tolist() == expected.tolist()
        report = stitched(data, strategy="first-nodes", anchor_features="input")
        assert report["anchors"] == {
            "strategy": "first-nodes",
            "count": 16,
            "seed": 0,
            "ids": expected.tolist(),
            "features": "input",
            "labels_used": "none",
        }


def test_a_method() -> None:
    with registered(registry.METHODS, "constant", Constant()):
        found = stitched(blocks(), methods=("constant",))["methods"]["constant"]
        assert found["kind"] == "baseline" and found["own"]["std"] == 0
        assert found["own"]["mean"] == pytest.approx(1 / 3, abs=0.05) and np.ptp(found["matrix"]) == 0
        assert "constant" in stitched(blocks(), methods=None)["methods"]


def test_a_map() -> None:
    from relgraph.maps import Estimator
    from relgraph.maps.ridge import ridge
    from relgraph.stitching.methods import Mapped

    estimator = Estimator("firm", lambda matched, shrinkage: ridge(matched, 0.5), shrinks=False)
    with (
        registered(registry.MAPS, "firm", estimator),
        registered(registry.METHODS, "firm", Mapped("firm")),
        registered(registry.METHODS, "ridge-0.5", Mapped("ridge", 0.5)),
    ):
        methods = stitched(blocks(), methods=("firm", "ridge-0.5"))["methods"]
        assert methods["firm"]["matrix"] == methods["ridge-0.5"]["matrix"]
        data = rg.AddAnchors(16)(blocks())
        a, b = (rg.fit(data, "gcn", seed=seed, epochs=2) for seed in (0, 1))
        by_number = rg.stitch(a, b, data, method="ridge", shrinkage=0.5)(data)
        torch.testing.assert_close(rg.stitch(a, b, data, method="firm")(data), by_number)


def test_a_dataset() -> None:
    with registered(registry.DATASETS, "mine", load_mine, task="node"):
        report = stitched(rg.load_dataset("mine"))
        assert (report["dataset"]["name"], report["dataset"]["source"]) == ("mine", "made here")
    with pytest.raises(InputError, match="must be one of"):
        rg.load_dataset("mine")


def test_a_metric() -> None:
    from relgraph.task import Task

    with registered(registry.METRICS, "hits", replace(ACCURACY, name="hits", title="hits")):
        task = Task.of("node", "multiclass", "hits")
        assert task.value(np.array([0, 1]), np.array([0, 0])) == 0.5 and task.metric.title == "hits"
