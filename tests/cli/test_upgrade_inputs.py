"""Files of ``relgraph upgrade`` that are other than meant: what is noted, what is refused, and how."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import relgraph as rg
from relgraph.cli import main
from relgraph.graph import integer_ids
from tests.cli.upgrades import CLASSES, OLD, ROWS, WIDTH, make_files
from tests.tables.small import save

HEAD = ["head.safetensors", "space.safetensors"]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(make_files(tmp_path))
    return tmp_path


def notes(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    assert main(["upgrade", *words, "--json", "-"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert main(["upgrade", *words]) == 0
    shown = capsys.readouterr().out
    found: list[str] = document["table"]["notes"] if "table" in document else document["notes"]
    assert all(any(line.startswith("note") and note in line for line in shown.splitlines()) for note in found)
    return found


@pytest.mark.parametrize("suffix", [".txt", ".npy"])
def test_an_empty_list_of_old_rows_means_that_all_are_new(
    suffix: str, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if suffix == ".txt":
        Path("none.txt").write_text("\n")
    else:
        np.save("none.npy", [])
    given = ["upgrade", *HEAD, "--rows", "rows.npy", "--old-rows"]
    assert main([*given, f"none{suffix}", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["num_rows"] == {"new": ROWS}
    Path("other.txt").write_text(f"{ROWS}\n")
    assert main([*given, "other.txt"]) == 2
    assert "'--old-rows' must have ids in common with '--rows' (got none of 1)" in capsys.readouterr().err


def test_rows_without_an_anchor_are_noted(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = np.load("rows.npy")
    save(files / "text.parquet", [f"n{row}" for row in range(ROWS)], rows)
    (note,) = notes(capsys, *HEAD, "--rows", "text.parquet")
    assert note.startswith("0 of 150 anchors are among --rows: unless all rows are other nodes, check that their ids")
    assert notes(capsys, *HEAD, "--rows", "rows.npy") == []
    save(files / "last.npy", [149, *range(1000, 1000 + OLD)], rows[149 : 150 + OLD])
    assert notes(capsys, *HEAD, "--rows", "last.npy") == []


@pytest.mark.parametrize("kind", ["text", "other"])
def test_pieces_without_a_common_id_are_told_apart_from_few_anchors(
    kind: str, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space = rg.AnchorSet.load("space.safetensors")
    ids = integer_ids([f"n{row}" for row in range(150)]) if kind == "text" else space.ids + 1000
    rg.AnchorSet(ids, space.embeddings, space.center).save("space.safetensors")
    assert main(["upgrade", *HEAD]) == 2
    error = capsys.readouterr().err
    rule = "'NEW' must have ids of anchors in common with the head"
    assert f"{rule} (got none, such as {int(ids[0])} and 0); check" in error
    assert "publish more" not in error


@pytest.mark.parametrize(
    ("times", "words"),
    [
        (("2026-05-01", "2026-06-01"), None),
        (("2026-05-01", ""), None),
        (
            ("2026-06-01", "2026-05-01T12:00Z"),
            "the old head is of 2026-06-01, later than the new anchors, 2026-05-01T12:00Z",
        ),
    ],
)
def test_versions_that_seem_exchanged_are_noted(
    times: tuple[str, str], words: str | None, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head, space = rg.PublishedHead.load(HEAD[0]), rg.AnchorSet.load(HEAD[1])
    rg.PublishedHead(head.ids, head.outputs, head.mean, time=times[0]).save(HEAD[0])
    rg.AnchorSet(space.ids, space.embeddings, space.center, time=times[1]).save(HEAD[1])
    found = notes(capsys, *HEAD)
    assert found == [] if words is None else len(found) == 1 and found[0].startswith(words)


def test_two_pieces_of_one_version_are_noted(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    space = rg.AnchorSet.load("space.safetensors")
    layer = torch.nn.Linear(WIDTH, CLASSES)
    rg.publish(layer, space).save("own.safetensors")
    (note,) = notes(capsys, "own.safetensors", "space.safetensors")
    assert note == "the old head was published from the new anchors: both are of one version, and nothing changes"
    same = "the old and the new table are one file: both are of one version, and nothing changes"
    assert same in notes(capsys, "rows.npy", "./rows.npy") and same not in notes(capsys, "old.npy", "rows.npy")


@pytest.mark.parametrize("option", ["--labels", "--edges", "--old-rows"])
def test_a_folder_is_said_to_be_one(option: str, files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["upgrade", *HEAD, "--rows", "rows.npy", option, "."]) == 1
    assert "'.' is a folder, where a file is read; give a" in capsys.readouterr().err
    Path("folder.npy").mkdir()
    assert main(["upgrade", *HEAD, "--rows", "folder.npy"]) == 1
    assert "'folder.npy' is a folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "id,label\n3,1\n5,\n7,\n",
            "have a class in every row (got 2 empty cells, such as that for the id 5); write -1",
        ),
        (
            "id,label\n3,1\n5,2.5\n",
            "hold integer classes (got float64, such as 1.0); number them as the head does, and",
        ),
        ("id,label\n3,cat\n5,dog\n", "hold integer classes (got text, such as cat); number them as the head does, and"),
    ],
)
def test_labels_that_are_no_classes_are_refused(
    text: str, words: str, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("labels.csv").write_text(text)
    assert main(["upgrade", *HEAD, "--rows", "rows.npy", "--labels", "labels.csv"]) == 2
    assert f"'--labels' must {words}" in capsys.readouterr().err
