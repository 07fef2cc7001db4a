"""One tiny experiment for all tests of pictures and schema."""

from __future__ import annotations

from typing import Any

import pytest

from relgraph.datasets import load_dataset
from relgraph.stitching import Experiment, StitchSettings, build_document, run_experiment
from relgraph.training import TrainSettings


@pytest.fixture(scope="session")
def tiny_experiment() -> Experiment:
    """Two encoders of different widths, two seeds, all arms."""
    settings = StitchSettings(("gcn", "sage"), seeds=(0, 1), num_anchors=16, train=TrainSettings(epochs=2))
    return run_experiment(load_dataset("digits"), settings)


@pytest.fixture(scope="session")
def tiny_document(tiny_experiment: Experiment) -> dict[str, Any]:
    return build_document(tiny_experiment, command="relgraph stitch")
