from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from relgraph.errors import DataError, InputError
from relgraph.io import (
    atomic_path,
    cache_folder,
    check_distinct,
    check_not_read,
    digest,
    load_record,
    output_folder,
    save_record,
    write_atomic,
)


def test_a_file_that_is_read_is_not_written_by_whatever_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path, other = tmp_path / "a.npy", tmp_path / "b.npy"
    path.write_text("a")
    other.write_text("b")
    (tmp_path / "link.npy").symlink_to(path)
    (tmp_path / "hard.npy").hardlink_to(path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "open").symlink_to("nowhere")
    for name in ("a.npy", "./folder/../a.npy", "link.npy", "hard.npy", str(path)):
        for read in ("a.npy", str(path), "link.npy"):
            with pytest.raises(InputError, match="'--json' must not replace a file that is read .got '"):
                check_not_read(["b.npy", name], ["c.npy", read], "--json")
    check_not_read(["b.npy", "c.npy"], ["a.npy", "open"])
    for name in ("c.npy", "./folder/../c.npy"):
        with pytest.raises(InputError, match="'out' must not be read with a table as its ids .got '.*c.npy'"):
            check_not_read([name], ["a.npy", "c.npy"])
    with pytest.raises(
        InputError, match="'out' must not .* .got 'link.npy', which is the file 'a.npy'.; choose another"
    ):
        check_not_read(["link.npy"], ["a.npy"])


def test_two_outputs_are_not_written_to_one_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text("a")
    (tmp_path / "link.json").symlink_to("a.csv")
    check_distinct({"--out": ["a.csv", "a.ids.npy"], "--json": ["a.json"], "--report": []})
    for one, other in (("a.csv", "link.json"), ("new", str(tmp_path / "new")), ("a.ids.npy", "./a.ids.npy")):
        with pytest.raises(InputError, match="'--json' must not replace what --out writes .got '.*'.; choose another"):
            check_distinct({"--out": ["b.csv", one], "--json": [other]})


def test_a_write_replaces_the_whole_file_and_leaves_no_other(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old")
    write_atomic(path, "new")
    assert path.read_text() == "new" and os.listdir(tmp_path) == ["a.json"]


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old")
    with pytest.raises(KeyError), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise KeyError
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["a.json"]


def test_a_symbolic_link_is_followed(tmp_path):
    target, link = tmp_path / "target.txt", tmp_path / "link.txt"
    target.write_text("old")
    link.symlink_to(target)
    write_atomic(link, "new")
    assert link.is_symlink() and target.read_text() == "new"


def test_a_device_and_a_named_pipe_are_written_to_and_not_replaced(tmp_path):
    # A terminal of its own, not /dev/null: if this fails, the device must still be there for the rest of the machine.
    master, slave = os.openpty()
    terminal = os.ttyname(slave)
    write_atomic(terminal, "shown")
    assert os.read(master, 5) == b"shown" and stat.S_ISCHR(os.stat(terminal).st_mode)
    for end in (master, slave):
        os.close(end)
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_text()))
    reader.start()
    write_atomic(pipe, "through")
    reader.join(timeout=60)
    assert got == ["through"] and stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.skipif(not os.path.isdir("/dev/fd"), reason="needs /dev/fd")
def test_a_pipe_named_by_its_descriptor_is_written_to():
    reading, writing = os.pipe()
    try:
        write_atomic(f"/dev/fd/{writing}", "through")
        assert os.read(reading, 100) == b"through"
    finally:
        os.close(reading)
        os.close(writing)


@pytest.mark.parametrize("name", ["missing/a.txt", "x" * 300])
def test_an_unwritable_path_is_one_sentence_with_the_path(tmp_path, name):
    with pytest.raises(DataError, match="must be writable") as caught:
        write_atomic(tmp_path / name, "text")
    assert name in str(caught.value) and os.listdir(tmp_path) == []


def test_an_output_folder_appears_whole_or_not_at_all(tmp_path):
    folder = tmp_path / "a" / "b"
    with pytest.raises(RuntimeError), output_folder(folder) as work:
        (work / "one.txt").write_text("1")
        raise RuntimeError
    assert os.listdir(tmp_path) == []
    with output_folder(folder) as work:
        (work / "models").mkdir()
        (work / "models" / "one.txt").write_text("1")
        (work / "two.txt").write_text("2")
    assert sorted(os.listdir(folder)) == ["models", "two.txt"]
    assert (folder / "models" / "one.txt").read_text() == "1"


