"""A report as a page: one file that needs no network and no other file."""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from relgraph.io import PathLike, write_atomic
from relgraph.report.document import Cell, Column, Estimate, Report, Table
from relgraph.report.svg import svg_element

if TYPE_CHECKING:
    from jinja2 import Template

FOLDER = Path(__file__).parent


def render_html(report: Report) -> str:
    """The report as one page of HTML.

    Styles, the script that sorts tables, and figures are inside it; a content security policy keeps it from loading
    anything else. It has light and dark colors, fits a phone, prints, and is complete without its script.

    Example:
        >>> page = render_html(Report("Two runs & more"))
        >>> "<h1>Two runs &amp; more</h1>" in page, "://" in page
        (True, False)
    """
    number = count()
    script = _file("report.js")
    return _template().render(
        report=report,
        style=_file("report.css"),
        script=script,
        digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        show=Column.show,
        bounds=_bounds,
        size=_count,
        key=_key,
        numeric=_numeric,
        shared=_shared,
        draw=lambda figure: svg_element(figure, f"relgraph-{next(number)}"),
    )


def save_html(report: Report, path: PathLike) -> None:
    """Write :func:`render_html`'s page to a file, whole or not at all.

    Raises:
        DataError: If the file cannot be written.
    """
    write_atomic(path, render_html(report))


@lru_cache(maxsize=1)
def _template() -> Template:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("report.html.j2")


def _file(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _bounds(column: Column, cell: Cell) -> str:
    """The interval of an estimate; empty without one."""
    if not isinstance(cell, Estimate) or cell.low is None or cell.high is None:
        return ""
    return f"[{column.show(cell.low)}, {column.show(cell.high)}]"


def _count(cell: Cell) -> str:
    """What an estimate is computed from; empty if unknown."""
    if not isinstance(cell, Estimate) or cell.n is None:
        return ""
    return f"n = {cell.n:,}{f' {cell.n_is}' if cell.n_is else ''}"


def _key(cell: Cell) -> str:
    """What the script sorts by; empty values stay last."""
    value = cell.value if isinstance(cell, Estimate) else cell
    if value is None or value != value:  # NaN
        return ""
    return str(int(value)) if isinstance(value, bool) else str(value)


def _shared(table: Table, place: int) -> str:
    """The count that every estimate of a column has, which its head shows once; empty if counts differ."""
    counts = {_count(row[place]) for row in table.rows if row[place] is not None}
    return counts.pop() if len(counts) == 1 else ""


def _numeric(table: Table, place: int) -> bool:
    """Whether a column holds numbers, or nothing, in every row."""
    cells = (row[place] for row in table.rows)
    return all(
        cell is None or (isinstance(cell, int | float | Estimate) and not isinstance(cell, bool)) for cell in cells
    )
