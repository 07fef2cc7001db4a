from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import relgraph as rg
from relgraph.errors import DataError, InputError
from relgraph.tables import arrays, arrow, plan_translation, writing
from tests.tables.small import save, two_tables

X, Y = two_tables(rows=3000)
SLOW = """
import os, signal, sys
from relgraph.tables import arrays, arrow, plan_translation, writing
arrays.BLOCK = arrow.BLOCK = 100
writing.SAVED_EVERY = 300
done = 0
def tell(stage, rows, total):
    global done
    done += rows
    if stage == sys.argv[4] and done >= int(sys.argv[5]):
        os.kill(os.getpid(), signal.SIGKILL)
plan_translation(*sys.argv[1:4]).write(tell)
"""


def outputs(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("out*")}


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (arrays, arrow):
        monkeypatch.setattr(module, "BLOCK", 100)
    monkeypatch.setattr(writing, "SAVED_EVERY", 300)


@pytest.mark.parametrize(
    ("suffix", "stage", "rows"),
    [
        (".parquet", "translate", 1250),
        pytest.param(".parquet", "encode", 3000, marks=pytest.mark.slow),
        (".feather", "encode", 3000),
        (".npy", "translate", 50),
    ],
)
@pytest.mark.usefixtures("small_blocks")
def test_killed_and_resumed_is_the_same_to_the_byte(suffix: str, stage: str, rows: int, tmp_path: Path) -> None:
    source, target = (save(tmp_path / f"{name}{suffix}", range(3000), z) for name, z in (("new", X), ("old", Y)))
    out = tmp_path / f"out{suffix}"
    rg.translate_table(source, target, out)
    wanted = outputs(tmp_path)
    for path in tmp_path.glob("out*"):
        path.unlink()
    command = [sys.executable, "-c", SLOW, *map(str, (source, target, out)), stage, str(rows)]
    killed = subprocess.run(command, env=dict(os.environ), capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    folder = writing.partial_folder(out)
    assert folder.is_dir() and not out.exists()
    assert len([*tmp_path.glob(".relgraph-*")]) == (stage == "encode")
    seen: list[Any] = []
    plan = plan_translation(source, target, out)
    plan.write(lambda *told: seen.append(told))
    assert outputs(tmp_path) == wanted and not [*tmp_path.glob(".*")]
    resumed = sum(told[1] for told in seen if told[0] == "translate")
    assert resumed == 3000 and seen[0][1] == {1250: 1200, 3000: 3000, 50: 0}[rows]


@pytest.mark.parametrize("unmoved", ["trust.npy", "vectors.npy"])
def test_a_process_killed_while_it_moves_its_files_can_be_called_again(
    unmoved: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = (save(tmp_path / f"{name}.npy", range(3000), z) for name, z in (("new", X), ("old", Y)))
    out = tmp_path / "out.npy"
    rg.translate_table(source, target, out)
    wanted = outputs(tmp_path)
    for path in tmp_path.glob("out*"):
        path.unlink()
    move = Path.replace

    def killed(path: Path, place: Path) -> Path:
        if path.name == unmoved:
            raise KeyboardInterrupt
        return move(path, place)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "replace", killed)
        rg.translate_table(source, target, out)
    folder = writing.partial_folder(out)
    assert (folder / "progress.json").is_file() and not out.exists()
    rg.translate_table(source, target, out)
    assert outputs(tmp_path) == wanted and not folder.exists()


@pytest.mark.usefixtures("small_blocks")
def test_numbers_of_another_plan_are_not_gone_on_with(tmp_path: Path) -> None:
    source, target = (save(tmp_path / f"{name}.npy", None, z) for name, z in (("new", X), ("old", Y)))
    out = tmp_path / "out.npy"
    folder = writing.partial_folder(out)
    folder.mkdir()
    for name, width in (("vectors", 4), ("trust", 3)):
        np.save(folder / f"{name}.npy", np.full((3000, width), 9, np.float32))
    for record in ('{"plan": "another", "rows": 3000, "started": 0}', "damaged", '{"rows": 3000}', "[]"):
        (folder / "progress.json").write_text(record)
        rg.translate_table(source, target, out)
        assert not (np.load(out) == 9).any() and not folder.exists()
        folder.mkdir()


@pytest.mark.usefixtures("small_blocks")
def test_a_changed_table_is_translated_anew(tmp_path: Path) -> None:
    source = save(tmp_path / "new.npy", range(3000), X)
    target = save(tmp_path / "old.npy", range(6, 3000), Y[6:])
    out = tmp_path / "out.npy"

    def stop(stage: str, rows: int, total: int) -> None:
        if stage == "translate" and rows and len(told) > 12:
            raise KeyboardInterrupt
        told.append(rows)

    told: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        rg.translate_table(source, target, out, progress=stop)
    other = X.copy()
    other[5] += 1  # a row that the target lacks, so that the map is the same
    save(source, range(3000), other)
    rg.translate_table(source, target, out)
    again = tmp_path / "again.npy"
    rg.translate_table(source, target, again)
    assert np.array_equal(np.load(out), np.load(again)) and told
    assert np.abs(np.load(out)[5] - plan_translation(source, target).translate(X)[0][5]).max() > 0.1


def test_an_old_output_is_replaced_only_by_a_whole_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = (save(tmp_path / f"{name}.parquet", range(3000), z) for name, z in (("new", X), ("old", Y)))
    out = tmp_path / "out.parquet"
    out.write_text("old")

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(writing, "_encode", fail)
    with pytest.raises(KeyboardInterrupt):
        rg.translate_table(source, target, out)
    assert out.read_text() == "old"


def test_a_killed_encoding_of_another_plan_is_removed_too(tmp_path: Path) -> None:
    source, target = (save(tmp_path / f"{name}.parquet", range(3000), z) for name, z in (("new", X), ("old", Y)))
    out = tmp_path / "out.parquet"
    command = [sys.executable, "-c", SLOW, *map(str, (source, target, out)), "encode", "3000"]
    subprocess.run(command, env=dict(os.environ), capture_output=True, check=False)
    assert len([*tmp_path.glob(".relgraph-*")]) == 1
    save(source, range(3000), X + 1)
    rg.translate_table(source, target, out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.parquet", "old.parquet", "out.parquet"]


def test_a_source_that_is_damaged_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    source = save(tmp_path / "new.parquet", range(3000), X)
    target = save(tmp_path / "old.parquet", range(3000), Y)
    rows = pq.ParquetFile(source).metadata.row_group(15).column(1)
    raw = bytearray(source.read_bytes())
    place = min(rows.data_page_offset, rows.dictionary_page_offset or rows.data_page_offset)
    raw[place : place + 40] = b"\xff" * 40
    source.write_bytes(raw)
    few = np.arange(100)
    np.save(tmp_path / "some.npy", few)
    plan_translation(source, target, anchors=tmp_path / "some.npy")  # which reads some row groups only
    with pytest.raises(DataError) as error:
        rg.translate_table(source, target, tmp_path / "out.parquet", anchors=tmp_path / "some.npy")
    assert "new.parquet' is damaged" in str(error.value) and "\n" not in str(error.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.parquet", "old.parquet", "some.npy"]


def test_a_full_disk_keeps_what_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = (save(tmp_path / f"{name}.parquet", range(3000), z) for name, z in (("new", X), ("old", Y)))
    out = tmp_path / "out.parquet"

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(DataError, match="No space left"):
        patch.setattr(writing, "_encode", full)
        rg.translate_table(source, target, out)
    assert (writing.partial_folder(out) / "progress.json").is_file() and not [*tmp_path.glob(".relgraph-*")]
    told: list[Any] = []
    rg.translate_table(source, target, out, progress=lambda *given: told.append(given))
    assert told[0] == ("translate", 3000, 3000) and not [*tmp_path.glob(".*")]


def test_a_folder_in_the_place_of_any_output_is_refused_before_work_starts(tmp_path: Path) -> None:
    source, target = (save(tmp_path / f"{name}.npy", range(3000), z) for name, z in (("new", X), ("old", Y)))
    for name in ("out.ids.npy", "out.trust.npy", "out.npy"):
        (tmp_path / name).mkdir()
        before = sorted(tmp_path.iterdir())
        with pytest.raises(InputError, match=f"must be a file in a folder that exists .got '.*{name}', a folder"):
            rg.translate_table(source, target, tmp_path / "out.npy")
        assert sorted(tmp_path.iterdir()) == before
        (tmp_path / name).rmdir()
