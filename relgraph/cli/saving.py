"""Writing results one after the other, so that one that cannot be written takes none of the others with it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from relgraph.errors import DataError


class Saving:
    """Writes results, and keeps the first error for the end.

    Attributes:
        written: The files that were written.
    """

    def __init__(self) -> None:
        self.written: list[Path] = []
        self._failure: DataError | None = None

    def write(self, write: Callable[[Path], object], path: Path) -> None:
        """Call ``write`` with a path and remember whether that worked."""
        try:
            write(path)
        except DataError as error:
            self._failure = self._failure or error
        else:
            self.written.append(path)

    def write_copy(self, text: str, json_path: str | None) -> None:
        """Write a document to the path that ``--json`` names, if it names one."""
        from relgraph.stitching.output import written_whole

        def write(path: Path) -> None:
            with written_whole(path) as temporary:
                temporary.write_text(text, encoding="utf-8")

        if json_path not in (None, "-"):
            self.write(write, Path(str(json_path)))

    def print_copy(self, text: str, json_path: str | None) -> None:
        """Print a document if ``--json`` is ``-``."""
        if json_path != "-":
            return
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except OSError as error:
            reason = error.strerror or error
            self._failure = self._failure or DataError(
                f"standard output must take the whole document (got an error: {reason}); give '--json' a path"
            )

    def finish(self) -> None:
        """Raise the first error, if there was one, with the files that were written in spite of it."""
        if self._failure is None:
            return
        kept = f"; written: {', '.join(map(str, self.written))}" if self.written else ""
        raise DataError(f"{self._failure}{kept}")
