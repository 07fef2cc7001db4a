"""OGB's sets by name, through ogb's own classes, whose questions, deletions and output never reach the user.

Hu et al., "Open Graph Benchmark: Datasets for Machine Learning on Graphs", NeurIPS 2020.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
from torch import Tensor

from relgraph.datasets import cache
from relgraph.datasets.graph_dataset import GraphDataset
from relgraph.datasets.ogb_files import CITES, PAPER, OgbFiles
from relgraph.datasets.ogb_library import import_ogb, ogb_table, quiet
from relgraph.datasets.search import Place, cache_folder, data_place, digest, holds_some, raw_folders
from relgraph.datasets.trust import pyg_classes
from relgraph.errors import DataError

if TYPE_CHECKING:
    from torch_geometric.data import Data

_CITES = cast(tuple[str, str, str], tuple(CITES.split("___")))


def load_graph_set(name: str, root: str | os.PathLike[str] | None = None) -> GraphDataset:
    """Load one of the molecule sets from a folder, from the cache or from the network, in this order.

    Args:
        name: One of :data:`relgraph.names.GRAPH_DATASETS`.
        root: A folder with OGB's raw files; else ``RELGRAPH_DATA`` names one, if set.

    Raises:
        DataError: If the files are nowhere, incomplete, damaged or those of another set.
    """
    dataset, files, source = _find(name, root)
    task: Literal["binary", "regression"] = "regression" if files.meta["task type"] == "regression" else "binary"
    train, validation, test = map(torch.from_numpy, files.split())
    # PyG keeps all graphs in one; slicing a label out of each of them would take as long as reading the files.
    y = dataset._data.y.to(torch.float32)
    return GraphDataset(name, dataset, y, train, validation, test, task, files.meta["eval metric"], source)


def load_node_set(name: str, root: str | os.PathLike[str] | None = None, *, features: bool = True) -> Data:
    """Load one of OGB's node sets from a folder, from the cache or, if it is small, from the network, in this order.

    Graphs that OGB keeps as directed come undirected and without repeated edges. ``ogbn-proteins`` has features on its
    edges only: ``x`` is their mean over the edges of a node, and ``y`` holds 112 labels, each 0 or 1, as float32. Of
    ``ogbn-mag`` the papers and the citations between them are loaded, a graph of one kind of node.

    Args:
        name: One of the names in :data:`relgraph.names.DATASETS` that begin with ``ogbn-``.
        root: A folder with OGB's raw files; else ``RELGRAPH_DATA`` names one, if set.
        features: Whether ``x`` is wanted. Without, the file of features need not be there.

    Returns:
        The graph; nodes whose single label is missing have label -1 and are in no mask. ``node_year`` and
        ``node_species`` are kept where the set has them.

    Raises:
        DataError: If the files are nowhere, incomplete, damaged or those of another set.
    """
    from torch_geometric.data import Data
    from torch_geometric.utils import scatter, to_undirected

    dataset, files, source = _find(name, root, features=features)
    loaded = _papers(dataset[0]) if name == "ogbn-mag" else dataset[0]
    num_nodes, edges, y = loaded.num_nodes, loaded.edge_index, loaded.y
    data = Data(x=loaded.x, y=y) if features else Data(y=y, num_nodes=num_nodes)
    data.features = "raw"
    if features and loaded.x is None:
        # Both directions of an edge carry its features, so its target alone is enough.
        data.x = scatter(loaded.edge_attr, edges[1], dim=0, dim_size=num_nodes, reduce="mean")
        data.features = "mean over the features of a node's edges"
    directed = files.meta["add_inverse_edge"] != "True"
    data.edge_index = to_undirected(edges, num_nodes=num_nodes) if directed else edges
    labelled = torch.ones(num_nodes, dtype=torch.bool)
    if y.size(1) == 1:
        labelled = ~y.squeeze(1).isnan()
        data.y = y.squeeze(1).nan_to_num(-1).to(torch.int64)
    else:
        data.y = y.to(torch.float32)
    for part, rows in zip(("train", "val", "test"), files.split(), strict=True):
        mask = torch.zeros(num_nodes, dtype=torch.bool)
        mask[torch.from_numpy(rows)] = True
        data[f"{part}_mask"] = mask & labelled
    for extra in ("node_year", "node_species"):
        if extra in loaded:
            data[extra] = loaded[extra].squeeze(1)
    data.dataset_name, data.source = name, source
    return data


def _papers(loaded: Any) -> Data:
    """The papers of ogbn-mag and the citations between them."""
    from torch_geometric.data import Data

    papers = Data(edge_index=loaded.edge_index_dict[_CITES], y=loaded.y_dict[PAPER])
    papers.num_nodes = loaded.num_nodes_dict[PAPER]
    papers.x = (loaded.x_dict if "x_dict" in loaded else {}).get(PAPER)
    papers.node_year = loaded.node_year[PAPER]
    return papers


def _find(name: str, root: str | os.PathLike[str] | None, *, features: bool = True) -> tuple[Any, OgbFiles, str]:
    """The dataset of ogb, its files in the cache, and where they came from."""
    meta, place, kept = ogb_table(_part(name))[name], data_place(root), cache_folder()
    shelf, stem = kept / "ogb", name.replace("-", "_")
    folders = [raw.parent for raw in raw_folders(place.folder, "ogb", _folder_names(name, meta))] if place else []
    given = [OgbFiles(name, meta, folder, features) for folder in folders]
    for files in given:
        if place and holds_some(files.folder, files.names):
            if files.missing:
                raise DataError(_lacks(files))
            entry = shelf / f"{stem}-{digest(files.folder, files.names)}"
            return *_through_cache(files, entry), f"raw files in {place.words}"
    downloaded = shelf / f"{stem}-downloaded"
    for entry in [downloaded, *cache.newest_first(shelf, f"{stem}-*")]:
        # An entry with more than is asked for must keep it, should it have to be made anew.
        for more in (True, features):
            files = OgbFiles(name, meta, entry, more)
            if not files.missing:
                source = "downloaded by ogb" if entry == downloaded else "raw files in the cache"
                return *_through_cache(files, entry), source
    if name not in _DOWNLOADED and not name.startswith("ogbg-mol"):
        raise DataError(_not_found(name, meta, place, shelf, "is not downloaded unasked, being large"))
    with cache.workspace(kept) as work:
        try:
            folder = _download(meta, work / "download")
        except Exception as error:  # urllib's, zipfile's, ogb's, the system's: whatever the network does
            reason = f"{type(error).__name__}: {(str(error).strip().splitlines() or ['no reason given'])[0]}"
            raise DataError(_not_found(name, meta, place, shelf, f"could not be downloaded ({reason})")) from error
        return *_through_cache(OgbFiles(name, meta, folder), downloaded), "downloaded by ogb"


# Of the node sets ogb asks before it fetches the larger ones; what it would not ask for is fetched here as well.
_DOWNLOADED = ("ogbn-arxiv",)


def _through_cache(files: OgbFiles, entry: Path) -> tuple[Any, OgbFiles]:
    """The dataset of these files, through its place in the cache, which is made (anew if damaged) when needed."""
    mine = OgbFiles(files.name, files.meta, entry, files.features)
    damaged = entry.is_dir()
    if damaged and not mine.missing:
        try:
            return _open(mine), mine
        except DataError:
            pass  # the files given decide whether that can be mended
    files.check()
    with cache.workspace(entry.parent.parent) as work:
        cache.copy_files(files.folder, work / "new", [*files.names, *files.mapping])
        dataset = _open(OgbFiles(files.name, files.meta, work / "new", files.features))
        cache.publish(work, entry, replace=damaged)
    return dataset, mine


def _open(files: OgbFiles) -> Any:
    """Let ogb's class read files that are known to be complete; it processes them on the first time."""
    module = import_ogb(_part(files.name))
    kind = module.PygGraphPropPredDataset if files.name.startswith("ogbg-") else module.PygNodePropPredDataset
    with_file = files.features and files.feature_file is not None
    meta = {**files.meta, "dir_path": str(files.folder), "has_node_attr": str(with_file)}
    try:
        with quiet(), pyg_classes():
            dataset = kind(files.name, meta_dict=meta)
        fault = _fault(dataset, files)
    except (DataError, MemoryError):
        raise
    except OSError as error:
        raise cache.not_writable(error) from error
    except Exception as error:  # ogb indexes and converts what it reads; wrong content surfaces as anything
        fault = f"{type(error).__name__} while reading"
    if fault:
        raise DataError(
            f"the files found for '{files.name}' do not make that set ({fault}); "
            f"take them from {files.meta['url']} again"
        )
    return dataset


