from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch_geometric.utils import stochastic_blockmodel_graph

from relgraph.datasets import load_dataset
from relgraph.datasets.structural_features import fastrp, spectral
from relgraph.errors import InputError
from relgraph.registry import FEATURES

EVERY_KIND = pytest.mark.parametrize("make", [spectral, fastrp])
Make = Callable[..., Tensor]


def blocks() -> tuple[Tensor, Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        edges = stochastic_blockmodel_graph([50, 50, 50], 0.02 + 0.18 * torch.eye(3))
    return edges, torch.arange(3).repeat_interleave(50)


@EVERY_KIND
def test_communities_are_linearly_separable(make: Make) -> None:
    edges, y = blocks()
    x = make(edges, 150, width=8)
    assert x.dtype == torch.float32 and bool(x.isfinite().all())
    model = LogisticRegression(max_iter=1000).fit(x[::2], y[::2])
    assert model.score(x[1::2], y[1::2]) > 0.9


@EVERY_KIND
def test_the_same_graph_gives_the_same_bits_from_the_cache_and_computed_again(make: Make, kept: Path) -> None:
    edges, _ = blocks()
    first = make(edges, 150)
    assert torch.equal(make(edges, 150), first)
    (entry,) = (kept / "structural").iterdir()
    entry.write_bytes(entry.read_bytes()[:100])  # damaged
    assert torch.equal(make(edges, 150), first)
    assert entry.stat().st_size > 1000
    assert not torch.equal(make(edges[:, 2:], 150), first)


@EVERY_KIND
def test_a_cache_that_cannot_be_written_is_no_error(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RELGRAPH_CACHE", str(tmp_path / "file"))
    edges, _ = blocks()
    assert make(edges, 150).size(0) == 150


@EVERY_KIND
def test_isolated_nodes_loops_and_repeated_edges(make: Make) -> None:
    edges, _ = blocks()
    plain = make(edges, 152)  # two nodes without any edge
    assert bool(plain.isfinite().all())
    loops = torch.arange(152).expand(2, -1)
    again = make(torch.cat([edges, loops, edges[:, :50]], dim=1), 152)
    torch.testing.assert_close(again, plain, rtol=1e-3, atol=1e-3)


def test_spectral_equals_the_dense_decomposition() -> None:
    edges, _ = blocks()
    x = spectral(edges, 150, width=3).double().numpy()
    dense = np.zeros((150, 150))
    dense[edges[1], edges[0]] = 1
    degree = dense.sum(1)
    damping = np.diag((degree + degree.mean()) ** -0.5)
    left, values, _ = np.linalg.svd(damping @ dense @ damping)
    rows = left[:, :3] * np.sqrt(values[:3])
    rows *= np.sqrt(3) / np.linalg.norm(rows, axis=1, keepdims=True)
    np.testing.assert_allclose(np.abs(x[:, :3]), np.abs(rows), atol=0.02)
    np.testing.assert_allclose(
        x[:, -1], (np.log1p(degree) - np.log1p(degree).mean()) / np.log1p(degree).std(), atol=1e-4
    )


def test_load_dataset_names_the_features_and_takes_registered_ones() -> None:
    data = load_dataset("digits", features="spectral")
    assert data.features == "spectral" and data.x.shape == (1797, 257)
    FEATURES.register(
        "degree", lambda edges, num_nodes: edges[1].bincount(minlength=num_nodes).float()[:, None], "mine"
    )
    try:
        data = load_dataset("digits", features="degree")
    finally:
        FEATURES.remove("degree")
    assert torch.equal(data.x[:, 0], data.edge_index[0].bincount().float()) and data.features == "degree"


def test_too_few_nodes() -> None:
    with pytest.raises(InputError, match="'num_nodes' must be at least 3"):
        spectral(torch.empty(2, 0, dtype=torch.int64), 2)
