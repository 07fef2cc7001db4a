"""Stitching on citation graphs and on Photo."""
