from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from relgraph.errors import DataError
from relgraph.stitching.output import check_writable, output_folder, written_whole


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


def test_a_link_is_followed_and_a_device_or_a_pipe_is_written_to(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    with written_whole(tmp_path / "link") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").read_text() == "new"

    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with written_whole(pipe) as temporary:
        temporary.write_text("through the pipe")
    assert os.read(reader, 100) == b"through the pipe" and pipe.is_fifo()
    os.close(reader)

    (tmp_path / "null").symlink_to(os.devnull)  # the device itself must not be at risk in a test
    with written_whole(tmp_path / "null") as temporary:
        temporary.write_text("gone")
    assert Path(os.devnull).is_char_device()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "null", "pipe", "real"]


def test_a_name_may_be_as_long_as_names_can_be(tmp_path: Path) -> None:
    with written_whole(tmp_path / ("a" * 255)) as temporary:
        temporary.write_text("")
    check_writable(tmp_path / ("a" * 255))
    with pytest.raises(DataError, match="File name too long"):
        check_writable(tmp_path / ("a" * 256))


@pytest.mark.parametrize("path", ["", "gone/a", "file/a"])
def test_what_cannot_be_written_is_known_before(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="the file for output must be one that can be written"):
        check_writable(tmp_path / path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_what_killed_processes_left_goes_after_a_day(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    old, new = time.time() - 2 * 24 * 3600, time.time()
    left = {
        f".making-{gone.pid}-a": old,  # killed
        f".making-{gone.pid}-b": new,  # killed lately
        f".making-{os.getpid()}-c": new,  # at work
        f".making-{os.getpid()}-d": old,  # of an earlier process of the same number
        ".making-abcdefgh": old,  # of a version that did not name its process
    }
    for name, moment in left.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_text("")
        os.utime(tmp_path / name, (moment, moment))
    (tmp_path / f".making-{gone.pid}-file").write_text("")
    os.utime(tmp_path / f".making-{gone.pid}-file", (old, old))
    with output_folder(tmp_path):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [f".making-{gone.pid}-b", f".making-{os.getpid()}-c"]
    )
