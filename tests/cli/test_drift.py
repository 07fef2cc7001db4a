from __future__ import annotations

import inspect
import json
from pathlib import Path

import numpy as np
import pytest

import relgraph as rg
from relgraph.cli import main
from relgraph.cli.drift import drift
from relgraph.pieces import DRIFT
from tests.cli.small import wrong_inputs
from tests.tables.small import save
from tests.versions.made import ROWS, runs

OLD, NEW = runs(new=2, moved=12)
GIVEN = ["drift", "old.npy", "new.npy"]
SEEDS = ["--null", "seed-1.npy", "--null", "seed-2.npy"]


@pytest.fixture
def tables(here: Path) -> Path:
    for name, run in zip(("old", "seed-1", "seed-2", "new", "new-2"), (*OLD, *NEW), strict=True):
        save(here / f"{name}.npy", None, run.numpy())
    return here


def test_it_shows_and_writes_what_the_library_finds(tables: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*GIVEN, *SEEDS, "--also", "new-2.npy", "--out", "out.npy"]) == 0
    out, err = capsys.readouterr()
    found = rg.drift(OLD[0], NEW, null=OLD[1:])
    np.testing.assert_array_equal(np.load("out.npy"), np.stack([found.movement, found.p, found.q], axis=1))
    assert str(found) in out and out.splitlines()[-1].split() == ["written", "out.npy"]
    assert err == "relgraph: comparing\n"


@pytest.mark.parametrize("place", ["-", "found.json"])
def test_json_is_the_summary(place: str, tables: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*GIVEN, *SEEDS, "--json", place, "--level", "0.01"]) == 0
    out = capsys.readouterr().out
    document = json.loads(out if place == "-" else (tables / place).read_text())
    assert document.pop("schema") == DRIFT
    assert document == json.loads(json.dumps(rg.drift(OLD[0], NEW[:1], null=OLD[1:], level=0.01).to_dict()))
    assert document["moved"] >= 12 and {row["id"] for row in document["moved_rows"]} >= set(range(12))


USAGE = {
    "": "'--null' must name one or more other seeds of the old version",
    "--null old.npy": "'--null' must hold other files",
    "--null copy.npy": "'--null' must hold other seeds",
    "--null seed-1.npy --level 2": "'--level' must be between 0 and 1",
    "--null seed-1.npy --out out.txt": "'--out' must be a file of one of the kinds",
    "--null seed-1.npy --json seed-1.npy": "'--json' must not replace a file that is read (got 'seed-1.npy'); choose",
    "--null seed-1.npy --out ./old.npy": "'--out' must not replace a file that is read",
    "--null seed-1.npy --out a.csv --json ./a.csv": "'--json' must not replace what --out writes (got 'a.csv')",
    "--null seed-1.npy --out a.npy --json a.ids.npy": "'--json' must not replace what --out writes",
    "--null seed-1.npy --out old.ids.npy": "'--out' must not be read with a table as its ids (got 'old.ids.npy')",
    "--null seed-1.npy --null copy-1.npy": "'--null' must hold other seeds than 'old', each once",
    "--null few.npy": "'--null' must share 50 rows or more",
    "--null seed-1.npy --also old.npy": "'NEW' must hold other files than 'old' (got 'old.npy' in both)",
    "--null seed-1.npy --also other.npy": "'NEW' must name ids that both tables have",
    "--null seed-1.npy --also broken.npy": "'NEW' must hold finite numbers (got NaN in the row with id 7",
}
FAILURE = {
    "--null seed-1.npy --out a.csv --json /proc/found.json": "the file for output must be writable (got '/proc/found",
    "--null none.npy": "'none.npy' does not exist",
    "--null seed-1.npy --json no/found.json": "'--json' must be a file in a folder that exists",
}


@wrong_inputs(USAGE, FAILURE)
def test_wrong_input_is_one_sentence_and_leaves_nothing(
    options: str, words: str, status: int, tables: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = NEW[0].numpy().copy()
    broken[7] = np.nan
    save(tables / "broken.npy", None, broken)
    save(tables / "copy.npy", None, OLD[0].numpy())
    save(tables / "copy-1.npy", None, OLD[1].numpy())
    save(tables / "few.npy", None, OLD[1][:40].numpy())
    save(tables / "other.npy", range(1000, 1000 + ROWS), NEW[1].numpy())
    before = sorted(tables.rglob("*"))
    assert main([*GIVEN, *options.split()]) == status
    out, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if line != "relgraph: comparing"]
    assert out == "" and len(lines) == 1 and words in lines[0]
    assert sorted(tables.rglob("*")) == before


def test_defaults_are_those_of_the_library() -> None:
    ours, theirs = (inspect.signature(one).parameters for one in (drift, rg.drift))
    for name in set(ours) & set(theirs) - {"null"}:
        assert ours[name].default == theirs[name].default, name
    assert set(theirs) <= set(ours) and set(ours) - set(theirs) == {"also", "document", "debug"}
