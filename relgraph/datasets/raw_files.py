"""Raw files are looked at before anything reads them: no foreign code, no half of a file.

Planetoid's files are pickles by their format, and a pickle may name any function to be called. PyG unpickles
whatever it finds, so every name is checked against the few that the format needs.
"""

from __future__ import annotations

import pickletools
import zipfile
import zlib
from pathlib import Path

from relgraph.errors import DataError

# What the published files name (Python 2, early numpy and scipy), and what today's libraries write for the same.
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


def check_raw_file(path: Path, shown: str) -> None:
    """Refuse a raw file that is damaged or wants foreign code run; it is only read, never executed.

    Args:
        path: The file; ``.npz`` archives and Planetoid's pickles are known, text passes.
        shown: What to call the file in errors.

    Raises:
        DataError: If the file is cut short or otherwise damaged, or names anything outside the allow-list.
    """
    if path.suffix == ".npz":
        _check_npz(path, shown)
    elif path.suffix != ".index":
        _check_pickle(path, shown)


def _check_pickle(path: Path, shown: str) -> None:
    with path.open("rb") as file:
        try:
            for opcode, argument, _ in pickletools.genops(file):
                if opcode.name in _REFUSED_OPCODES or (opcode.name == "GLOBAL" and argument not in _ALLOWED_GLOBALS):
                    what = (
                        f"'{str(argument).replace(' ', '.')}'" if opcode.name == "GLOBAL" else f"opcode {opcode.name}"
                    )
                    raise DataError(
                        f"{shown} is refused: it is a pickle that wants foreign code run ({what}); "
                        "take the file from its publisher again"
                    )
        except (ValueError, IndexError, UnicodeDecodeError) as error:
            raise _damaged(shown) from error


def _check_npz(path: Path, shown: str) -> None:
    import numpy as np

    try:
        # Opened here, because numpy leaves a file that is no archive open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            for name in [*_NPZ_ARRAYS, "labels"]:
                archive[name]  # decompressing is what finds a damaged member, or one that holds pickled objects
    # Whatever zip, zlib and numpy raise on bytes that they cannot read.
    except (
        OSError,
        ValueError,
        LookupError,
        EOFError,
        TypeError,
        AttributeError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise _damaged(shown) from error


def _damaged(shown: str) -> DataError:
    return DataError(f"{shown} is damaged or of another format; take the file from its publisher again")
