"""Graphs that grow, whose old heads and tables stay."""
