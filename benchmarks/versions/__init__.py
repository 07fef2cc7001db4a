"""Versions of a graph: what old heads and tables are worth after the graph has grown."""
