"""From the name of a data set to a PyG graph: embedded, PyG's own, or a file that a user saved.

Nothing here ever asks on the terminal, and without a network every failure says what to put where.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from relgraph.errors import DataError, unknown_name
from relgraph.names import DATASETS

if TYPE_CHECKING:
    from torch_geometric.data import Data

__all__ = ["load_dataset"]


def load_dataset(
    name: str | os.PathLike[str], root: str | os.PathLike[str] | None = None, *, features: str | None = None
) -> Data:
    """Load a graph for node classification by its short name, or a saved PyG ``Data`` by its path.

    A named set is looked for in ``root``, else in the folder that the environment variable ``RELGRAPH_DATA`` names;
    then in relgraph's cache (``RELGRAPH_CACHE``, else the user's cache folder); only then PyG downloads it into
    that cache. Folders given are only read: their ``raw`` files are copied to the cache, where PyG works on them.

    Args:
        name: One of :data:`relgraph.names.DATASETS`, or the path of a file written by ``torch.save(data, path)``
            (anything with a path separator in it, ending in ``.pt``, or of type :class:`pathlib.Path`).
        root: Folder that holds the raw files of PyG's sets, as ``ROOT/Cora/raw``, ``ROOT/Planetoid/Cora/raw`` or
            ``ROOT/raw``.
        features: ``None`` for what the field uses: bags of words with rows that sum to one, everything else as
            stored; ``"raw"`` for all features as stored. The pixels of digits lie in ``[0, 1]`` either way.

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
    if features not in (None, "raw"):
        raise unknown_name("features", features, ["None", "raw"])
    if root is not None and not Path(root).expanduser().is_dir():
        raise DataError(
            f"'root' must be a folder that exists (got '{root}'); leave it out to use the cache or a download"
        )
    if _is_path(name):
        from relgraph.datasets.saved import load_saved

        return load_saved(Path(name).expanduser())
    if not isinstance(name, str) or name not in DATASETS:
        raise unknown_name("dataset", name, DATASETS)
    if name == "digits":
        from relgraph.datasets.digits import digits_graph

        return digits_graph()
    from relgraph.datasets.pyg import load_pyg

    return load_pyg(name, root, normalise=features is None)


def _is_path(name: object) -> bool:
    if not isinstance(name, str):
        return isinstance(name, os.PathLike)
    return name.endswith(".pt") or any(sep in name for sep in (os.sep, os.altsep, "/") if sep)
