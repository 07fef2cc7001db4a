"""Node features made from the edges alone, for a dataset whose feature file is missing.

No label is used, and all nodes are treated alike: as in transductive training, the edges of validation and test nodes
are known.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from relgraph.datasets.paths import cached
from relgraph.errors import InputError
from relgraph.io import cache_folder, digest

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    Make = Callable[[csr_array, int], np.ndarray]

WIDTH = 128
_KIND = "relgraph.structural/2"  # raised when the same graph gets other features
# FastRP: the weight of each of the one to four steps, and the exponent of the degree that scales the random vectors.
STEPS = (0.0, 1.0, 1.0, 7.81)
DAMPING = -0.628


def spectral(edge_index: Tensor, num_nodes: int, width: int = WIDTH) -> Tensor:
    r"""Singular vectors of the damped adjacency, their mean over neighbors, and the logarithm of the degree.

    With :math:`U \Sigma V^\top` the truncated singular value decomposition of
    :math:`(D + \bar d)^{-1/2} A (D + \bar d)^{-1/2}`, these are the rows of :math:`U \Sigma^{1/2}` and their means over
    neighbors. Adding the mean degree :math:`\bar d` keeps the leading directions from following a few small, dense
    regions (Qin and Rohe, "Regularized Spectral Clustering under the Degree-Corrected Stochastic Blockmodel", NeurIPS
    2013); rows of both blocks have the same length, as there.

    Args:
        edge_index: Edges in both directions, ``(2, E)``; loops are ignored.
        num_nodes: Number of nodes ``N``, at least three.
        width: Directions that are kept, at most ``N - 1``.

    Returns:
        ``(N, 2 * width + 1)``, float32, of size about 1; deterministic, and kept in relgraph's cache.

    Example:
        >>> ring = torch.stack([torch.arange(12), (torch.arange(12) + 1) % 12])
        >>> spectral(torch.cat([ring, ring.flip(0)], dim=1), 12, width=4).shape
        torch.Size([12, 9])
    """
    return _features(_spectral, "spectral", edge_index, num_nodes, width)


def fastrp(edge_index: Tensor, num_nodes: int, width: int = WIDTH) -> Tensor:
    """Random vectors averaged over one to four steps of a random walk, and the logarithm of the degree.

    Chen et al., "Fast and Accurate Network Embeddings via Very Sparse Random Projection", CIKM 2019. Arguments and
    errors are those of :func:`spectral`; the result is ``(N, width + 1)``.
    """
    return _features(_fastrp, "fastrp", edge_index, num_nodes, width)


def _features(make: Make, name: str, edge_index: Tensor, num_nodes: int, width: int) -> Tensor:
    if num_nodes < 3:
        raise InputError("num_nodes", f"must be at least 3 for structural features (got {num_nodes})")
    width = min(width, num_nodes - 1)
    entry = cache_folder() / "structural" / f"{name}-{width}-{digest(edge_index, num_nodes)[:16]}.safetensors"
    return cached(entry, _KIND, lambda: {"x": torch.from_numpy(make(_adjacency(edge_index, num_nodes), width))})["x"]


def _spectral(adjacency: csr_array, width: int) -> np.ndarray:
    from sklearn.preprocessing import normalize
    from sklearn.utils.extmath import randomized_svd

    degree = adjacency.sum(axis=1)
    damped = _scaled(adjacency, (degree + degree.mean()) ** -0.5, (degree + degree.mean()) ** -0.5)
    left, values, _ = randomized_svd(damped, width, n_iter=8, random_state=0)
    points = (left * np.sqrt(values)).astype(np.float32)
    around = _scaled(adjacency, 1 / np.maximum(degree, 1)) @ points
    # Rows of one length: a few nodes in the center of a dense region would else be a hundred times longer than others.
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
