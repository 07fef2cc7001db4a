"""Anchors that are whole graphs: training graphs, known by their position in the data set."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from relgraph.anchors import STRATEGIES, AnchorSet, select_anchors
from relgraph.datasets.graph_dataset import GraphDataset
from relgraph.errors import InputError, unknown_name
from relgraph.graph import fingerprint
from relgraph.names import GRAPH_STRATEGIES


def graph_anchors(dataset: GraphDataset, num_anchors: int, strategy: str = "random", *, seed: int = 0) -> Tensor:
    """Choose training graphs as anchors, without a look at a label.

    Args:
        dataset: The graphs.
        num_anchors: How many, ``K``.
        strategy: One of :data:`relgraph.names.GRAPH_STRATEGIES`; those that measure distances measure them between
            :func:`graph_features`.
        seed: Of the choice.

    Returns:
        Positions of the anchors, shape ``(K,)``, without repeats.

    Raises:
        InputError: If the strategy is unknown, or there are not that many training graphs.
    """
    if strategy not in GRAPH_STRATEGIES:
        raise unknown_name("strategy", strategy, GRAPH_STRATEGIES)
    if not 1 <= num_anchors <= dataset.train.numel():
        raise InputError(
            "num_anchors",
            f"must be from 1 to {dataset.train.numel()}, the number of training graphs (got {num_anchors})",
        )
    generator = torch.Generator().manual_seed(seed)
    if STRATEGIES[strategy].geometric:
        points = graph_features(dataset)[dataset.train]
    else:
        points = torch.empty(dataset.train.numel(), 1)
    return dataset.train[select_anchors(points, num_anchors, strategy, generator=generator)]


def graph_features(dataset: GraphDataset) -> Tensor:
    """What every graph is made of, ``(G, D)``: how often each feature takes each value, over its nodes and its edges.

    Shares of the nodes and of the edges, and the logarithm of the number of nodes; columns that say nothing are left
    out, and the others have variance 1.
    """
    from torch_geometric.data import Batch, Data

    kept = [
        Data(x=graph.x, edge_index=graph.edge_index, edge_attr=graph.edge_attr, num_nodes=graph.num_nodes)
        for graph in dataset.graphs
    ]
    batch = Batch.from_data_list(kept)
    owners = (batch.batch, batch.batch[batch.edge_index[0]])
    blocks = [torch.bincount(batch.batch, minlength=len(dataset)).log1p().unsqueeze(1)]
    for values, owner in zip((batch.x, batch.edge_attr), owners, strict=True):
        counts = torch.bincount(owner, minlength=len(dataset)).clamp(min=1).unsqueeze(1)
        for column in values.T:
            shares = torch.zeros(len(dataset), int(column.max()) + 1 if column.numel() else 1)
            shares.index_add_(0, owner, functional.one_hot(column, shares.size(1)).float())
            blocks.append(shares / counts)
    features = torch.cat(blocks, dim=1)
    spread = features.std(dim=0)
    return (features[:, spread > 1e-6]) / spread[spread > 1e-6]


def graph_space(z: Tensor, dataset: GraphDataset, anchors: Tensor, *, fingerprint: str = "") -> AnchorSet:
    """Publish a space of whole graphs: the anchors' embeddings, by position, and the mean of the training graphs.

    Nothing of validation or test graphs is in it, so that it can be published when training ends.

    Args:
        z: Embeddings of all graphs, ``(G, F)``.
        dataset: The graphs.
        anchors: Positions of training graphs, ``(K,)``.
        fingerprint: Of the data set, see :func:`dataset_fingerprint`.

    Raises:
        InputError: If an anchor is no training graph, or there is not one embedding for each graph.
    """
    if z.size(0) != len(dataset):
        raise InputError("z", f"must hold one row per graph (got {z.size(0)} rows for {len(dataset)} graphs)")
    outside = anchors[~torch.isin(anchors, dataset.train)]
    if outside.numel():
        raise InputError(
            "anchors",
            f"must be positions of training graphs (got {int(outside[0])}, which is none); "
            "take them of 'dataset.train'",
        )
    center = z[dataset.train].mean(dim=0, dtype=torch.float64).to(z.dtype)
    return AnchorSet(anchors, z[anchors], center, fingerprint)


def dataset_fingerprint(dataset: GraphDataset) -> str:
    """Sixteen hexadecimal digits that name the graphs of a data set in their order, by their nodes and edges."""
    from torch_geometric.data import Batch, Data

    kept = [Data(edge_index=graph.edge_index, num_nodes=graph.num_nodes) for graph in dataset.graphs]
    return fingerprint(Batch.from_data_list(kept))
