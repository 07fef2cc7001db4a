"""No output of a study replaces what it reads, or another output."""

from __future__ import annotations

from pathlib import Path

import pytest

from relgraph.cli import main


@pytest.mark.parametrize("command", ["stitch", "stability"])
def test_a_copy_of_the_document_never_replaces_the_dataset(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "graph.pt"
    place.write_bytes(b"the graph")
    given = [command, "--dataset", str(place), "--json", str(tmp_path / "." / "graph.pt")]
    assert main([*given, "--out", str(tmp_path / "out")]) == 2
    assert "'--json' must not replace a file that is read" in capsys.readouterr().err
    assert place.read_bytes() == b"the graph" and [one.name for one in tmp_path.iterdir()] == ["graph.pt"]


def test_a_copy_of_the_document_is_no_file_of_the_output_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    assert main(["stitch", "--out", str(out), "--json", str(out / "predictions.npz")]) == 2
    assert "'--json' must not replace what --out writes" in capsys.readouterr().err
