"""A section of a document that no builder knows, as tables: nothing that was computed is left out of the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from relgraph.report.document import Cell, Column, Estimate, Section, Table

Row = dict[str, Cell]
Rows = dict[tuple[str, ...], list[Row]]


def plain_section(key: str, title: str, values: Mapping[str, Any]) -> Section:
    """Plain values of JSON as facts and tables.

    Values that belong to no list are facts. A list of mappings, and a mapping of mappings, is a table; a mapping with
    ``mean`` or ``value`` and an ``interval`` is one estimate. Other mappings inside a row become columns of it.

    Args:
        key: Prefix of the names of the tables.
        title: Of the section.
        values: The values.

    Example:
        >>> figure = {"mean": 0.5, "interval": [0.4, 0.6], "n": 9, "n_is": "runs"}
        >>> section = plain_section("remedies", "Remedies", {"rows": 7, "arms": {"plain": {"gain": figure}}})
        >>> section.facts, section.tables[0].to_csv().splitlines()
        ([('rows', '7')], ['arms,gain,gain_low,gain_high,gain_n,gain_n_is', 'plain,0.5,0.4,0.6,9,runs'])
    """
    found: Rows = {}
    _collect(values, (), {}, found)
    (top,) = found.pop((), [{}])
    facts = [(name, _text(name, cell)) for name, cell in top.items()]
    return Section(title, facts=facts, tables=[_table(key, path, rows) for path, rows in found.items() if any(rows)])


def _collect(node: Mapping[str, Any], path: tuple[str, ...], parents: Row, found: Rows) -> None:
    """Put a mapping into the table of its path, and what is nested in it into tables of their own."""
    row = dict(parents)
    found.setdefault(path, []).append(row)
    for key, value in node.items():
        below = (*path, str(key))
        if isinstance(value, list) and value and all(isinstance(one, Mapping) for one in value):
            for one in value:
                _collect(one, below, parents, found)
        elif isinstance(value, Mapping) and not _is_figure(value):
            if value and all(isinstance(one, Mapping) and not _is_figure(one) for one in value.values()):
                for name, one in value.items():
                    _collect(one, below, {**parents, str(key): str(name)}, found)
            else:
                row |= {f"{key} {name}": _cell(one) for name, one in value.items()}
        else:
            row[str(key)] = _cell(value)
    if row == parents and path:
        found[path].pop()


def _table(key: str, path: tuple[str, ...], rows: list[Row]) -> Table:
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = [Column(name, name.replace("_", " ")) for name in names]
    safe = "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in "-".join((key, *path)))
    return Table(safe, ", ".join(path).replace("_", " "), columns, [[row.get(name) for name in names] for row in rows])


def _is_figure(value: Mapping[str, Any]) -> bool:
    return "interval" in value and any(isinstance(value.get(name), (int, float)) for name in ("mean", "value"))


def _cell(value: Any) -> Cell:
    if isinstance(value, Mapping):
        return Estimate.of(value) if _is_figure(value) else ", ".join(f"{name} {one}" for name, one in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return value if value is None or isinstance(value, (str, bool, int, float)) else str(value)


def _text(name: str, cell: Cell) -> str:
    shown = Column(name, name).show(cell)
    if isinstance(cell, Estimate) and cell.low is not None and cell.high is not None:
        shown += f" [{cell.low:.3f}, {cell.high:.3f}]"
    return shown + (f", n = {cell.n:,} {cell.n_is}" if isinstance(cell, Estimate) and cell.n is not None else "")
