"""Studies: how much of a result depends on the seed."""

from relgraph.studies.accuracy import Comparison as Comparison
from relgraph.studies.accuracy import MeanFigure as MeanFigure
from relgraph.studies.accuracy import compare as compare
from relgraph.studies.accuracy import seeds_needed as seeds_needed
from relgraph.studies.folder import read_runs as read_runs
from relgraph.studies.material import Material as Material
from relgraph.studies.models import model_runs as model_runs
from relgraph.studies.predictions import pair_matrices as pair_matrices
from relgraph.studies.remedies import remedies_section as remedies_section
from relgraph.studies.rows import row_table as row_table
from relgraph.studies.runs import PredictionRuns as PredictionRuns
from relgraph.studies.sections import SECTIONS as SECTIONS
from relgraph.studies.sections import Section as Section
from relgraph.studies.sources import Varied as Varied
from relgraph.studies.sources import sources_section as sources_section
from relgraph.studies.stability import Stability as Stability
from relgraph.studies.stability import stability as stability
from relgraph.studies.stability import study as study
from relgraph.studies.tables import accuracy_table as accuracy_table
from relgraph.studies.tables import node_table as node_table
from relgraph.studies.tables import prediction_table as prediction_table
from relgraph.studies.tables import write_table as write_table
from relgraph.studies.training import train_runs as train_runs
