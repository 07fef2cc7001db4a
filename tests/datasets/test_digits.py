from __future__ import annotations

import numpy as np
import torch
from sklearn.datasets import load_digits

from relgraph.datasets import load_dataset


def test_the_graph_equals_one_made_by_hand() -> None:
    data = load_dataset("digits")
    pixels = load_digits().data
    squared = ((pixels[:, None, :40] - pixels[None, :, :40]) ** 2).sum(-1)
    squared += ((pixels[:, None, 40:] - pixels[None, :, 40:]) ** 2).sum(-1)
    np.fill_diagonal(squared, np.inf)
    joined = torch.zeros(len(pixels), len(pixels), dtype=torch.bool)
    joined[data.edge_index[0], data.edge_index[1]] = True
    assert torch.equal(joined, joined.T)
    assert not joined.diagonal().any()
    assert int(joined.sum()) == data.num_edges  # no edge twice
    tenth = np.sort(squared, axis=1)[:, 9]
    for node in range(len(pixels)):
        neighbours = joined[node].numpy()
        assert neighbours[squared[node] < tenth[node]].all()  # the ten nearest, whichever way ties fall
        others = neighbours & (squared[node] > tenth[node])
        assert all(squared[node, other] <= tenth[other] for other in others.nonzero()[0])  # chosen from there


def test_features_labels_and_words() -> None:
    data, raw = load_dataset("digits"), load_dataset("digits", features="raw")
    assert data.x.dtype == torch.float32 and data.x.shape == (1797, 64)
    assert float(data.x.min()) == 0 and float(data.x.max()) == 1
    assert torch.equal(data.x, raw.x) and torch.equal(data.edge_index, raw.edge_index)
    assert data.y.dtype == torch.int64 and data.y.unique().tolist() == list(range(10))
    assert data.edge_index.dtype == torch.int64
    assert "train_mask" not in data
    assert (data.dataset_name, data.features) == ("digits", "pixels")
    assert data.validate(raise_on_error=True)
