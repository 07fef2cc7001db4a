"""The ``ogb`` package, imported without its side effects."""

from __future__ import annotations

import csv
import sys
import warnings
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

_UPDATE_CHECK = "outdated"


def import_ogb(part: str) -> ModuleType:
    """Import a part of ogb; all of relgraph imports it through here.

    On import ogb starts a thread that asks the package index for a newer version, and the interpreter waits for that
    thread when it ends. The module that asks is hidden during the import, so that there is no thread.

    Example:
        >>> import_ogb("nodeproppred").__name__
        'ogb.nodeproppred'
    """
    before = {_UPDATE_CHECK: sys.modules[_UPDATE_CHECK]} if _UPDATE_CHECK in sys.modules else {}
    sys.modules[_UPDATE_CHECK] = None  # type: ignore[assignment]  # makes its import fail, as Python documents
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return import_module(f"ogb.{part}")
    finally:
        del sys.modules[_UPDATE_CHECK]
        sys.modules.update(before)


@cache
def ogb_table(part: str) -> dict[str, dict[str, str]]:
    """The rows of ogb's ``master.csv``, which describes the datasets of a part, by their names.

    Example:
        >>> ogb_table("nodeproppred")["ogbn-arxiv"]["eval metric"]
        'acc'
    """
    folder = Path(str(import_ogb(part).__file__)).parent
    with (folder / "master.csv").open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    return {name: {row[0]: row[column] for row in rows} for column, name in enumerate(header) if column}
