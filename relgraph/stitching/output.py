"""Results reach the disk whole or not at all, and a run that fails leaves nothing behind."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from relgraph.errors import DataError

MAKING = ".making-"
STALE_SECONDS = 24 * 3600


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A path to write to beside ``path``, renamed to it at the end, or removed if anything went wrong.

    A symbolic link is followed. What is no regular file, such as a device or a named pipe, is written to directly and
    never replaced.

    Raises:
        DataError: If the file cannot be written.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with written_whole(Path(folder) / "a.txt") as temporary:
        ...         _ = temporary.write_text("all of it")
        ...     os.listdir(folder)
        ['a.txt']
    """
    temporary = None
    try:
        if _is_special(path):
            yield path
            return
        target = _followed(path)
        # Not named after the file, whose name may be as long as names can be.
        temporary = target.with_name(f"{MAKING}{os.getpid()}-{os.urandom(4).hex()}")
        yield temporary
        os.replace(temporary, target)
    except OSError as error:
        raise _unwritable("file", path, error) from error
    finally:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink()


def check_writable(path: Path) -> None:
    """Raise an error if a file cannot be written to this path, before a long job finds out; nothing is changed.

    Raises:
        DataError: If it is a folder, its folder is not there or not writable, or its name is too long.
    """
    try:
        special = _is_special(path)  # a name that is too long is an error here
        if path.is_dir():
            raise IsADirectoryError(None, "it is a folder")
        if not special:
            with tempfile.TemporaryFile(dir=_followed(path).parent):
                pass
        elif not os.access(path, os.W_OK):
            raise PermissionError(None, "Permission denied")
    except OSError as error:
        raise _unwritable("file", path, error) from error


@contextmanager
def output_folder(folder: Path) -> Iterator[Path]:
    """A workplace inside a folder, whose files move up into the folder together if all went well.

    The folder is made, and tried, on entering, so that a long job does not find out at its end. If the job fails, the
    workplace goes, and so do the folders made for it; what was in the folder before stays as it was. Workplaces that
    killed processes left behind more than a day ago are removed on entering.

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
            _sweep(folder)
            work = Path(tempfile.mkdtemp(prefix=f"{MAKING}{os.getpid()}-", dir=folder))
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


def _followed(path: Path) -> Path:
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def _is_special(path: Path) -> bool:
    """Whether the path is there and is neither a regular file nor a folder."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _sweep(folder: Path) -> None:
    """Remove what processes that are gone were making here more than a day ago."""
    for left in folder.glob(f"{MAKING}*"):
        with suppress(OSError):
            changed = left.stat().st_mtime
            if time.time() - changed < STALE_SECONDS or _runs_since(left.name, changed):
                continue
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink()


def _runs_since(name: str, moment: float) -> bool:
    """Whether the process in the name of a workplace is alive and older than the workplace's last change."""
    import psutil

    number = name.removeprefix(MAKING).split("-")[0]
    if not number.isdecimal():
        return False
    try:
        return bool(psutil.Process(int(number)).create_time() <= moment)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def _unwritable(kind: str, path: Path, error: OSError) -> DataError:
    return DataError(f"the {kind} for output must be one that can be written (got '{path}': {error.strerror or error})")
