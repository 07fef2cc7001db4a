"""Files: written whole or not at all, digests of content, and records of tensors in one safetensors file."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relgraph.errors import DataError, InputError

if TYPE_CHECKING:
    from torch import Tensor

PathLike = str | os.PathLike[str]
_WORK = ".relgraph-"
_STALE_SECONDS = 24 * 3600


def cache_folder() -> Path:
    """The folder for datasets and trained runs: ``RELGRAPH_CACHE``, else the user's cache folder."""
    named = os.environ.get("RELGRAPH_CACHE")
    if named:
        return Path(named).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "relgraph"


@contextmanager
def atomic_path(path: PathLike) -> Iterator[Path]:
    """A temporary path beside ``path``, renamed to it at the end, or removed if anything went wrong.

    A symbolic link is followed. What is no regular file, such as a device or a named pipe, is written to and never
    replaced.

    Raises:
        DataError: If the file cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with atomic_path(Path(folder) / "a.txt") as temporary:
        ...         _ = temporary.write_text("all of it")
        ...     os.listdir(folder)
        ['a.txt']
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f"{_work_name()}{target.suffix}")
    try:
        plain = Path(path)  # asked before links are resolved: that of a pipe in /dev/fd names no file
        if plain.exists() and not (plain.is_file() or plain.is_dir()):
            yield plain
            return
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except OSError as error:
        raise unwritable("file", path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def check_writable(path: PathLike) -> None:
    """Refuse a file that cannot be written, before anything is computed; the file itself is not touched.

    Raises:
        DataError: If no file can be made in its folder.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        return  # a device or a pipe, which is opened once only
    temporary = target.with_name(_work_name())
    try:
        temporary.touch(exist_ok=False)
        temporary.unlink()
    except OSError as error:
        raise unwritable("file", path, error) from error


def write_atomic(path: PathLike, content: str | bytes) -> None:
    """Write a file, whole or not at all; on a :class:`DataError` an old file is unchanged."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def check_file(path: Path, way_out: str) -> None:
    """Refuse what is no file to read, by what it is.

    Raises:
        DataError: If it is missing, or a folder.

    Example:
        >>> check_file(Path("."), "give a table")
        Traceback (most recent call last):
        relgraph.errors.DataError: '.' is a folder, where a file is read; give a table
    """
    if path.is_dir():
        raise DataError(f"'{path}' is a folder, where a file is read; {way_out}")
    if not path.is_file():
        raise DataError(f"'{path}' does not exist; {way_out}")


def check_not_read(written: Iterable[PathLike], read: Iterable[PathLike], argument: str = "out") -> None:
    """Refuse to write a file that is read, by whatever path or link it is named.

    Args:
        written: Files that are to be written.
        read: Files that are read, and those that would be if they existed, such as the ids beside a table.
        argument: Where ``written`` was named.

    Raises:
        InputError: If a file is in both.
    """
    for place, one in itertools.product(map(Path, written), dict.fromkeys(map(Path, read))):
        if same_file(place, one):
            same = "" if place == one else f", which is the file '{one}'"
            rule = (
                "must not replace a file that is read" if one.exists() else "must not be read with a table as its ids"
            )
            raise InputError(argument, f"{rule} (got '{place}'{same}); choose another")


def check_distinct(outputs: Mapping[str, Iterable[PathLike]]) -> None:
    """Refuse two outputs in one file; ``outputs`` are the files of each argument.

    Raises:
        InputError: If a file is named twice.
    """
    named = [(argument, Path(place)) for argument, places in outputs.items() for place in places]
    for (first, place), (second, other) in itertools.combinations(named, 2):
        if same_file(place, other):
            raise InputError(second, f"must not replace what {first} writes (got '{other}'); choose another file")


def same_file(one: Path, other: Path) -> bool:
    """Whether two paths name one file, by whatever links; they need not exist."""
    if one.exists() and other.exists():
        return os.path.samefile(one, other)
    return os.path.realpath(one) == os.path.realpath(other)


def _move_up(work: Path, folder: Path, replaced: Sequence[str]) -> None:
    """Move all files of a work folder to its parent, or none of them."""
    files = [file.relative_to(work) for file in sorted(work.rglob("*")) if file.is_file()]
    taken = [folder / name for name in files if (folder / name).is_dir()]
    taken += [above for name in files for above in (folder / name).parents if above.exists() and not above.is_dir()]
    if taken:
        kept = work.rename(work.with_name(work.name.lstrip(".")))
        way_out = f"move it away; the results are in '{kept}'"
        raise DataError(f"'{taken[0]}' must not be in the way of a result of another kind; {way_out}")
    try:
        for name in replaced:
            if (folder / name).is_dir() and not (folder / name).is_symlink():
                shutil.rmtree(folder / name)
        for one in files:
            (folder / one).parent.mkdir(parents=True, exist_ok=True)
            os.replace(work / one, folder / one)
    except OSError as error:
        raise unwritable("folder", folder, error) from error


@contextmanager
def output_folder(folder: Path, replaced: Sequence[str] = ()) -> Iterator[Path]:
    """A new work folder inside ``folder``, whose files move up together at the end; if the job fails, none does.

    The folder is made, and tried, on entering, so that a long job fails early with a :class:`DataError`. Work folders
    that a process which no longer runs left behind more than a day ago are removed. If a file cannot move up, because
    a folder has its name or a file that of its folder, no file does, and they stay in a folder that the error names.

    Args:
        folder: The folder.
        replaced: Folders in it that go when the files move up: those of an earlier job, whose other files would
            else stand between the new ones.
    """
    made: list[Path] = []
    work = folder / _work_name()
    try:
        try:
            for parent in (*reversed(folder.parents), folder):
                if not parent.exists():
                    parent.mkdir(exist_ok=True)
                    made.append(parent)
            work.mkdir()
        except OSError as error:
            raise unwritable("folder", folder, error) from error
        _remove_stale(folder)
        yield work
        _move_up(work, folder, replaced)
    finally:
        shutil.rmtree(work, ignore_errors=True)
        with suppress(OSError):  # a folder that holds something stays, and so do those above it
            for parent in reversed(made):
                parent.rmdir()


def unwritable(kind: str, path: PathLike, error: OSError) -> DataError:
    """The error for a file or folder that cannot be written."""
    return DataError(
        f"the {kind} for output must be writable (got '{os.fspath(path)}': {error.strerror or error}); choose another"
    )


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, unless it is there.

    Raises:
        DataError: If it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable("folder", folder, error) from error


def digest(*parts: Any) -> str:
    """SHA-256, in hexadecimal digits, over tensors, arrays, bytes, strings and JSON values.

    Example:
        >>> import torch
        >>> digest(torch.zeros(2), {"a": 1}) == digest(torch.zeros(2), {"a": 1})
        True
        >>> digest(torch.zeros(2)) == digest(torch.zeros(2, dtype=torch.float64))
        False
    """
    total = hashlib.sha256()
    for part in parts:
        if hasattr(part, "detach"):
            import torch

            plain = part.detach().cpu().contiguous()
            total.update(f"{plain.dtype}{tuple(plain.shape)}".encode())
            # Viewed as bytes, because numpy has no bfloat16.
            total.update(plain.reshape(-1).view(torch.uint8).numpy().tobytes())
        elif isinstance(part, bytes):
            total.update(part)
        elif hasattr(part, "tobytes"):
            total.update(f"{part.dtype}{part.shape}".encode() + part.tobytes())
        else:
            total.update(json.dumps(part, sort_keys=True).encode())
    return total.hexdigest()


def save_record(path: PathLike, kind: str, tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> None:
    """Write tensors and a header of strings to one safetensors file, whole or not at all.

    Args:
        path: The file to write or to replace; its folder must exist.
        kind: What the file holds and the version of that, such as ``"relgraph.anchors/3"``.
        tensors, header: By name. Tensors that share memory, such as tied weights, are each written in full.

    Raises:
        DataError: If the file cannot be written.
    """
    from safetensors.torch import save

    plain = _apart({name: tensor.detach().cpu().contiguous() for name, tensor in sorted(tensors.items())})
    known = {**header, "format": kind}
    write_atomic(path, save(plain, metadata={**known, "digest": digest(*plain.values(), list(plain), known)}))


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors, those that share memory with one before as copies; safetensors writes no memory twice."""
    seen: set[int] = set()
    found = {}
    for name, tensor in tensors.items():
        place = tensor.untyped_storage().data_ptr()
        found[name] = tensor.clone() if place in seen else tensor
        seen.add(place)
    return found


