"""Any file or folder that relgraph wrote: what it is, what it says, and how two of them are related."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from relgraph.anchors import AnchorSet, PublishedHead
from relgraph.anchors.base import AnchorValues
from relgraph.anchors.matching import shared_ids
from relgraph.bundle import MANIFEST, WEIGHTS, load_bundle
from relgraph.errors import DataError
from relgraph.fingerprints import compare_fingerprints, graph_sizes, short_fingerprint
from relgraph.graph import integer_ids
from relgraph.io import PathLike, load_record
from relgraph.maps.saved import LINEAR, conversion, head_id
from relgraph.stitching.artifacts import MODEL_FORMAT
from relgraph.stitching.report import SCHEMA, report_schema
from relgraph.tables import open_table
from relgraph.tables.reading import ARROW, READABLE, read_files
from relgraph.tables.writing import trust_file

DOCUMENT = "stitching.json"
KINDS = "an anchor set, a head, a model, a bundle, a table or a document of relgraph stitch, upgrade or drift"
UPGRADE, DRIFT = "relgraph.upgrade/1", "relgraph.drift/1"
DOCUMENTS: Mapping[str, tuple[str, Sequence[str]]] = {
    SCHEMA: ("stitching document", ()),  # its names are in the JSON Schema
    UPGRADE: ("upgrade document", ("verdict", "reason")),
    DRIFT: ("drift document", ("rows", "level", "moved", "overall", "seeds", "notes", "moved_rows")),
}
"""The kinds of documents by their schema, and the names that each has at least."""
CONVERTED = "converted head"


@dataclass(frozen=True, eq=False)
class Piece:
    """What :func:`open_piece` reads.

    Args:
        kind: ``"anchor set"``, ``"published head"``, ``"converted head"``, ``"bundle"``, ``"model"``, ``"table"``,
            ``"stitching document"``, ``"upgrade document"`` or ``"drift document"``.
        path: The file or folder.
        about: What it says, as values of JSON, by name; ``None`` for what is unknown.
        values: The anchor set or published head, that of a bundle too; ``None`` of other kinds.
        read_ids: Reads the ids of its anchors or rows, ``(N,)``; ``None`` if it has none.
        document: The whole document; ``None`` of other kinds.
    """

    kind: str
    path: Path
    about: Mapping[str, Any]
    values: AnchorValues | None = field(default=None, repr=False)
    read_ids: Callable[[], Tensor] | None = field(default=None, repr=False)
    document: dict[str, Any] | None = field(default=None, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """As values of JSON."""
        whole = {} if self.document is None else {"document": self.document}
        return {"path": str(self.path), "kind": self.kind, **self.about, **whole}


def open_piece(path: PathLike, argument: str = "path", key: str | None = None) -> Piece:
    """Read a file that relgraph wrote, a bundle, or a folder of ``relgraph stitch``; nothing is unpickled.

    Args:
        path: The file or folder.
        argument: What it was given as, for errors.
        key: The id column of a table in Parquet, Arrow or Feather; by default the only one that can be it.

    Raises:
        DataError: If it is missing, damaged, or nothing of this kind.
        InputError: If it is a table whose contents are no vectors with ids.

    Example:
        >>> import tempfile
        >>> anchors = AnchorSet(torch.tensor([7, 3]), torch.eye(2), torch.zeros(2), version="2026-03")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     anchors.save(f"{folder}/space.safetensors")
        ...     piece = open_piece(f"{folder}/space.safetensors")
        >>> piece.kind, piece.about["version"], piece.about["anchors"]
        ('anchor set', '2026-03', 2)
    """
    found = Path(path).expanduser()
    if found.is_dir():
        if (found / DOCUMENT).is_file():
            return _document(found / DOCUMENT)
        if (found / MANIFEST).is_file():
            return _bundle(found)
        raise DataError(f"'{found}' must be {KINDS} (got a folder without '{MANIFEST}' or '{DOCUMENT}'); name a file")
    if not found.exists():
        raise DataError(f"'{found}' does not exist; give the path of {KINDS}")
    if found.name == MANIFEST:
        return _bundle(found.parent)
    if found.suffix == ".json":
        return _document(found)
    record = _record_kind(found)
    for kind, name in ((AnchorSet, "anchor set"), (PublishedHead, "published head")):
        if record.partition("/")[0] == kind._kind.partition("/")[0]:
            return _values(name, found, kind.load(found))
    if record in (WEIGHTS, MODEL_FORMAT, LINEAR):
        return _model(found, record)
    if record or found.suffix.lower() not in READABLE:
        got = f"got a file of the kind {record}" if record else "got a file that relgraph did not write"
        raise DataError(f"'{found}' must be {KINDS} ({got}); name another")
    return _table(found, argument, key)


def piece_files(path: PathLike) -> list[Path]:
    """The files that :func:`open_piece` reads of a path, and others of its folder; ids beside a table as well."""
    found = Path(path).expanduser()
    folder = found if found.is_dir() else found.parent if found.name == MANIFEST else None
    return read_files(found) if folder is None else [file for file in folder.iterdir() if file.is_file()]


def relate(one: Piece, two: Piece) -> dict[str, Any]:
    """How two pieces are related, as values of JSON: ids in common, versions, which is newer, and their graphs.

    Ids of text are hashed as those of anchors are, and an id that a table repeats counts once among the common ones. Of
    two graphs, the one of the earlier time is the older one, or, if a time is unknown, that with fewer nodes. A
    converted head is compared with the space and the published head that it was made of, which it names.
    """
    found: dict[str, Any] = {}
    if one.read_ids is not None and two.read_ids is not None:
        ids, others = one.read_ids(), two.read_ids()
        distinct, known = torch.unique(ids), torch.unique(others)
        common = shared_ids(distinct, known)[0].numel()
        found["ids"] = {"common": common, "first": ids.numel(), "second": others.numel()}
        if (len(distinct), len(known)) != (len(ids), len(others)):
            found["ids"]["distinct"] = [len(distinct), len(known)]
    for layer, other in ((one, two), (two, one)):
        if layer.kind == CONVERTED and (made := _conversion_of(layer, other)):
            found["conversion"] = made
    if one.values is None or two.values is None:
        return found
    found["versions"] = [one.values.version or None, two.values.version or None]
    times = [values.datetime for values in (one.values, two.values)]
    sizes = [graph_sizes(values.fingerprint) for values in (one.values, two.values)]
    found["newer"], turned = None, False
    if times[0] is not None and times[1] is not None and times[0] != times[1]:
        turned = times[0] > times[1]
        found["newer"] = "first" if turned else "second"
    elif sizes[0] is not None and sizes[1] is not None:
        turned = sizes[0] > sizes[1]
    old, new = (two, one) if turned else (one, two)
    assert old.values is not None and new.values is not None
    graph = compare_fingerprints(old.values.fingerprint, new.values.fingerprint)
    kept = {"old_nodes_kept": graph.nodes, "old_edges_kept": graph.edges}
    found["graph"] = {"kind": graph.kind, "old": str(old.path), "new": str(new.path), "num_nodes": graph.counts} | {
        name: {"share": share.value, "interval": share.interval} if share.asked else None
        for name, share in kept.items()
    }
    return found


def _conversion_of(layer: Piece, other: Piece) -> dict[str, str]:
    """Whether a converted head is for the space of another piece, and from its published head.

    Each is ``"same"``, ``"other"``, or ``"unknown"`` if the file does not say; a space may be ``"old"`` as well, that
    which the published head belongs to.
    """
    before, after = (layer.about.get(name) or {} for name in ("converted_from", "converted_for"))
    bundle = other.kind == "bundle"
    found = {}
    if (space := other.about["anchor_set"] if bundle else other.about) and other.kind in ("bundle", "anchor set"):
        found["space"] = _same(after.get("id"), space["id"])
        if found["space"] != "same" and before.get("anchor_set") == space["id"]:
            found["space"] = "old"
    if (head := other.about["head"] if bundle else other.about) and other.kind in ("bundle", "published head"):
        found["head"] = _same(before.get("id"), head["id"])
    return found


def _same(stated: str | None, true: str) -> str:
    return "unknown" if stated is None else "same" if stated == true else "other"


def _values(kind: str, path: Path, values: AnchorValues) -> Piece:
    return Piece(kind, path, _described(values), values, lambda: values.ids)


def _described(values: AnchorValues) -> dict[str, Any]:
    """An anchor set or published head."""
    rows, width = values.values.shape
    found: dict[str, Any] = {"anchors": rows}
    if isinstance(values, AnchorSet):
        shares = values.weights / values.weights.sum()
        even = bool(torch.allclose(shares, shares.mean().expand_as(shares)))
        span = None if even else {"least": float(shares.min()), "largest": float(shares.max())}
        found |= {"features": width, "id": values.id, "weights": span}
    elif isinstance(values, PublishedHead):
        about = {"mode": values.mode, "mean_from": values.mean_from, "anchor_set": values.anchor_set or None}
        found |= {"outputs": width, "id": head_id(values), **about}
    sizes = graph_sizes(values.fingerprint)
    return found | {
        "type": str(values.values.dtype).removeprefix("torch."),
        "version": values.version or None,
        "time": values.time or None,
        "graph": short_fingerprint(values.fingerprint) or None,
        "graph_sizes": sizes and {"nodes": sizes[0], "edges": sizes[1]},
    }


def _bundle(path: Path) -> Piece:
    found = load_bundle(path)
    about = {
        "task": found.manifest.get("task"),
        "model": found.manifest.get("model"),
        "layer": found.manifest.get("layer"),
        "parameters": sum(weight.numel() for weight in found.weights.values()),
        "versions": found.manifest.get("versions"),
        "anchor_set": _described(found.anchors),
        "head": None if found.head is None else _described(found.head),
    }
    return Piece("bundle", path, about, found.anchors, lambda: found.anchors.ids)


def _model(path: Path, record: str) -> Piece:
    weights, header = load_record(path, record)
    about = {"parameters": sum(weight.numel() for weight in weights.values()), "tensors": len(weights)}
    try:
        stated = json.loads(header.get("about", "{}"))
        about |= {name: stated[name] for name in ("encoder", "head", "seed") if name in stated}
        about |= {"dataset": stated["dataset"]["name"]} if "dataset" in stated else {}
        if record == LINEAR:
            outputs, width = weights["weight"].shape
            about = {"features": width, "outputs": outputs, **conversion(header)}
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"'{path}' is damaged: its header is not what was saved; save it again") from error
    return Piece(CONVERTED if record == LINEAR else "model", path, about)


def _document(path: Path) -> Piece:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"'{path}' is damaged or no document ({error}); write it again") from error
    stated = found.get("schema") if isinstance(found, dict) else None
    if not isinstance(stated, str) or stated not in DOCUMENTS:
        rule = f"must be a document of one of the schemas {', '.join(DOCUMENTS)}"
        got = "got one without a schema" if stated is None else f"got {stated!r}"
        raise DataError(f"'{path}' {rule} ({got}); write it with --json of relgraph stitch, upgrade or drift")
    kind, names = DOCUMENTS[stated]
    if missing := [name for name in names or report_schema()["required"] if name not in found]:
        raise DataError(f"'{path}' is damaged: it has no '{missing[0]}'; write it again")
    return Piece(kind, path, {}, document=found)


def _table(path: Path, argument: str, key: str | None) -> Piece:
    table = open_table(path, argument, key)
    trusted = getattr(table, "has_trust", False) or (path.suffix.lower() == ".npy" and trust_file(path).is_file())
    kind = type(table.id_of(0)).__name__
    about = {
        "rows": len(table),
        "features": table.width,
        "type": str(table.dtype),
        "ids": "text" if kind.startswith("bytes") else "integers",
        "id_column": table.key if path.suffix.lower() in ARROW else None,
        "trust": trusted,
    }
    return Piece("table", path, about, read_ids=lambda: integer_ids(table.plain_ids(), argument).to(torch.int64))


def _record_kind(path: Path) -> str:
    """What the header of a safetensors file says that it is; empty if it says nothing, or it is another file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            found = (file.metadata() or {}).get("format", "")
    except (SafetensorError, OSError) as error:
        if path.suffix == ".safetensors":
            raise DataError(f"'{path}' is damaged or no safetensors file ({error}); save it again") from error
        return ""
    return found if found.startswith("relgraph.") else ""
