"""Features made of the edges alone: what they are, that they are the same every time, and that they say something."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch_geometric.utils import stochastic_blockmodel_graph

from relgraph.datasets import load_dataset
from relgraph.datasets.structural import KINDS, structural_features
from relgraph.errors import InputError

EVERY_KIND = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RELGRAPH_CACHE", str(tmp_path / "kept"))
    return tmp_path / "kept"


def blocks() -> tuple[Tensor, Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        edges = stochastic_blockmodel_graph([50, 50, 50], 0.02 + 0.18 * torch.eye(3))
    return edges, torch.arange(3).repeat_interleave(50)


@EVERY_KIND
def test_they_tell_communities_apart_without_a_label(kind: str) -> None:
    edges, y = blocks()
    x = structural_features(edges, 150, kind, width=8)
    assert x.dtype == torch.float32 and bool(x.isfinite().all())
    model = LogisticRegression(max_iter=1000).fit(x[::2], y[::2])
    assert model.score(x[1::2], y[1::2]) > 0.9


@EVERY_KIND
def test_same_graph_same_bits_from_the_cache_and_made_anew(kind: str, kept: Path) -> None:
    edges, _ = blocks()
    first = structural_features(edges, 150, kind)
    assert torch.equal(structural_features(edges, 150, kind), first)
    entry = next((kept / "structural").iterdir()) / "features.safetensors"
    entry.write_bytes(entry.read_bytes()[:100])  # damaged: made anew
    assert torch.equal(structural_features(edges, 150, kind), first)
    assert entry.stat().st_size > 1000
    assert not torch.equal(structural_features(edges[:, 2:], 150, kind), first)


@EVERY_KIND
def test_a_cache_that_cannot_be_written_costs_nothing_but_time(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RELGRAPH_CACHE", str(tmp_path / "file"))
    edges, _ = blocks()
    assert structural_features(edges, 150, kind).size(0) == 150


@EVERY_KIND
def test_isolated_nodes_loops_and_repeated_edges(kind: str) -> None:
    edges, _ = blocks()
    plain = structural_features(edges, 152, kind)  # two nodes without any edge
    assert bool(plain.isfinite().all())
    loops = torch.arange(152).expand(2, -1)
    again = structural_features(torch.cat([edges, loops, edges[:, :50]], dim=1), 152, kind)
    torch.testing.assert_close(again, plain, rtol=1e-3, atol=1e-3)


def test_spectral_is_the_decomposition_that_it_says() -> None:
    edges, _ = blocks()
    x = structural_features(edges, 150, "spectral", width=3).double().numpy()
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


def test_what_it_is_not_is_said() -> None:
    data = load_dataset("digits", features="spectral")
    assert data.features == "spectral (structural, not the published ones)"
    assert data.x.shape == (1797, 257)


def test_wrong_input() -> None:
    edges, _ = blocks()
    with pytest.raises(InputError, match="'kind' must be one of fastrp, spectral"):
        structural_features(edges, 150, "node2vec")
    with pytest.raises(InputError, match="'num_nodes' must be at least 3"):
        structural_features(edges[:, :0], 2, "spectral")
