"""Fill the tables of the README files from the stored rows.

    python -m benchmarks.render [--check]

A table stands between ``<!-- table: NAME -->`` and ``<!-- end -->``; ``tables.toml`` says what it shows. With
``--check`` nothing is written, and the exit status says whether every table agrees with the rows. Rows of an earlier
version of relgraph are named below their table. Kinds of tables:

* ``[table.NAME]``: ``source`` (the results file), ``rows`` (columns of the file whose values name a line), ``cells``
  (see :class:`Cell`), ``columns`` (column of the file whose values become columns of the table) and ``where`` (values,
  or lists of alternatives, which also give their order). Several rows for one place are averaged.
* ``[targets.NAME]``: numbers and what was wanted of them, one column for each value ``across`` an ``axis``, by default
  datasets. A number is a ``value`` (see :func:`number`) of the row ``where`` columns have some values, ``over`` that of
  another row, ``less`` the largest of others. What misses its target is bold. ``source`` and values of ``where`` that
  all numbers share stand beside them.
* ``[lines.NAME]``: lines of text and numbers, each from a row of its own.
* ``[cases.NAME]``: the ``default`` method compared with the best of some ``maps`` and of some ``rivals``, case by case:
  one line for each file, in which the columns ``key`` tell cases apart. Maps that are ahead by ``margin`` or less are
  not counted.

A table ``like`` another one of its kind has what that one has, but for what it says itself.
"""

from __future__ import annotations

import math
import operator
import re
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from benchmarks.study import ROOT, Row, read_rows
from relgraph import __version__

LABELS = {
    "cora": "Cora", "citeseer": "CiteSeer", "pubmed": "PubMed", "photo": "Photo", "rocauc": "ROC-AUC", "rmse": "RMSE",
    "class-centroid": "class-centroid *(baseline)*", "label-ridge": "label-ridge *(baseline)*",
    "permuted-anchors": "permuted-anchors *(control)*", "none": "-", "seeds": "across seeds",
    "encoders": "across encoders", "accuracy": "stitched", "value": "stitched",
    "retention_worst": "worst pair", "accuracy_worst": "worst pair", "value_worst": "worst pair", "loss": "points lost",
    "loss_worst": "worst pair", "decisive": "decisive fidelity", "cka": "linear CKA", "r2": "stitched",
    "kappa": "mean kappa", "kappa_size": "mean size of kappa", "kappa_max": "largest size", "draw": "mean of draws",
    "draw_best": "best draw", "below": "pairs below 0.97", "n": "pairs", "chance": "constant",
    "agreement": "agreement of two models", "agreement_encoders": "of two encoders", "r1": "R@1", "r10": "R@10",
    "auc": "margin", "degree_auc": "degree", "homophily_auc": "homophily",
    "component": "in the largest component", "mrr": "MRR", "overlap": "overlap@10",
    "of_ensemble": "over ensemble", "gain": "accuracy gained",
}  # fmt: skip
RULES = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}
SIGNS: dict[str, Callable[[float, float], float]] = {"-": operator.sub, "/": operator.truediv, "+": operator.add}
Where = Mapping[str, Any]


def load(source: str) -> list[Row]:
    """The rows of one results file, named ``folder/file`` below ``benchmarks``."""
    path = ROOT / "benchmarks" / f"{source}.csv"
    return _read(path, path.stat().st_mtime_ns) if path.exists() else []


@lru_cache(maxsize=32)
def _read(path: Path, changed: int) -> list[Row]:
    return read_rows(path)


def label(value: Any) -> str:
    """A value or the name of a column as tables show it."""
    if isinstance(value, int | float):
        return f"{value:,}" if value >= 10_000 else f"{value:g}"
    return "-" if value is None else LABELS.get(value, value)


def decimals(value: float, digits: int = 3) -> str:
    """A number with some decimals, and no sign before zero."""
    return f"{round(value, digits) + 0.0:.{digits}f}"


def matches(row: Row, where: Where) -> bool:
    """Whether a row has the values; a list holds alternatives."""
    return all(row.get(name) in (value if isinstance(value, list) else [value]) for name, value in where.items())


def merged(rows: Sequence[Row]) -> Row:
    """One row for several, with the means of their numbers."""
    result = dict(rows[0])
    for name in rows[0] if len(rows) > 1 else ():
        values = [row[name] for row in rows if isinstance(row.get(name), int | float)]
        result[name] = sum(values) / len(values) if values else result[name]
    return result


def the_row(rows: Sequence[Row], where: Where) -> Row:
    """The one row that has the values; with lists the mean over one row for each combination.

    Raises:
        LookupError: If there are fewer or more.
    """
    found = [row for row in rows if matches(row, where)]
    if len(found) != math.prod(len(value) for value in where.values() if isinstance(value, list)):
        raise LookupError(f"{len(found)} rows with {where}")
    return merged(found)


