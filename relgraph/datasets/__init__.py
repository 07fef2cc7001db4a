"""From the name of a data set to a PyG graph, or to many: embedded, PyG's own, OGB's, or a file that a user saved.

Nothing here ever asks on the terminal, and without a network every failure says what to put where.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from relgraph.errors import DataError, InputError, unknown_name
from relgraph.names import DATASETS, GRAPH_DATASETS

if TYPE_CHECKING:
    from torch_geometric.data import Data

    from relgraph.datasets.graph_dataset import GraphDataset

__all__ = ["load_dataset", "load_graphs"]

_AS_STORED = (None, "raw", "file")
_STRUCTURAL = ("spectral", "fastrp")


def load_dataset(
    name: str | os.PathLike[str], root: str | os.PathLike[str] | None = None, *, features: str | None = None
) -> Data:
    """Load a graph for node classification by its short name, or a saved PyG ``Data`` by its path.

    A named set is looked for in ``root``, else in the folder that the environment variable ``RELGRAPH_DATA`` names;
    then in relgraph's cache (``RELGRAPH_CACHE``, else the user's cache folder); only then PyG or ogb downloads it into
    that cache, of OGB's node sets only ``ogbn-arxiv``. Folders given are only read: their ``raw`` files are copied to
    the cache, where PyG and ogb work on them. A folder that holds a damaged copy, or part of one, is an error.

    OGB's node sets come with OGB's own split and undirected. ``ogbn-proteins`` has 112 labels of 0 or 1 per node, as
    float32, and the mean over the features of its edges as ``x``; of ``ogbn-mag`` the papers and the citations between
    them are loaded. A node whose class is missing has label -1 and is in no mask.

    Args:
        name: One of :data:`relgraph.names.DATASETS`, or the path of a file written by ``torch.save(data, path)``
            (anything with a path separator in it, ending in ``.pt``, or of type :class:`pathlib.Path`).
        root: Folder that holds the raw files of PyG's and OGB's sets, as ``ROOT/Cora/raw``,
            ``ROOT/Planetoid/Cora/raw`` or ``ROOT/raw``, ``ROOT/ogbn_arxiv/raw`` (``split`` and release note beside).
        features: ``None`` for what the field uses: bags of words with rows that sum to one, everything else as
            stored; ``"raw"`` or ``"file"`` for all features as stored. The pixels of digits lie in ``[0, 1]`` either
            way. ``"spectral"`` or ``"fastrp"`` for features made of the graph alone, which are not the published
            ones; OGB's file of features need not be there then.

    Returns:
        A graph with ``x`` float32 ``(N, F)``, ``edge_index`` int64 ``(2, E)``, ``y`` int64 ``(N,)`` (a saved graph
        may have none), one-dimensional boolean masks if the set has a split, and the strings ``dataset_name``,
        ``source`` and ``features``, which say what was loaded.

    Raises:
        InputError: If a name is unknown, or a saved graph cannot be used as it is.
        DataError: If files are missing, damaged or those of another set, and nothing can be downloaded.

    Example:
        >>> data = load_dataset("digits")
        >>> data.num_nodes, data.num_features, int(data.y.max()) + 1
        (1797, 64, 10)
        >>> data.source
        "scikit-learn's digits, 10 nearest neighbours"
    """
    if features not in (*_AS_STORED, *_STRUCTURAL):
        raise unknown_name("features", features, [str(known) for known in (*_AS_STORED, *_STRUCTURAL)])
    data = _load(name, _existing(root), features)
    if features in _STRUCTURAL:
        from relgraph.datasets.structural import structural_features

        data.x = structural_features(data.edge_index, data.num_nodes, features)
        data.features = f"{features} (structural, not the published ones)"
    return data


def load_graphs(name: str, root: str | os.PathLike[str] | None = None) -> GraphDataset:
    """Load one of OGB's sets of molecules, whose examples are whole graphs, by its name.

    It is looked for as :func:`load_dataset` does, and downloaded if it is nowhere.

    Args:
        name: One of :data:`relgraph.names.GRAPH_DATASETS`.
        root: Folder that holds OGB's raw files, as ``ROOT/ogbg_molbace/raw`` with ``split`` and the release note beside
            ``raw``, or ``ROOT/raw``.

    Returns:
        The graphs with OGB's own split; a label that is missing is NaN.

    Raises:
        InputError: If the name is unknown or that of a set for node classification.
        DataError: If files are missing, damaged or those of another set, and nothing can be downloaded.
    """
    if isinstance(name, str) and name in DATASETS:
        raise InputError(
            "name",
            f"must be a set of many graphs for load_graphs (got '{name}', one graph); use load_dataset('{name}')",
        )
    if not isinstance(name, str) or name not in GRAPH_DATASETS:
        raise unknown_name("name", name, GRAPH_DATASETS)
    from relgraph.datasets.ogb import load_graph_set

    return load_graph_set(name, _existing(root))


def _load(name: str | os.PathLike[str], root: str | os.PathLike[str] | None, features: str | None) -> Data:
    if _is_path(name):
        from relgraph.datasets.saved import load_saved

        return load_saved(Path(name).expanduser())
    if isinstance(name, str) and name in GRAPH_DATASETS:
        raise InputError(
            "name",
            f"must be a set of one graph for load_dataset (got '{name}', many graphs); use load_graphs('{name}')",
        )
    if name == "ogbn-papers100M":
        raise InputError(
            "",
            "'ogbn-papers100M' cannot be loaded: its 111 million nodes would have to be streamed; "
            "take one of the smaller sets, such as 'ogbn-arxiv'",
        )
    if not isinstance(name, str) or name not in DATASETS:
        raise unknown_name("dataset", name, DATASETS)
    if name == "digits":
        from relgraph.datasets.digits import digits_graph

        return digits_graph()
    if name.startswith("ogbn-"):
        from relgraph.datasets.ogb import load_node_set

        return load_node_set(name, root, features=features not in _STRUCTURAL)
    from relgraph.datasets.pyg import load_pyg

    return load_pyg(name, root, normalise=features is None)


def _existing(root: str | os.PathLike[str] | None) -> str | os.PathLike[str] | None:
    if root is not None and not Path(root).expanduser().is_dir():
        raise DataError(
            f"'root' must be a folder that exists (got '{root}'); leave it out to use the cache or a download"
        )
    return root


def _is_path(name: object) -> bool:
    if not isinstance(name, str):
        return isinstance(name, os.PathLike)
    return name.endswith(".pt") or any(sep in name for sep in (os.sep, os.altsep, "/") if sep)
