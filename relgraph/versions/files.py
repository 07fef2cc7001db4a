"""An upgrade from files: a bundle, head or table of the old version, and a bundle, anchor set or table of the new."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from relgraph.anchors import AnchorSet, PublishedHead
from relgraph.anchors.matching import repeated_id, shared_ids
from relgraph.bundle import load_bundle
from relgraph.errors import InputError, renamed
from relgraph.graph import integer_ids
from relgraph.io import PathLike, check_file, check_not_read, same_file
from relgraph.maps import save_head
from relgraph.pieces import UPGRADE, Piece, open_piece, piece_files
from relgraph.registry import MAPS
from relgraph.tables import open_table, plan_translation
from relgraph.tables.frames import read_frame
from relgraph.tables.ids import Ids, check_unique, in_kind_of, matching_rows, read_ids
from relgraph.tables.reading import Table, paired, read_files
from relgraph.tables.writing import written_files
from relgraph.versions.result import Upgrade, Verdict
from relgraph.versions.upgrade import upgrade

VERDICTS: Mapping[str, Verdict] = {"good": "convert", "doubtful": "keep", "useless": "retrain"}
"""The verdict of an upgrade by that of a translation."""
FROM_FILES = {"z": "rows", "ids": "rows", "y": "labels", "train": "labels", "space": "new", "head": "old"}
"""The file that an argument of :func:`relgraph.upgrade` is read from, where it is called otherwise."""
HEAD = ".safetensors"
UNKNOWN = -1
"""The label of a row whose class is unknown."""
FLAGS = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True, eq=False)
class FileUpgrade:
    """What :func:`upgrade_files` found, and how to write it.

    Args:
        verdict, reason: As of :class:`relgraph.versions.Upgrade`.
        fidelity: Expected share of old rows with the old answer; of a table, mean cosine of held-out rows to the true
            ones; ``None`` if unknown.
        figure: Name of ``fidelity`` for a reader.
        shown: Names and values for a reader.
        document: The same as values of JSON, with its schema.
        write: Writes the converted head, or the translated table, to a path; called with a progress as well.
    """

    verdict: Verdict
    reason: str
    fidelity: float | None
    figure: str
    shown: list[tuple[str, str]]
    document: dict[str, Any]
    write: Callable[..., None]


def upgrade_files(
    old: PathLike,
    new: PathLike,
    *,
    out: PathLike | None = None,
    rows: PathLike | None = None,
    old_rows: PathLike | None = None,
    kept: PathLike | None = None,
    labels: PathLike | None = None,
    edges: PathLike | None = None,
    key: str | None = None,
    method: str | None = None,
) -> FileUpgrade:
    """Judge an upgrade by files, without writing; see :func:`relgraph.upgrade`.

    Args:
        old: A published head, a bundle with one, or a table of embeddings of the old version.
        new: An anchor set, a bundle, or a table of the new version. Of two tables, the new one is translated into the
            coordinates of the old one (:func:`relgraph.translate_table`), and nothing else is given.
        out: Where :attr:`FileUpgrade.write` writes; none of the files that are read.
        rows: Table of new embeddings of the rows to be answered.
        old_rows: Rows that the old version has: a table, whose ids are used, or a file of ids (``.npy``, ``.txt``), an
            empty one if all rows are new.
        kept: Table of old answers, logits, with a row for each of ``rows``.
        labels: CSV or Parquet file with the columns ``id`` and ``label``, a class of the head or -1 where it is
            unknown, and optionally ``train``: true or false in every row, true where the old head was trained on the
            label.
        edges: CSV or Parquet file with the columns ``source`` and ``target``: ids of neighbors, and of rows beside
            them. Edges with an id that ``rows`` has not are left out.
        key: The id column of tables in Parquet, Arrow or Feather; by default the only one that can be it.
        method: The map; a head is written only if it is linear.

    Raises:
        InputError: If a file is of a kind that is not asked for, two tables share fewer than ``F + 1`` ids, or as
            :func:`relgraph.upgrade`.
        DataError: If a file is missing or damaged.
    """
    before, after = open_piece(old, "old", key), open_piece(new, "new", key)
    if out is not None:
        place = Path(out).expanduser()
        written = written_files(place) if before.kind == "table" else [place]
        check_not_read(written, files_read(old, new, rows, old_rows, kept, labels, edges))
        if before.kind != "table" and place.suffix != HEAD:
            raise InputError("out", f"must end in {HEAD} for a converted head (got '{out}'); name it so")
    if "table" in (before.kind, after.kind):
        others = {"rows": rows, "old_rows": old_rows, "kept": kept, "labels": labels, "edges": edges}
        return _tables(before, after, out, key, method, **others)
    head, space = _head(before), _space(after)
    if out is not None and method is not None and not MAPS.resolve(method).linear:
        able = ", ".join(
            name for name in MAPS if MAPS.resolve(name).linear and MAPS.resolve(name).targets != "embeddings"
        )
        raise InputError("method", f"must be linear to write a head, one of {able} (got '{method}'); leave out 'out'")
    judged = head.mode == "multiclass" and head.outputs.size(1) > 1  # others are refused labels
    classes = head.outputs.size(1) if judged else None
    given = _rows(rows, key, classes, old_rows=old_rows, kept=kept, labels=labels, edges=edges)
    with renamed(FROM_FILES):
        found: Upgrade = upgrade(space, head, **given, method=method)
    found = replace(found, notes=(*found.notes, *_notes(space, given.get("ids"))))
    fidelity = found.expectation("fidelity")

    def write(path: PathLike, progress: object = None) -> None:
        save_head(path, found.head, space=space, head=head)

    value = None if fidelity is None else fidelity.value
    document = {"schema": UPGRADE, **found.to_dict()}
    return FileUpgrade(found.verdict, found.reason, value, "expected fidelity", found.lines(), document, write)


def files_read(old: PathLike, new: PathLike, *tables: PathLike | None) -> list[Path]:
    """The files that :func:`upgrade_files` reads."""
    return [*piece_files(old), *piece_files(new), *read_files(*tables)]


def _head(piece: Piece) -> PublishedHead:
    values = load_bundle(piece.path).head if piece.kind == "bundle" else piece.values
    if not isinstance(values, PublishedHead):
        what = "a bundle without a published head" if piece.kind == "bundle" else f"the {piece.kind} '{piece.path}'"
        way_out = "give the head that it was converted from" if piece.kind == "converted head" else "publish it"
        raise InputError("old", f"must be a published head, a bundle with one, or a table (got {what}); {way_out}")
    return values


def _space(piece: Piece) -> AnchorSet:
    if not isinstance(piece.values, AnchorSet):
        found = f"(got the {piece.kind} '{piece.path}'); publish one"
        raise InputError("new", f"must be an anchor set or a bundle of the new version, or a table {found}")
    return piece.values


def _notes(space: AnchorSet, ids: Tensor | None) -> list[str]:
    """That no anchor is among the rows, a sign that their ids are of another kind."""
    if ids is None or len(shared_ids(space.ids.cpu(), ids)[0]):
        return []
    meant = "unless all rows are other nodes, check that their ids are those of the anchors, and of the same kind"
    return [f"0 of {len(space):,} anchors are among --rows: {meant}"]


def _tables(
    before: Piece,
    after: Piece,
    out: PathLike | None,
    key: str | None,
    method: str | None,
    **others: PathLike | None,
) -> FileUpgrade:
    if before.kind != after.kind:
        found = f"(got the {before.kind} '{before.path}' and the {after.kind} '{after.path}')"
        raise InputError("new", f"must be a table if the other is one {found}; give two tables, or a head and anchors")
    for name, value in others.items():
        if value is not None:
            raise InputError(name, f"must be left out for two tables (got '{value}'); rows are matched by their ids")
    with paired("new", "old", after.path, before.path):
        plan = plan_translation(after.path, before.path, out, key=key, method=method or "ridge")
    width, common = plan.report.widths[0], plan.report.common
    if common < width + 1:
        least = f"at least {width + 1} ids, one more than it has dimensions"
        raise InputError(
            "new", f"must share {least}, with 'old' for a verdict (got {common}); take tables with more rows in common"
        )
    report, cosine = plan.report, plan.report.figures.get("cosine")
    if same_file(before.path, after.path):
        same = "the old and the new table are one file: both are of one version, and nothing changes"
        report = replace(report, notes=[*report.notes, same])
    verdict = VERDICTS[report.verdict]
    document = {"schema": UPGRADE, "verdict": verdict, "reason": report.reason, "table": report.to_dict()}
    shown = [*report.lines()[:-1], ("verdict", f"{verdict}: {report.reason}")]

    def write(path: PathLike, progress: Any = None) -> None:
        plan.write(progress)

    mean = None if cosine is None else cosine.mean
    return FileUpgrade(verdict, report.reason, mean, "mean cosine of held-out rows", shown, document, write)


def _rows(rows: PathLike | None, key: str | None, classes: int | None, **others: PathLike | None) -> dict[str, Any]:
    """Arguments of :func:`relgraph.upgrade` for the rows in tables, matched by their ids."""
    if rows is None:
        for name, value in others.items():
            if value is not None:
                raise InputError(name, f"must be left out without 'rows' (got '{value}'); pass the new embeddings")
        return {}
    table = open_table(rows, "rows", key)
    ids: Ids = np.asarray(table.plain_ids())
    check_unique(table.ids(), "rows")
    given: dict[str, Any] = {"z": _all(table), "ids": integer_ids(ids, "rows")}
    if (place := others["old_rows"]) is not None:
        known = _old_ids(Path(place).expanduser(), ids, key)
        found = torch.isin(given["ids"], known)
        if len(known) and not bool(found.any()):
            raise InputError("old_rows", f"must have ids in common with 'rows' (got none of {len(known)}); check them")
        given["old"] = found
    if (place := others["kept"]) is not None:
        answers = open_table(place, "kept", key)
        with paired("rows", "kept", rows, place):
            here, there = matching_rows(table.ids(), answers.ids())
        if len(here) != len(ids):
            found_ids = f"(got {len(here)} of {len(ids)})"
            raise InputError("kept", f"must have a row for each id of 'rows' {found_ids}; answer all of them")
        kept = torch.empty(len(ids), answers.width)
        kept[torch.from_numpy(here)] = torch.from_numpy(answers.take(there)).float()
        given["kept"] = kept
    if (place := others["labels"]) is not None:
        given |= _labels(Path(place).expanduser(), given["ids"], ids, classes)
    if (place := others["edges"]) is not None:
        given["edge_index"] = _edges(Path(place).expanduser(), given["ids"], ids)
    return given


def _all(table: Table) -> Tensor:
    return torch.from_numpy(table.take(np.arange(len(table))))


def _old_ids(path: Path, like: Ids, key: str | None) -> Tensor:
    check_file(path, "give a table, or a file of ids")
    if path.suffix == ".txt" and _blank(path):
        return torch.zeros(0, dtype=torch.int64)
    found = read_ids(path, like) if path.suffix in (".txt", ".npy") else None
    if found is None or found.ndim != 1:
        found = open_table(path, "old_rows", key).plain_ids()
    if not len(found):  # of any type: numpy makes floats of an empty list
        return torch.zeros(0, dtype=torch.int64)
    return integer_ids(found, "old_rows")


def _blank(path: Path) -> bool:
    """Whether a text file has nothing but blank lines, if any."""
    with path.open(encoding="utf-8-sig", errors="replace") as lines:
        return not any(line.strip() for line in lines)


def _named(column: Any, like: Ids, argument: str) -> Tensor:
    """Ids in a column of a frame, in the form of those of the rows."""
    return integer_ids(in_kind_of(column.to_numpy(), like), argument)


def _places(known: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Where ids stand among known ones, and which of them do."""
    order = known.argsort()
    place = torch.searchsorted(known[order], ids).clamp(max=len(known) - 1)
    return order[place], known[order][place] == ids


