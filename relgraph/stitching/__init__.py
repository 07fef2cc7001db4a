"""Stitching: the encoder of one run with the head of another, without training."""

from relgraph.stitching.consensus_head import consensus as consensus
from relgraph.stitching.experiment import Crossing as Crossing
from relgraph.stitching.experiment import Experiment as Experiment
from relgraph.stitching.experiment import cross as cross
from relgraph.stitching.experiment import run_experiment as run_experiment
from relgraph.stitching.methods import Method as Method
from relgraph.stitching.report import build_report as build_report
from relgraph.stitching.report import report_schema as report_schema
from relgraph.stitching.run import Run as Run
from relgraph.stitching.run import View as View
from relgraph.stitching.settings import StitchSettings as StitchSettings
from relgraph.stitching.stitched import stitch as stitch
