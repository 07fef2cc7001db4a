"""Stitching of graph-level models."""