def load_record(path: PathLike, kind: str, names: Sequence[str] = ()) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read what :func:`save_record` wrote: the tensors by name, on the CPU, and the header.

    Raises:
        DataError: If the file is missing or damaged, of another kind, or lacks one of the tensors ``names``.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            header = dict(file.metadata() or {})
            # Copies: what is read must not change or vanish with the file.
            tensors = {name: file.get_tensor(name).clone() for name in sorted(file.keys())}
    except FileNotFoundError as error:
        raise DataError(f"'{path}' does not exist; give the path of a file of the kind {kind}") from error
    except (SafetensorError, OSError) as error:
        raise DataError(f"'{path}' is damaged or no safetensors file ({error}); save it again") from error
    if header.get("format") != kind:
        found = header.get("format", "a safetensors file of unknown origin")
        raise DataError(f"'{path}' must be of the kind {kind} (got {found}); load it with what wrote it")
    known = {name: text for name, text in header.items() if name != "digest"}
    digests = digest(*tensors.values(), list(tensors), known), digest(*tensors.values())  # the second until 0.2.0
    if not set(names) <= set(tensors) or header.get("digest") not in digests:
        raise DataError(f"'{path}' is damaged: its content is not what was saved; save it again")
    return tensors, header


def _work_name() -> str:
    return f"{_WORK}{os.getpid()}-{secrets.token_hex(6)}"


def _remove_stale(folder: Path) -> None:
    import psutil

    oldest = time.time() - _STALE_SECONDS
    for entry in folder.glob(f"{_WORK}*"):
        process = entry.name.removeprefix(_WORK).partition("-")[0]
        with suppress(OSError, OverflowError):
            # A job may be long: what belongs to a process that runs is no leftover.
            if entry.stat().st_mtime < oldest and not (process.isdecimal() and psutil.pid_exists(int(process))):
                shutil.rmtree(entry, ignore_errors=True) if entry.is_dir() else entry.unlink()
