"""Conversion: from a published space and a published head to a module that reads the space with the head.

A conversion is a pure function of one published space and one published head and of nothing else: no labels, no
weights of either model, no other nodes, no randomness. Whoever holds the two files can compute it, and gets the same
result. With N encoders and M heads that makes N + M pieces to publish, not N M pairs to train.
"""

from __future__ import annotations

from relgraph.anchors import GraphChangedWarning
from relgraph.conversion.auto import Choice, ChosenConversion
from relgraph.conversion.kernel import KernelConversion
from relgraph.conversion.left_out import NoCorrespondenceWarning
from relgraph.conversion.methods import CONVERSIONS, convert
from relgraph.conversion.published_head import Outputs, PublishedHead, evaluating, publish

__all__ = [
    "CONVERSIONS",
    "Choice",
    "ChosenConversion",
    "GraphChangedWarning",
    "KernelConversion",
    "NoCorrespondenceWarning",
    "Outputs",
    "PublishedHead",
    "convert",
    "evaluating",
    "publish",
]
