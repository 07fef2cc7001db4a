"""Stitching: the encoder of one run with the head of another, without training."""

from relgraph.stitching.arms import ARMS, Arm
from relgraph.stitching.document import build_document, schema, to_json, write_document
from relgraph.stitching.experiment import Experiment, StitchSettings, run_experiment
from relgraph.stitching.network import stitch

__all__ = [
    "ARMS",
    "Arm",
    "Experiment",
    "StitchSettings",
    "build_document",
    "run_experiment",
    "schema",
    "stitch",
    "to_json",
    "write_document",
]
