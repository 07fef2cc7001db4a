"""Options that take names, and the option of every library argument."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from relgraph.errors import InputError
from relgraph.registry import Entry, Registry

WIDTH = max(50, min(shutil.get_terminal_size().columns, 100))

# The option that sets an argument of the library, where it is not the argument with two dashes before it.
_OTHERS = {
    "name": "--dataset",
    "root": "--data-root",
    "encoder": "--encoders",
    "method": "--methods",
    "num_anchors": "--anchors",
    "strategy": "--anchor-strategy",
    "anchor_features": "--anchor-features",
    "at": "--stitch-at",
    "old_rows": "--old-rows",
    "source": "--from",
    "target": "--to",
    "file": "FILE",
    "other": "OTHER",
    "old": "OLD",
    "new": "NEW",
}
_SAME = ("dataset", "task", "features", "encoders", "seeds", "methods", "split", "settings", "epochs", "device")
_TABLES = ("out", "key", "anchors", "rows", "kept", "labels", "edges", "null", "level", "runs", "sources")
_EXECUTORS = ("executor", "address", "cpus")
_COMPARE = ("measures", "permutations", "matrix", "seed")
OPTIONS = {**{argument: f"--{argument}" for argument in (*_SAME, *_TABLES, *_COMPARE, *_EXECUTORS)}, **_OTHERS}


def option(metavar: str, meaning: str, default: str | bool = True, **more: Any) -> Any:
    """An option with a value; ``default`` says in words what happens without it."""
    return typer.Option(metavar=metavar, help=meaning, show_default=default, **more)


def name_of(registry: Registry, meaning: str, default: str | bool = True) -> Any:
    """An option that takes one name of a registry, and refuses others at once."""

    def check(param: typer.CallbackParam, value: str | None) -> str | None:
        return None if value is None else registry.check(value, param.opts[0])

    return option("NAME", meaning, default, callback=check)


def names(given: str, text: str, registry: Registry) -> tuple[str, ...]:
    """The names that an option was given, separated by commas; all must be registered, and there must be one.

    Example:
        >>> from relgraph.registry import ENCODERS
        >>> names("--encoders", "gcn, sage", ENCODERS)
        ('gcn', 'sage')
    """
    found = tuple(part.strip() for part in text.split(",") if part.strip())
    if not found:
        raise InputError(given, f"must name at least one of {', '.join(sorted(registry))} (got {text!r})")
    return tuple(registry.check(name, given) for name in found)


def listed(title: str, registry: Mapping[str, Entry]) -> str:
    """The block of a help text that lists a registry, or a part of one, as wide as the terminal."""
    column = max(map(len, registry)) + 4
    wrap = textwrap.TextWrapper(WIDTH - 4, subsequent_indent=" " * column, break_on_hyphens=False)
    rows = (line for name, entry in registry.items() for line in wrap.wrap(f"  {name:<{column - 2}}{entry.meaning}"))
    return "\n".join(["\b", f"{title}:", *rows])


def _set_debug(context: typer.Context, wanted: bool) -> bool:
    if isinstance(context.obj, dict):
        context.obj["debug"] = wanted
    return wanted


Key = Annotated[str | None, option("NAME", "The id column of tables.", "the only one that can be it")]
Debug = Annotated[
    bool, typer.Option("--debug", callback=_set_debug, is_eager=True, help="Show the traceback of an error.")
]
JsonPath = Annotated[
    str | None, typer.Option("--json", metavar="PATH|-", help="Also write it as JSON here; - prints that alone.")
]
