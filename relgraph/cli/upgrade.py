"""``relgraph upgrade``: an old head or table in a new version, with a verdict before anything is written."""

from __future__ import annotations

import json
import shlex
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relgraph import registry
from relgraph.cli.console import console, progress
from relgraph.cli.documents import print_lines
from relgraph.cli.options import Debug, JsonPath, Key, listed, option
from relgraph.cli.results import check_json_path
from relgraph.errors import DataError, InputError, RelgraphWarning, renamed
from relgraph.io import check_distinct, check_not_read, write_atomic

if TYPE_CHECKING:
    from relgraph.versions.files import FileUpgrade

SUMMARY = "Bring an old head or table to a new version, with a verdict: convert, keep or retrain."
FILES = ("rows", "old_rows", "kept", "labels", "edges")
NAMES = {name: f"--{name.replace('_', '-')}" for name in (*FILES, "key", "method", "out")} | {
    "old": "OLD",
    "new": "NEW",
}
"""The arguments of :func:`relgraph.versions.files.upgrade_files` as they are typed."""
TARGETS = {
    "any": "Methods for heads and for tables",
    "outputs": "Methods for heads only",
    "embeddings": "Methods for tables only",
}
HELP = "\n\n".join(
    [
        SUMMARY,
        "OLD is a published head, a bundle, or a table of embeddings; NEW is an anchor set, a bundle, or a table of "
        "the new version. A head is converted to the new embeddings; of two tables, the new one is translated into "
        "the coordinates of the old one.",
        "The verdict and what to expect are printed before the head or table is written. With --labels they are "
        "measured on labels, else on anchors that the map was fitted without; without labels, --kept and --edges let "
        "the neighbors judge between converted and old answers. --out is written only if the verdict is 'convert' "
        "and the expected fidelity is at least --min-fidelity; else the exit status is 1, with --min-fidelity "
        "also where there is no --out.",
        "A converted head is one linear layer, with the version, time and id of what it was converted from and for. In "
        "Python relgraph.load_head reads it, and relgraph show tells whether it is for a space.",
        *(
            listed(
                title, {name: one for name, one in registry.MAPS.items() if kind == one.traits.get("targets", "any")}
            )
            for kind, title in TARGETS.items()
        ),
        "By kernel-ridge a head is judged, and not written with --out: it is no linear map.",
    ]
)


def upgrade(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="Head, bundle or table of the old version.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="Anchor set, bundle or table of the new version.")],
    out: Annotated[
        Path | None, option("FILE", "Where to write the converted head (.safetensors), or the table.", "none")
    ] = None,
    rows: Annotated[Path | None, option("TABLE", "New embeddings of the rows to be answered.", "none")] = None,
    old_rows: Annotated[
        Path | None,
        option("TABLE|IDS", "Rows of the old version; others are new. An empty .txt: all are.", "all"),
    ] = None,
    kept: Annotated[Path | None, option("TABLE", "Old answers on --rows (logits), to compare with.", "none")] = None,
    labels: Annotated[
        Path | None, option("FILE", "CSV or Parquet with id, label (-1: unknown) and, if trained on, train.", "none")
    ] = None,
    edges: Annotated[
        Path | None, option("FILE", "CSV or Parquet with source and target: neighbors of the rows.", "none")
    ] = None,
    key: Key = None,
    method: Annotated[str | None, option("NAME", "The map, from those above.", "kl for classes, else ridge")] = None,
    min_fidelity: Annotated[
        float | None,
        option(
            "SHARE",
            "Least expected fidelity of a 'convert' (of tables: mean cosine); else exit status 1.",
            "none",
            min=0,
            max=1,
        ),
    ] = None,
    anyway: Annotated[bool, typer.Option("--anyway", help="Write --out whatever the verdict is.")] = False,
    report: Annotated[Path | None, option("FILE", "Write it as a page, one HTML file.", "none")] = None,
    json_path: JsonPath = None,
    debug: Debug = False,
) -> None:
    """Judge an upgrade and write it; see :data:`HELP`."""
    target = check_json_path(json_path)
    if method is not None:
        registry.MAPS.check(method, "--method")
    for name, place in (("--out", out), ("--report", report)):
        if place is not None and (place.is_dir() or not place.absolute().parent.is_dir()):
            raise InputError(name, f"must be a file in a folder that exists (got '{place}'); make the folder first")
    with progress() as tell:
        tell("load", 0, 0)
        from relgraph.tables.writing import written_files
        from relgraph.versions.files import files_read, upgrade_files

        outputs = {"--out": [] if out is None else written_files(out)}
        check_distinct(outputs | {name: [place] for name, place in (("--report", report), ("--json", target)) if place})
        given: dict[str, Any] = dict(zip(FILES, (rows, old_rows, kept, labels, edges), strict=True))
        for name, place in (("--report", report), ("--json", target)):
            if place is not None:
                check_not_read([place], files_read(old, new, *given.values()), name)
        with renamed(NAMES), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = upgrade_files(old, new, out=out, key=key, method=method, **given)
    document, gate = found.document, None
    if min_fidelity is not None:
        gate = _gate(found, min_fidelity)
        document = {**document, "gate": gate}
    text = json.dumps(document, indent=1) + "\n"
    if target is not None:
        write_atomic(target, text)
    shown = console(stderr=json_path == "-")
    if json_path == "-":
        sys.stdout.write(text)
    else:
        from relgraph.report.upgrade import gate_text

        print_lines([*found.shown, *([("gate", gate_text(gate))] if gate else [])], shown)
    warned = list(dict.fromkeys(str(one.message) for one in caught if issubclass(one.category, RelgraphWarning)))
    for text in warned:
        console(stderr=True).print(f"warning: {text}", markup=False)
    if report is not None:
        from relgraph.report import save_html
        from relgraph.report.upgrade import upgrade_report

        words = []
        for name, value in (given | {"key": key, "method": method, "out": out, "min_fidelity": min_fidelity}).items():
            words += [] if value is None else [f"--{name.replace('_', '-')}", str(value)]
        words += ["--anyway"] if anyway else []
        command = shlex.join(["relgraph", "upgrade", str(old), str(new), *words])
        save_html(upgrade_report(document, command=command, warnings=warned), report)
    for place in (target, report):
        if place is not None:
            shown.print(f"written: {place}", markup=False)
    fit, passed = found.verdict == "convert", gate is None or gate["passed"]
    if out is not None and (anyway or (fit and passed)):
        with progress() as tell:
            found.write(out, tell)
        shown.print(f"written: {out}", markup=False)
    if gate is not None and not passed:
        raise DataError(gate["failure"])
    if out is not None and not anyway and not fit:
        raise DataError(f"the verdict must be 'convert' to write '{out}' (got '{found.verdict}'); --anyway writes it")


def _gate(found: FileUpgrade, least: float) -> dict[str, Any]:
    """What ``--min-fidelity`` asks for, whether the upgrade passes, and else the sentence of the failure."""
    fit, enough = found.verdict == "convert", found.fidelity is not None and found.fidelity >= least
    failure = None
    if not enough:
        value = "unknown" if found.fidelity is None else f"{found.fidelity:.3f}"
        way_out = "take more anchors" if fit else found.reason
        failure = f"the {found.figure} must be at least {least:g} (got {value}); {way_out}"
    elif not fit:
        way_out = "its reason says what to do; without --min-fidelity it is no failure"
        failure = f"the verdict must be 'convert' with --min-fidelity (got '{found.verdict}'); {way_out}"
    return {
        "figure": found.figure,
        "least": least,
        "value": found.fidelity,
        "passed": failure is None,
        "failure": failure,
    }
