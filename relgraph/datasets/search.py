"""Where data sets are looked for, and in which order: the folder given, else RELGRAPH_DATA; then the cache."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from relgraph.errors import DataError


@dataclass(frozen=True)
class Place:
    """A folder to look in, and how to speak of it where no path of the machine may appear."""

    folder: Path
    words: str


def data_place(root: str | os.PathLike[str] | None) -> Place | None:
    """The folder to look in: ``root`` if given, else what ``RELGRAPH_DATA`` names, else none."""
    if root is not None:
        return Place(Path(root).expanduser(), "the folder given")
    named = os.environ.get("RELGRAPH_DATA")
    return Place(Path(named).expanduser(), "the folder of RELGRAPH_DATA") if named else None


def cache_folder() -> Path:
    """``$RELGRAPH_CACHE``, else ``$XDG_CACHE_HOME/relgraph``, else ``~/.cache/relgraph``; nothing is created."""
    if named := os.environ.get("RELGRAPH_CACHE"):
        return Path(named).expanduser()
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared).expanduser() / "relgraph"
    try:
        return Path.home() / ".cache" / "relgraph"
    except RuntimeError as error:
        raise DataError("the user has no home folder to keep data sets in; set RELGRAPH_CACHE to a folder") from error


def raw_folders(root: Path, family: str, names: Iterable[str]) -> list[Path]:
    """Folders below ``root`` in which the raw files of a data set may lie, likeliest first.

    These are ``root/NAME/raw``, ``root/FAMILY/NAME/raw`` and ``root/raw``, in any mixture of capitals. Two sets of
    one name (Planetoid's Cora, CitationFull's Cora) share candidates: their raw files tell them apart.
    """
    wanted = {name.casefold() for name in names}
    parents = [root, *_children(root, {family.casefold()})]
    folders = [child for parent in parents for child in _children(parent, wanted)]
    return [raw for folder in [*folders, root] if (raw := folder / "raw").is_dir()]


def missing_files(raw: Path, files: Sequence[str]) -> list[str]:
    """The names in ``files`` that are no file in ``raw``."""
    return [name for name in files if not (raw / name).is_file()]


def holds_some(raw: Path, files: Sequence[str]) -> bool:
    """Whether anything in ``raw`` has one of the names, be it a link to nowhere."""
    return any(os.path.lexists(raw / name) for name in files)


def digest(raw: Path, files: Sequence[str]) -> str:
    """Sixteen hexadecimal digits of the names and contents of raw files.

    Raises:
        DataError: If a file cannot be read.
    """
    total = hashlib.sha256()
    for name in files:
        try:
            with (raw / name).open("rb") as file:
                total.update(f"{name}:{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
        except OSError as error:
            raise DataError(f"the file '{raw / name}' cannot be read ({error.strerror})") from error
    return total.hexdigest()[:16]


def _children(folder: Path, names: set[str]) -> list[Path]:
    try:
        return [child for child in sorted(folder.iterdir()) if child.name.casefold() in names]
    except OSError:  # not there, not a folder or not ours to read: then it does not hold the set either
        return []
