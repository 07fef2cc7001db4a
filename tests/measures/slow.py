"""Every measure by its definition, in numpy and scipy, over all rows: slow and obvious."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, spatial, stats
from sklearn.linear_model import LinearRegression
from sklearn.neighbors import NearestNeighbors

Rows = NDArray[Any]


def centered(x: Rows) -> Rows:
    return x - x.mean(axis=0)


def cka(x: Rows, y: Rows) -> float:
    k, g = (centered(rows) @ centered(rows).T for rows in (x, y))
    return float((k * g).sum() / np.sqrt((k * k).sum() * (g * g).sum()))


def hsic(k: Rows, g: Rows) -> float:
    """The unbiased estimator of HSIC, formula (5) of Song et al. (2012)."""
    n, one = len(k), np.ones(len(k))
    k, g = k - np.diag(np.diag(k)), g - np.diag(np.diag(g))
    total = np.trace(k @ g) + one @ k @ one * (one @ g @ one) / ((n - 1) * (n - 2)) - 2 / (n - 2) * (one @ k @ g @ one)
    return float(total / (n * (n - 3)))


def cka_unbiased(x: Rows, y: Rows) -> float:
    k, g = x @ x.T, y @ y.T
    return hsic(k, g) / float(np.sqrt(hsic(k, k) * hsic(g, g)))


def procrustes(x: Rows, y: Rows) -> float:
    """From scipy's disparity, which is 1 - c^2, with columns of zeros to equal widths."""
    wide = max(x.shape[1], y.shape[1])
    x, y = (np.pad(rows, ((0, 0), (0, wide - rows.shape[1]))) for rows in (x, y))
    return float(np.sqrt(2 - 2 * np.sqrt(1 - spatial.procrustes(x, y)[2])))


def procrustes_angular(x: Rows, y: Rows) -> float:
    return float(np.arccos(1 - procrustes(x, y) ** 2 / 2))


def directions(x: Rows, share: float) -> Rows:
    """Left singular vectors ``(N, r)`` of the fewest directions that hold a share of the variance."""
    left, values, _ = np.linalg.svd(centered(x), full_matrices=False)
    held = np.cumsum(values**2) / np.sum(values**2)
    return left[:, : min(int(np.sum(held < share)) + 1, (len(x) - 1) // 2)]


def svcca(x: Rows, y: Rows) -> float:
    return float(np.cos(linalg.subspace_angles(directions(x, 0.99), directions(y, 0.99))).mean())


def linear_regression(x: Rows, y: Rows) -> float:
    x = centered(x)
    most = (len(x) - 1) // 2
    if np.linalg.matrix_rank(x) > most:
        x = directions(x, 1.0)[:, :most]
    residuals = y - LinearRegression().fit(x, y).predict(x)
    return float(1 - (residuals**2).sum() / (centered(y) ** 2).sum())


def rsa(x: Rows, y: Rows) -> float:
    return float(stats.spearmanr(spatial.distance.pdist(x), spatial.distance.pdist(y)).statistic)


def distance_correlation(x: Rows, y: Rows) -> float:
    found = []
    for rows in (x, y):
        a = spatial.distance.cdist(rows, rows)
        found.append(a - a.mean(axis=0) - a.mean(axis=1)[:, None] + a.mean())
    a, b = found
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


def nearest(x: Rows, k: int = 10) -> Rows:
    """Nearest other rows by cosine ``(N, k)``; there must be no ties."""
    k = min(k, (len(x) - 1) // 2)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    return np.asarray(NearestNeighbors(n_neighbors=k).fit(unit).kneighbors(return_distance=False))


def mutual_knn(x: Rows, y: Rows) -> float:
    return float(np.mean([len({*a} & {*b}) / len(a) for a, b in zip(nearest(x), nearest(y), strict=True)]))


def cosine(u: Rows, v: Rows) -> float:
    return float(u @ v / (np.linalg.norm(u) * np.linalg.norm(v)))


def second_order_cosine(x: Rows, y: Rows) -> float:
    found = []
    for i, (a, b) in enumerate(zip(nearest(x), nearest(y), strict=True)):
        union = sorted({*a} | {*b})
        sides = [np.array([cosine(rows[i], rows[j]) for j in union]) for rows in (x, y)]
        found.append(cosine(*sides))
    return float(np.mean(found))


def disagreement(x: Rows, y: Rows) -> float:
    """Mean over all ways to decide ties."""
    total = 0.0
    for p, q in zip(x, y, strict=True):
        best, other = np.flatnonzero(p == p.max()), np.flatnonzero(q == q.max())
        total += np.mean([a != b for a in best for b in other])
    return float(total / len(x))


def jensen_shannon(x: Rows, y: Rows) -> float:
    from scipy.special import softmax

    pairs = zip(softmax(x, axis=1), softmax(y, axis=1), strict=True)
    return float(np.mean([spatial.distance.jensenshannon(p, q, base=2) ** 2 for p, q in pairs]))


BY_NAME = {
    "cka": cka,
    "cka-unbiased": cka_unbiased,
    "procrustes": procrustes,
    "procrustes-angular": procrustes_angular,
    "svcca": svcca,
    "linear-regression": linear_regression,
    "rsa": rsa,
    "distance-correlation": distance_correlation,
    "mutual-knn": mutual_knn,
    "second-order-cosine": second_order_cosine,
    "disagreement": disagreement,
    "jensen-shannon": jensen_shannon,
}
