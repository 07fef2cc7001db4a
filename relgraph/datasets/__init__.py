"""Datasets: from a name to a PyG graph, or to many. Embedded, PyG's own, OGB's, or a file that a user saved."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relgraph.datasets.graph_dataset import GraphDataset
from relgraph.errors import InputError, unknown_name
from relgraph.registry import DATASETS, FEATURES

if TYPE_CHECKING:
    from torch_geometric.data import Data

__all__ = ["GraphDataset", "load_dataset"]


def load_dataset(
    name: str | os.PathLike[str] | Any, root: str | os.PathLike[str] | None = None, *, features: str | None = None
) -> Data | GraphDataset | Any:
    """Load a dataset by its name, a saved PyG ``Data`` by its path, or a graph of networkx.

    The raw files of a named dataset are read from ``root``, else from the folder that the environment variable
    ``RELGRAPH_DATA`` names. Nothing is written there, and a damaged or incomplete copy is an error. If the folder has
    none of them, they are read from relgraph's cache (``RELGRAPH_CACHE``, else the user's cache folder), and downloaded
    into it if they are missing there; of OGB's node datasets only ``ogbn-arxiv`` is downloaded.

    OGB's datasets come with OGB's own split. Its node datasets are undirected; of ``ogbn-mag`` the papers and the
    citations between them are loaded. A node whose class is missing has label -1 and is in no mask.

    Args:
        name: One of :data:`relgraph.registry.DATASETS`; the path of a file written by ``torch.save(data, path)``
            (anything with a path separator in it, ending in ``.pt``, or of type :class:`pathlib.Path`); or a
            ``networkx.Graph`` with the node attribute ``x`` and optionally ``y`` and masks.
        root: Folder of raw files, as ``ROOT/Cora/raw``, ``ROOT/Planetoid/Cora/raw`` or ``ROOT/raw``; of OGB's, as
            ``ROOT/ogbn_arxiv/raw`` with ``split`` and the release note beside.
        features: One of :data:`relgraph.registry.FEATURES`, of which those made from the edges need no file of
            features; ``None`` for bags of words of papers with rows that sum to one, and everything else as stored.

    Returns:
        Of one graph, a ``Data`` with ``x`` float32 ``(N, F)``, ``edge_index`` int64 ``(2, E)``, ``y`` int64 ``(N,)``
        (a saved graph may have none), boolean masks ``(N,)`` if the dataset has a split, and the strings
        ``dataset_name``, ``source`` and ``features``. Of many graphs, a :class:`GraphDataset`.

    Raises:
        InputError: If a name is unknown, ``root`` is no folder, or a saved graph cannot be used as it is.
        DataError: If files are missing, damaged or those of another dataset, and nothing can be downloaded.

    Example:
        >>> data = load_dataset("digits")
        >>> data.num_nodes, data.num_features, int(data.y.max()) + 1
        (1797, 64, 10)
        >>> data.source
        "scikit-learn's digits, 10 nearest neighbors"
    """
    if features is not None and features not in FEATURES:
        raise unknown_name("features", features, ["None", *FEATURES])
    make = None if features is None else FEATURES.resolve(features)
    if make is not None and isinstance(name, str) and name in DATASETS and DATASETS[name].traits.get("task") == "graph":
        raise InputError("features", f"must be 'raw' or left out for a dataset of many graphs (got '{features}')")
    if root is not None and not Path(root).expanduser().is_dir():
        raise InputError(
            "root", f"must be a folder that exists (got '{os.fspath(root)}'); leave it out to use the cache or download"
        )
    data = _load(name, root, features)
    if make is not None:
        data.x, data.features = make(data.edge_index, data.num_nodes), features
    return data


def _load(name: Any, root: str | os.PathLike[str] | None, features: str | None) -> Any:
    networkx = sys.modules.get("networkx")  # not imported yet: then no graph of it can be given
    if networkx is not None and isinstance(name, networkx.Graph):
        from relgraph.datasets.from_file import from_networkx

        return from_networkx(name)
    separated = isinstance(name, str) and not {os.sep, os.altsep, "/"}.isdisjoint(name)
    if separated or isinstance(name, os.PathLike) or (isinstance(name, str) and name.endswith(".pt")):
        from relgraph.datasets.from_file import load_file

        return load_file(Path(name).expanduser())
    return DATASETS.resolve(name)(name, root, features)
