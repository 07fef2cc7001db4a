"""Versions of a space: what has changed between two trainings on a graph that changes."""

from __future__ import annotations

from relgraph.versions.drift import Drift, drift

__all__ = ["Drift", "drift"]
