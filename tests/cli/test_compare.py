from __future__ import annotations

import inspect
import json
from pathlib import Path

import numpy as np
import pytest

from relgraph.cli import main
from relgraph.cli.compare import compare
from relgraph.registry import MEASURES
from relgraph.tables import compare_tables
from tests.cli.small import wrong_inputs
from tests.tables.small import save, two_tables

X, Y = two_tables(rows=100)
GIVEN = ["compare", "a.npy", "b.npy"]


@pytest.fixture
def tables(here: Path) -> Path:
    save(here / "a.npy", None, X)
    save(here / "b.npy", None, Y)
    save(here / "c.npy", None, -X)
    return here


def test_two_tables_are_shown_measure_by_measure(tables: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*GIVEN, "--measures", "cka, retrieval", "--seed", "3"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("a, b: 100 rows in common\n\nmeasure")
    found = compare_tables(["a.npy", "b.npy"], ["cka", "retrieval"], seed=3)
    assert out.strip().endswith(str(found)) and "retrieval, reversed" in out


def test_the_document_is_all_that_is_printed(tables: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*GIVEN, "--measures", "procrustes", "--permutations", "19", "--json", "-"]) == 0
    document = json.loads(capsys.readouterr().out)
    score = document["pairs"][0]["measures"][0]
    assert (document["tables"], score["p"], score["null"]) == (["a", "b"], 0.05, "19 permutations")
    assert main([*GIVEN, "--measures", "procrustes", "--permutations", "19", "--json", "out.json"]) == 0
    assert json.loads((tables / "out.json").read_text()) == document
    assert "Written: out.json" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["pairs.png", "pairs.csv"])
def test_every_two_of_several_tables(name: str, tables: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*GIVEN, "c.npy", "--measures", "cka,rsa", "--matrix", name]) == 0
    out = capsys.readouterr().out
    assert "1.000 (a, c)" in out and f"Written: {name}" in out
    assert (tables / name).stat().st_size > 500


def test_outputs(tables: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "a.npy", "c.npy", "--outputs", "--permutations", "9"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[3:]] == ["disagreement", "jensen-shannon"]


USAGE = {
    "--measures ckaa": "'--measures' must be one of",
    "--measures ,": "'--measures' must name at least one of",
    "--measures disagreement": "'--measures' must compare embeddings unless the tables are outputs",
    "--outputs": "must have one column for each class, two or more (got 6 and 4)",
    "--json a.npy": "'--json' must not replace a file that is read (got 'a.npy'); choose another",
    "--matrix pairs.pdf": "'--matrix' must be a .png or a .csv file",
    "--permutations -1": "--permutations",
    "other.npy": "'--key' must name ids that both tables have",
    "short.npy": "'short.npy' must have as many rows as 'a.npy', 100, because neither has ids (got 7)",
    "broken.npy": "'broken.npy' must hold finite numbers (got NaN in the row with id 7",
    "a.csv": "'a.csv' must be a file of one of the kinds",
}
FAILURE = {
    "none.npy": "'none.npy' does not exist",
    "damaged.npy": "'damaged.npy' is damaged",
    "--matrix no/pairs.png": "'--matrix' must be a file in a folder that exists",
    "--json no/out.json": "'--json' must be a file in a folder that exists",
}


@wrong_inputs(USAGE, FAILURE)
def test_wrong_input_is_one_sentence_and_leaves_nothing(
    options: str, words: str, status: int, tables: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = Y.copy()
    broken[7] = np.nan
    save(tables / "other.npy", range(1000, 1100), Y)
    save(tables / "short.npy", None, Y[:7])
    save(tables / "broken.npy", None, broken)
    (tables / "damaged.npy").write_bytes(b"damaged")
    before = sorted(tables.rglob("*"))
    quick = [] if "--measures" in options or "--outputs" in options else ["--measures", "cka"]
    assert main([*GIVEN, *quick, *options.split()]) == status
    err = capsys.readouterr().err
    lines = [line for line in err.splitlines() if not line.startswith(("relgraph: loading", "relgraph: comparing"))]
    assert len(lines) == 1 and words in lines[0]
    assert sorted(tables.rglob("*")) == before


def test_one_table_is_not_enough(tables: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "a.npy"]) == 2
    assert "there must be two tables or more (got only 'a.npy')" in capsys.readouterr().err


def test_defaults_are_those_of_the_library_and_help_names_every_measure(capsys: pytest.CaptureFixture[str]) -> None:
    ours, theirs = (inspect.signature(one).parameters for one in (compare, compare_tables))
    for name in set(ours) & set(theirs) - {"tables"}:
        assert ours[name].default == theirs[name].default, name
    assert set(theirs) - set(ours) == {"progress", "null"}
    assert set(ours) - set(theirs) == {"matrix", "json_path", "debug"}
    assert main(["compare", "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for name, entry in MEASURES.items():
        assert f"{name} {entry.meaning}" in shown