def _fault(dataset: Any, files: OgbFiles) -> str | None:
    """What is wrong with a loaded set, if anything: its sizes, an edge to nowhere, or a label that is none.

    Rows are counted once more, because ogb's reader skips empty ones.
    """
    meta, loaded = files.meta, dataset._data
    if files.name == "ogbn-mag":
        loaded = _papers(loaded)
        nodes, edges = files.sizes_of_papers()
    else:
        nodes, edges = files.sizes()
    edges = edges * (2 if meta["add_inverse_edge"] == "True" else 1)
    if len(dataset) != len(nodes) or loaded.edge_index.size(1) != edges.sum():
        return f"{len(dataset):,} graphs with {loaded.edge_index.size(1):,} edges"
    labelled = len(nodes) if files.name.startswith("ogbg-") else nodes.sum()
    for key, rows in {"x": nodes.sum(), "edge_attr": edges.sum(), "y": labelled}.items():
        if loaded.get(key) is not None and loaded[key].size(0) != rows:
            return f"{loaded[key].size(0):,} rows of '{key}' where {rows:,} belong"
    ends = torch.from_numpy(nodes).repeat_interleave(torch.from_numpy(edges))
    if bool(((loaded.edge_index < 0) | (loaded.edge_index >= ends)).any()):
        return "an edge to a node that is not there"
    if files.name.startswith("ogbg-") and (loaded.x.is_floating_point() or loaded.edge_attr.is_floating_point()):
        return "features that are no integers"
    return _label_fault(loaded.y, meta)


