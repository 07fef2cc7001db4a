"""Relative representations node by node and anchor by anchor."""

from __future__ import annotations

import math

import numpy as np
import torch


def reference(x, anchors, similarity, normalization="none", center=None, shrinkage=0.01):
    """Node by node and anchor by anchor, in float64, with general inverses and matrix roots from eigenvectors."""
    x, anchors = x.double().numpy(), anchors.double().numpy()
    m = anchors.mean(0) if center is None else center.double().numpy()
    c = anchors - m
    s = sum(np.outer(row, row) for row in c) / len(c)
    s = s + shrinkage * np.trace(s) / len(s) * np.eye(len(s))
    out = np.zeros((len(x), len(anchors)))
    if similarity == "whitened":
        inverse = np.linalg.inv(s)
        for i, k in np.ndindex(*out.shape):
            out[i, k] = (x[i] - m) @ inverse @ (anchors[k] - m) / len(anchors)
        return torch.from_numpy(out)
    if normalization != "none":
        x, anchors = x - m, anchors - m
    if normalization == "standardize":
        spread = np.sqrt((c**2).mean(0))
        x, anchors = x / spread, anchors / spread
    if normalization == "whiten":
        values, vectors = np.linalg.eigh(s)
        root = vectors @ np.diag(values**-0.5) @ vectors.T
        x, anchors = x @ root, anchors @ root
    for i, k in np.ndindex(*out.shape):
        out[i, k] = SLOW[similarity](x[i], anchors[k], anchors)
    return torch.from_numpy(out)


def slow_cosine(x, a):
    return x @ a / np.linalg.norm(x) / np.linalg.norm(a)


def slow_width(anchors):
    pairs = [math.dist(a, b) for i, a in enumerate(anchors) for b in anchors[:i]]
    return sorted(pairs)[(len(pairs) - 1) // 2]


SLOW = {
    "cosine": lambda x, a, _: slow_cosine(x, a),
    "angular": lambda x, a, _: 1 - math.acos(slow_cosine(x, a)) / math.pi,
    "dot": lambda x, a, _: sum(x * a),
    "euclidean": lambda x, a, _: math.dist(x, a),
    "l1": lambda x, a, _: sum(abs(x - a)),
    "linf": lambda x, a, _: max(abs(x - a)),
    "rbf": lambda x, a, anchors: math.exp(-(math.dist(x, a) ** 2) / (2 * slow_width(anchors) ** 2)),
}
