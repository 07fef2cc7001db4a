from __future__ import annotations

import numpy as np
import torch
from sklearn.datasets import load_digits

from relgraph.datasets import load_dataset


def test_edges_join_the_ten_nearest_images() -> None:
    data = load_dataset("digits")
    pixels = load_digits().data
    lengths = (pixels**2).sum(1)
    squared = lengths[:, None] + lengths - 2 * pixels @ pixels.T  # exact, since pixels are small integers
    np.fill_diagonal(squared, np.inf)
    joined = torch.zeros(len(pixels), len(pixels), dtype=torch.bool)
    joined[data.edge_index[0], data.edge_index[1]] = True
    assert torch.equal(joined, joined.T)
    assert not joined.diagonal().any()
    assert int(joined.sum()) == data.num_edges  # no edge twice
    tenth = np.sort(squared, axis=1)[:, 9]
    for node in range(len(pixels)):
        neighbors = joined[node].numpy()
        assert neighbors[squared[node] < tenth[node]].all()  # the ten nearest, however ties are broken
        others = neighbors & (squared[node] > tenth[node])
        assert all(squared[node, other] <= tenth[other] for other in others.nonzero()[0])  # chosen by the other end


def test_features_labels_and_names() -> None:
    data, raw = load_dataset("digits"), load_dataset("digits", features="raw")
    assert data.x.dtype == torch.float32 and data.x.shape == (1797, 64)
    assert float(data.x.min()) == 0 and float(data.x.max()) == 1
    assert torch.equal(data.x, raw.x) and torch.equal(data.edge_index, raw.edge_index)
    assert data.y.dtype == torch.int64 and data.y.unique().tolist() == list(range(10))
    assert data.edge_index.dtype == torch.int64
    assert "train_mask" not in data
    assert (data.dataset_name, data.features) == ("digits", "pixels")
    assert data.validate(raise_on_error=True)
