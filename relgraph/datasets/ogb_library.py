"""The ``ogb`` package, imported and called without its side effects: no update check, no output, no question."""

from __future__ import annotations

import csv
import io
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

_UPDATE_CHECK = "outdated"


def import_ogb(part: str) -> ModuleType:
    """Import a part of ogb; all of relgraph imports it through here.

    On import ogb starts a thread that asks the package index for a newer version, and the interpreter waits for that
    thread when it ends. Without the module that asks, there is no thread; the module is hidden during the import only.

    Args:
        part: ``"nodeproppred"``, ``"graphproppred"`` or any other module of ogb.

    Example:
        >>> import_ogb("nodeproppred").__name__
        'ogb.nodeproppred'
    """
    with _without_update_check(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return import_module(f"ogb.{part}")


@contextmanager
def _without_update_check() -> Iterator[None]:
    before = {_UPDATE_CHECK: sys.modules[_UPDATE_CHECK]} if _UPDATE_CHECK in sys.modules else {}
    sys.modules[_UPDATE_CHECK] = None  # type: ignore[assignment]  # Python's own way to make an import fail
    try:
        yield
    finally:
        del sys.modules[_UPDATE_CHECK]
        sys.modules.update(before)


@contextmanager
def quiet() -> Iterator[None]:
    """Swallow what ogb prints, its progress bars and its warnings; errors come through."""
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@cache
def ogb_table(part: str) -> dict[str, dict[str, str]]:
    """What ogb says of each of its data sets: the rows of its ``master.csv`` by the set's name.

    Args:
        part: ``"nodeproppred"`` or ``"graphproppred"``.

    Example:
        >>> ogb_table("nodeproppred")["ogbn-arxiv"]["eval metric"]
        'acc'
    """
    folder = Path(str(import_ogb(part).__file__)).parent
    with (folder / "master.csv").open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    return {name: {row[0]: row[column] for row in rows} for column, name in enumerate(header) if column}
