"""Measures: how similar two spaces are, or the predictions made from them; nearest rows, and retrieval of rows.

:func:`compare` shows several measures of :data:`relgraph.registry.MEASURES` beside what unrelated rows would give, and
:func:`pairwise` compares every two of several tables.
"""

from __future__ import annotations

from relgraph.measures.agreement import disagreement, matched_cosine
from relgraph.measures.anchored import relative_distance, translated_retrieval
from relgraph.measures.base import Measure, Null, Statistic
from relgraph.measures.cka import linear_cka, unbiased_linear_cka
from relgraph.measures.compare import Comparison, Score, compare
from relgraph.measures.distances import distance_correlation, rsa
from relgraph.measures.neighborhoods import mutual_knn, second_order_cosine
from relgraph.measures.neighbors import Neighbors, neighbors
from relgraph.measures.outputs import expected_disagreement, jensen_shannon
from relgraph.measures.pairwise import Pairwise, pairwise
from relgraph.measures.retrieval import Retrieval, retrieval
from relgraph.measures.subspaces import linear_regression_score, mean_canonical_correlation, procrustes_distance

__all__ = [
    "Comparison",
    "Measure",
    "Neighbors",
    "Null",
    "Pairwise",
    "Retrieval",
    "Score",
    "Statistic",
    "compare",
    "disagreement",
    "distance_correlation",
    "expected_disagreement",
    "jensen_shannon",
    "linear_cka",
    "linear_regression_score",
    "matched_cosine",
    "mean_canonical_correlation",
    "mutual_knn",
    "neighbors",
    "pairwise",
    "procrustes_distance",
    "relative_distance",
    "retrieval",
    "rsa",
    "second_order_cosine",
    "translated_retrieval",
    "unbiased_linear_cka",
]
