"""Fixtures of tests and doctests: a cache of their own, and the folder of real raw files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

# The tests' matrices are small: a second thread gains nothing, and is slow if other programs run at the same time.
torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RELGRAPH_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("OMP_NUM_THREADS", "1")  # for the processes that tests start
        yield


@pytest.fixture(scope="session")
def real_data_root() -> Path:
    """The folder with real raw files: ``RELGRAPH_DATA``, else ``../shared/data`` beside the repository."""
    named = os.environ.get("RELGRAPH_DATA")
    folder = Path(named).expanduser() if named else Path(__file__).resolve().parents[1] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"needs real raw files: no folder {folder}; name one in RELGRAPH_DATA")
    return folder
