"""A grid of parameters measured cell by cell into tidy rows, resumed where it stopped.

A study writes one CSV file beside its script: one row per measured figure, the parameters of its cell first. The file
is written whole after every cell, so that a killed study goes on with the cells that are missing; finished cells are
skipped unless ``--again`` is given. Rows of cells that were not chosen are kept, those of cells that the grid no longer
has are dropped.
"""

from __future__ import annotations

import argparse
import csv
import io
import itertools
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from relgraph.io import write_atomic

ROOT = Path(__file__).resolve().parents[1]
Row = dict[str, Any]
_VERSIONS = ("relgraph", "torch")


def read_rows(path: Path) -> list[Row]:
    """The rows of a results file, numbers as numbers and empty fields as ``None``; none if there is no file."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [{name: _value(text) for name, text in row.items()} for row in csv.DictReader(file)]


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write a results file, whole or not at all: floats with eight digits, columns in the order of their first use."""
    columns = list(dict.fromkeys(name for row in rows for name in row if name not in _VERSIONS))
    columns += [name for name in _VERSIONS if any(name in row for row in rows)]
    columns = [name for name in columns if any(_text(row.get(name)) for row in rows)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_text(row.get(name)) for name in columns] for row in rows)
    write_atomic(path, text.getvalue())


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return f"{value:.8g}" if isinstance(value, float) else str(value)


def _value(text: str | None) -> Any:
    for kind in (int, float):
        try:
            return kind(text or "")
        except ValueError:
            continue
    return text or None


@dataclass(frozen=True)
class Study:
    """One question: a grid of parameters and what is measured at each of its cells.

    Args:
        file: ``__file__`` of the script; the results stand beside it, ``results.csv`` for ``run.py``.
        measure: From a cell and the options to the rows of the cell, without the cell's own parameters.
        grid: The values of every parameter; each one is an option that selects some of them.
        settings: Options that change the numbers, with the values behind the published results.
        exists: Which combinations of the grid are measured.
        default: Values of parameters that are measured if their option is not given, where these are not all.
        needs_data: Whether ``--data-root`` is an option.
    """

    file: str
    measure: Callable[[Row, argparse.Namespace], Iterable[Row]]
    grid: Mapping[str, Sequence[Any]]
    settings: Mapping[str, Any] = field(default_factory=dict)
    exists: Callable[[Row], bool] = lambda cell: True
    needs_data: bool = True
    default: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """The results file."""
        script = Path(self.file).resolve()
        return script.with_name("results.csv" if script.stem == "run" else f"{script.stem}.csv")

    def cells(self, chosen: Mapping[str, Sequence[Any]] | None = None) -> list[Row]:
        """The cells of the grid, or of the chosen part of it, in order."""
        axes = {name: (chosen or {}).get(name) or values for name, values in self.grid.items()}
        cells = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
        return [cell for cell in cells if self.exists(cell)]

    def key(self, row: Row) -> tuple[str, ...]:
        """What identifies the cell of a row."""
        return tuple(_text(row.get(name)) for name in self.grid)

    def run(self, options: argparse.Namespace, path: Path, chosen: Mapping[str, Sequence[Any]] | None = None) -> None:
        """Measure the missing cells, or with ``options.again`` all chosen ones, and write the file after each."""
        found: dict[tuple[str, ...], list[Row]] = {}
        order = {self.key(cell): number for number, cell in enumerate(self.cells())}
        for row in read_rows(path):
            if self.key(row) in order:
                found.setdefault(self.key(row), []).append(row)
        cells = [cell for cell in self.cells(chosen) if options.again or self.key(cell) not in found]
        versions = {name: version(name).split("+")[0] for name in _VERSIONS}
        start = time.perf_counter()
        for number, cell in enumerate(cells, start=1):
            found[self.key(cell)] = [{**cell, **row, **versions} for row in self.measure(dict(cell), options)]
            found = dict(sorted(found.items(), key=lambda item: order[item[0]]))
            write_rows(path, [row for rows in found.values() for row in rows])
            spent = time.perf_counter() - start
            left = spent / number * (len(cells) - number)
            print(f"{number}/{len(cells)} {cell}: {spent:.0f} s, about {left:.0f} s left", flush=True)

    def parser(self) -> argparse.ArgumentParser:
        """The options of the script."""
        parser = argparse.ArgumentParser(formatter_class=argparse.ArgumentDefaultsHelpFormatter)
        if self.needs_data:
            parser.add_argument("--data-root", required=True, help="folder with the raw files of the datasets")
            parser.add_argument("--device", default="cpu", help="where models are trained")
        parser.add_argument("--threads", type=int, default=1)
        parser.add_argument("--again", action="store_true", help="measure finished cells anew")
        parser.add_argument("--out", type=Path, default=self.path, help="the results file")
        for name, values in self.grid.items():
            kind = str if any(isinstance(value, str) for value in values) else type(values[0])
            option = "--" + name.replace("_", "-")
            parser.add_argument(option, nargs="+", type=kind, choices=values, metavar="VALUE", help=f"of {values}")
        for name, value in self.settings.items():
            many = {"nargs": "+"} if isinstance(value, tuple) else {}
            kind = type(value[0] if many else value)
            parser.add_argument("--" + name.replace("_", "-"), type=kind, default=value, **many)
        return parser

    def main(self, argv: Sequence[str] | None = None) -> None:
        """Read the options and run."""
        import torch

        parser = self.parser()
        options = parser.parse_args(argv)
        changed = [
            name
            for name, value in self.settings.items()
            if getattr(options, name) not in (value, list(value) if isinstance(value, tuple) else value)
        ]
        if changed and options.out == self.path:
            parser.error(
                f"--{changed[0].replace('_', '-')} differs from the published results; name another file with --out"
            )
        torch.set_num_threads(options.threads)
        self.run(options, options.out, {name: getattr(options, name) or self.default.get(name) for name in self.grid})
