"""``relgraph compare``: tables of embeddings or outputs beside what unrelated rows would give."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from relgraph import registry
from relgraph.cli.console import console, progress
from relgraph.cli.options import Debug, JsonPath, listed, names, option
from relgraph.cli.results import check_json_path
from relgraph.errors import DataError, InputError

SUMMARY = "Compare tables of embeddings, or of outputs, of the same rows."
_OUTPUTS = {name: entry for name, entry in registry.MEASURES.items() if entry.traits.get("kind") == "outputs"}
HELP = "\n\n".join(
    [
        f"{SUMMARY} Rows are matched by their ids.",
        "Prints for every measure its value, its mean over permutations of the rows of one table (null), the score, "
        "which is 0 for unrelated rows and 1 for equal tables, and the probability p of a value at least as similar "
        "by chance. Of three tables or more, every two are compared.",
        "Tables are Parquet, Arrow, Feather, npy (ids in NAME.ids.npy or NAME.ids.txt), safetensors, or word2vec files "
        "(.txt, .vec, .bin).",
        listed("Measures", {name: entry for name, entry in registry.MEASURES.items() if name not in _OUTPUTS}),
        listed("Measures of outputs (with --outputs)", _OUTPUTS),
    ]
)


def compare(
    tables: Annotated[list[Path], typer.Argument(metavar="A B [C ...]", help="Two tables or more.")],
    measures: Annotated[str | None, option("A,B", "Only these measures.", "all of the kind")] = None,
    outputs: Annotated[
        bool, typer.Option("--outputs", help="The tables are logits or probabilities of classes.")
    ] = False,
    key: Annotated[str | None, option("NAME", "The id column in all tables.", "the only one that can be it")] = None,
    permutations: Annotated[int, option("N", "Permutations, for measures whose null has no closed form.", min=0)] = 99,
    seed: Annotated[int, option("SEED", "Seed of samples of rows and of permutations.", min=0)] = 0,
    matrix: Annotated[
        Path | None, option("FILE", "Also write every pair to this file: a picture (.png) or a table (.csv).", "none")
    ] = None,
    json_path: JsonPath = None,
    debug: Debug = False,
) -> None:
    """Compare tables; see :data:`HELP`."""
    chosen = None if measures is None else names("--measures", measures, registry.MEASURES)
    target = check_json_path(json_path)
    if len(tables) < 2:
        raise InputError("", f"there must be two tables or more (got only '{tables[0]}'); name another one")
    if matrix is not None and not matrix.absolute().parent.is_dir():
        raise DataError(f"'--matrix' must be a file in a folder that exists (got '{matrix}')")
    with progress() as tell:
        tell("load", 0, 0)
        from relgraph.io import check_distinct, check_not_read, write_atomic
        from relgraph.measures.pairwise import check_suffix
        from relgraph.tables import compare_tables
        from relgraph.tables.reading import read_files

        places = {"--json": target, "--matrix": matrix}
        check_distinct({name: [place] for name, place in places.items() if place is not None})
        for name, place in places.items():
            if place is not None:
                check_not_read([place], read_files(*tables), name)
        if matrix is not None:
            check_suffix(matrix)
        options: dict[str, Any] = {"key": key, "outputs": outputs, "seed": seed}
        found = compare_tables(tables, chosen, permutations=permutations, progress=tell, **options)
    document = json.dumps(found.to_dict(), indent=1, allow_nan=False) + "\n"
    if json_path == "-":
        sys.stdout.write(document)
    else:
        shown, rows = console(stderr=False), next(iter(found.comparisons.values())).rows
        shown.print(f"{', '.join(found.names)}: {rows:,} rows in common\n\n{found}", markup=False)
    written = []
    if target is not None:
        write_atomic(target, document)
        written.append(target)
    if matrix is not None:
        written.append(found.save(matrix))
    if written and json_path != "-":
        console(stderr=False).print(f"\nWritten: {', '.join(map(str, written))}", markup=False)
