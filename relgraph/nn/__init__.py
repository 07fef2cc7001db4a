"""Layers and modules: the relative layer, its message-passing form, folding, encoders and models."""

from __future__ import annotations

from relgraph.nn.anchor_edges import complete_edges as complete_edges
from relgraph.nn.anchor_edges import nearest_anchor_edges as nearest_anchor_edges
from relgraph.nn.anchor_edges import within_hops_edges as within_hops_edges
from relgraph.nn.encoders import Encoder as Encoder
from relgraph.nn.encoders import GCNEncoder as GCNEncoder
from relgraph.nn.encoders import SAGEEncoder as SAGEEncoder
from relgraph.nn.encoders import make_encoder as make_encoder
from relgraph.nn.encoders.attention import GATEncoder as GATEncoder
from relgraph.nn.encoders.attention import TransformerEncoder as TransformerEncoder
from relgraph.nn.encoders.base import Layer as Layer
from relgraph.nn.encoders.gcn2 import GCN2Encoder as GCN2Encoder
from relgraph.nn.encoders.gin import GINEncoder as GINEncoder
from relgraph.nn.encoders.mlp import MLPEncoder as MLPEncoder
from relgraph.nn.encoders.pooled import EdgeGCNConv as EdgeGCNConv
from relgraph.nn.encoders.pooled import EdgeSAGEConv as EdgeSAGEConv
from relgraph.nn.encoders.pooled import GraphEncoder as GraphEncoder
from relgraph.nn.encoders.pooled import edge_gin_conv as edge_gin_conv
from relgraph.nn.folding import FoldedCosine as FoldedCosine
from relgraph.nn.folding import RelativeHead as RelativeHead
from relgraph.nn.folding import fold as fold
from relgraph.nn.folding import relative_head as relative_head
from relgraph.nn.model import Model as Model
from relgraph.nn.model import RelativeModel as RelativeModel
from relgraph.nn.model import TailHead as TailHead
from relgraph.nn.pair_head import DotDecoder as DotDecoder
from relgraph.nn.pair_head import PairHead as PairHead
from relgraph.nn.relative import RelativeLayer as RelativeLayer
from relgraph.nn.relative_conv import RelativeConv as RelativeConv
from relgraph.nn.splitting import split as split
