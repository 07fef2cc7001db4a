from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.small import TINY, Finished


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A process of its own with --json -, all methods and two encoders."""
    folder = tmp_path_factory.mktemp("stitch")
    command = [sys.executable, "-m", "relgraph", *TINY, "--encoders", "gcn,sage", "--json", "-"]
    return folder, subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