def _label_fault(y: Tensor, meta: dict[str, str]) -> str | None:
    y = y[~y.isnan()]
    if meta["task type"] == "regression":
        return None if bool(y.isfinite().all()) else "an infinite label"
    classes = int(meta["num classes"])
    if bool(((y < 0) | (y >= classes) | (y != y.round())).any()):
        return f"labels from {y.min():g} to {y.max():g} where 0 to {classes - 1} are known"
    return None


def _download(meta: dict[str, str], folder: Path) -> Path:
    """Fetch and unpack a set by ogb's own means, leaving out the question that comes before."""
    url = import_ogb("utils.url")
    folder.mkdir()
    with quiet():
        url.extract_zip(url.download_url(meta["url"], str(folder)), str(folder))
    return folder / meta["download_name"]


def _part(name: str) -> str:
    return "graphproppred" if name.startswith("ogbg-") else "nodeproppred"


def _folder_names(name: str, meta: dict[str, str]) -> list[str]:
    short = name.split("-", 1)[1]
    return [name.replace("-", "_"), name, short, meta["download_name"]]


def _lacks(files: OgbFiles) -> str:
    missing = files.missing
    found = f"the folder '{files.folder}' must hold all files of '{files.name}' (it lacks {', '.join(missing)})"
    way_out = f"put them there from {files.meta['url']}"
    if missing == [files.feature_file]:
        way_out += ', or load with features="spectral" or features="fastrp", which make features of the graph alone'
    return f"{found}; {way_out}"


def _not_found(name: str, meta: dict[str, str], place: Place | None, shelf: Path, reason: str) -> str:
    tried = [f"'{shelf}'"]
    if place:
        tried.insert(0, f"'{place.folder}'" if place.folder.is_dir() else f"'{place.folder}' (no such folder)")
    folder, files = name.replace("-", "_"), OgbFiles(name, meta, Path())
    wanted = ", ".join(files.names)
    if place:
        target = f"unpack {meta['url']} as '{place.folder / folder}'"
    else:
        target = f"unpack {meta['url']} as FOLDER/{folder} and name FOLDER as root or in RELGRAPH_DATA"
    return f"the data set '{name}' is not in {' or '.join(tried)} and {reason}; {target}, with {wanted} in it"
