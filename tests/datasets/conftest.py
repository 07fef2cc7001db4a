from __future__ import annotations

import builtins
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError

import pytest

from relgraph.datasets.ogb import COUNTS
from relgraph.registry import DATASETS
from tests.datasets import ogb_raw


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own for every test, no folder from outside, and no network."""

    def offline(*_: object, **__: object) -> None:
        raise URLError("no network here")

    monkeypatch.setattr(urllib.request, "urlopen", offline)
    monkeypatch.delenv("RELGRAPH_DATA", raising=False)
    monkeypatch.setenv("RELGRAPH_CACHE", str(tmp_path / "kept"))
    return tmp_path / "kept"


@pytest.fixture
def silent(kept: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """No question on the terminal, and no output to the end of each test."""

    def asked(*_: object) -> None:
        raise AssertionError("a question on the terminal")

    monkeypatch.setattr(builtins, "input", asked)
    yield
    assert capfd.readouterr() == ("", "")


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The documented counts replaced by those of handmade files, and a folder for these."""
    for name, counts in ogb_raw.TINY.items():
        monkeypatch.setitem(COUNTS, name, counts)
    monkeypatch.setattr(DATASETS, "_entries", {**DATASETS._entries, "ogbn-proteins": DATASETS["ogbn-mag"]})
    return tmp_path / "root"
