"""relgraph: graph embeddings and heads that survive a change of seed, architecture or retraining.

Relative representations (`Moschella et al. (2023) <https://arxiv.org/abs/2209.15430>`_) for graph neural networks on
PyTorch Geometric. Names are loaded on first use, so that ``import relgraph`` costs nothing.

"Anchor" here is a node whose embedding others are compared with. P-GNN's anchors (positions in the graph) and relative
position encodings are other things.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from relgraph.anchors import AnchorSet as AnchorSet
    from relgraph.anchors import select_anchors as select_anchors
    from relgraph.conversion import PublishedHead as PublishedHead
    from relgraph.conversion import convert as convert
    from relgraph.conversion import publish as publish
    from relgraph.datasets import load_dataset as load_dataset
    from relgraph.datasets import load_graphs as load_graphs
    from relgraph.diagnosis import diagnose as diagnose
    from relgraph.graph import anchor_index as anchor_index
    from relgraph.nn.folding import fold as fold
    from relgraph.nn.heads import relative_head as relative_head
    from relgraph.nn.model import Model as Model
    from relgraph.nn.relative import RelativeLayer as RelativeLayer
    from relgraph.nn.relative_conv import RelativeConv as RelativeConv
    from relgraph.stitching import stitch as stitch
    from relgraph.training import fit as fit
    from relgraph.transforms import AddAnchors as AddAnchors

_HOMES = {
    "AddAnchors": "relgraph.transforms",
    "AnchorSet": "relgraph.anchors",
    "Model": "relgraph.nn.model",
    "PublishedHead": "relgraph.conversion",
    "RelativeConv": "relgraph.nn.relative_conv",
    "RelativeLayer": "relgraph.nn.relative",
    "anchor_index": "relgraph.graph",
    "convert": "relgraph.conversion",
    "diagnose": "relgraph.diagnosis",
    "fit": "relgraph.training",
    "fold": "relgraph.nn.folding",
    "load_dataset": "relgraph.datasets",
    "load_graphs": "relgraph.datasets",
    "publish": "relgraph.conversion",
    "relative_head": "relgraph.nn.heads",
    "select_anchors": "relgraph.anchors",
    "stitch": "relgraph.stitching",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'relgraph' has no attribute '{name}'")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
