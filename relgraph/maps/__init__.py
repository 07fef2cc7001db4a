"""Maps between spaces, fitted on the anchors that two published pieces share.

:func:`convert` maps a space to the outputs of a published head, :func:`translate` to another space, and
:func:`translate_then` puts a translation in front of a head; :func:`save_head` and :func:`load_head` write and read a
converted head. A map is a function of the two pieces only: no labels, no weights of either model, no other nodes, no
randomness. With N encoders and M heads there are N + M pieces to publish, not N M pairs to train. The estimators by
name are in :data:`relgraph.registry.MAPS`.
"""

from __future__ import annotations

from relgraph.maps.correspondence import NoCorrespondenceWarning
from relgraph.maps.estimator import Estimator
from relgraph.maps.expected import ExpectedFidelity, expected_fidelity
from relgraph.maps.folding import fold_translation
from relgraph.maps.leave_one_out import SHRINKAGES, Shrinkage, choose_shrinkage, resolve_shrinkage
from relgraph.maps.matched import MatchedAnchors
from relgraph.maps.mean_space import ConsensusEmbeddings, consensus_embeddings
from relgraph.maps.methods import convert, default_map, fit_map, translate, translate_then
from relgraph.maps.modules import AffineMap, FittedLinear, KernelMap, TranslatedHead
from relgraph.maps.residual_metric import ResidualMetric, residual_metric
from relgraph.maps.ridge import ridge_coefficients
from relgraph.maps.saved import load_head, save_head
from relgraph.maps.scarcity import FewAnchorsWarning
from relgraph.maps.weights import bounded_weights, cauchy_weights

__all__ = [
    "SHRINKAGES",
    "AffineMap",
    "ConsensusEmbeddings",
    "Estimator",
    "ExpectedFidelity",
    "FewAnchorsWarning",
    "FittedLinear",
    "KernelMap",
    "MatchedAnchors",
    "NoCorrespondenceWarning",
    "ResidualMetric",
    "Shrinkage",
    "TranslatedHead",
    "bounded_weights",
    "cauchy_weights",
    "choose_shrinkage",
    "consensus_embeddings",
    "convert",
    "default_map",
    "expected_fidelity",
    "fit_map",
    "fold_translation",
    "load_head",
    "residual_metric",
    "resolve_shrinkage",
    "ridge_coefficients",
    "save_head",
    "translate",
    "translate_then",
]
