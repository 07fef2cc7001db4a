"""PyG's node classification datasets by short name, checked against the counts that PyG documents.

Planetoid: Yang, Cohen and Salakhutdinov, "Revisiting Semi-Supervised Learning with Graph Embeddings", ICML 2016.
Amazon, Coauthor: Shchur et al., "Pitfalls of Graph Neural Network Evaluation", 2018.
CitationFull: Bojchevski and Günnemann, "Deep Gaussian Embedding of Graphs", ICLR 2018.
"""

from __future__ import annotations

import os
import shutil
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from relgraph.datasets.paths import Place, candidates, complete, data_place, first_line, missing_files, not_found
from relgraph.datasets.verify import check_citations, check_published, check_raw_file
from relgraph.errors import DataError
from relgraph.io import cache_folder, output_folder

if TYPE_CHECKING:
    from torch_geometric.data import Data


@dataclass(frozen=True)
class PygDataset:
    """One dataset of PyG: its name there, raw files, their address, and the counts it must have."""

    family: str
    name: str
    url: str
    raw_files: tuple[str, ...]
    nodes: int
    edges: int
    features: int
    classes: int
    split: tuple[int, int, int] | None = None


def _planetoid(name: str, nodes: int, edges: int, features: int, classes: int, *, train: int) -> PygDataset:
    parts = ("x", "tx", "allx", "y", "ty", "ally", "graph", "test.index")
    files = tuple(f"ind.{name.lower()}.{part}" for part in parts)
    url = "https://github.com/kimiyoung/planetoid/raw/master/data"
    return PygDataset("Planetoid", name, url, files, nodes, edges, features, classes, (train, 500, 1000))


def _npz(family: str, name: str, file: str, nodes: int, edges: int, features: int, classes: int) -> PygDataset:
    home = "abojchevski/graph2gauss/raw/master/data"
    if family != "CitationFull":
        home = "shchur/gnn-benchmark/raw/master/data/npz"
    return PygDataset(family, name, f"https://github.com/{home}", (file,), nodes, edges, features, classes)


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

# Features of these are customarily scaled to rows that sum to one. On a co-purchase graph that makes a GCN train three
# times as long and end two points of validation accuracy lower (Photo, benchmarks/training/tune.py).
ROW_NORMALIZED = ("Planetoid", "CitationFull", "Coauthor")

# In the order of Planetoid's labels, which its files do not name; the sizes of the classes are the published ones. The
# fifteen nodes of CiteSeer without a class are in the first one.
CLASS_NAMES = {
    "cora": (
        "theory", "reinforcement learning", "genetic algorithms", "neural networks", "probabilistic methods",
        "case-based reasoning", "rule learning",
    ),
    "citeseer": ("AI", "machine learning", "information retrieval", "databases", "agents", "HCI"),
    "pubmed": ("experimental diabetes", "type 2 diabetes", "type 1 diabetes"),
}  # fmt: skip


def load(name: str, root: str | os.PathLike[str] | None = None, features: str | None = None) -> Data:
    """Load one of :data:`PYG_DATASETS` from a folder, from the cache or from the network, in this order.

    Arguments and errors are those of :func:`relgraph.load_dataset`. Without ``features`` the rows of ``x`` sum to one
    in the families of :data:`ROW_NORMALIZED`.
    """
    from torch_geometric.transforms import NormalizeFeatures

    data, source = _find(name, data_place(root))
    normalized = features is None and PYG_DATASETS[name].family in ROW_NORMALIZED
    if normalized:
        data = NormalizeFeatures()(data)
    data.dataset_name, data.source = name, source
    data.features = "row-normalized" if normalized else "raw"
    if name in CLASS_NAMES:
        data.class_names = list(CLASS_NAMES[name])
    return data


def _find(short: str, place: Place | None) -> tuple[Data, str]:
    from torch_geometric.data import download_url

    spec = PYG_DATASETS[short]
    names = [spec.name, short, short.replace("-", "_"), short.replace("-", "")]
    files = [f"raw/{file}" for file in spec.raw_files]
    for folder in candidates(place.folder, spec.family, names) if place else []:
        if place and complete(short, folder, files, f"put them there from {spec.url}"):
            return _read(short, folder / "raw"), f"raw files in {place.words}"
    kept = cache_folder() / spec.family / spec.name
    if not missing_files(kept, files):
        with suppress(DataError):  # a damaged copy is downloaded again
            return _read(short, kept / "raw"), "downloaded"
    with TemporaryDirectory() as work:
        try:
            for file in spec.raw_files:
                download_url(f"{spec.url}/{file}", work, log=False)
        except Exception as error:  # urllib's, the system's: an interrupted download can raise any
            reason, needed = f"could not be downloaded ({first_line(error)})", ", ".join(spec.raw_files)
            raise not_found(short, place, kept, reason, needed, f"{spec.name}/raw") from error
        data = _read(short, Path(work), "the download")
        with suppress(DataError), output_folder(kept / "raw") as new:  # without a cache it is downloaded each time
            shutil.copytree(work, new, dirs_exist_ok=True)
    return data, "downloaded"


def _read(short: str, raw: Path, origin: str = "") -> Data:
    """The graph of raw files, which are checked before PyG reads them, and its counts after; ``origin`` names them."""
    from torch_geometric.io import read_npz, read_planetoid_data

    spec, origin = PYG_DATASETS[short], origin or f"the folder '{raw}'"
    for name in spec.raw_files:
        check_raw_file(raw / name, f"the file '{name}' in {origin}")
    check_published(raw, spec.raw_files, origin)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the old pickles name modules that numpy and scipy have renamed since
            if spec.family == "Planetoid":
                data: Data = read_planetoid_data(str(raw), spec.name)
            else:
                data = read_npz(str(raw / spec.raw_files[0]))
    except MemoryError:
        raise
    except Exception as error:  # PyG indexes and reshapes the content; if it is damaged, any error can follow
        raise DataError(
            f"{origin} holds files that do not fit together as '{short}' ({type(error).__name__}); "
            f"take {', '.join(spec.raw_files)} from their publisher again"
        ) from error
    got = {"nodes": data.num_nodes, "edges": data.num_edges, "features": data.num_features}
    got["classes"] = int(data.y.max()) + 1 if data.y.numel() else 0
    expected = {what: getattr(spec, what) for what in got}
    if spec.split:
        got |= {part: int(data[f"{part}_mask"].sum()) for part in ("train", "val", "test")}
        expected |= dict(zip(("train", "val", "test"), spec.split, strict=True))
    if got != expected:
        wanted, found = (", ".join(f"{n:,} {what}" for what, n in counts.items()) for counts in (expected, got))
        raise DataError(
            f"{origin} holds another dataset than '{short}' or is damaged: expected {wanted}, got {found}; "
            "take the raw files from their publisher again"
        )
    if spec.family == "Planetoid":
        check_citations(data, binary=short != "pubmed", origin=origin)
    return data
