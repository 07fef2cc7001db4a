"""PyG's node classification sets by short name, checked against the counts that PyG documents.

Planetoid: Yang, Cohen and Salakhutdinov, "Revisiting Semi-Supervised Learning with Graph Embeddings", ICML 2016.
Amazon, Coauthor: Shchur et al., "Pitfalls of Graph Neural Network Evaluation", 2018.
CitationFull: Bojchevski and Günnemann, "Deep Gaussian Embedding of Graphs", ICLR 2018.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from relgraph.datasets import cache
from relgraph.datasets.raw_files import check_published, check_raw_file
from relgraph.datasets.search import Place, cache_folder, data_place, digest, holds_some, missing_files, raw_folders
from relgraph.errors import DataError

if TYPE_CHECKING:
    from torch_geometric.data import Data


@dataclass(frozen=True)
class PygDataset:
    """One data set of PyG: the class and the name that load it, its raw files, and the counts it must have."""

    family: str
    name: str
    raw_files: tuple[str, ...]
    nodes: int
    edges: int
    features: int
    classes: int
    split: tuple[int, int, int] | None = None


def _planetoid(name: str, nodes: int, edges: int, features: int, classes: int, *, train: int) -> PygDataset:
    parts = ("x", "tx", "allx", "y", "ty", "ally", "graph", "test.index")
    files = tuple(f"ind.{name.lower()}.{part}" for part in parts)
    return PygDataset("Planetoid", name, files, nodes, edges, features, classes, (train, 500, 1000))


def _npz(family: str, name: str, file: str, nodes: int, edges: int, features: int, classes: int) -> PygDataset:
    return PygDataset(family, name, (file,), nodes, edges, features, classes)


PYG_DATASETS = {
    "cora": _planetoid("Cora", 2708, 10556, 1433, 7, train=140),
    "citeseer": _planetoid("CiteSeer", 3327, 9104, 3703, 6, train=120),
    "pubmed": _planetoid("PubMed", 19717, 88648, 500, 3, train=60),
    "photo": _npz("Amazon", "Photo", "amazon_electronics_photo.npz", 7650, 238162, 745, 8),
    "computers": _npz("Amazon", "Computers", "amazon_electronics_computers.npz", 13752, 491722, 767, 10),
    "cs": _npz("Coauthor", "CS", "ms_academic_cs.npz", 18333, 163788, 6805, 15),
    "physics": _npz("Coauthor", "Physics", "ms_academic_phy.npz", 34493, 495924, 8415, 5),
    "cora-full": _npz("CitationFull", "cora", "cora.npz", 19793, 126842, 8710, 70),
    "cora-ml": _npz("CitationFull", "cora_ml", "cora_ml.npz", 2995, 16316, 2879, 7),
    "citeseer-full": _npz("CitationFull", "citeseer", "citeseer.npz", 4230, 10674, 602, 6),
    "pubmed-full": _npz("CitationFull", "pubmed", "pubmed.npz", 19717, 88648, 500, 3),
    "dblp": _npz("CitationFull", "dblp", "dblp.npz", 17716, 105734, 1639, 4),
}


def load_pyg(short: str, root: str | os.PathLike[str] | None = None, *, normalise: bool = True) -> Data:
    """Load one of :data:`PYG_DATASETS` from a folder, from the cache or from the network, in this order.

    Args:
        short: Its short name.
        root: A folder with raw files; else ``RELGRAPH_DATA`` names one, if set.
        normalise: Scale the rows of the bag of words to sum to one, as PyG's ``NormalizeFeatures`` does.

    Raises:
        DataError: If the raw files are nowhere, damaged or those of another set.
    """
    import torch
    from torch_geometric.transforms import NormalizeFeatures

    data, source = _find(short, data_place(root))
    if normalise:
        data = NormalizeFeatures()(data)
    data.x, data.y = data.x.to(torch.float32), data.y.to(torch.int64)
    data.dataset_name = short
    data.source = source
    data.features = "row-normalised" if normalise else "raw"
    return data


def check_counts(short: str, data: Data, origin: str) -> None:
    """Refuse a graph that has not the documented numbers of nodes, edges, features, classes and training nodes.

    Raises:
        DataError: Naming what was expected and what is there.
    """
    spec = PYG_DATASETS[short]
    expected = _in_words(spec.nodes, spec.edges, spec.features, spec.classes, spec.split)
    split = None
    if spec.split is not None:
        split = tuple(int(data[f"{part}_mask"].sum()) for part in ("train", "val", "test"))
    classes = int(data.y.max()) + 1 if data.y.numel() else 0
    got = _in_words(data.num_nodes, data.num_edges, data.num_features, classes, split)
    if got != expected:
        raise DataError(
            f"{origin} holds another data set than '{short}' or is damaged: expected {expected}, got {got}; "
            "take the raw files from their publisher again"
        )
    if spec.family == "Planetoid" and (fault := _planetoid_fault(data, binary=short != "pubmed")):
        raise DataError(f"{origin} is damaged ({fault}); take the raw files of '{short}' from their publisher again")


def _planetoid_fault(data: Data, *, binary: bool) -> str | None:
    """What a set of citations cannot hold, if it is there: these files have no checksum of their own."""
    x = data.x
    if not data.is_undirected():
        return "an edge without its reverse"
    if not bool((x.isfinite() & (x >= 0)).all()):
        return "a feature that is negative or not finite"
    if binary and bool(((x != 0) & (x != 1)).any()):
        return "a feature that is neither 0 nor 1"
    classes = int(data.y.max()) + 1
    if bool((data.y < 0).any()) or len(set(data.y[data.train_mask].bincount(minlength=classes).tolist())) > 1:
        return "training labels that are not equally many of each class"
    return None


def _find(short: str, place: Place | None) -> tuple[Data, str]:
    spec, kept = PYG_DATASETS[short], cache_folder()
    shelf = kept / spec.family
    candidates = raw_folders(place.folder, spec.family, _folder_names(short, spec)) if place else []
    for raw in candidates:
        if place and holds_some(raw, spec.raw_files):
            if missing := missing_files(raw, spec.raw_files):
                raise DataError(
                    f"the folder '{raw}' must hold all files of '{short}' (it lacks {', '.join(missing)}); "
                    "put them there, or name another folder"
                )
            entry = shelf / f"{spec.name}-{digest(raw, spec.raw_files)}"
            return _from_raw(short, raw, entry), f"raw files in {place.words}"
    downloaded = shelf / f"{spec.name}-downloaded"
    for entry in [downloaded, *cache.newest_first(shelf, f"{spec.name}-*")]:
        raw = entry / spec.name / "raw"
        if raw.is_dir() and not missing_files(raw, spec.raw_files):
            source = "downloaded by torch-geometric" if entry == downloaded else "raw files in the cache"
            return _from_raw(short, raw, entry), source
    try:
        with cache.workspace(kept) as work:
            data = _open(short, work / "new", "the download")
            cache.publish(work, downloaded, replace=downloaded.is_dir())
    except _NotDownloadedError as error:
        raise DataError(_not_found(short, place, kept, str(error))) from error
    return data, "downloaded by torch-geometric"


def _from_raw(short: str, raw: Path, entry: Path) -> Data:
    """The graph of raw files, through its place in the cache, which is made (or made anew if damaged) when needed."""
    spec = PYG_DATASETS[short]
    origin, damaged = f"the folder '{raw}'", False
    if entry.is_dir():
        check_published(raw, spec.raw_files, origin)
        try:
            return _open(short, entry, origin, finished=True)
        except DataError:
            damaged = True  # the raw files decide whether that can be mended
    with cache.workspace(entry.parent.parent) as work:
        cache.copy_files(raw, work / "new" / spec.name / "raw", spec.raw_files)
        data = _open(short, work / "new", origin)
        cache.publish(work, entry, replace=damaged)
    return data


class _NotDownloadedError(Exception):
    pass


def _open(short: str, folder: Path, origin: str, *, finished: bool = False) -> Data:
    """Let PyG's class load in ``folder``, and unless it is finished, download and process there first.

    Raw files are checked before PyG reads them.
    """
    import warnings

    from torch_geometric import datasets

    spec = PYG_DATASETS[short]
    base = getattr(datasets, spec.family)

    def incomplete(self: object) -> None:
        raise DataError(f"'{folder}' is incomplete")

    def download(self: object) -> None:
        try:
            base.download(self)
        except Exception as error:  # urllib's, aiohttp's, fsspec's, the system's: whatever the network does
            reason = (str(error).strip().splitlines() or ["no reason given"])[0]
            raise _NotDownloadedError(f"{type(error).__name__}: {reason}") from error

    def process(self: object) -> None:
        raw = folder / spec.name / "raw"
        for name in spec.raw_files:
            check_raw_file(raw / name, f"the file '{name}' in {origin}")
        check_published(raw, spec.raw_files, origin)
        base.process(self)

    # PyG says "Processing..." on standard error unless its log is off, which these classes cannot be told.
    quiet = property(lambda self: False, lambda self, value: None)
    steps = {"download": incomplete, "process": incomplete} if finished else {"download": download, "process": process}
    checked = type(spec.family, (base,), {**steps, "log": quiet})
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the old pickles name modules that numpy and scipy have renamed since
            data = checked(str(folder), spec.name)[0]
    except (DataError, _NotDownloadedError, MemoryError):
        raise
    except OSError as error:
        raise cache.not_writable(error) from error
    except Exception as error:  # PyG indexes and reshapes what it reads; damaged content surfaces as anything
        raise DataError(
            f"{origin} holds files that do not fit together as '{short}' ({type(error).__name__}); "
            f"take {', '.join(spec.raw_files)} from their publisher again"
        ) from error
    check_counts(short, data, origin)
    return data


def _folder_names(short: str, spec: PygDataset) -> list[str]:
    return [spec.name, short, short.replace("-", "_"), short.replace("-", "")]


def _in_words(nodes: int, edges: int, features: int, classes: int, split: tuple[int, ...] | None) -> str:
    words = f"{nodes:,} nodes, {edges:,} edges, {features:,} features, {classes:,} classes"
    return words if split is None else f"{words}, split " + "/".join(f"{size:,}" for size in split)


def _not_found(short: str, place: Place | None, kept: Path, reason: str) -> str:
    spec = PYG_DATASETS[short]
    tried = [f"'{kept / spec.family}'"]
    if place:
        tried.insert(0, f"'{place.folder}'" if place.folder.is_dir() else f"'{place.folder}' (no such folder)")
    files = ", ".join(spec.raw_files)
    if place:
        way_out = f"put {files} in '{place.folder / spec.name / 'raw'}'"
    else:
        way_out = f"put {files} in FOLDER/{spec.name}/raw and name FOLDER as root or in RELGRAPH_DATA"
    return (
        f"the data set '{short}' ({spec.family} {spec.name}) is not in {' or '.join(tried)} "
        f"and could not be downloaded ({reason}); {way_out}"
    )
