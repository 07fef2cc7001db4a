"""Checkpoints of plain PyG models."""
