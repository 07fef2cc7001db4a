"""Folders in which the raw files of a dataset may lie: the folder given, else RELGRAPH_DATA; then the cache."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from relgraph.errors import DataError
from relgraph.io import load_record, save_record

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Place:
    """A folder to look in, and a description that can be published, since it holds no path of the machine."""

    folder: Path
    words: str


def data_place(root: str | os.PathLike[str] | None) -> Place | None:
    """The folder to look in: ``root`` if given, else the one of ``RELGRAPH_DATA``, else none."""
    if root is not None:
        return Place(Path(root).expanduser(), "the folder given")
    named = os.environ.get("RELGRAPH_DATA")
    return Place(Path(named).expanduser(), "the folder of RELGRAPH_DATA") if named else None


def candidates(root: Path, family: str, names: Iterable[str]) -> list[Path]:
    """Folders with a folder ``raw`` that may be those of a dataset: ``root/NAME``, ``root/FAMILY/NAME`` and ``root``.

    Capitals do not count. Datasets of one name (Planetoid's and CitationFull's Cora) are told apart by their raw files.
    """
    wanted = {name.casefold() for name in names}
    parents = [root, *_children(root, {family.casefold()})]
    folders = [child for parent in parents for child in _children(parent, wanted)]
    return [folder for folder in [*folders, root] if (folder / "raw").is_dir()]


def missing_files(folder: Path, files: Iterable[str]) -> list[str]:
    """The names in ``files`` that are no file in ``folder``."""
    return [name for name in files if not (folder / name).is_file()]


def complete(name: str, folder: Path, files: Sequence[str], way_out: str) -> bool:
    """Whether a folder holds all files of a dataset; if it holds only a part, a broken link included, an error."""
    missing = missing_files(folder, files)
    if missing and any(os.path.lexists(folder / file) for file in files):
        lacks = ", ".join(missing)
        raise DataError(f"the folder '{folder}' must hold all files of '{name}' (it lacks {lacks}); {way_out}")
    return not missing


def not_found(name: str, place: Place | None, kept: Path, reason: str, files: str, example: str) -> DataError:
    """The error for a dataset that is in no folder and was not downloaded, with the files that are needed."""
    tried, target = f"'{kept}'", f"FOLDER/{example} and give FOLDER as root (--data-root) or in RELGRAPH_DATA"
    if place:
        there = "" if place.folder.is_dir() else " (no such folder)"
        tried, target = f"'{place.folder}'{there} or {tried}", f"'{place.folder / example}'"
    return DataError(f"the dataset '{name}' is not in {tried} and {reason}; put {files} in {target}")


def first_line(error: Exception) -> str:
    """The type of an error and the first line of its message."""
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or ['no reason given'])[0]}"


def files_digest(folder: Path, files: Iterable[str]) -> str:
    """Sixteen hexadecimal digits of the names and contents of files."""
    return hashlib.sha256("\n".join(f"{name}:{sha256(folder / name)}" for name in files).encode()).hexdigest()[:16]


def sha256(path: Path) -> str:
    """SHA-256 of a file, or a :class:`DataError` if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"the file '{path}' cannot be read ({error.strerror}); make it readable") from error


def cached(entry: Path, kind: str, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """Tensors from a file of the cache, made if it is missing or damaged, and saved there if that is possible."""
    with suppress(DataError):
        return load_record(entry, kind)[0]
    made = make()
    with suppress(DataError, OSError):
        entry.parent.mkdir(parents=True, exist_ok=True)
        save_record(entry, kind, made, {})
    return made


def _children(folder: Path, names: set[str]) -> list[Path]:
    try:
        return [child for child in sorted(folder.iterdir()) if child.name.casefold() in names]
    except OSError:  # a folder that is missing or cannot be read has no children
        return []
