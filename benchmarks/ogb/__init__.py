"""Stitching on ogbn-arxiv."""