def _edges(path: Path, ids: Tensor, like: Ids) -> Tensor:
    """Edges ``(2, E)`` between rows."""
    columns = ("source", "target")
    frame = read_frame(path, columns, "edges", columns)
    if not len(frame):
        raise InputError("edges", f"must have rows (got none in '{path}'); write one for each edge")
    ends = [_places(ids, _named(frame[name], like, "edges")) for name in columns]
    known = ends[0][1] & ends[1][1]
    if not bool(known.any()):
        raise InputError("edges", f"must join ids of 'rows' (got none of {len(frame)} edges); check the ids")
    return torch.stack([place[known] for place, _ in ends])


def _labels(path: Path, ids: Tensor, like: Ids, most: int | None) -> dict[str, Tensor]:
    """Classes of the rows, which must be fewer than ``most``, and which of them the old head was trained on."""
    frame = read_frame(path, ("id", "label"), ids=("id",))
    if not len(frame):
        raise InputError("labels", f"must have rows (got none in '{path}'); write one for each label")
    classes = frame["label"].to_numpy()
    if bool((empty := frame["label"].isna().to_numpy()).any()):
        got = f"(got {int(empty.sum())} empty cells, such as that for the id {frame['id'][int(empty.argmax())]})"
        raise InputError("labels", f"must have a class in every row {got}; write {UNKNOWN} where it is unknown")
    if classes.dtype.kind not in "iu":
        kind = "text" if isinstance(classes[0], str) else classes.dtype
        got = f"{kind}, such as {classes[0]}"
        way_out = f"number them as the head does, and write {UNKNOWN} where a class is unknown"
        raise InputError("labels", f"must hold integer classes (got {got}); {way_out}")
    if most is not None and len(wrong := np.flatnonzero((classes < UNKNOWN) | (classes >= most))):
        found = f"(got {classes[wrong[0]]} for the id {frame['id'][wrong[0]]})"
        rule = f"must be classes from 0 to {most - 1}, one for each output of the head, or {UNKNOWN} where unknown"
        raise InputError("labels", f"{rule} {found}; leave other rows out")
    labeled = _named(frame["id"], like, "labels")
    if (repeated := repeated_id(labeled)) is not None:
        found = f"(got {frame['id'][int((labeled == repeated).nonzero()[0])]} more than once)"
        raise InputError("labels", f"must not repeat an id {found}; give every row one label")
    row, known = _places(labeled, ids)
    if not bool(known.any()):
        raise InputError("labels", f"must label ids of 'rows' (got none of {len(frame)} labels); check the ids")
    y = torch.where(known, torch.tensor(classes.tolist())[row], UNKNOWN)
    given = {"y": y}
    if "train" in frame.columns:
        given["train"] = _flags(frame["train"], "train")[row] & known
    return given


def _flags(column: Any, name: str) -> Tensor:
    """True and false, also as text or as 1 and 0; anything else, such as an empty cell, is an error."""
    texts = [str(one).strip().lower() for one in column.tolist()]
    if (wrong := next((place for place, text in enumerate(texts) if text not in FLAGS), None)) is not None:
        found = f"(got {column.tolist()[wrong]!r} in row {wrong})"
        raise InputError("labels", f"must have true or false in every row of the column '{name}' {found}; fill it")
    return torch.tensor([FLAGS[text] for text in texts], dtype=torch.bool)
