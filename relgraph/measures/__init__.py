"""Measures: how similar two spaces are, or the predictions made from them."""

from __future__ import annotations

from relgraph.measures.agreement import disagreement, matched_cosine
from relgraph.measures.cka import linear_cka

__all__ = ["disagreement", "linear_cka", "matched_cosine"]
