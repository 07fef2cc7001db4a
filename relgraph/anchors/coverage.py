"""Anchors by coverage: rows that cover a set of points, by default of features propagated over the graph.

Propagated features use neither labels nor a trained run.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from relgraph.errors import InputError
from relgraph.graph import check_weights, graph_edges, num_nodes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch_geometric.data import Data
    from torch_geometric.data.storage import NodeStorage

    Matrix = NDArray[np.float32]

LARGEST = 1e15
"""Numbers beyond have squared distances that float32 may not hold."""
# Below this share of non-zero features a sparse product is faster.
_SPARSE_BELOW = 0.2
# From this many distances per iteration on, k-means uses random batches: seconds instead of minutes, and the node
# nearest to a center hardly depends on the center's last digits.
_BATCHES_ABOVE = 2_000_000
# From this many numbers on, columns are orthogonalized by their Gram matrix, in blocks of rows: many times faster than
# by QR and without its copies in double precision; only the last digits differ.
_GRAM_ABOVE = 1 << 24
_ROWS = 1 << 14
_INT32 = 2**31 - 1


def propagated_features(data: Data, hops: int = 2, dim: int = 64, generator: torch.Generator | None = None) -> Tensor:
    r"""Features averaged over the neighborhood, projected to their leading singular directions.

    .. math:: U_d \Sigma_d \quad \text{of} \quad \hat{A}^h \bar X = U \Sigma V', \qquad
        \hat{A} = D^{-1/2} (A + I) D^{-1/2}, \qquad \bar x_i = x_i / \lVert x_i \rVert

    Features of more than ``d`` columns, mostly word counts, are scaled to unit length first: otherwise long texts are
    outliers, and become anchors that represent no other node (``benchmarks/stitching/anchor_space.py``).

    The untrained part of a graph convolution (`Wu et al., 2019 <https://arxiv.org/abs/1902.07153>`_). Distances are
    those of the best approximation of rank ``d``, found by randomized subspace iteration
    (`Halko et al., 2011 <https://arxiv.org/abs/0909.4061>`_); the propagated features are never stored.

    Args:
        data: Graph with features ``x`` of shape ``(N, F)``; ``edge_weight`` is used.
        hops: Number of propagations, ``h``.
        dim: Number of directions, ``d``; features of at most ``d`` columns are propagated and returned unprojected.
        generator: Source of randomness of the initial directions.

    Returns:
        float32 on the CPU, shape ``(N, min(dim, N, F))``.

    Raises:
        InputError: If the graph has no features, one of them is not finite, or an edge weight is negative or not
            finite.

    Example:
        >>> from torch_geometric.data import Data
        >>> data = Data(x=torch.tensor([[1.0], [3.0], [5.0]]), edge_index=torch.tensor([[0, 1], [1, 0]]))
        >>> propagated_features(data).round()
        tensor([[2.], [2.], [5.]])
    """
    import numpy as np
    from scipy.sparse import csr_array
    from torch_geometric.nn.conv.gcn_conv import gcn_norm

    features = checked_features(data.x)
    num_features = features.size(1)
    if num_features > dim:
        features = torch.nn.functional.normalize(features)
    x = features.numpy()
    table: Any = csr_array(x) if np.count_nonzero(x) < _SPARSE_BELOW * x.size else x
    adjacency: Any = None
    edge_index, edge_weight = graph_edges(data)
    if edge_index is not None:
        if edge_weight is not None:
            check_weights(edge_weight, "propagated features")  # the root of a negative degree is NaN
        weight = None if edge_weight is None else edge_weight.detach().cpu().to(torch.float32).view(-1)
        (source, target), norm = gcn_norm(edge_index.cpu(), weight, num_nodes(data), dtype=torch.float32)
        shape = (len(x), len(x))
        ends = tuple(end.to(torch.int32 if len(x) <= _INT32 else torch.int64).numpy() for end in (target, source))
        adjacency = csr_array((norm.numpy(), ends), shape=shape)

    steps = range(hops if adjacency is not None else 0)

    def propagate(columns: Matrix) -> Matrix:
        for _ in steps:
            columns = adjacency @ columns
        return columns

    def pull_back(columns: Matrix) -> Matrix:
        for _ in steps:
            columns = adjacency.T @ columns
        return np.asarray(table.T @ columns)

    if num_features <= dim:
        return torch.from_numpy(propagate(x))
    width = min(dim + 10, num_features, len(x))
    start = torch.randn(num_features, width, generator=generator).numpy()
    left, values = _leading_directions(lambda v: propagate(table @ v), pull_back, start)
    return torch.from_numpy(left[:, :dim] * values[:dim])


def input_features(data: Data | NodeStorage, generator: torch.Generator | None = None) -> Tensor:
    """The features unchanged: float32 on the CPU, shape ``(N, F)``."""
    return checked_features(data.get("x"))


def farthest_point(x: Tensor, num_anchors: int, generator: torch.Generator | None = None) -> Tensor:
    """Points each of which is the farthest from those before it; the first one is drawn.

    The greedy cover of `Gonzalez (1985) <https://doi.org/10.1016/0304-3975(85)90224-5>`_: no point is farther from
    its nearest anchor than twice the best possible. One product of a matrix and a vector per anchor, ``O(K N F)``.

    Args:
        x: Points, shape ``(N, F)``.
        num_anchors: Number of anchors.
        generator: Source of randomness of the first one.

    Returns:
        Rows in the order chosen, shape ``(num_anchors,)``; a point is never chosen twice, its duplicate may be.

    Example:
        >>> x = torch.tensor([[0.0], [1.0], [10.0], [10.0]])
        >>> farthest_point(x, 4).sort().values
        tensor([0, 1, 2, 3])
    """
    points = checked_features(x, centered=True)
    squares = points.square().sum(dim=1)
    last = int(torch.randint(len(points), (1,), generator=generator))
    chosen, distance = [last], torch.full((len(points),), torch.inf)
    while len(chosen) < num_anchors:
        to_last = torch.addmv(squares + squares[last], points, points[last], alpha=-2.0).clamp_(min=0)
        distance = torch.minimum(distance, to_last)
        distance[last] = -1.0  # below every distance: never taken again
        last = int(distance.argmax())
        chosen.append(last)
    return torch.tensor(chosen)


def kmeans_medoids(x: Tensor, num_anchors: int, generator: torch.Generator | None = None) -> Tensor:
    """The points nearest to the centers that k-means finds, each taken once.

    Lloyd's iteration from a k-means++ start (`Arthur and Vassilvitskii, 2007
    <https://dl.acm.org/doi/10.5555/1283383.1283494>`_); of many points, on random batches.

    Args:
        x: Points, shape ``(N, F)``.
        num_anchors: Number of anchors, and of centers.
        generator: Source of the seed for k-means.

    Returns:
        Rows, shape ``(num_anchors,)``.

    Example:
        >>> x = torch.tensor([[0.0], [0.1], [0.2], [9.0], [9.1], [9.2]])
        >>> kmeans_medoids(x, 2).sort().values
        tensor([1, 4])
    """
    from sklearn.cluster import KMeans, MiniBatchKMeans
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    points = checked_features(x, centered=True)
    seed = int(torch.randint(2**31 - 1, (1,), generator=generator))
    if len(points) * num_anchors > _BATCHES_ABOVE:
        kmeans = MiniBatchKMeans(num_anchors, batch_size=4096, n_init=1, max_iter=20, random_state=seed)
    else:
        kmeans = KMeans(num_anchors, n_init=1, max_iter=100, random_state=seed)
    # One thread: several add up in the order in which they finish, and the same seed must give the same anchors.
    with warnings.catch_warnings(), threadpool_limits(limits=1, user_api="openmp"):
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different points than centers is fine here
        centers = torch.from_numpy(kmeans.fit(points.numpy()).cluster_centers_).to(points.dtype)
    return _nearest_unused(points, centers)


def shares(x: Tensor, rows: Tensor) -> Tensor:
    """Share of the points that are nearer to each anchor than to the others, ``(K,)``; an anchor counts for itself.

    Args:
        x: Points, shape ``(N, F)``.
        rows: Rows of the anchors, shape ``(K,)``.

    Example:
        >>> shares(torch.tensor([[0.0], [0.1], [0.2], [9.0]]), torch.tensor([1, 3]))
        tensor([0.7500, 0.2500])
    """
    points = checked_features(x, centered=True)
    anchors, squares = points[rows], points[rows].square().sum(dim=1)
    parts = torch.split(points, max(1, _BATCHES_ABOVE // len(rows)))
    nearest = torch.cat([torch.addmm(squares, part, anchors.mT, alpha=-2.0).argmin(dim=1) for part in parts])
    nearest[rows] = torch.arange(len(rows))  # of anchors at the same point, each counts for itself
    return torch.bincount(nearest, minlength=len(rows)) / len(points)


def checked_features(x: Tensor | None, argument: str = "x", *, centered: bool = False) -> Tensor:
    """Features as a dense float32 matrix on the CPU; an error if there are none, or not a finite matrix.

    Where only distances count (``centered``), features are moved to their mean first, before those of more digits lose
    some: distances are computed from products, in which the digits of the mean would take the place of the distances'.
    """
    if x is None:
        raise InputError(
            "",
            "strategies that measure distances need node features 'x' (got a graph without); "
            "pass points instead of the graph, or take another strategy",
        )
    features = x.detach().cpu()
    features = features if features.layout is torch.strided else features.to_dense()
    if features.dim() != 2:
        raise InputError(argument, f"must have shape (N, F) (got {tuple(features.shape)})")
    bad = (~features.isfinite().all(dim=1)).nonzero().view(-1)
    if bad.numel():
        raise InputError(argument, f"must hold finite numbers (got NaN or infinity in row {int(bad[0])})")
    if centered:
        # Whole numbers have more digits than float32 holds; half precision has too few for a mean.
        wide = torch.promote_types(features.dtype, torch.float32) if features.is_floating_point() else torch.float64
        features = features.to(wide)
        features = features - features.mean(dim=0)
    features = features.to(torch.float32)
    if features.numel() and not (most := float(features.abs().max())) <= LARGEST:  # the mean of some is not finite
        found = f"(got {most:.5g}); divide them by a constant"
        raise InputError(argument, f"must hold numbers below {LARGEST:g}, whose squared distances are finite {found}")
    return features.contiguous()


def _leading_directions(
    product: Callable[[Matrix], Matrix], transposed: Callable[[Matrix], Matrix], start: Matrix, rounds: int = 3
) -> tuple[Matrix, Matrix]:
    """Left singular vectors and values of a matrix of which only products are given."""
    import numpy as np

    basis = _orthonormal(product(start))
    for _ in range(rounds):
        basis = _orthonormal(product(_orthonormal(transposed(basis))))
    left, values, _ = np.linalg.svd(transposed(basis).T, full_matrices=False)
    return basis @ left, values


def _orthonormal(columns: Matrix) -> Matrix:
    """Orthonormal columns with the same span; the given columns may be overwritten."""
    import numpy as np

    if columns.size <= _GRAM_ABOVE:
        return np.linalg.qr(columns)[0]
    parts = [columns[first : first + _ROWS] for first in range(0, len(columns), _ROWS)]
    gram = sum(part.T.astype(np.float64) @ part for part in parts)
    values, vectors = np.linalg.eigh(gram)
    # Below this a direction is rounding error: it stays short, since at unit length it would be noise.
    turn = vectors / np.sqrt(np.maximum(values, values[-1] * np.finfo(np.float32).eps ** 2))
    for part in parts:
        part[:] = part @ turn
    return columns


def _nearest_unused(points: Tensor, centers: Tensor, block: int = 64) -> Tensor:
    """For each center in turn the nearest point that no earlier center has taken."""
    squares = points.square().sum(dim=1)
    used = torch.zeros(len(points))
    chosen = []
    for first in range(0, len(centers), block):
        some = centers[first : first + block]
        distances = torch.addmm(
            squares, some, points.T, alpha=-2.0
        )  # the square of the center does not move the minimum
        for distance in distances:
            chosen.append(int((distance + used).argmin()))
            used[chosen[-1]] = torch.inf
    return torch.tensor(chosen)
