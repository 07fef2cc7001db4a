from __future__ import annotations

from pathlib import Path

import pytest

from relgraph.datasets import cache
from relgraph.errors import DataError


def test_what_is_not_published_is_gone(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), cache.workspace(tmp_path / "cache") as work:
        (work / "new").mkdir()
        raise KeyboardInterrupt
    assert list((tmp_path / "cache").iterdir()) == []


def test_the_first_of_two_stays_unless_it_is_damaged(tmp_path: Path) -> None:
    entry = tmp_path / "family" / "entry"
    for content, replace, expected in [("one", False, "one"), ("two", False, "one"), ("three", True, "three")]:
        with cache.workspace(tmp_path) as work:
            (work / "new").mkdir()
            (work / "new" / "file").write_text(content)
            cache.publish(work, entry, replace=replace)
        assert (entry / "file").read_text() == expected
    assert [child.name for child in tmp_path.iterdir()] == ["family"]
    assert cache.newest_first(tmp_path / "family", "e*") == [entry]
    assert cache.newest_first(tmp_path / "absent", "*") == []


def test_a_file_in_the_way_is_named_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused = pytest.raises(DataError, match=r"cache '.*file.*' cannot be written .*set RELGRAPH_CACHE")
    with refused, cache.workspace(tmp_path / "file" / "cache"):
        pass
    with pytest.raises(DataError, match="set RELGRAPH_CACHE"):
        cache.copy_files(tmp_path, tmp_path / "file" / "raw", ["file"])
    with cache.workspace(tmp_path / "cache") as work, pytest.raises(DataError, match="set RELGRAPH_CACHE"):
        (work / "new").mkdir()
        cache.publish(work, tmp_path / "file" / "entry")
