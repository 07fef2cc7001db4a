"""Results reach the disk whole or not at all, and a run that fails leaves nothing behind."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from relgraph.errors import DataError


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A path to write to beside ``path``, renamed to it at the end, or removed if anything went wrong.

    Raises:
        DataError: If the file cannot be written.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with written_whole(Path(folder) / "a.txt") as temporary:
        ...         _ = temporary.write_text("all of it")
        ...     os.listdir(folder)
        ['a.txt']
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise _unwritable("file", path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


@contextmanager
def output_folder(folder: Path) -> Iterator[Path]:
    """A workplace inside a folder, whose files move up into the folder together if all went well.

    The folder is made, and tried, on entering, so that a long job does not find out at its end. If the job fails, the
    workplace goes, and so do the folders made for it; what was in the folder before stays as it was.

    Raises:
        DataError: If the folder cannot be made or written to.
    """
    made: list[Path] = []
    work: Path | None = None
    try:
        try:
            for parent in (*reversed(folder.parents), folder):
                if not parent.exists():
                    parent.mkdir()
                    made.append(parent)
            work = Path(tempfile.mkdtemp(prefix=".making-", dir=folder))
        except OSError as error:
            raise _unwritable("folder", folder, error) from error
        yield work
        try:
            for file in sorted(work.iterdir()):
                os.replace(file, folder / file.name)
        except OSError as error:
            raise _unwritable("folder", folder, error) from error
    finally:
        if work is not None:
            shutil.rmtree(work, ignore_errors=True)
        with suppress(OSError):  # a folder that holds something stays, and so do those above it
            for parent in reversed(made):
                parent.rmdir()


def _unwritable(kind: str, path: Path, error: OSError) -> DataError:
    return DataError(f"the {kind} for output must be one that can be written (got '{path}': {error.strerror or error})")
