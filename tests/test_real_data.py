"""The main job on real graphs: what the benchmarks measure at length, checked at small size. Needs the raw files."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch

import relgraph as rg
from relgraph.stitching import StitchSettings, build_document, run_experiment
from relgraph.training import TrainSettings, fit_many

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("name", "own", "decisive"), [("cora", 0.805, 0.35), ("citeseer", 0.70, 0.35)])
def test_gcns_of_different_seeds_read_each_other(real_data_root, name: str, own: float, decisive: float):
    arms = ("absolute", "converted", "procrustes", "class-centroid", "permuted-anchors")
    settings = StitchSettings(seeds=(0, 1, 2, 3, 4), num_anchors=128, arms=arms)
    document = build_document(run_experiment(rg.load_dataset(name, real_data_root), settings), command="")
    figures = document["arms"]
    assert document["protocol"]["name"] == "public"
    assert all(run["arms"]["converted"]["path"] == "stacked" for run in document["runs"])
    assert figures["absolute"]["own"]["mean"] >= own
    assert figures["absolute"]["cross_seed"]["mean"] <= document["metric"]["floor"] + 0.05
    assert abs(figures["converted"]["own"]["mean"] - figures["absolute"]["own"]["mean"]) <= 0.003
    assert figures["converted"]["retention_cross_seed"]["mean"] >= 0.99
    assert figures["converted"]["retention_cross_seed"]["min"] >= 0.96
    assert (
        figures["converted"]["fidelity_cross_seed"]["mean"] > figures["class-centroid"]["fidelity_cross_seed"]["mean"]
    )
    assert figures["converted"]["decisive_fidelity_cross_seed"]["mean"] >= decisive
    assert abs(figures["permuted-anchors"]["kappa"]["mean"]) <= 0.05


def test_the_original_papers_protocol_reproduces_its_level(real_data_root):
    """Moschella et al. (2023) report .90 on Cora for the absolute arm with 90 % of the nodes for training."""
    settings = StitchSettings(seeds=(0, 1), num_anchors=128, split="paper", arms=("absolute", "converted"))
    experiment = run_experiment(rg.load_dataset("cora", real_data_root), settings)
    document = build_document(experiment, command="")
    assert document["protocol"]["test"] == document["protocol"]["validation"] == 270
    assert document["arms"]["absolute"]["own"]["mean"] >= 0.87


@pytest.mark.parametrize("encoder", ["gcn", "sage", "gat"])
def test_isolated_nodes_and_empty_rows_of_citeseer_stay_finite(real_data_root, encoder: str):
    data = rg.AddAnchors(64, "kmeans")(rg.load_dataset("citeseer", real_data_root))
    assert data.has_isolated_nodes() and bool((data.x.sum(1) == 0).any())
    for head in ("linear", "relative-cosine"):
        for run in fit_many(data, encoder, [0], head=head, settings=TrainSettings(epochs=3)):
            assert torch.isfinite(run.model.predict(data)).all()


def test_side_by_side_is_faster_than_the_plain_loop(real_data_root):
    """A coarse guard; benchmarks/training measures it properly."""
    data = rg.load_dataset("cora", real_data_root)
    settings = TrainSettings(epochs=20)
    fit_many(data, "gcn", [0], settings=TrainSettings(epochs=2))
    fast = sum(run.seconds for run in fit_many(data, "gcn", range(5), settings=settings))
    slow = sum(run.seconds for run in fit_many(data, "gcn", range(2), settings=settings, path="loop"))
    assert slow / 2 > 3 * fast / 5


def test_the_command_on_cora(real_data_root, tmp_path):
    words = [
        "stitch",
        "--dataset",
        "cora",
        "--data-root",
        str(real_data_root),
        "--encoders",
        "gcn,sage",
        "--seeds",
        "2",
    ]
    options = ["--anchors", "128", "--anchor-strategy", "kmeans", "--epochs", "50", "--out", str(tmp_path / "out")]
    command = [sys.executable, "-m", "relgraph", *words, *options, "--json", "-"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["anchors"]["labels_used"] == "no"
    assert document["arms"]["converted"]["retention_cross_encoder"]["mean"] > 0.95
    assert document["arms"]["absolute"]["matrix"][0][2] is None  # a GraphSAGE head is twice as wide
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["matrix.png", "spaces.png", "stitching.json"]
