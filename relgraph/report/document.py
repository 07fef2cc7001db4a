"""The model of a report: sections of facts, tables and figures, which know nothing of how they are shown.

:mod:`relgraph.report.html` makes a page of it, :meth:`Report.to_dict` values of JSON, :func:`save_tables` CSV files.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relgraph.errors import InputError
from relgraph.io import make_folder, write_atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

SCHEMA = "relgraph.report/1"
MISSING = "-"


@dataclass(frozen=True)
class Estimate:
    """A number with what is known of its uncertainty.

    Args:
        value: The number, which is finite.
        low, high: Bounds of its interval; both, or ``None`` without one.
        n: Count of what it is computed from; ``None`` if unknown.
        n_is: What is counted, such as ``"runs"`` or ``"pairs"``.

    Example:
        >>> Estimate(0.812, 0.8, 0.82, n=20, n_is="pairs").to_dict()
        {'value': 0.812, 'low': 0.8, 'high': 0.82, 'n': 20, 'n_is': 'pairs'}
    """

    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = None
    n_is: str = ""

    def __post_init__(self) -> None:
        given = [number for number in (self.value, self.low, self.high) if number is not None]
        if not all(map(math.isfinite, given)):
            raise InputError("value", f"must be finite, and so must its bounds (got {given}); leave the cell empty")
        if (self.low is None) != (self.high is None):
            raise InputError("low", f"must be given with 'high' (got {self.low} and {self.high}); give both or neither")

    @classmethod
    def of(cls, figure: Mapping[str, Any], *, n_is: str = "") -> Estimate:
        """The estimate of a figure of a document: its ``mean`` or ``value``, ``interval`` or ``None``, ``n``, ``n_is``.

        Args:
            figure: The figure.
            n_is: What is counted where the figure does not say it.

        Example:
            >>> Estimate.of({"mean": 0.5, "interval": None, "n": 3}, n_is="runs")
            Estimate(value=0.5, low=None, high=None, n=3, n_is='runs')
        """
        low, high = figure["interval"] or (None, None)
        value = figure["mean"] if "mean" in figure else figure["value"]
        return cls(value, low, high, figure.get("n"), figure.get("n_is", n_is))

    def to_dict(self) -> dict[str, Any]:
        """Values of JSON."""
        return {"value": self.value, "low": self.low, "high": self.high, "n": self.n, "n_is": self.n_is}


Cell = str | bool | int | float | Estimate | None
"""A value of a table; ``None`` where there is none."""


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Args:
        name: In CSV files and JSON.
        title: Of the column on a page.
        meaning: What the values are, in one clause; empty if the title says it.
        unit: Of the values. With ``"%"`` they are shares, which a page shows times 100 and files hold as they are.
        digits: Digits that a page shows after the point.

    Example:
        >>> Column("own", "own head", unit="%", digits=1).show(0.81234)
        '81.2'
    """

    name: str
    title: str
    meaning: str = ""
    unit: str = ""
    digits: int = 3

    def show(self, value: Cell) -> str:
        """The text of a value, without bounds and counts."""
        match value:
            case Estimate():
                return self.show(value.value)
            case None:
                return MISSING
            case bool():
                return "yes" if value else "no"
            case int() if self.unit != "%":
                return f"{value:,}"
            case int() | float():
                if not math.isfinite(value):
                    return MISSING
                return f"{100 * value if self.unit == '%' else value:,.{self.digits}f}"
        return value


