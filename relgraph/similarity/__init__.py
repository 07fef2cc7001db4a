"""How near each node is to each anchor: similarities, normalizations of the space before them, and what both ignore.

Every function here is pure: embeddings ``(N, F)`` and anchors ``(K, F)`` in, ``(N, K)`` out. Sums and solves run in
float32 or wider whatever the input's precision, with autocast off; the result has the precision of ``x``.
"""

from __future__ import annotations

from relgraph.similarity.checks import check_finite, check_shrinkage
from relgraph.similarity.functions import (
    SIMILARITIES,
    Similarity,
    cosine_similarity,
    euclidean_distance,
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
from relgraph.similarity.representation import CHANGES, invariances, relative, resolve

__all__ = [
    "CHANGES",
    "NORMALIZATIONS",
    "SIMILARITIES",
    "Normalization",
    "Similarity",
    "apply_map",
    "check_finite",
    "check_shrinkage",
    "cosine_similarity",
    "euclidean_distance",
    "invariances",
    "normalize",
    "normalizing_map",
    "relative",
    "resolve",
    "safe_norm",
    "whitened_projection",
    "whitened_similarity",
]
