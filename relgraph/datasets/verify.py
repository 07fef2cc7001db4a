"""Checks of raw files before anything uses them: whole, of the right dataset, and without foreign code.

Planetoid's files are pickles, which can name any function to be called, and PyG unpickles them without a check: every
name is compared with the few that the format needs. OGB's compressed tables are checked for their sizes and values.
"""

from __future__ import annotations

import pickletools
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from relgraph.datasets.paths import first_line, sha256
from relgraph.errors import DataError

if TYPE_CHECKING:
    from torch_geometric.data import Data

# Names in the published files (Python 2, early numpy and scipy), and the names that new libraries write instead.
_ALLOWED_GLOBALS = {
    *(f"numpy.{core}.multiarray _reconstruct" for core in ("core", "_core")),
    "numpy ndarray",
    "numpy dtype",
    *(f"scipy.sparse.{module} csr_matrix" for module in ("csr", "_csr")),
    "collections defaultdict",
    *(f"{builtins} {name}" for builtins in ("__builtin__", "builtins") for name in ("list", "dict")),
    "_codecs encode",
}
# Opcodes that name something to call without spelling it out in the file, or that load through other means.
_REFUSED_OPCODES = {"STACK_GLOBAL", "INST", "OBJ", "EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID"}

_NPZ_ARRAYS = [f"{part}_{piece}" for part in ("attr", "adj") for piece in ("data", "indices", "indptr", "shape")]
# The errors of zip, zlib and numpy on bytes that they cannot read.
_NPZ_ERRORS = (OSError, ValueError, LookupError, EOFError, TypeError, AttributeError, zipfile.BadZipFile, zlib.error)


def check_raw_file(path: Path, shown: str) -> None:
    """Refuse a raw file, called ``shown``, that is damaged or would run foreign code; it is read, never executed.

    The file is an ``.npz`` archive, a pickle of Planetoid, or a text, which is not checked.
    """
    if path.suffix == ".npz":
        _check_npz(path, shown)
    elif path.suffix != ".index":
        _check_pickle(path, shown)


def check_published(raw: Path, files: Sequence[str], origin: str) -> None:
    """Refuse files of Planetoid if most are the published ones and some are not: those are damaged.

    A pickle has no checksum of its own; ``planetoid.sha256`` holds those of the files in kimiyoung/planetoid. If more
    than half of the files differ, they are another release, of which only the contents can be checked.
    """
    listed = resources.files("relgraph.datasets").joinpath("planetoid.sha256").read_text(encoding="utf-8")
    published = {name: digest for digest, name in map(str.split, listed.splitlines())}
    different = [name for name in files if name in published and sha256(raw / name) != published[name]]
    if different and 2 * len(different) <= len(files):
        raise DataError(
            f"the file '{different[0]}' in {origin} must be the published one, as most of the files beside it are "
            "(got other content); take it from github.com/kimiyoung/planetoid again"
        )


def check_citations(data: Data, *, binary: bool, origin: str) -> None:
    """Refuse a graph that Planetoid's files cannot hold; only the published files have a checksum."""
    x, y, fault = data.x, data.y, None
    if not data.is_undirected():
        fault = "an edge without its reverse"
    elif not bool((x.isfinite() & (x >= 0)).all()):
        fault = "a feature that is negative or not finite"
    elif binary and bool(((x != 0) & (x != 1)).any()):
        fault = "a feature that is neither 0 nor 1"
    elif bool((y < 0).any()) or len(set(y[data.train_mask].bincount(minlength=int(y.max()) + 1).tolist())) > 1:
        fault = "training labels that are not equally many of each class"
    if fault:
        raise DataError(f"{origin} is damaged ({fault}); take the raw files from their publisher again")


