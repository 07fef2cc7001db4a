from __future__ import annotations

import csv
import io
import json
from dataclasses import FrozenInstanceError
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relgraph.errors import DataError, InputError
from relgraph.report import Column, Estimate, Figure, Report, Section, Table, save_tables
from tests.report.made import HOSTILE, made


def test_the_document_is_json_and_holds_every_value() -> None:
    report = made()
    found = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert found["title"] == report.title and found["warnings"] == list(report.warnings)
    assert [section["title"] for section in found["sections"]] == ["First gcn", "Wide", "Figures"]
    table = found["sections"][0]["tables"][0]
    assert table["columns"][1] == {"name": "share", "title": "share", "meaning": "of all rows", "unit": "%"}
    assert table["rows"][0]["share"] == {"value": 0.5, "low": 0.4, "high": 0.6, "n": 20, "n_is": "pairs"}
    assert table["rows"][1] == {"name": "alpha", "share": None, "count": 9, "good": False}
    assert [figure["alt"] for figure in found["sections"][2]["figures"]] == [
        f"A line and pixels, gcn {seed}." for seed in (0, 1)
    ]


def test_what_is_not_finite_is_empty() -> None:
    table = Table("t", "T", [Column("a", "a")], [(float("nan"),), (float("inf"),), (1.5,)])
    assert [row["a"] for row in table.to_dict()["rows"]] == [None, None, 1.5]
    assert table.to_csv().splitlines() == ["a", '""', '""', "1.5"]
    assert [table.columns[0].show(row[0]) for row in table.rows] == ["-", "-", "1.500"]


def test_tables_are_csv_files_that_pandas_reads(tmp_path: Path) -> None:
    report = made(HOSTILE)
    save_tables(report, tmp_path / "tables")
    assert sorted(path.name for path in (tmp_path / "tables").iterdir()) == ["values.csv", "wide.csv"]
    frame = pd.read_csv(tmp_path / "tables" / "values.csv")
    assert list(frame.columns) == ["name", "share", "share_low", "share_high", "share_n", "share_n_is", "count", "good"]
    assert frame["name"][0] == f"beta {HOSTILE}"
    assert frame["share"].tolist()[::2] == [0.5, 0.75] and frame["share_low"][0] == 0.4
    assert pd.isna(frame["share"][1]) and frame["good"].tolist() == [True, False, True, True]
    with pytest.raises(DataError, match="must be writable"):
        save_tables(report, tmp_path / "tables" / "wide.csv")


@settings(max_examples=30)
@given(st.lists(st.tuples(st.text(), st.floats(allow_nan=False, allow_infinity=False)), max_size=5))
def test_csv_gives_back_every_text_and_every_bit_of_a_number(rows: list[tuple[str, float]]) -> None:
    table = Table("t", "T", [Column("name", "name"), Column("value", "value")], rows)
    read = list(csv.reader(io.StringIO(table.to_csv(), newline="")))[1:]
    assert [(name, float(value)) for name, value in read] == [(name, value) for name, value in rows]


@pytest.mark.parametrize(
    ("column", "cell", "text"),
    [
        (Column("a", "a"), "gcn", "gcn"),
        (Column("a", "a"), None, "-"),
        (Column("a", "a"), True, "yes"),
        (Column("a", "a"), False, "no"),
        (Column("a", "a"), 12345, "12,345"),
        (Column("a", "a"), 1234.56789, "1,234.568"),
        (Column("a", "a", digits=0), 2.4, "2"),
        (Column("a", "a", unit="%", digits=1), 1, "100.0"),
        (Column("a", "a", unit="%", digits=1), Estimate(0.1234), "12.3"),
        (Column("a", "a", unit="s", digits=2), 0.5, "0.50"),
    ],
)
def test_how_values_are_shown(column: Column, cell: str | bool | int | float | Estimate | None, text: str) -> None:
    assert column.show(cell) == text


def test_wrong_documents_are_refused() -> None:
    column = Column("a", "a")
    with pytest.raises(InputError, match="'value' must be finite"):
        Estimate(float("nan"))
    with pytest.raises(InputError, match="'low' must be given with 'high'"):
        Estimate(0.5, low=0.4)
    with pytest.raises(InputError, match="one value for each of 1 columns"):
        Table("t", "T", [column], [(1, 2)])
    with pytest.raises(InputError, match="must have names that differ"):
        Table("t", "T", [column, Column("a", "b")], [])
    with pytest.raises(InputError, match="it is that of a file"):
        Table("../t", "T", [column], [])
    with pytest.raises(InputError, match="got 't' twice"):
        Report("R", sections=[Section("S", tables=[Table("t", "T", [column], [])] * 2)])
    with pytest.raises(InputError, match="must say what the figure shows"):
        Figure("<svg/>", " ")
    with pytest.raises(FrozenInstanceError):
        column.name = "b"  # type: ignore[misc]
