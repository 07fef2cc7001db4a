"""Writing results one after the other, so that one that cannot be written takes none of the others with it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relgraph.errors import DataError, InputError
from relgraph.io import output_folder, write_atomic

if TYPE_CHECKING:
    from relgraph.stitching import Experiment


def check_json_path(path: str | None) -> None:
    """Refuse a path for ``--json`` that names no file in a folder that exists.

    Raises:
        InputError: If it is empty.
        DataError: If it cannot be a file.
    """
    if path in (None, "-"):
        return
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


class Results:
    """The files of one command; the first error is raised at the end, after everything else was written.

    Args:
        out: The output folder.
        json_path: A further path for the document, ``"-"`` for standard output, or ``None``.

    Attributes:
        written: The files that were written.
    """

    def __init__(self, out: Path, json_path: str | None) -> None:
        self.out = out
        self.copy = None if json_path in (None, "-") else Path(str(json_path)).expanduser()
        self.to_stdout = json_path == "-"
        self.written: list[Path] = []
        self._work: Path | None = None
        self._failure: DataError | None = None

    @contextmanager
    def folder(self) -> Iterator[None]:
        """The time in which results are made; files appear in the output folder at its end, or not at all."""
        with output_folder(self.out) as self._work:
            yield

    def write(self, report: dict[str, Any], experiment: Experiment, *, models: bool = True) -> None:
        """Write the document, its copy, the pictures and what the experiment trained."""
        from relgraph.stitching import artifacts, plots
        from relgraph.stitching.report import to_json

        text = to_json(report)
        self._write("stitching.json", lambda path: write_atomic(path, text))
        if self.copy is not None:
            copy = self.copy
            self._guard(lambda: write_atomic(copy, text), [copy])
        self._write("predictions.npz", lambda path: artifacts.save_predictions(experiment, path))
        if models:
            self._write("models", lambda path: artifacts.save_models(experiment, path))
            self._write("spaces", lambda path: artifacts.save_spaces(experiment, path))
            if experiment.problem.pointwise(experiment.settings.at):  # others are in the models
                self._write("heads", lambda path: artifacts.save_heads(experiment, path))
        self._write("matrix.png", lambda path: plots.draw_matrix(report, path))
        if plots.can_draw_spaces(experiment):
            self._write("spaces.png", lambda path: plots.draw_spaces(experiment, path))

    def print(self, report: dict[str, Any]) -> None:
        """Print the document if ``--json`` is ``-``."""
        if not self.to_stdout:
            return
        from relgraph.stitching.report import to_json

        try:
            sys.stdout.write(to_json(report))
            sys.stdout.flush()
        except OSError as error:
            self._failure = self._failure or DataError(
                f"standard output must take the whole document (got an error: {error.strerror or error}); "
                "give '--json' a path"
            )

    def finish(self) -> None:
        """Raise the first error, if there was one, with the files that were written in spite of it."""
        if self._failure is not None:
            kept = f"; written: {', '.join(map(str, self.written))}" if self.written else ""
            raise DataError(f"{self._failure}{kept}")

    def _write(self, name: str, write: Callable[[Path], object]) -> None:
        assert self._work is not None
        path = self._work / name
        self._guard(lambda: write(path), [self.out / name])

    def _guard(self, write: Callable[[], object], files: list[Path]) -> None:
        try:
            write()
        except DataError as error:
            self._failure = self._failure or error
        else:
            self.written += files
