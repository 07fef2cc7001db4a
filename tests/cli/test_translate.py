from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import pytest

from relgraph.cli import main
from relgraph.cli.translate import translate
from relgraph.tables import translate_table
from tests.cli.small import wrong_inputs
from tests.tables.small import save, two_tables

X, Y = two_tables()
GIVEN = ["translate", "--from", "new.npy", "--to", "old.npy"]


@pytest.fixture
def tables(here: Path) -> Path:
    save(here / "new.npy", None, X)
    save(here / "old.npy", None, Y)
    return here


def test_the_report_alone_writes_nothing(tables: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(tables.iterdir())
    for more in ([], ["--out", "out.npy"]):
        assert main([*GIVEN, "--report", *more]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].split() == ["rows", "400", "of", "'new.npy',", "6", "wide"] and lines[-1].startswith("verdict ")
        assert sorted(tables.iterdir()) == before


def test_it_writes_what_the_library_writes_after_the_report(tables: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*GIVEN, "--out", "out.npy", "--anchors", "60", "--method", "procrustes"]) == 0
    out, err = capsys.readouterr()
    assert "procrustes, fitted on 60 anchors" in out and out.splitlines()[-1].split() == ["written", "out.npy"]
    assert "relgraph: translating (400 rows)" in err
    translate_table("new.npy", "old.npy", "other.npy", anchors=60, method="procrustes")
    for name in ("", ".ids", ".trust"):
        assert np.array_equal(np.load(f"out{name}.npy"), np.load(f"other{name}.npy"))


def test_anchors_may_be_a_file(tables: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tables / "some.txt").write_text("\n".join(map(str, range(90))))
    assert main([*GIVEN, "--report", "--anchors", "some.txt"]) == 0
    assert "fitted on 90 anchors" in capsys.readouterr().out


USAGE = {
    "": "'--out' must name a file unless there is --report",
    "--report --method rige": "'--method' must be one of",
    "--report --method kl": "'--method' must be one of ridge",
    "--report --anchors 0": "'--anchors' must be from 1 to the 400 ids",
    "--report --to repeated.npy": "'--to' must not repeat an id (got 3 more than once)",
    "--report --to other.npy": "'--key' must name ids that both tables have",
    "--report --to broken.npy": "'--to' must hold finite numbers (got NaN in the row with id 7",
    "--report --to a.csv": "'--to' must be a file of one of the kinds",
    "--out out.csv": "'--out' must be a file of one of the kinds",
    "--out no/out.npy": "'--out' must be a file in a folder that exists",
    "--report --from": "--from",
}
FAILURE = {
    "--report --from none.npy": "'none.npy' does not exist",
    "--report --from damaged.npy": "'damaged.npy' is damaged",
    "--report --anchors none.txt": "'none.txt' must be",
}


@wrong_inputs(USAGE, FAILURE)
def test_wrong_input_is_one_sentence_and_leaves_nothing(
    options: str, words: str, status: int, tables: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = Y.copy()
    broken[7] = np.nan
    save(tables / "repeated.npy", [3] * 400, Y)
    save(tables / "other.npy", range(1000, 1400), Y)
    save(tables / "broken.npy", None, broken)
    (tables / "damaged.npy").write_bytes(b"damaged")
    before = sorted(tables.rglob("*"))
    assert main([*GIVEN, *options.split()]) == status
    out, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if not line.startswith("relgraph: loading")]
    assert out == "" and len(lines) == 1 and words in lines[0]
    assert sorted(tables.rglob("*")) == before


def test_defaults_are_those_of_the_library() -> None:
    ours, theirs = (inspect.signature(one).parameters for one in (translate, translate_table))
    for name in set(ours) & set(theirs) - {"source", "target"}:
        assert ours[name].default == theirs[name].default, name
    assert set(theirs) - set(ours) == {"progress"} and set(ours) - set(theirs) == {"report", "debug"}
