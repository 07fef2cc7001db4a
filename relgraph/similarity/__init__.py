"""How near each node is to each anchor: similarities, normalizations of the space before them, and what both ignore.

Every function here is pure: embeddings ``(N, F)`` and anchors ``(K, F)`` in, ``(N, K)`` out. Sums and solves run in
float32 or wider whatever the input's precision, with autocast off; the result has the precision of ``x``.
"""

from __future__ import annotations

from relgraph.similarity.checks import check_finite, check_shrinkage
from relgraph.similarity.distances import (
    euclidean_distance,
    l1_distance,
    linf_distance,
    median_distance,
    rbf_similarity,
)
from relgraph.similarity.edges import edge_similarity
from relgraph.similarity.functions import (
    angular_similarity,
    cosine_similarity,
    dot_similarity,
    safe_norm,
    whitened_similarity,
)
from relgraph.similarity.normalization import (
    NORMALIZATIONS,
    Normalization,
    apply_map,
    normalize,
    normalizing_map,
    whitened_projection,
)
from relgraph.similarity.registry import SIMILARITIES, Similarity
from relgraph.similarity.representation import CHANGES, invariances, relative, resolve

__all__ = [
    "CHANGES",
    "NORMALIZATIONS",
    "SIMILARITIES",
    "Normalization",
    "Similarity",
    "angular_similarity",
    "apply_map",
    "check_finite",
    "check_shrinkage",
    "cosine_similarity",
    "dot_similarity",
    "edge_similarity",
    "euclidean_distance",
    "invariances",
    "l1_distance",
    "linf_distance",
    "median_distance",
    "normalize",
    "normalizing_map",
    "rbf_similarity",
    "relative",
    "resolve",
    "safe_norm",
    "whitened_projection",
    "whitened_similarity",
]
