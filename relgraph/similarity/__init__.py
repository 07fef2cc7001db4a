"""Similarities of nodes to anchors, normalizations of the space, and the invariances of both.

All functions are pure, from embeddings ``(N, F)`` and anchors ``(K, F)`` to ``(N, K)``. They compute in float32 or
wider with autocast off, and return the precision of ``x``.
"""

from __future__ import annotations

from relgraph.similarity.checks import check_shrinkage as check_shrinkage
from relgraph.similarity.checks import is_rounding as is_rounding
from relgraph.similarity.checks import rounding_steps as rounding_steps
from relgraph.similarity.distances import euclidean_distance as euclidean_distance
from relgraph.similarity.distances import l1_distance as l1_distance
from relgraph.similarity.distances import linf_distance as linf_distance
from relgraph.similarity.distances import median_distance as median_distance
from relgraph.similarity.distances import rbf_similarity as rbf_similarity
from relgraph.similarity.edges import edge_similarity as edge_similarity
from relgraph.similarity.functional import CHANGES as CHANGES
from relgraph.similarity.functional import Similarity as Similarity
from relgraph.similarity.functional import angular_similarity as angular_similarity
from relgraph.similarity.functional import cosine_similarity as cosine_similarity
from relgraph.similarity.functional import dot_similarity as dot_similarity
from relgraph.similarity.functional import safe_norm as safe_norm
from relgraph.similarity.functional import whitened_similarity as whitened_similarity
from relgraph.similarity.normalization import Normalization as Normalization
from relgraph.similarity.normalization import apply_map as apply_map
from relgraph.similarity.normalization import normalizing_map as normalizing_map
from relgraph.similarity.normalization import whitened_projection as whitened_projection
from relgraph.similarity.relative import invariances as invariances
from relgraph.similarity.relative import relative as relative
from relgraph.similarity.relative import resolve as resolve
