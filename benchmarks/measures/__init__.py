"""Measures of two runs: which of them predict disagreement and stitching, and what they cost."""