@dataclass(frozen=True)
class Table:
    """A table: columns, and for each row one value per column.

    Args:
        name: Of its CSV file, unique in a report: letters, digits, ``-`` and ``_``.
        title: Its caption.
        columns: The first one names the row.
        rows: Values in the order of the columns.
        note: What holds of the whole table, such as how its intervals were made.

    Raises:
        InputError: If two columns have one name, a row has another length, or the name is none of a file.

    Example:
        >>> table = Table("runs", "Runs", [Column("seed", "seed"), Column("own", "own head")], [(0, 0.81), (1, None)])
        >>> print(table.to_csv(), end="")
        seed,own
        0,0.81
        1,
    """

    name: str
    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    note: str = ""

    def __post_init__(self) -> None:
        if not self.name or not all(letter.isalnum() or letter in "-_" for letter in self.name):
            raise InputError("name", f"must be letters, digits, - and _ (got '{self.name}'); it is that of a file")
        names = [column.name for column in self.columns]
        if len(set(names)) < len(names) or not names:
            raise InputError("columns", f"must have names that differ (got {', '.join(names) or 'none'}); rename them")
        for row in self.rows:
            if len(row) != len(names):
                wanted = f"one value for each of {len(names)} columns"
                raise InputError(
                    "rows", f"must have {wanted} (got {len(row)} of table '{self.name}'); fill up with None"
                )

    def to_dict(self) -> dict[str, Any]:
        """Values of JSON: each row by names of columns, what is not finite as ``None``."""
        names = [column.name for column in self.columns]
        return {
            "name": self.name,
            "title": self.title,
            "note": self.note,
            "columns": [
                {"name": column.name, "title": column.title, "meaning": column.meaning, "unit": column.unit}
                for column in self.columns
            ],
            "rows": [dict(zip(names, map(_plain, row), strict=True)) for row in self.rows],
        }

    def to_csv(self) -> str:
        """The table as CSV; a column of estimates has ``_low``, ``_high``, ``_n`` and ``_n_is`` beside it as needed."""
        parts = [part for place in range(len(self.columns)) for part in self._parts(place)]
        text = io.StringIO()
        writer = csv.writer(text)  # lines end in \r\n as in RFC 4180, so that every \r in a text is quoted
        writer.writerow(name for name, _ in parts)
        writer.writerows(zip(*(values for _, values in parts), strict=True))
        return text.getvalue()

    def _parts(self, place: int) -> list[tuple[str, list[Any]]]:
        """The columns of a CSV file that one column of the table becomes."""
        name, cells = self.columns[place].name, [_plain(row[place]) for row in self.rows]
        found = [(name, [cell["value"] if isinstance(cell, dict) else cell for cell in cells])]
        for part in ("low", "high", "n", "n_is"):
            values = [cell[part] if isinstance(cell, dict) else None for cell in cells]
            if any(value not in (None, "") for value in values):
                found.append((f"{name}_{part}", values))
        return found


@dataclass(frozen=True)
class Figure:
    """A picture and the text that stands for it.

    Args:
        source: What draws it, called without arguments, or a whole SVG document.
        alt: What it shows, for readers who do not see it.
        caption: What a page writes under it.

    Raises:
        InputError: If there is no text.
    """

    source: Callable[[], Drawing] | str
    alt: str
    caption: str = ""

    def __post_init__(self) -> None:
        if not self.alt.strip():
            raise InputError("alt", "must say what the figure shows (got an empty text); write one sentence")


@dataclass(frozen=True)
class Section:
    """A part of a report.

    Args:
        title: Its heading.
        text: Paragraphs, without markup.
        facts: Names and values that need no table.
        tables, figures: In the order of the page.
    """

    title: str
    text: Sequence[str] = ()
    facts: Sequence[tuple[str, str]] = ()
    tables: Sequence[Table] = ()
    figures: Sequence[Figure] = ()

    def to_dict(self) -> dict[str, Any]:
        """Values of JSON; of a figure, its texts."""
        return {
            "title": self.title,
            "text": list(self.text),
            "facts": [list(fact) for fact in self.facts],
            "tables": [table.to_dict() for table in self.tables],
            "figures": [{"alt": figure.alt, "caption": figure.caption} for figure in self.figures],
        }


@dataclass(frozen=True)
class Report:
    """A report: what was found, in sections, and how it was made.

    Args:
        title: Its heading.
        summary: The most important findings, one sentence each.
        sections: In the order of the page.
        warnings: What a reader has to know before using the numbers, one sentence each.
        command: The command, or call, that regenerates it.
        versions: Of packages, as :func:`relgraph.provenance.versions` finds them.

    Raises:
        InputError: If two tables have one name.

    Example:
        >>> table = Table("runs", "Runs", [Column("seed", "seed")], [(0,), (1,)])
        >>> report = Report("Two runs", sections=[Section("Runs", tables=[table])], command="relgraph stitch")
        >>> report.tables[0].rows
        [(0,), (1,)]
    """

    title: str
    summary: Sequence[str] = ()
    sections: Sequence[Section] = ()
    warnings: Sequence[str] = ()
    command: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [table.name for table in self.tables]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise InputError(
                "sections", f"must have tables with names that differ (got '{twice[0]}' twice); rename one"
            )

    @property
    def tables(self) -> list[Table]:
        """All tables, in the order of the page."""
        return [table for section in self.sections for table in section.tables]

    def to_dict(self) -> dict[str, Any]:
        """Values of JSON."""
        return {
            "schema": SCHEMA,
            "title": self.title,
            "summary": list(self.summary),
            "sections": [section.to_dict() for section in self.sections],
            "warnings": list(self.warnings),
            "command": self.command,
            "versions": dict(self.versions),
        }


def save_tables(report: Report, folder: Path) -> None:
    """Write each table of a report to ``folder/NAME.csv``.

    Raises:
        DataError: If a file cannot be written.
    """
    make_folder(folder)
    for table in report.tables:
        write_atomic(folder / f"{table.name}.csv", table.to_csv())


def _plain(cell: Cell) -> Any:
    if isinstance(cell, Estimate):
        return cell.to_dict()
    return None if isinstance(cell, float) and not math.isfinite(cell) else cell