def number(expression: str, row: Row) -> float:
    """A column, in percent after ``%``, or two columns with ``-``, ``/`` or ``+`` between them.

    Raises:
        LookupError: If the row has no such number.
    """
    first, percent, sign, second = re.fullmatch(r"(\w+)(%?)(?: ([-/+]) (\w+))?", expression).groups()  # type: ignore[union-attr]
    parts = [row.get(name) for name in (first, second) if name]
    if None in parts:
        raise LookupError(f"no {expression} in {row}")
    return (100 if percent else 1) * (SIGNS[sign](*parts) if sign else parts[0])  # type: ignore[arg-type, return-value]


def markdown(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join("| " + " | ".join(line) + " |" for line in (header, ["---"] * len(header), *lines))


@dataclass(frozen=True)
class Cell:
    """A number of a row: its column, its decimals, and what stands beside it."""

    name: str
    style: str
    digits: int

    @classmethod
    def parse(cls, text: str) -> Cell:
        """From ``name``, a style and decimals, such as ``own~:2``.

        The style is ``~`` for the 95 % interval, ``±`` for the standard deviation, ``%`` for hundredths; the decimals
        are three.
        """
        found = re.fullmatch(r"(\w+)([~±%]*)(?::(\d))?", text)
        if found is None:
            raise ValueError(f"a cell must be a name, a style and decimals (got '{text}')")
        return cls(found[1], found[2], int(found[3] or 3))

    def show(self, row: Row) -> str:
        """The text, "-" where there is no number."""
        value = row.get(self.name)
        if not isinstance(value, int | float):
            return label(value)
        low, high, std = (row.get(f"{self.name}_{part}") for part in ("low", "high", "std"))
        scale = 100 if "%" in self.style else 1
        text = decimals(scale * value, self.digits)
        if "~" in self.style and low is not None:
            text += f" [{decimals(scale * low, self.digits)}, {decimals(scale * high, self.digits)}]"
        return f"{text} ± {decimals(scale * std, self.digits)}" if "±" in self.style and std is not None else text


def table(spec: Where, order: Where) -> str:
    """A table of stored rows."""
    where, columns, names = spec.get("where", {}), spec.get("columns"), spec["rows"].split()
    found = [row for row in load(spec["source"]) if matches(row, where)]
    if not found:
        return "*Not measured yet.*"

    def values(name: str) -> list[Any]:
        present = list(dict.fromkeys(row.get(name) for row in found))
        wanted = where.get(name) if isinstance(where.get(name), list) else order.get(name, [])
        return [value for value in wanted if value in present] + [value for value in present if value not in wanted]

    axes = {name: values(name) for name in (*names, *([columns] if columns else []))}
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in found:
        groups.setdefault(tuple(row.get(name) for name in axes), []).append(row)
    places = {key[: len(names)] for key in groups}
    keys = sorted(places, key=lambda key: [axes[name].index(one) for name, one in zip(names, key, strict=True)])
    spread = [(value,) for value in axes[columns]] if columns else [()]
    cells = [Cell.parse(text) for text in spec["cells"].split()]
    heads = [(cell, value) for cell in cells for value in spread]
    lines = [
        [*map(label, key), *(cell.show(merged(groups.get((*key, *value), [{}]))) for cell, value in heads)]
        for key in keys
    ]
    header = [label(name) for name in names]
    for cell, value in heads:
        parts = [label(cell.name)] if len(cells) > 1 or not value else []
        header.append(", ".join([*parts, *map(label, value)]))
    return markdown([name.replace("_", " ") for name in header], lines)


def measured(spec: Where, rows: Sequence[Row]) -> float:
    """The number of a target.

    Raises:
        LookupError: If a row or a number is missing.
    """
    where, value = spec["where"], spec["value"]
    found = number(value, the_row(rows, where)) / spec.get("scale", 1)
    if "over" in spec:
        found /= number(value, the_row(rows, {**where, **spec["over"]}))
    others = []
    for other in spec.get("less", ()):
        named = {name: one for name, one in other.items() if name != "value"}
        others.append(number(other.get("value", value), the_row(rows, {**where, **named})))
    return found - max(others, default=0.0)


def _rows(spec: Where) -> list[dict[str, Any]]:
    """The rows of a specification, with the source and the values that they have in common."""
    common = {"source": spec["source"]} if "source" in spec else {}
    return [{**common, **one, "where": spec.get("where", {}) | one.get("where", {})} for one in spec["rows"]]


def targets(spec: Where, order: Where) -> str:
    """A table of targets."""
    lines = []
    for one in _rows(spec):
        cells, shown = [], []
        for place in spec["across"]:
            rows = [row for row in load(one["source"]) if row.get(spec.get("axis", "dataset")) == place]
            wanted = one["wanted"].get(place) if isinstance(one["wanted"], Mapping) else one["wanted"]
            try:
                found = None if wanted is None else measured(one, rows)
            except LookupError:
                found = None
            text = "-" if found is None else decimals(found, one.get("digits", 3))
            missed = found is not None and not RULES[one["rule"]](found, wanted)
            cells.append(f"**{text}** (missed)" if missed else text)
            shown += [f"{wanted:g}"] if found is not None else []
        if not shown:  # not measured yet
            every = one["wanted"].values() if isinstance(one["wanted"], Mapping) else [one["wanted"]]
            shown = [f"{wanted:g}" for wanted in every]
        lines.append([one["what"], f"{one['rule']} {' / '.join(dict.fromkeys(shown))}", *cells])
    across = ["measured"] if len(spec["across"]) == 1 else map(label, spec["across"])
    return markdown(["what", "wanted", *across], lines)


def lines(spec: Where, order: Where) -> str:
    """Lines of text and numbers."""
    found = []
    for line in spec["rows"]:
        rows, cells = load(line["source"]), []
        for cell in line["cells"]:
            known = ("value", "form", "over")
            where = line["where"] | {name: value for name, value in cell.items() if name not in known}
            try:
                cells.append(cell.get("form", "{:.3f}").format(measured({**cell, "where": where}, rows)))
            except LookupError:
                cells.append("*not measured yet*")
        found.append([*line["text"], *cells])
    return markdown(spec["header"], found)


def cases(spec: Where, order: Where) -> str:
    """How far a default method is behind the best one of each case, and behind simple rivals."""
    found = []
    for one in spec["rows"]:
        rows = [row for row in load(one["source"]) if matches(row, one.get("where", {}))]
        key, value, chosen = one["key"].split(), one.get("value", "fidelity"), one.get("default", spec["default"])
        groups: dict[tuple[Any, ...], dict[Any, Row]] = {}
        for row in rows:
            if isinstance(row.get(value), int | float):
                groups.setdefault(tuple(row.get(name) for name in key), {})[row["method"]] = row
        groups = {place: methods for place, methods in groups.items() if chosen in methods}
        line = [one["what"], f"`{chosen}`", str(len(groups))]
        for methods, margin in ((spec["maps"], spec["margin"]), (spec["rivals"], 0)):
            # A method that was evaluated on some pairs only has the default's value on the same pairs beside it.
            behind = {
                place: max(
                    known[name][value] - (known[name].get("beside") or known[chosen][value])
                    for name in methods
                    if name in known
                )
                for place, known in groups.items()
                if any(name in known for name in methods)
            }
            if behind:
                worst = max(behind, key=lambda place: behind[place])
                mean = sum(behind.values()) / len(behind)
                ahead = sum(gap > margin for gap in behind.values())
                where = " ".join(label(part) for part in worst if part is not None)
                line += [decimals(mean), f"{decimals(behind[worst])} ({where})", f"{ahead} of {len(behind)}"]
            else:
                line += ["-"] * 3
        found.append(line)
    header = ["cases", "default", "number"]
    for what, ahead in (("best map", f"ahead by more than {spec['margin']}"), ("best rival", "ahead")):
        header += [f"{what} less default, mean", f"{what} less default, largest", f"{what} {ahead}"]
    return markdown(header, found)


def older(spec: Where) -> str:
    """A line that names the results files with rows of an earlier version of relgraph; empty if there are none."""
    sources = [spec["source"]] if "source" in spec else [one["source"] for one in spec["rows"]]
    found: dict[str, list[str]] = {}
    for source in dict.fromkeys(sources):
        # Rows of version 0.1.0 did not name it.
        for version in sorted({row.get("relgraph") or "0.1.0" for row in load(source)} - {__version__}):
            found.setdefault(version, []).append(source)
    return "".join(f"\n\n*Rows of relgraph {version}: {', '.join(names)}.*" for version, names in found.items())


def specs() -> dict[str, Callable[[], str]]:
    """What renders each table, by its name."""
    with Path(__file__).with_name("tables.toml").open("rb") as file:
        read = tomllib.load(file)
    kinds = {"table": table, "targets": targets, "lines": lines, "cases": cases}
    order = read["order"]
    whole = {(kind, name): _whole(spec, read[kind]) for kind in kinds for name, spec in read.get(kind, {}).items()}
    return {
        name: lambda spec=spec, render=kinds[kind]: render(spec, order) + older(spec)  # type: ignore[misc]
        for (kind, name), spec in whole.items()
    }


def _whole(spec: Where, others: Mapping[str, Where]) -> Where:
    """A specification with what it takes over from another one."""
    return {**_whole(others[spec["like"]], others), **spec} if "like" in spec else spec


def filled(text: str) -> str:
    """The text with every table as the rows give it."""
    known = specs()

    def block(found: re.Match[str]) -> str:
        return f"<!-- table: {found[1]} -->\n\n{known[found[1]]()}\n\n<!-- end -->"

    return re.sub(r"<!-- table: ([a-z0-9-]+) -->\n.*?<!-- end -->", block, text, flags=re.DOTALL)


def pages() -> list[Path]:
    """The files that hold tables."""
    return [ROOT / "README.md", *sorted((ROOT / "benchmarks").glob("*/*.md"))]


def main(argv: Sequence[str]) -> int:
    """Fill the tables, or compare; returns the exit status."""
    status = 0
    for path in pages():
        text = path.read_text(encoding="utf-8")
        new = filled(text)
        if new != text and "--check" in argv:
            print(f"{path.relative_to(ROOT)} differs from the stored rows; run python -m benchmarks.render")
            status = 1
        elif new != text:
            path.write_text(new, encoding="utf-8")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
