"""Tables from rows, targets, and the README files, whose tables agree with the stored rows."""

import pytest

from benchmarks import render
from benchmarks.render import Cell
from benchmarks.study import write_rows


@pytest.fixture
def rows(tmp_path, monkeypatch):
    """A results file with two datasets, two methods and one missing number, in a repository of its own."""
    folder = tmp_path / "benchmarks" / "question"
    folder.mkdir(parents=True)
    monkeypatch.setattr(render, "ROOT", tmp_path)
    write_rows(
        folder / "results.csv",
        [
            {"dataset": "cora", "method": "ridge", "own": 0.8, "own_low": 0.75, "own_high": 0.85, "time": 12_345},
            {"dataset": "cora", "method": "kl", "own": 0.9, "own_std": 0.01},
            {"dataset": "citeseer", "method": "ridge", "own": 0.5, "cut": 0},
            {"dataset": "citeseer", "method": "ridge", "own": 0.6, "cut": 1},
        ],
    )
    return folder


def test_cells():
    row = {"own": 0.81239, "own_low": 0.8, "own_high": 0.9, "own_std": 0.0123, "zero": -0.0001, "word": "loo"}
    for text, shown in {
        "own": "0.812", "own:1": "0.8", "own~:2": "0.81 [0.80, 0.90]", "own±:2": "0.81 ± 0.01", "own%:1": "81.2",
        "zero": "0.000", "zero~": "0.000", "absent": "-", "word": "loo",
    }.items():  # fmt: skip
        assert Cell.parse(text).show(row) == shown
    with pytest.raises(ValueError, match="a cell must be a name"):
        Cell.parse("own!")


def show(**spec):
    return render.table({"source": "question/results", **spec}, {"method": ["kl", "ridge"]}).splitlines()


def test_lines_and_columns_follow_the_rows_or_the_wanted_order(rows):
    assert show(rows="dataset method", cells="own~") == [
        "| dataset | method | own |",
        "| --- | --- | --- |",
        "| Cora | kl | 0.900 |",
        "| Cora | ridge | 0.800 [0.750, 0.850] |",
        "| CiteSeer | ridge | 0.550 |",  # the mean over cuts
    ]
    shown = show(rows="method", cells="own time:0", columns="dataset", where={"method": ["ridge", "kl"]})
    assert shown[0] == "| method | own, Cora | own, CiteSeer | time, Cora | time, CiteSeer |"
    assert shown[3] == "| kl | 0.900 | - | - | - |"
    assert show(rows="method", cells="own", columns="dataset")[0] == "| method | Cora | CiteSeer |"
    assert show(rows="method", cells="own", where={"method": "procrustes"}) == ["*Not measured yet.*"]


def test_numbers_of_rows(rows):
    row = {"a": 1.0, "b": 4.0, "c": None}
    for text, value in {"a": 1.0, "a%": 100.0, "a / b": 0.25, "a - b": -3.0, "a + b": 5.0}.items():
        assert render.number(text, row) == value
    with pytest.raises(LookupError, match="no a / c"):
        render.number("a / c", row)
    found = render.load("question/results")
    assert render.the_row(found, {"dataset": "citeseer", "cut": [0, 1]})["own"] == pytest.approx(0.55)
    for where in ({"dataset": "citeseer"}, {"dataset": "photo"}, {"dataset": "citeseer", "cut": [0, 1, 2]}):
        with pytest.raises(LookupError):
            render.the_row(found, where)


def test_targets_are_met_missed_or_absent(rows):
    where = {"method": "ridge"}
    spec = {
        "across": ["cora", "citeseer"],
        "rows": [
            {"what": "own", "value": "own", "where": where, "rule": ">=", "wanted": {"cora": 0.81, "citeseer": 0.5}},
            {"what": "over kl", "value": "own", "where": where, "over": {"method": "kl"}, "rule": "<=", "wanted": 1},
            {"what": "less", "value": "own", "where": where, "less": [{"method": "kl"}], "rule": ">", "wanted": 0},
        ],
    }  # fmt: skip
    for one in spec["rows"]:
        one["source"] = "question/results"
    assert render.targets(spec, {}).splitlines() == [
        "| what | wanted | Cora | CiteSeer |",
        "| --- | --- | --- | --- |",
        "| own | >= 0.81 | **0.800** (missed) | - |",  # two rows of CiteSeer: not one number
        "| over kl | <= 1 | 0.889 | - |",
        "| less | > 0 | **-0.100** (missed) | - |",
    ]


def test_lines_of_text_and_numbers(rows):
    cells = [{"value": "own%", "form": "{:.0f} percent"}, {"value": "own", "method": "kl"}]
    line = {"text": ["first"], "source": "question/results", "cells": cells}
    line["where"] = {"dataset": "cora", "method": "ridge"}
    shown = render.lines({"header": ["what", "a", "b"], "rows": [line]}, {})
    assert shown.splitlines()[2] == "| first | 80 percent | 0.900 |"


def test_a_default_is_compared_with_the_best_of_each_case(rows):
    table = [("a", "kl", 0.9), ("a", "ridge", 0.92), ("a", "centroid", 0.8), ("b", "kl", 0.7), ("b", "ridge", 0.6)]
    table += [("b", "centroid", 0.74), ("c", "ridge", 0.5)]  # without the default: no case
    write_rows(rows / "results.csv", [{"dataset": d, "method": m, "fidelity": v} for d, m, v in table])
    one = {"what": "all", "source": "question/results", "key": "dataset"}
    for margin, count in ((0.01, 1), (0.03, 0)):
        spec = {"default": "kl", "margin": margin, "maps": ["ridge"], "rivals": ["centroid"], "rows": [one]}
        expected = f"| all | `kl` | 2 | -0.040 | 0.020 (a) | {count} of 2 | -0.030 | 0.040 (b) | 1 of 2 |"
        assert render.cases(spec, {}).splitlines()[2] == expected
    shown = render.cases(spec | {"maps": ["none"], "rivals": []}, {})
    assert shown.splitlines()[2] == "| all | `kl` | 2 | - | - | - | - | - | - |"


def test_pages_are_filled_and_checked(rows, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(render, "specs", lambda: {"one": lambda: "\n".join(show(rows="method", cells="own"))})
    (tmp_path / "README.md").write_text("before\n<!-- table: one -->\nold\n<!-- end -->\nafter\n")
    page = rows / "README.md"
    page.write_text("no table\n")
    assert render.main(["--check"]) == 1
    assert "README.md differs from the stored rows; run python -m benchmarks.render" in capsys.readouterr().out
    assert "old" in (tmp_path / "README.md").read_text()
    assert render.main([]) == 0
    text = (tmp_path / "README.md").read_text()
    assert text.startswith("before\n<!-- table: one -->\n\n| method | own |")
    assert text.endswith("\n\n<!-- end -->\nafter\n")
    assert render.main(["--check"]) == 0
    assert page.read_text() == "no table\n"


def test_the_tables_of_the_repository_agree_with_its_rows():
    assert render.main(["--check"]) == 0


def test_every_table_of_a_benchmark_stands_on_a_page():
    text = "".join(page.read_text() for page in render.pages()[1:])
    main = {"gain", "advice", "stitching"}
    assert {name for name in render.specs() if f"<!-- table: {name} -->" not in text} == main


def test_results_files_are_small():
    sizes = {path.name: path.stat().st_size for path in (render.ROOT / "benchmarks").glob("*/*") if path.is_file()}
    assert max(sizes.values()) < 500 * 1024
