from __future__ import annotations

from pathlib import Path

import pytest

from relgraph.errors import DataError
from relgraph.stitching.output import output_folder, written_whole


def test_written_whole_leaves_the_old_file_when_writing_fails(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), written_whole(path) as temporary:
        temporary.write_text("ne")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    with written_whole(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_written_files_have_the_permissions_of_ordinary_ones(tmp_path: Path) -> None:
    with written_whole(tmp_path / "a") as temporary:
        temporary.write_text("")
    (tmp_path / "b").write_text("")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_written_whole_says_what_cannot_be_written(tmp_path: Path) -> None:
    with (
        pytest.raises(DataError, match=r"must be one that can be written \(got '.*gone/a'"),
        written_whole(tmp_path / "gone" / "a") as temporary,
    ):
        temporary.write_text("")


def test_output_folder_moves_files_up_together(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "one"
    with output_folder(folder) as work:
        (work / "a").write_text("a")
        assert work.parent == folder and not (folder / "a").exists()
    assert [path.name for path in folder.iterdir()] == ["a"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_output_folder_leaves_nothing_after_a_failure(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), output_folder(tmp_path / "runs" / "one") as work:
        (work / "a").write_text("a")
        raise error
    assert list(tmp_path.iterdir()) == []


def test_output_folder_keeps_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").write_text("old")
    for name in ("empty", "full"):
        with pytest.raises(ValueError), output_folder(tmp_path / name) as work:
            (work / "a").write_text("new")
            raise ValueError
    assert list((tmp_path / "empty").iterdir()) == []
    assert (tmp_path / "full" / "a").read_text() == "old"


def test_output_folder_refuses_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "sub"):
        with pytest.raises(DataError, match="the folder for output"), output_folder(folder):
            raise AssertionError("not reached")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