def test_an_output_folder_keeps_other_files(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(RuntimeError), output_folder(tmp_path):
        raise RuntimeError
    with output_folder(tmp_path) as work:
        (work / "one.txt").write_text("1")
    assert sorted(os.listdir(tmp_path)) == ["mine.txt", "one.txt"]


@pytest.mark.parametrize("taken", ["two", "two/one.txt"])
def test_results_that_cannot_move_up_stay_where_the_error_says(tmp_path, taken):
    if taken == "two":
        (tmp_path / "two").write_text("mine")
    else:
        (tmp_path / taken).mkdir(parents=True)
    with (
        pytest.raises(DataError, match="must not be in the way .* the results are in '") as caught,
        output_folder(tmp_path, ("two",)) as work,
    ):
        (work / "two").mkdir()
        (work / "two" / "one.txt").write_text("1")
        (work / "one.txt").write_text("1")
    kept = Path(str(caught.value).split("the results are in '")[1].rstrip("'"))
    assert (kept / "two" / "one.txt").read_text() == "1"
    assert not (tmp_path / "one.txt").exists() and (tmp_path / taken).exists()


def test_folders_of_an_earlier_job_are_replaced_as_wholes(tmp_path):
    for number in (0, 1):
        with output_folder(tmp_path, ("models",)) as work:
            for folder in ("models", "others"):
                (work / folder).mkdir()
                (work / folder / f"{number}.txt").write_text("")
        if not number:
            with pytest.raises(RuntimeError), output_folder(tmp_path, ("models",)):
                raise RuntimeError
            assert os.listdir(tmp_path / "models") == ["0.txt"]  # a job that failed replaces nothing
    assert os.listdir(tmp_path / "models") == ["1.txt"]
    assert sorted(os.listdir(tmp_path / "others")) == ["0.txt", "1.txt"]


def test_work_folders_of_killed_processes_are_removed_after_a_day(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    old, young = tmp_path / f".relgraph-{ended.pid}-000000000000", tmp_path / f".relgraph-{ended.pid}-111111111111"
    running = tmp_path / f".relgraph-{os.getpid()}-222222222222"  # a job may run for days
    for folder in (old, young, running):
        folder.mkdir()
        (folder / "part").write_text("x")
    earlier = time.time() - 2 * 24 * 3600
    for folder in (old, running):
        os.utime(folder, (earlier, earlier))
    with output_folder(tmp_path):
        assert not old.exists() and young.exists() and running.exists()


def test_a_folder_that_is_a_file_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="folder for output must be writable"), output_folder(tmp_path / "file"):
        pass


def test_the_cache_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("RELGRAPH_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("RELGRAPH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "relgraph"


def test_a_digest_depends_on_type_shape_value_and_order():
    parts = [
        (torch.zeros(2, 3),), (torch.zeros(3, 2),), (torch.zeros(6),), (torch.zeros(2, 3).double(),),
        (torch.ones(2, 3),), (torch.zeros(2, 3), "a"), ("a", torch.zeros(2, 3)), (torch.zeros(2, 3).bfloat16(),),
        (torch.zeros(2, 3).numpy(),), (b"zeros",),
    ]  # fmt: skip
    found = [digest(*some) for some in parts]
    assert len(set(found)) == len(found)
    assert digest(torch.arange(6).view(2, 3).T) == digest(torch.arange(6).view(2, 3).T.contiguous())
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})


def test_a_record_comes_back_as_it_was_saved(tmp_path):
    tensors = {"a": torch.randn(3, 2), "b": torch.arange(4), "empty": torch.zeros(0, 2)}
    save_record(tmp_path / "r.safetensors", "kind/1", tensors, {"note": "é"})
    loaded, header = load_record(tmp_path / "r.safetensors", "kind/1", ["a", "b"])
    assert all(torch.equal(loaded[name], tensors[name]) for name in tensors) and header["note"] == "é"


def test_a_damaged_foreign_or_missing_record_is_refused(tmp_path):
    path = tmp_path / "r.safetensors"
    with pytest.raises(DataError, match="does not exist"):
        load_record(path, "kind/1")
    save_record(path, "kind/1", {"a": torch.arange(9)}, {})
    with pytest.raises(DataError, match="must be of the kind kind/2"):
        load_record(path, "kind/2")
    with pytest.raises(DataError, match="damaged"):
        load_record(path, "kind/1", ["b"])
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match="damaged"):
        load_record(path, "kind/1")
    path.write_bytes(bytes(content[: len(content) // 2]))
    with pytest.raises(DataError, match="damaged or no safetensors file"):
        load_record(path, "kind/1")
