"""Small experiments for all tests of stitching, each made once."""

from __future__ import annotations

import pytest

from relgraph.stitching import Experiment
from tests.stitching.small import KINDS, run


@pytest.fixture(scope="session")
def experiments() -> dict[str, Experiment]:
    """One experiment of every kind, with all methods that apply (the five seeds with three)."""
    return {kind: run(kind) for kind in KINDS}


@pytest.fixture(params=KINDS)
def experiment(request: pytest.FixtureRequest, experiments: dict[str, Experiment]) -> Experiment:
    """Each experiment in turn."""
    return experiments[request.param]


@pytest.fixture(scope="session")
def nodes(experiments: dict[str, Experiment]) -> Experiment:
    """Two encoders of different widths on nodes."""
    return experiments["nodes"]


@pytest.fixture(scope="session")
def inner(experiments: dict[str, Experiment]) -> Experiment:
    """The same behind layer 1."""
    return experiments["inner"]
