from __future__ import annotations

from pathlib import Path

import pytest
import torch

from relgraph.datasets.paths import cached, candidates, complete, data_place, files_digest
from relgraph.errors import DataError


def _folder(folder: Path, *files: str) -> Path:
    (folder / "raw").mkdir(parents=True)
    for file in files:
        (folder / file).write_text(file)
    return folder


def test_root_comes_before_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RELGRAPH_DATA", raising=False)
    assert data_place(None) is None
    monkeypatch.setenv("RELGRAPH_DATA", "~/data")
    place = data_place(None)
    assert place is not None and place.folder == Path.home() / "data" and "RELGRAPH_DATA" in place.words
    place = data_place(tmp_path)
    assert place is not None and place.folder == tmp_path


def test_candidates_are_ordered_and_ignore_capitals(tmp_path: Path) -> None:
    itself = _folder(tmp_path)
    family = _folder(tmp_path / "planetoid" / "CORA")
    direct = _folder(tmp_path / "cora")
    _folder(tmp_path / "CiteSeer")
    assert candidates(tmp_path, "Planetoid", ["Cora"]) == [direct, family, itself]
    assert candidates(tmp_path / "absent", "Planetoid", ["Cora"]) == []


def test_a_folder_with_a_part_of_the_files_is_an_error(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "one", "a", "b")
    assert complete("it", folder, ["a", "b"], "") and not complete("it", folder, ["c", "d"], "")
    (folder / "c").symlink_to("nowhere")
    for files in (["a", "d"], ["c", "d"]):
        with pytest.raises(DataError, match=r"one' must hold all files of 'it' \(it lacks .*d\); take it"):
            complete("it", folder, files, "take it")


def test_the_digest_depends_on_contents_and_names(tmp_path: Path) -> None:
    one, two = _folder(tmp_path / "one", "a", "b"), _folder(tmp_path / "two", "a", "b")
    before = files_digest(one, ["a", "b"])
    assert before == files_digest(two, ["a", "b"]) and len(before) == 16
    (two / "b").write_text("changed")
    assert files_digest(two, ["a", "b"]) != before
    (two / "b").write_text("a")
    (two / "a").write_text("b")
    assert files_digest(two, ["a", "b"]) != before
    with pytest.raises(DataError, match=r"'.*c' cannot be read"):
        files_digest(one, ["c"])


def test_cached_tensors_are_made_once_and_again_after_damage(tmp_path: Path) -> None:
    entry, calls = tmp_path / "below" / "x.safetensors", []

    def make() -> dict[str, torch.Tensor]:
        calls.append(1)
        return {"x": torch.arange(5)}

    for count in (1, 1):
        assert torch.equal(cached(entry, "test/1", make)["x"], torch.arange(5)) and len(calls) == count
    for number, damage in enumerate((entry.read_bytes()[:-1], b"", entry.read_bytes()[:-1] + b"x"), start=2):
        entry.write_bytes(damage)
        assert torch.equal(cached(entry, "test/1", make)["x"], torch.arange(5)) and len(calls) == number
    assert cached(entry, "test/2", make)["x"].numel() == 5 and len(calls) == 5  # another kind is no older one
    assert [file.name for file in entry.parent.iterdir()] == [entry.name]
    entry.unlink()
    entry.parent.rmdir()
    entry.parent.write_text("a file where the folder should be")
    assert cached(entry, "test/1", make)["x"].numel() == 5
