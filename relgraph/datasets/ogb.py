"""OGB's datasets by name, read from the compressed tables that OGB publishes.

Hu et al., "Open Graph Benchmark: Datasets for Machine Learning on Graphs", NeurIPS 2020. The tensors equal those of
ogb's own classes. These are not used, because they ask on the terminal, delete folders or start a download if a file
is missing, and accept tables with missing rows.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from relgraph.datasets.graph_dataset import GraphDataset
from relgraph.datasets.ogb_library import ogb_table
from relgraph.datasets.paths import cached, candidates, complete, data_place, files_digest, first_line, not_found
from relgraph.datasets.verify import RawTables
from relgraph.errors import DataError
from relgraph.io import cache_folder, load_record
from relgraph.task import Mode, Task

if TYPE_CHECKING:
    from torch_geometric.data import Data

PARTS = ("train", "valid", "test")
_KIND = "relgraph.ogb/1"
# Of OGB's node datasets, ogb downloads the larger ones only after a question; they are not downloaded here.
_DOWNLOADED = "ogbn-arxiv", "ogbg-"
# In ogbn-mag papers have labels; one relation joins papers to papers.
_PAPER, _CITES = "paper", "raw/relations/paper___cites___paper"
_AS_STORED = (None, "raw")


@dataclass(frozen=True)
class Counts:
    """The documented size of a dataset, as rows of its raw files: an undirected edge is one row. ``None``: unknown."""

    graphs: int | None = 1
    nodes: int | None = None
    edges: int | None = None
    split: tuple[int, int, int] | None = None
    features: int | None = 9
    edge_features: int | None = 3


COUNTS = {
    "ogbn-arxiv": Counts(1, 169_343, 1_166_243, (90_941, 29_799, 48_603), 128, None),
    "ogbn-products": Counts(1, 2_449_029, 61_859_140, (196_615, 39_323, 2_213_091), 100, None),
    "ogbn-proteins": Counts(1, 132_534, 39_561_252, (86_619, 21_236, 24_679), None, 8),
    "ogbn-mag": Counts(1, 736_389, 5_416_271, (629_571, 64_879, 41_939), 128, None),
    "ogbg-molbace": Counts(1_513, 51_577, 55_768, (1_210, 151, 152)),
    "ogbg-molbbbp": Counts(2_039, 49_068, 52_921, (1_631, 204, 204)),
    "ogbg-molclintox": Counts(1_477),
    "ogbg-molmuv": Counts(93_087),
    "ogbg-molpcba": Counts(437_929),
    "ogbg-molsider": Counts(1_427),
    "ogbg-moltox21": Counts(7_831),
    "ogbg-moltoxcast": Counts(8_576),
    "ogbg-molhiv": Counts(41_127),
    "ogbg-molesol": Counts(1_128, 14_991, 15_428, (902, 113, 113)),
    "ogbg-molfreesolv": Counts(642, 5_600, 5_385, (513, 64, 65)),
    "ogbg-mollipo": Counts(4_200),
    "ogbg-molchembl": Counts(None),
}


def load_graphs(name: str, root: str | os.PathLike[str] | None = None, features: str | None = None) -> GraphDataset:
    """Load one of the molecule datasets; arguments and errors are those of :func:`relgraph.load_dataset`."""
    from torch_geometric.data import Data, InMemoryDataset

    meta = _meta(name)
    tables, source = _find(name, root, features=True)
    graphs = InMemoryDataset()
    graphs._data = Data(edge_index=tables["edge_index"], edge_attr=tables["edge_attr"], x=tables["x"])
    # PyG cuts one graph from the joint tensors when it is asked for.
    joints = {"x": tables["nodes"], "edge_index": tables["edges"], "edge_attr": tables["edges"]}
    graphs.slices = {key: torch.cat([sizes.new_zeros(1), sizes.cumsum(0)]) for key, sizes in joints.items()}
    mode: Mode = "regression" if meta["task type"] == "regression" else "multilabel"
    task = Task.of("graph", mode, meta["eval metric"])
    train, validation, test = (tables[part] for part in PARTS)
    return GraphDataset(name, graphs, tables["y"].to(torch.float32), train, validation, test, task, source)


def load_nodes(name: str, root: str | os.PathLike[str] | None = None, features: str | None = None) -> Data:
    """Load one of OGB's node datasets from a folder, from the cache or, if it is small, from the network.

    Directed graphs are made undirected and repeated edges removed. ``ogbn-proteins`` has features on its edges only:
    ``x`` is their mean over the edges of a node, and ``y`` holds 112 labels, each 0 or 1, as float32. ``node_year`` and
    ``node_species`` are kept. Arguments and errors are those of :func:`relgraph.load_dataset`.
    """
    from torch_geometric.data import Data
    from torch_geometric.utils import index_to_mask, scatter, to_undirected

    tables, source = _find(name, root, features=features in _AS_STORED)
    num_nodes, edges, y = int(tables["nodes"].sum()), tables["edge_index"], tables["y"]
    data = Data(x=tables["x"].to(torch.float32)) if "x" in tables else Data(num_nodes=num_nodes)
    data.dataset_name, data.source, data.features = name, source, "raw"
    if "edge_attr" in tables:
        # Both directions of an edge carry its features, so its target alone is enough.
        data.x = scatter(tables["edge_attr"], edges[1], dim=0, dim_size=num_nodes, reduce="mean")
        data.features = "edge-mean"
    directed = _meta(name)["add_inverse_edge"] != "True"
    data.edge_index = to_undirected(edges, num_nodes=num_nodes) if directed else edges
    classes = y.size(1) == 1
    data.y = y.squeeze(1).nan_to_num(-1).to(torch.int64) if classes else y.to(torch.float32)
    for part, mask in zip(PARTS, ("train_mask", "val_mask", "test_mask"), strict=True):
        data[mask] = index_to_mask(tables[part], num_nodes)
        if classes:
            data[mask] &= data.y >= 0
    for extra in _extras(_meta(name)):
        data[extra] = tables[extra].squeeze(1)
    return data


def _meta(name: str) -> dict[str, str]:
    return ogb_table("graphproppred" if name.startswith("ogbg-") else "nodeproppred")[name]


def _extras(meta: dict[str, str]) -> list[str]:
    listed = meta["additional node files"]
    return [] if listed == "None" else listed.split(",")


def _files(name: str, folder: Path, *, features: bool) -> dict[str, str]:
    """The raw files by the tensor they hold, relative to the folder of the dataset."""
    meta = _meta(name)
    label, mag = ("graph" if name.startswith("ogbg-") else "node"), name == "ogbn-mag"
    edges, below = (_CITES, f"/{_PAPER}") if mag else ("raw", "")
    nodes = f"raw/node-feat{below}" if mag else "raw"
    files = {
        "nodes": "raw/num-node-dict" if mag else "raw/num-node-list",
        "edges": f"{edges}/num-edge-list",
        "edge_index": f"{edges}/edge",
        "y": f"raw/{label}-label{below}/{label}-label" if mag else f"raw/{label}-label",
        **{extra: f"{nodes}/{extra}" for extra in _extras(meta)},
        **{part: f"split/{meta['split']}{below}/{part}" for part in PARTS},
    }
    if (folder / "raw/species.csv.gz").is_file():  # its name in the archive, until ogb has read and renamed it
        files |= {"node_species": "raw/species"} if "node_species" in files else {}
    if features and meta["has_node_attr"] == "True":
        files["x"] = f"{nodes}/node-feat"
    if features and meta["has_edge_attr"] == "True":
        files["edge_attr"] = "raw/edge-feat"
    return {key: f"{file}.csv.gz" for key, file in files.items()} | {"release": f"RELEASE_v{meta['version']}.txt"}


def _find(name: str, root: str | os.PathLike[str] | None, *, features: bool) -> tuple[dict[str, Tensor], str]:
    """The tensors of a dataset and where they came from."""
    from torch_geometric.data import download_url, extract_zip

    meta, place, stem = _meta(name), data_place(root), name.replace("-", "_")
    shelf, names = cache_folder() / "ogb", [stem, name, name.split("-", 1)[1], meta["download_name"]]
    way_out = f"put them there from {meta['url']}"
    for folder in candidates(place.folder, "ogb", names) if place else []:
        files = _files(name, folder, features=features)
        hint = "x" in files and not (folder / files["x"]).is_file() and name.startswith("ogbn-")
        spectral = ', or load with features="spectral" or features="fastrp", which are made from the edges'
        if place and complete(name, folder, list(files.values()), way_out + spectral * hint):
            entry = shelf / f"{stem}-{files_digest(folder, files.values())}.safetensors"
            return cached(entry, _KIND, lambda: _read(name, folder, files)), f"raw files in {place.words}"  # noqa: B023
    entry = shelf / f"{stem}.safetensors"
    with suppress(DataError):
        return load_record(entry, _KIND)[0], "downloaded"
    needed = f"{', '.join(_files(name, Path(), features=True).values())} from {meta['url']}"
    if not name.startswith(_DOWNLOADED):
        raise not_found(name, place, shelf, "is not downloaded, being large", needed, stem)
    with TemporaryDirectory() as work:
        try:
            extract_zip(download_url(meta["url"], work, log=False), work, log=False)
        except Exception as error:  # urllib's, zipfile's, the system's: an interrupted download can raise any
            reason = f"could not be downloaded ({first_line(error)})"
            raise not_found(name, place, shelf, reason, needed, stem) from error
        folder = Path(work) / meta["download_name"]
        files = _files(name, folder, features=True)
        complete(name, folder, list(files.values()), "download it again")
        return cached(entry, _KIND, lambda: _read(name, folder, files)), "downloaded"


def _read(name: str, folder: Path, files: dict[str, str]) -> dict[str, Tensor]:
    """All tables, each checked against the sizes that follow from the others and against the documented ones."""
    meta, counts, graph_level = _meta(name), COUNTS[name], name.startswith("ogbg-")
    raw = RawTables(folder, name, meta["url"])
    nodes = raw.integers(files["nodes"], column=_PAPER if name == "ogbn-mag" else None)
    edges = raw.integers(files["edges"])
    for key, got, documented, noun in (
        ("nodes", len(nodes), counts.graphs, "graphs"),
        ("nodes", int(nodes.sum()), counts.nodes, "nodes"),
        ("edges", len(edges), len(nodes), "rows"),
        ("edges", int(edges.sum()), counts.edges, "edges"),
    ):
        if documented is not None and got != documented:
            raise raw.refusal(files[key], f"{documented:,} {noun}", f"{got:,}")
    num_nodes, num_edges = int(nodes.sum()), int(edges.sum())
    ends = raw.table(files["edge_index"], num_edges, 2, integers=True).T
    if bool(((ends < 0) | (ends >= nodes.repeat_interleave(edges))).any()):
        raise raw.refusal(files["edge_index"], "nodes of the graph", "an edge to a node that is not there")
    out = {"nodes": nodes, "edges": edges, "edge_index": ends}
    if "x" in files:
        out["x"] = raw.table(files["x"], num_nodes, counts.features, integers=graph_level, finite=True)
    if "edge_attr" in files:
        width = counts.edge_features
        out["edge_attr"] = raw.table(files["edge_attr"], num_edges, width, integers=graph_level, finite=True)
    for extra in _extras(meta):
        out[extra] = raw.table(files[extra], num_nodes, 1)
    labeled = len(nodes) if graph_level else num_nodes
    out["y"] = raw.table(files["y"], labeled, int(meta["num tasks"]))
    raw.check_labels(files["y"], out["y"], None if meta["task type"] == "regression" else int(meta["num classes"]))
    out |= raw.split({part: files[part] for part in PARTS}, labeled, counts.split)
    if meta["add_inverse_edge"] == "True":  # every edge is followed by its reverse, with the same features
        out["edges"], out["edge_index"] = edges * 2, ends.repeat_interleave(2, dim=1)
        out["edge_index"][:, 1::2] = ends.flip(0)
        if "edge_attr" in out:
            out["edge_attr"] = out["edge_attr"].repeat_interleave(2, dim=0)
    return out
