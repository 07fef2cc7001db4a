from __future__ import annotations

import urllib.request
from pathlib import Path
from urllib.error import URLError

import pytest


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own for every test, no folder from outside, and no network."""

    def offline(*_: object, **__: object) -> None:
        raise URLError("no network here")

    monkeypatch.setattr(urllib.request, "urlopen", offline)
    monkeypatch.delenv("RELGRAPH_DATA", raising=False)
    monkeypatch.setenv("RELGRAPH_CACHE", str(tmp_path / "kept"))
    return tmp_path / "kept"
