"""``relgraph translate``: a table of embeddings in the coordinates of another, with a report before it is written."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from relgraph import registry
from relgraph.cli.console import console, progress
from relgraph.cli.options import Debug, listed, option
from relgraph.errors import InputError, renamed

SUMMARY = "Translate a table of embeddings into the coordinates of another table of the same rows."
HELP = "\n\n".join(
    [
        f"{SUMMARY} The map is fitted on the ids that both tables have.",
        "Prints a report first: how well rows that the map was not fitted on are translated. Then writes the table, "
        "with a trust for every row, the cosine to its true vector that is to be expected, and an interval of it. The "
        "same command goes on where a killed one stopped.",
        "Tables are Parquet, Arrow, Feather, npy (ids in NAME.ids.npy or NAME.ids.txt), safetensors, or word2vec files "
        "(.txt, .vec, .bin); the output is one of the first four.",
        listed("Methods", {name: m for name, m in registry.MAPS.items() if m.traits.get("targets") != "outputs"}),
    ]
)


def translate(
    source: Annotated[Path, typer.Option("--from", metavar="FILE", help="The table to translate.")],
    target: Annotated[Path, typer.Option("--to", metavar="FILE", help="The table whose coordinates are wanted.")],
    out: Annotated[Path | None, option("FILE", "The file to write.", "none, with --report")] = None,
    key: Annotated[str | None, option("NAME", "The id column, in one or both.", "the only one that can be it")] = None,
    anchors: Annotated[
        str | None, option("K|FILE", "How many common ids fit the map, or a file of ids.", "all, at most 4,096")
    ] = None,
    method: Annotated[str, option("NAME", "The map, from the list above.")] = "ridge",
    report: Annotated[bool, typer.Option("--report", help="Only print the report, and write nothing.")] = False,
    debug: Debug = False,
) -> None:
    """Translate one table into another; see :data:`HELP`."""
    if out is None and not report:
        raise InputError("--out", "must name a file unless there is --report (got none)")
    registry.MAPS.check(method, "--method")
    with progress() as tell:
        tell("load", 0, 0)
        from relgraph.tables import plan_translation

        chosen = int(anchors) if anchors is not None and anchors.lstrip("+-").isdecimal() else anchors
        place = None if report else out
        with renamed({"method": "--method", "key": "--key", "source": "--from", "target": "--to"}):
            plan = plan_translation(source, target, place, key=key, anchors=chosen, method=method)
    shown = console(stderr=False)
    for name, value in plan.report.lines():
        shown.print(f"{name:<13}{value}", markup=False)
    if place is not None:
        with progress() as tell:
            plan.write(tell)
        shown.print(f"{'written':<13}{place}", markup=False)
