"""Checks of raw files before anything uses them: whole, of the right dataset, and without foreign code.

Planetoid's files are pickles by their format, and a pickle can name any function to be called. PyG unpickles the files
without a check, so every name is compared with the few that the format needs. OGB's compressed tables are checked for
their numbers of rows and columns.
"""

from __future__ import annotations

import pickletools
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from relgraph.datasets.paths import first_line, sha256
from relgraph.errors import DataError

if TYPE_CHECKING:
    from torch_geometric.data import Data

# SHA-256 of Planetoid's files as their repository, kimiyoung/planetoid, holds them.
_PUBLISHED = {
    "ind.citeseer.allx": "2ac30345d95c9ec933a817ee0bdd6a5f077f8c184a20e696910192d534414668",
    "ind.citeseer.ally": "f704b2d986dde6c2669934de1f3ae5696a6cf9455c0f6b2646a2d135ea0a1c95",
    "ind.citeseer.graph": "d79a4ef9d3e7169aee8946145f6b7306e35bc79bffad26346cfb94e10e9912a7",
    "ind.citeseer.test.index": "2af990671580b6b2df5d158d1038f8292e30c9cd821b5453f399659b25b723d4",
    "ind.citeseer.tx": "539a8906a2da97628d212f2fdd668c109a8b3f0d36574b59e5d3fd5b5303da21",
    "ind.citeseer.ty": "55e5bd1ba1e733a04598753ad1a8d57957f4b8f89e74519f41f4f4938767e4ce",
    "ind.citeseer.x": "d20de19150741e555de0ed037195630fc194114ebc7fd72ced62810148aa22f6",
    "ind.citeseer.y": "8ba87e515d8e3ee3cf52f6d2c5b86aa73f11ecad825a808455209ec26cd54924",
    "ind.cora.allx": "9419ba2f26f5c35243db64aba110e0f35a04851609e0dc5433450676ca6b8543",
    "ind.cora.ally": "2b998f5cc7fedc86e7f97ca2498f47a1ffc1462c29e2d578b23bf3f62b6e7d71",
    "ind.cora.graph": "58f13302f39dde8852dad6fe6d15b89b077b6d7f837626bce671ef80344b383d",
    "ind.cora.test.index": "297ce89af2b51a6a194181c7dbe1796c6a1cf9cd9349a88383b1b1e227867875",
    "ind.cora.tx": "b9afbaa4a400df991f6f02ef677e1e44da55ffc04801fd02f9e673987829226a",
    "ind.cora.ty": "41f5ac76596a1699cc33f53084a2419e92961c42bb75f36fc38e616d348532ad",
    "ind.cora.x": "23cfa55d91c6f624233f5eb7b6e3f141f1bd2b2ae39608a63cf5d084bb27baab",
    "ind.cora.y": "94465c14eb53e04ca262198dcbb2521ee8af60fb3f3d546cd6ca24a511b0e7d1",
    "ind.pubmed.allx": "508e538e2abdccdd54c4d3e9f49d638b4af7107d85845f66ddea5a5152658b7e",
    "ind.pubmed.ally": "0c37bbe3b5014ec365e9d393cf4791925e5ed94fb194305d74f064a8d7b50f0e",
    "ind.pubmed.graph": "5b89f0036ca22909471f1e6558eb42fa06e0c730a577bde5b058b40638f81dc9",
    "ind.pubmed.test.index": "b101d421688bbaecbd82e8a18f1e282378d6830f3a37666f28ebc47f844341b5",
    "ind.pubmed.tx": "4eb5f5d0f30f26497eb0ac6ac9719d09c67e284f1ed0385c93f3ef27a671da3d",
    "ind.pubmed.ty": "ee2e0d4819d9fbcc403689c3bf2e49face401b605932f093bc58ab6461130fdd",
    "ind.pubmed.x": "fbe9cb5c47200d1b7769a26e579be3b7130b556831f9d850e77c4c74f2599b33",
    "ind.pubmed.y": "e6c807633307a07ed659249006536a147c7999c797f11a2560752990181b41b3",
}

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
    """Refuse a raw file that is damaged or would run foreign code; it is only read, never executed.

    The file is an ``.npz`` archive, a pickle of Planetoid, or a text, which is not checked; errors call it ``shown``.

    Raises:
        DataError: If the file is cut short or otherwise damaged, or names anything outside the allow-list.
    """
    if path.suffix == ".npz":
        _check_npz(path, shown)
    elif path.suffix != ".index":
        _check_pickle(path, shown)


def check_published(raw: Path, files: Sequence[str], origin: str) -> None:
    """Refuse files of Planetoid if most are the published ones and some are not: those are damaged.

    A pickle has no checksum of its own. If more than half of the files differ, they are another release, of which only
    the contents can be checked.

    Raises:
        DataError: Naming the first such file in the folder ``raw``, which is called ``origin``.
    """
    different = [name for name in files if name in _PUBLISHED and sha256(raw / name) != _PUBLISHED[name]]
    if different and 2 * len(different) <= len(files):
        raise DataError(
            f"the file '{different[0]}' in {origin} must be the published one, as most of the files beside it are "
            "(got other content); take it from github.com/kimiyoung/planetoid again"
        )


def check_citations(data: Data, *, binary: bool, origin: str) -> None:
    """Refuse a graph that Planetoid's files cannot hold; only the published files have a checksum.

    Raises:
        DataError: Naming the fault and the folder, which is called ``origin``.
    """
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
    """The compressed tables of one dataset of OGB.

    Args:
        folder: The folder that holds ``raw`` and ``split``.
        dataset: The name of the dataset, for errors.
        url: The address of its archive, for errors.
    """

    folder: Path
    dataset: str
    url: str

    def table(
        self,
        file: str,
        rows: int | None = None,
        columns: int | None = None,
        *,
        integers: bool = False,
        finite: bool = False,
    ) -> Tensor:
        """A table as int64 or float32, ``(rows, columns)``; an empty cell is NaN.

        Raises:
            DataError: If the file is damaged, has another size, or other values than those allowed.
        """
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
            values = self.table(file, columns=1, integers=True).view(-1)
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
            last = list(files.values())[-1]
            raise self.refusal(last, "no row of another part, and none twice", "repeated rows")
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
