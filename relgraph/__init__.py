"""relgraph: graph embeddings and heads that survive a change of seed, architecture or retraining.

Relative representations (`Moschella et al. (2023) <https://arxiv.org/abs/2209.15430>`_) for graph neural networks on
PyTorch Geometric. Names are loaded on first use, so that ``import relgraph`` imports no other package.

"Anchor" here is a node whose embedding others are compared with. P-GNN's anchors (positions in the graph) and relative
position encodings are different concepts.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

if TYPE_CHECKING:
    from relgraph.anchors import AnchorSet as AnchorSet
    from relgraph.anchors import PublishedHead as PublishedHead
    from relgraph.anchors import publish as publish
    from relgraph.anchors import select_anchors as select_anchors
    from relgraph.bundle import Bundle as Bundle
    from relgraph.bundle import from_pretrained as from_pretrained
    from relgraph.bundle import load_bundle as load_bundle
    from relgraph.bundle import push_to_hub as push_to_hub
    from relgraph.bundle import save_bundle as save_bundle
    from relgraph.datasets import load_dataset as load_dataset
    from relgraph.diagnosis import diagnose as diagnose
    from relgraph.graph import anchor_index as anchor_index
    from relgraph.loader import AnchorLoader as AnchorLoader
    from relgraph.maps import consensus_embeddings as consensus_embeddings
    from relgraph.maps import convert as convert
    from relgraph.maps import load_head as load_head
    from relgraph.maps import save_head as save_head
    from relgraph.maps import translate as translate
    from relgraph.maps import translate_then as translate_then
    from relgraph.measures import compare as compare
    from relgraph.measures import retrieval as retrieval
    from relgraph.memory import keep_freed_memory as keep_freed_memory
    from relgraph.nn import Model as Model
    from relgraph.nn import RelativeConv as RelativeConv
    from relgraph.nn import RelativeLayer as RelativeLayer
    from relgraph.nn import fold as fold
    from relgraph.nn import relative_head as relative_head
    from relgraph.nn import split as split
    from relgraph.stitching import StitchSettings as StitchSettings
    from relgraph.stitching import consensus as consensus
    from relgraph.stitching import run_experiment as run_experiment
    from relgraph.stitching import stitch as stitch
    from relgraph.studies import stability as stability
    from relgraph.tables import translate_table as translate_table
    from relgraph.training import TrainSettings as TrainSettings
    from relgraph.training import fit as fit
    from relgraph.transforms import AddAnchors as AddAnchors
    from relgraph.versions import Drift as Drift
    from relgraph.versions import drift as drift
    from relgraph.versions import upgrade as upgrade

# The package or module of every public name; type checkers read the block above, and a test compares the two.
_HOMES = {
    "relgraph.anchors": ("AnchorSet", "PublishedHead", "publish", "select_anchors"),
    "relgraph.bundle": ("Bundle", "from_pretrained", "load_bundle", "push_to_hub", "save_bundle"),
    "relgraph.datasets": ("load_dataset",),
    "relgraph.diagnosis": ("diagnose",),
    "relgraph.graph": ("anchor_index",),
    "relgraph.loader": ("AnchorLoader",),
    "relgraph.maps": ("consensus_embeddings", "convert", "load_head", "save_head", "translate", "translate_then"),
    "relgraph.measures": ("compare", "retrieval"),
    "relgraph.memory": ("keep_freed_memory",),
    "relgraph.nn": ("Model", "RelativeConv", "RelativeLayer", "fold", "relative_head", "split"),
    "relgraph.stitching": ("StitchSettings", "consensus", "run_experiment", "stitch"),
    "relgraph.studies": ("stability",),
    "relgraph.tables": ("translate_table",),
    "relgraph.training": ("TrainSettings", "fit"),
    "relgraph.transforms": ("AddAnchors",),
    "relgraph.versions": ("Drift", "drift", "upgrade"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = ["__version__", *_HOME_OF]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'relgraph' has no attribute '{name}'")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