@dataclass(frozen=True)
class RawTables:
    """The compressed tables of one dataset of OGB, in a folder that holds ``raw`` and ``split``.

    Every method raises a :class:`DataError` that names the file if it is damaged or has other content than it must.
    """

    folder: Path
    dataset: str
    url: str

    def table(
        self, file: str, rows: int | None, columns: int | None, *, integers: bool = False, finite: bool = False
    ) -> Tensor:
        """A table as int64 or float32, ``(rows, columns)``; an empty cell is NaN."""
        found = self._read(file).to_numpy()
        height, width = found.shape
        if rows not in (None, height) or columns not in (None, width):
            wanted = ("rows" if rows is None else f"{rows:,} rows") + (f" of {columns}" if columns else "")
            raise self.refusal(file, wanted, f"{height:,} rows of {width}")
        if found.dtype.kind not in "iuf" or (integers and found.dtype.kind == "f"):
            raise self.refusal(file, "integers" if integers else "numbers", "other text, or empty cells")
        values = torch.from_numpy(found.astype(np.float32 if found.dtype.kind == "f" else np.int64))
        if finite and not bool(values.isfinite().all()):
            raise self.refusal(file, "finite numbers", "empty, NaN or infinite cells")
        return values

    def integers(self, file: str, *, column: str | None = None) -> Tensor:
        """A table of one integer per row, ``(rows,)``; or one column, by the name in its first row."""
        if column is None:
            values = self.table(file, None, 1, integers=True).view(-1)
            if bool((values < 0).any()):
                raise self.refusal(file, "integers from 0", "a negative one")
            return values
        found = self._read(file, header=0)
        if column not in found or found[column].dtype.kind != "i":
            raise self.refusal(file, f"a column '{column}' of integers", f"the columns {', '.join(found)}")
        return torch.tensor(found[column].to_numpy())

    def split(self, files: Mapping[str, str], rows: int, sizes: Sequence[int] | None) -> dict[str, Tensor]:
        """Rows of each part of the split, which must exist and be in one part only."""
        parts = {part: self.integers(file) for part, file in files.items()}
        for index, (part, chosen) in enumerate(parts.items()):
            if sizes and chosen.numel() != sizes[index]:
                raise self.refusal(files[part], f"{sizes[index]:,} rows", f"{chosen.numel():,}")
            if chosen.numel() and int(chosen.max()) >= rows:
                raise self.refusal(files[part], f"numbers from 0 to {rows - 1:,}", f"{int(chosen.max()):,}")
        together = torch.cat(list(parts.values()))
        if len(torch.unique(together)) != together.numel():
            raise self.refusal([*files.values()][-1], "no row of another part, and none twice", "repeated rows")
        return parts

    def check_labels(self, file: str, y: Tensor, classes: int | None) -> None:
        """Refuse labels that are no classes, or, if ``classes`` is ``None``, that are infinite. NaN is allowed."""
        y = y[~y.isnan()]
        if classes is None:
            if not bool(y.isfinite().all()):
                raise self.refusal(file, "finite numbers", "an infinite label")
        elif bool(((y < 0) | (y >= classes) | (y != y.round())).any()):
            raise self.refusal(file, f"labels from 0 to {classes - 1}", f"labels from {y.min():g} to {y.max():g}")

    def refusal(self, file: str, wanted: str, got: str) -> DataError:
        """The error for a file with other content than that of the dataset."""
        return DataError(
            f"the file '{self.folder / file}' must hold {wanted} to be of '{self.dataset}' and whole (got {got}); "
            f"take the files of '{self.dataset}' from {self.url} again"
        )

    def _read(self, file: str, header: int | None = None) -> Any:
        import pandas as pd  # type: ignore[import-untyped]  # pandas has no types of its own

        try:
            return pd.read_csv(self.folder / file, compression="gzip", header=header)
        except pd.errors.EmptyDataError:
            return pd.DataFrame(np.empty((0, 0), dtype=np.int64))
        except (pd.errors.ParserError, UnicodeDecodeError) as error:
            raise self.refusal(file, "a table", first_line(error)) from error
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(
                f"the file '{self.folder / file}' must be a whole gzip file (got {first_line(error)}); "
                f"take the files of '{self.dataset}' from {self.url} again"
            ) from error


def _check_pickle(path: Path, shown: str) -> None:
    with path.open("rb") as file:
        try:
            for opcode, argument, _ in pickletools.genops(file):
                if opcode.name == "GLOBAL" and argument not in _ALLOWED_GLOBALS:
                    name = f"'{str(argument).replace(' ', '.')}'"
                elif opcode.name in _REFUSED_OPCODES:
                    name = f"opcode {opcode.name}"
                else:
                    continue
                raise DataError(
                    f"{shown} is refused: it is a pickle that would run foreign code ({name}); "
                    "take the file from its publisher again"
                )
        except (ValueError, IndexError, UnicodeDecodeError) as error:
            raise _damaged(shown) from error


def _check_npz(path: Path, shown: str) -> None:
    try:  # the file is opened here, because numpy leaves a file that is no archive open
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            for name in [*_NPZ_ARRAYS, "labels"]:
                archive[name]  # decompression finds a damaged member, or one that holds pickled objects
    except _NPZ_ERRORS as error:
        raise _damaged(shown) from error


def _damaged(shown: str) -> DataError:
    return DataError(f"{shown} is damaged or of another format; take the file from its publisher again")
