from __future__ import annotations

from pathlib import Path

import pytest

from relgraph.datasets.search import cache_folder, data_place, digest, missing_files, raw_folders
from relgraph.errors import DataError


def _raw(folder: Path, *files: str) -> Path:
    raw = folder / "raw"
    raw.mkdir(parents=True)
    for file in files:
        (raw / file).write_text(file)
    return raw


def test_root_comes_before_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RELGRAPH_DATA", raising=False)
    assert data_place(None) is None
    monkeypatch.setenv("RELGRAPH_DATA", "~/data")
    place = data_place(None)
    assert place is not None and place.folder == Path.home() / "data" and "RELGRAPH_DATA" in place.words
    place = data_place(tmp_path)
    assert place is not None and place.folder == tmp_path


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("RELGRAPH_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"
    monkeypatch.setenv("RELGRAPH_CACHE", "")
    assert cache_folder() == tmp_path / "xdg" / "relgraph"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == tmp_path / "home" / ".cache" / "relgraph"
    assert not cache_folder().exists()


def test_candidates_in_order_and_any_capitals(tmp_path: Path) -> None:
    itself = _raw(tmp_path)
    family = _raw(tmp_path / "planetoid" / "CORA")
    direct = _raw(tmp_path / "cora")
    _raw(tmp_path / "CiteSeer")
    assert raw_folders(tmp_path, "Planetoid", ["Cora"]) == [direct, family, itself]
    assert raw_folders(tmp_path / "absent", "Planetoid", ["Cora"]) == []


def test_digest_follows_contents_and_names(tmp_path: Path) -> None:
    one, two = _raw(tmp_path / "one", "a", "b"), _raw(tmp_path / "two", "a", "b")
    before = digest(one, ["a", "b"])
    assert before == digest(two, ["a", "b"]) and len(before) == 16
    (two / "b").write_text("changed")
    assert digest(two, ["a", "b"]) != before
    (two / "b").write_text("a")
    (two / "a").write_text("b")
    assert digest(two, ["a", "b"]) != before
    assert missing_files(one, ["a", "c"]) == ["c"]
    with pytest.raises(DataError, match=r"'.*c' cannot be read"):
        digest(one, ["c"])
