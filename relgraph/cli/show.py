"""``relgraph show``: what a file says that relgraph wrote, and how two of them are related."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from relgraph.cli.console import console
from relgraph.cli.options import Debug, JsonPath, Key
from relgraph.cli.results import check_json_path
from relgraph.errors import DataError, renamed
from relgraph.io import check_not_read, write_atomic

SUMMARY = "Show what a file says that relgraph wrote, and how a second one is related to it."
HELP = "\n\n".join(
    [
        SUMMARY,
        "FILE is an anchor set, a published head, a head that relgraph upgrade converted, a model, a bundle's folder, "
        "a table of embeddings, the stitching.json of relgraph stitch or its folder, or what --json of relgraph "
        "upgrade or drift wrote.",
        "With OTHER, the ids in common are counted, and, of anchor sets, heads and bundles, versions and graphs are "
        "compared: same, grown, other or unknown. Of a converted head and an anchor set or bundle, it is told whether "
        "the head was converted for that space.",
    ]
)


CONVERSIONS = {
    "space": {
        "same": "the head was converted for this space",
        "old": "the head was converted from this space, for another one",
        "other": "the head was converted for another space",
        "unknown": "the head does not say for which space it was converted",
    },
    "head": {
        "same": "the converted head was made of this published head",
        "other": "the converted head was made of another published head",
        "unknown": "the converted head does not say of which published head it was made",
    },
}
"""What ``conversion`` of :func:`relgraph.pieces.relate` means, in words."""
SECTIONS = ("anchor_set", "head", "converted_from", "converted_for")


def show(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What to show.")],
    other: Annotated[Path | None, typer.Argument(metavar="OTHER", help="What to compare it with.")] = None,
    key: Key = None,
    json_path: JsonPath = None,
    debug: Debug = False,
) -> None:
    """Show one or two pieces; see :data:`HELP`."""
    target = check_json_path(json_path)
    from relgraph.pieces import open_piece, piece_files, relate

    paths = [path for path in (file, other) if path is not None]
    if target is not None:
        check_not_read([target], [read for path in paths for read in piece_files(path)], "--json")
    with renamed({"key": "--key"}):
        pieces = [open_piece(path, name, key) for path, name in zip(paths, ("file", "other"), strict=False)]
        relation = relate(*pieces) if len(pieces) == 2 else None
    found: dict[str, Any] = {"pieces": [piece.to_dict() for piece in pieces]}
    if relation is not None:
        found["relation"] = relation
    text = json.dumps(found, indent=1) + "\n"
    if target is not None:
        write_atomic(target, text)
    if json_path == "-":
        sys.stdout.write(text)
        return
    shown = console(stderr=False)
    for number, piece in enumerate(pieces):
        if number:
            shown.print()
        shown.print(f"{'file':<14}{piece.path}", markup=False)
        if piece.document is not None:
            _print_document(piece.kind, piece.path, piece.document, shown)
        else:
            _print({"kind": piece.kind, **piece.about}, shown)
    if relation is not None:
        shown.print()
        _print(related(relation), shown)


def related(relation: Mapping[str, Any]) -> dict[str, Any]:
    """The relation of two pieces in words, by name."""
    found: dict[str, Any] = {}
    if ids := relation.get("ids"):
        found["ids"] = f"{ids['common']:,} in common, of {ids['first']:,} and {ids['second']:,}"
        if distinct := ids.get("distinct"):
            sizes = zip(("first", "second"), distinct, strict=True)
            repeats = [f"the {name} has {count:,} different ones" for name, count in sizes if count < ids[name]]
            found["ids"] += f"; ids repeat: {' and '.join(repeats)}"
    for name, kind in relation.get("conversion", {}).items():
        found[name] = CONVERSIONS[name][kind]
    if "versions" in relation:
        found["versions"] = " and ".join(version or "unknown" for version in relation["versions"])
        found["newer"] = f"the {relation['newer']}" if relation["newer"] else None
    if graph := relation.get("graph"):
        sizes = graph["num_nodes"]
        counts = f", from {sizes[0]:,} to {sizes[1]:,} nodes" if sizes and graph["kind"] != "same" else ""
        found["graphs"] = f"{graph['kind']}{counts}"
        for name, what in (("old_nodes_kept", "nodes"), ("old_edges_kept", "edges")):
            if graph["kind"] != "same" and (share := graph[name]):
                low, high = (f"{100 * bound:.0f}" for bound in share["interval"])
                found[f"old {what}"] = f"{100 * share['share']:.0f} % [{low}, {high}] are in the newer graph"
    return found or {"relation": "nothing to compare"}


def _print(about: Mapping[str, Any], shown: Any, indent: str = "") -> None:
    for name, value in about.items():
        if isinstance(value, Mapping) and name in SECTIONS:
            shown.print(f"{indent}{name.replace('_', ' ')}:", markup=False)
            _print(value, shown, "  ")
        elif value is not None:
            shown.print(f"{indent}{name.replace('_', ' '):<{14 - len(indent)}}{_text(value)}", markup=False)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(part)}" for name, part in value.items())
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return "\n".join(f"{'' if number == 0 else ' ' * 14}{line}" for number, line in enumerate(str(value).splitlines()))


def _print_document(kind: str, path: Path, document: dict[str, Any], shown: Any) -> None:
    from relgraph.cli.documents import drift_lines, print_lines, upgrade_lines
    from relgraph.cli.stitch_output import print_report
    from relgraph.pieces import DRIFT, UPGRADE

    lines = {UPGRADE: upgrade_lines, DRIFT: drift_lines}.get(document["schema"])
    try:
        if lines is None:
            print_report(document, shown)
        else:
            print_lines([("kind", kind), *lines(document)], shown, 14)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise DataError(
            f"'{path}' is damaged: a part of the document is not as it was written; write it again"
        ) from error
