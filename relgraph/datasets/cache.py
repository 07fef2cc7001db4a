"""The writable cache: a data set is there whole or not at all.

Everything is made in a folder of its own beside the entries and then renamed, so a killed process leaves nothing that
looks finished, and two processes at once do not meet.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from relgraph.errors import DataError


@contextmanager
def workspace(cache: Path) -> Iterator[Path]:
    """A new empty folder in the cache, removed at the end with all that was not published from it.

    Raises:
        DataError: If the cache cannot be written.
    """
    try:
        cache.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".making-", dir=cache))
    except OSError as error:
        raise not_writable(error, cache) from error
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def copy_files(source: Path, target: Path, names: Sequence[str]) -> None:
    """Copy the contents of the named files (``raw/edge.csv.gz`` makes ``raw``), and nothing else, to a new folder."""
    try:
        target.mkdir(parents=True)
        for name in names:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, target / name)
    except OSError as error:
        raise not_writable(error, target) from error


def publish(work: Path, entry: Path, *, replace: bool = False) -> None:
    """Rename ``work/new`` to ``entry``, unless it is there already and ``replace`` does not say that it is damaged."""
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        if replace:
            with suppress(FileNotFoundError):
                os.rename(entry, work / "old")
        os.rename(work / "new", entry)
    except OSError as error:
        # A folder that is not empty cannot be renamed over: another process has put its own, equal entry there.
        if not entry.is_dir():
            raise not_writable(error, entry) from error


def newest_first(shelf: Path, pattern: str) -> list[Path]:
    """Entries that match, the one made last first."""
    with suppress(OSError):
        return sorted(shelf.glob(pattern), key=lambda entry: entry.stat().st_mtime, reverse=True)
    return []


def not_writable(error: OSError, folder: Path | None = None) -> DataError:
    """The error for a cache in which nothing can be made."""
    where = f" '{folder}'" if folder is not None else ""
    return DataError(
        f"relgraph's cache{where} cannot be written ({error.strerror or error}); "
        "set RELGRAPH_CACHE to a folder that can be"
    )
