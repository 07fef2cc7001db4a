"""Measures: how alike two spaces, or what is predicted from them, are."""

from __future__ import annotations

from relgraph.measures.agreement import cohen_kappa, disagreement, matched_cosine
from relgraph.measures.cka import linear_cka

__all__ = ["cohen_kappa", "disagreement", "linear_cka", "matched_cosine"]
