"""The files of an experiment, written one after the other: one that cannot be written takes no other with it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relgraph.errors import DataError, InputError
from relgraph.io import write_atomic

if TYPE_CHECKING:
    from relgraph.stitching import Experiment


FOLDERS = ("tables", "models", "spaces", "heads")
"""Folders of files in the output folder of an experiment; those of an earlier one are replaced as wholes."""
PICTURES = ("predictions.npz", "report.html", "matrix.png", "spaces.png")
"""Files there that are no copy of the document."""


def check_json_path(path: str | None) -> Path | None:
    """The file that ``--json`` names, which must be in a folder that exists; ``None`` if it names no file."""
    if path in (None, "-"):
        return None
    if not path:
        raise InputError("--json", "must be a path, or - for standard output (got '')")
    target = Path(path).expanduser()
    try:
        fits = not target.is_dir() and target.absolute().parent.is_dir()
        target.exists()
    except OSError as error:
        raise DataError(f"'--json' must be a valid path (got '{path}': {error.strerror}); shorten it") from error
    if not fits:
        raise DataError(f"'--json' must be a file in a folder that exists (got '{path}'), or - for standard output")
    return target


def writers(report: dict[str, Any], experiment: Experiment, *, models: bool) -> dict[str, Callable[[Path], object]]:
    """What writes each file, or folder of files, of the output folder."""
    from relgraph.stitching import artifacts, plots
    from relgraph.stitching.report import to_json

    found: dict[str, Callable[[Path], object]] = {
        "stitching.json": partial(write_atomic, content=to_json(report)),
        "predictions.npz": partial(artifacts.save_predictions, experiment),
        "report.html": partial(_save_page, report, experiment),
        "tables": partial(_save_tables, report),
        "matrix.png": partial(plots.draw_matrix, report),
    }
    if plots.can_draw_spaces(experiment):
        found["spaces.png"] = partial(plots.draw_spaces, experiment)
    if models:
        found["models"] = partial(artifacts.save_models, experiment)
        found["spaces"] = partial(artifacts.save_spaces, experiment)
        if experiment.heads:  # others are in the models
            found["heads"] = partial(artifacts.save_heads, experiment)
    return found


def _save_page(report: dict[str, Any], experiment: Experiment, path: Path) -> None:
    from relgraph.report import save_html
    from relgraph.report.stitching import stitching_report

    save_html(stitching_report(report, experiment), path)


def _save_tables(report: dict[str, Any], folder: Path) -> None:
    from relgraph.report import save_tables
    from relgraph.report.stitching import stitching_report

    save_tables(stitching_report(report), folder)


def print_document(report: dict[str, Any]) -> None:
    """Write the document to standard output, or raise a :class:`DataError`."""
    from relgraph.stitching.report import to_json

    try:
        sys.stdout.write(to_json(report))
        sys.stdout.flush()
    except OSError as error:
        reason = error.strerror or error
        raise DataError(
            f"standard output must take the whole document (got: {reason}); give '--json' a path"
        ) from error


class Results:
    """Calls writers and holds their first error back; ``written`` lists the files of those that succeeded."""

    def __init__(self) -> None:
        self.written: list[Path] = []
        self._failure: DataError | None = None

    def attempt(self, write: Callable[..., object], given: object, shown: Path | None = None) -> None:
        """Call a writer with one argument; the file that it writes is ``shown`` to the user."""
        try:
            write(given)
        except DataError as error:
            self._failure = self._failure or error
        else:
            self.written += [shown] if shown else []

    def finish(self) -> None:
        """Raise the first error, if there was one."""
        if self._failure is not None:
            kept = f"; written: {', '.join(map(str, self.written))}" if self.written else ""
            raise DataError(f"{self._failure}{kept}")
