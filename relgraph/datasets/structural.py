"""Features made of a graph's edges alone, for a data set whose feature file is not at hand.

They are not the published ones and say so wherever they appear. No label is looked at, and all nodes are treated alike:
what a feature knows of a validation or test node is where it stands in the graph, as transductive training does.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from relgraph.datasets import cache
from relgraph.datasets.search import cache_folder
from relgraph.errors import DataError, InputError, unknown_name

if TYPE_CHECKING:
    from scipy.sparse import csr_array

WIDTH = 128
VERSION = 1  # raised when a kind comes to mean other numbers, so that no older ones are read from the cache
# FastRP: how much each of the one to four steps counts, and how strongly nodes of many neighbours are damped.
STEPS = (0.0, 1.0, 1.0, 7.81)
DAMPING = -0.628


def structural_features(edge_index: Tensor, num_nodes: int, kind: str, width: int = WIDTH) -> Tensor:
    r"""Features of the nodes of an undirected graph, deterministic, kept in relgraph's cache.

    * ``"spectral"``: with :math:`U \Sigma V^\top` the truncated singular value decomposition of
      :math:`(D + \bar d)^{-1/2} A (D + \bar d)^{-1/2}`, the rows of :math:`U \Sigma^{1/2}`, the mean of these over
      each node's neighbours, and the logarithm of its degree. Adding the mean degree :math:`\bar d` keeps the leading
      directions from following a few small, dense corners (Qin and Rohe, "Regularized Spectral Clustering under the
      Degree-Corrected Stochastic Blockmodel", NeurIPS 2013); both blocks have rows of one length, as there.
    * ``"fastrp"``: random vectors averaged over one to four steps of a random walk (Chen et al., "Fast and Accurate
      Network Embeddings via Very Sparse Random Projection", CIKM 2019), and the logarithm of the degree.

    Args:
        edge_index: Edges in both directions, ``(2, E)``; loops are ignored.
        num_nodes: Number of nodes ``N``.
        kind: ``"spectral"`` or ``"fastrp"``.
        width: Directions that are kept, at most ``N - 1``.

    Returns:
        ``(N, 2 * width + 1)`` or ``(N, width + 1)``, float32, of size about 1.

    Raises:
        InputError: If the kind is unknown, or the graph has fewer than three nodes.

    Example:
        >>> ring = torch.stack([torch.arange(12), (torch.arange(12) + 1) % 12])
        >>> structural_features(torch.cat([ring, ring.flip(0)], dim=1), 12, "spectral", width=4).shape
        torch.Size([12, 9])
    """
    if kind not in KINDS:
        raise unknown_name("kind", kind, KINDS)
    if num_nodes < 3:
        raise InputError("num_nodes", f"must be at least 3 for structural features (got {num_nodes})")
    width = min(width, num_nodes - 1)
    entry = _entry(edge_index, num_nodes, f"{kind}-{width}")
    found = _read(entry, num_nodes)
    if found is None:
        found = torch.from_numpy(KINDS[kind](_adjacency(edge_index, num_nodes), width))
        _keep(found, entry)
    return found


def _spectral(adjacency: csr_array, width: int) -> np.ndarray:
    from sklearn.preprocessing import normalize
    from sklearn.utils.extmath import randomized_svd

    degree = adjacency.sum(axis=1)
    damped = _scaled(adjacency, (degree + degree.mean()) ** -0.5, (degree + degree.mean()) ** -0.5)
    left, values, _ = randomized_svd(damped, width, n_iter=8, random_state=0)
    points = (left * np.sqrt(values)).astype(np.float32)
    around = _scaled(adjacency, 1 / np.maximum(degree, 1)) @ points
    # Rows of one length: the few nodes at the heart of a dense corner would else be a hundred times longer than others.
    blocks = [normalize(block) * np.sqrt(width) for block in (points, around)]
    return np.concatenate([*blocks, _log_degree(degree)], axis=1).astype(np.float32)


def _fastrp(adjacency: csr_array, width: int) -> np.ndarray:
    from scipy.sparse import csr_array
    from sklearn.preprocessing import normalize
    from sklearn.random_projection import SparseRandomProjection

    nodes, degree = adjacency.shape[0], adjacency.sum(axis=1)
    vectors = SparseRandomProjection(width, random_state=0).fit(csr_array((1, nodes))).components_.T.toarray()
    state = (np.maximum(degree, 1) ** DAMPING)[:, None] * vectors
    walk, total = _scaled(adjacency, 1 / np.maximum(degree, 1)), np.zeros((nodes, width))
    for weight in STEPS:
        state = walk @ state
        total += weight * normalize(state)
    total = (total - total.mean(axis=0)) / np.maximum(total.std(axis=0), 1e-12)
    return np.concatenate([total, _log_degree(degree)], axis=1).astype(np.float32)


KINDS = {"fastrp": _fastrp, "spectral": _spectral}


def _adjacency(edge_index: Tensor, num_nodes: int) -> csr_array:
    """The edges as ones, none twice and without loops."""
    from scipy.sparse import csr_array

    source, target = edge_index.cpu().numpy()
    apart = source != target
    ones = np.ones(int(apart.sum()), dtype=np.float32)
    matrix = csr_array((ones, (target[apart], source[apart])), shape=(num_nodes, num_nodes))
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix


def _scaled(matrix: csr_array, rows: np.ndarray, columns: np.ndarray | None = None) -> csr_array:
    from scipy.sparse import csr_array, diags_array

    scaled = diags_array(rows.astype(np.float32)) @ matrix
    return csr_array(scaled if columns is None else scaled @ diags_array(columns.astype(np.float32)))


def _log_degree(degree: np.ndarray) -> np.ndarray:
    logs = np.log1p(degree)[:, None]
    scaled: np.ndarray = (logs - logs.mean()) / max(float(logs.std()), 1e-12)
    return scaled


def _entry(edge_index: Tensor, num_nodes: int, name: str) -> Path:
    edges = np.ascontiguousarray(edge_index.cpu().numpy().astype(np.int64))
    name = f"{VERSION}-{name}-{hashlib.sha256(edges.tobytes() + str(num_nodes).encode()).hexdigest()[:16]}"
    return cache_folder() / "structural" / name


def _read(entry: Path, num_nodes: int) -> Tensor | None:
    """What was kept, or nothing if it is not there or cannot be read: then it is made again."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        x = load_file(entry / "features.safetensors")["x"]
    except (OSError, SafetensorError, KeyError):
        return None
    return x if x.size(0) == num_nodes else None


def _keep(x: Tensor, entry: Path) -> None:
    """Keep what took a while to make; a cache that cannot be written only costs that time again."""
    from safetensors.torch import save_file

    try:
        with cache.workspace(entry.parent.parent) as work:
            (work / "new").mkdir()
            save_file({"x": x.contiguous()}, work / "new" / "features.safetensors")
            cache.publish(work, entry, replace=entry.is_dir())
    except DataError:
        return
