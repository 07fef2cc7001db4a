"""Node features made from the edges alone, for a dataset whose feature file is missing.

No label is used, and all nodes are treated alike: as in transductive training, the edges of validation and test nodes
are known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
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
    return SpectralBasis.from_adjacency(adjacency, width).rows(adjacency)


@dataclass(frozen=True)
class SpectralBasis:
    r"""The directions of :func:`spectral` on one graph, to which nodes that are added later are folded in.

    Features that are computed anew for each version of a graph have new directions each time, so that a model of the
    old version cannot be applied to the new one. Here the old nodes keep their points. A new node gets that of its
    edges to nodes with points (Furnas et al., "Information retrieval using a singular value decomposition model of
    latent semantic structure", SIGIR 1988), with :math:`P = U \Sigma^{1/2}` the points of these nodes:

    .. math:: p = \hat a \, P \, \Sigma^{-1}, \qquad \hat a_j = (d + \bar d)^{-1/2} \, (d_j + \bar d)^{-1/2}

    with degrees ``d`` in the new graph, and the mean degree of the first one. A node without such edges is folded in by
    its neighbors once these have points, and gets 0 if it is never joined to one.

    Args:
        points: ``P``, shape ``(N, width)``.
        values: The singular values, shape ``(width,)``.
        mean_degree: Of the first graph.
        log_degree: Mean and standard deviation of ``log(1 + d)`` on the first graph.

    Example:
        >>> ring = torch.stack([torch.arange(12), (torch.arange(12) + 1) % 12])
        >>> edges = torch.cat([ring, ring.flip(0)], dim=1)
        >>> basis = SpectralBasis.fit(edges, 12, width=4)
        >>> bool(torch.equal(basis.features(edges), spectral(edges, 12, width=4)))
        True
        >>> grown = torch.cat([edges, torch.tensor([[12, 3], [3, 12]])], dim=1)
        >>> basis.grow(grown, 13).features(grown).shape
        torch.Size([13, 9])
    """

    points: np.ndarray
    values: np.ndarray
    mean_degree: float
    log_degree: tuple[float, float]

    @classmethod
    def fit(cls, edge_index: Tensor, num_nodes: int, width: int = WIDTH) -> SpectralBasis:
        """The basis of a first graph; arguments as of :func:`spectral`."""
        return cls.from_adjacency(_adjacency(edge_index, num_nodes), min(width, num_nodes - 1))

    @classmethod
    def from_adjacency(cls, adjacency: csr_array, width: int) -> SpectralBasis:
        """The same, from the adjacency."""
        from sklearn.utils.extmath import randomized_svd

        degree = adjacency.sum(axis=1)
        mean = float(degree.mean())
        damped = _scaled(adjacency, (degree + degree.mean()) ** -0.5, (degree + degree.mean()) ** -0.5)
        left, values, _ = randomized_svd(damped, width, n_iter=8, random_state=0)
        logs = np.log1p(degree)
        return cls((left * np.sqrt(values)).astype(np.float32), values, mean, (float(logs.mean()), float(logs.std())))

    def grow(self, edge_index: Tensor, num_nodes: int) -> SpectralBasis:
        """The basis with points for all nodes of a later graph, whose first nodes are those of this one, in order.

        Raises:
            InputError: If the graph has fewer nodes than the basis.
        """
        known = len(self.points)
        if num_nodes < known:
            raise InputError("num_nodes", f"must be at least {known}, the nodes of the basis (got {num_nodes})")
        adjacency = _adjacency(edge_index, num_nodes)
        scale = (adjacency.sum(axis=1) + self.mean_degree) ** -0.5
        damped = _scaled(adjacency, scale, scale)
        points = np.zeros((num_nodes, self.points.shape[1]), dtype=np.float32)
        points[:known] = self.points
        missing = np.arange(num_nodes) >= known
        inverse = (1 / np.maximum(self.values, 1e-12)).astype(np.float32)
        while missing.any():
            rows = np.flatnonzero(missing)
            found = damped[rows] @ points * inverse
            joined = np.abs(found).sum(axis=1) > 0
            if not joined.any():
                break
            points[rows[joined]] = found[joined]
            missing[rows[joined]] = False
        return SpectralBasis(points, self.values, self.mean_degree, self.log_degree)

    def features(self, edge_index: Tensor) -> Tensor:
        """Features ``(N, 2 * width + 1)`` of all nodes of the graph that the basis was fitted on or grown to."""
        return torch.from_numpy(self.rows(_adjacency(edge_index, len(self.points))))

    def rows(self, adjacency: csr_array) -> np.ndarray:
        """The same, from the adjacency."""
        from sklearn.preprocessing import normalize

        degree = adjacency.sum(axis=1)
        around = _scaled(adjacency, 1 / np.maximum(degree, 1)) @ self.points
        # Rows of one length: a few nodes in the center of a dense region would else be a hundred times longer.
        blocks = [normalize(block) * np.sqrt(len(self.values)) for block in (self.points, around)]
        mean, std = self.log_degree
        logs = (np.log1p(degree)[:, None] - mean) / max(std, 1e-12)
        found: np.ndarray = np.concatenate([*blocks, logs], axis=1).astype(np.float32)
        return found


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
