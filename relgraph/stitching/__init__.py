"""Stitching: the encoder of one run with the head of another, without training."""

from relgraph.stitching.experiment import Crossing, Experiment, cross, run_experiment
from relgraph.stitching.methods import Method
from relgraph.stitching.report import build_report, report_schema
from relgraph.stitching.run import Run, View
from relgraph.stitching.settings import StitchSettings
from relgraph.stitching.stitched import stitch

__all__ = [
    "Crossing",
    "Experiment",
    "Method",
    "Run",
    "StitchSettings",
    "View",
    "build_report",
    "cross",
    "report_schema",
    "run_experiment",
    "stitch",
]
