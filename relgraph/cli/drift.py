"""``relgraph drift``: which rows of a table moved between two versions, beyond what another seed moves them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from relgraph.cli.console import console, progress
from relgraph.cli.options import Debug, option
from relgraph.cli.results import check_json_path

SUMMARY = "Tell which rows moved between two versions of a table, beyond what another seed moves them."
HELP = "\n\n".join(
    [
        f"{SUMMARY} OLD and NEW are tables of embeddings of the same rows, matched by id.",
        "Embeddings of two trainings differ in every row, also on the same graph. Name one or more other seeds of OLD, "
        "trained on its graph, with --null: two make three old runs, which give every row a scale of its own.",
        "Each row gets its movement in units of that by another seed (1 for the typical row), a p-value, and a q-value "
        "that controls the false discovery rate. Movement of all rows alike is none.",
        "Tables are Parquet, Arrow, Feather, npy (ids in NAME.ids.npy or NAME.ids.txt), safetensors, or word2vec files "
        "(.txt, .vec, .bin); the output is one of the first four, or CSV.",
    ]
)


def drift(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="The table of the old version.", show_default=False)],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="The table of the new version.", show_default=False)],
    null: Annotated[
        list[Path] | None, option("FILE", "Another seed of OLD; give it once for each seed.", "none, an error")
    ] = None,
    also: Annotated[
        list[Path] | None, option("FILE", "Another seed of NEW; give it once for each seed.", "none")
    ] = None,
    out: Annotated[Path | None, option("FILE", "Where to write id, movement, p and q of every row.", "none")] = None,
    key: Annotated[str | None, option("NAME", "The id column in all tables.", "the only one that can be it")] = None,
    level: Annotated[float, option("SHARE", "The false discovery rate of rows that count as moved.")] = 0.05,
    document: Annotated[
        str | None,
        typer.Option("--json", metavar="FILE", help="Write the summary and the moved rows as JSON; - prints."),
    ] = None,
    debug: Debug = False,
) -> None:
    """Compare two versions; see :data:`HELP`."""
    place = check_json_path(document)
    with progress() as tell:
        tell("compare", 0, 0)
        from relgraph.io import check_distinct, check_not_read, check_writable, write_atomic
        from relgraph.pieces import DRIFT
        from relgraph.tables.reading import read_files
        from relgraph.versions import drift as compare
        from relgraph.versions.writing import written_files

        if place is not None:
            check_distinct({"--out": [] if out is None else written_files(out), "--json": [place]})
            check_not_read([place], read_files(old, new, *(null or []), *(also or [])), "--json")
            check_writable(place)  # the output must not be written alone

        found = compare(old, [new, *(also or [])], null or [], out, key=key, level=level)
    text = json.dumps({"schema": DRIFT, **found.to_dict()}, indent=2) + "\n"
    if document == "-":
        sys.stdout.write(text)
        return
    if place is not None:
        write_atomic(place, text)
    shown = console(stderr=False)
    for name, value in found.lines():
        shown.print(f"{name:<13}{value}", markup=False)
    for path in (out, place):
        if path is not None:
            shown.print(f"{'written':<13}{path}", markup=False)
