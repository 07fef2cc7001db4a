"""Measures: how similar two spaces are, or the predictions made from them; nearest rows, and retrieval of rows."""

from __future__ import annotations

from relgraph.measures.agreement import disagreement, matched_cosine
from relgraph.measures.cka import linear_cka
from relgraph.measures.neighbors import Neighbors, neighbors
from relgraph.measures.retrieval import Retrieval, retrieval

__all__ = ["Neighbors", "Retrieval", "disagreement", "linear_cka", "matched_cosine", "neighbors", "retrieval"]
