"""Stock models taken apart: equality with the original, points, stitching."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from contextlib import nullcontext

import pytest
import torch
import torch_geometric.nn as gnn
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch_geometric.data import Data

import relgraph as rg
from relgraph.errors import InputError
from relgraph.nn.model import TailHead, head_arguments
from tests.nn.parts import Deep, N, Variational, agree, graph, warmed

pytestmark = pytest.mark.usefixtures("seeded_globally")


@pytest.fixture
def data() -> Data:
    return graph()


STOCK: dict[str, Callable[..., nn.Module]] = {
    "gcn": gnn.GCN,
    "sage": gnn.GraphSAGE,
    "gin": gnn.GIN,
    "gat": gnn.GAT,
    "gatv2": lambda *sizes, **options: gnn.GAT(*sizes, v2=True, **options),
    "pna": lambda *sizes, **options: gnn.PNA(
        *sizes, aggregators=["mean", "max"], scalers=["identity"], deg=torch.arange(1, 9), **options
    ),
    "edgecnn": gnn.EdgeCNN,
}


CASES = [(name, jk, None) for name in STOCK for jk in (None, "last", "cat", "max", "lstm")]
CASES += [("gcn", jk, norm) for jk in (None, "lstm") for norm in ("batch_norm", "graph_norm")]


@pytest.mark.parametrize(("name", "jk", "norm"), CASES)
def test_stock_models_equal_their_parts(data: Data, name: str, jk: str | None, norm: str | None) -> None:
    model = warmed(STOCK[name](5, 8, 3, 4, dropout=0.5, jk=jk, norm=norm), data.x, data.edge_index)
    expected = model(data.x, data.edge_index, batch=data.batch)
    parts = agree(model, data, expected)
    if jk is None:
        assert "edge_index" in head_arguments(parts.head, data)  # the last convolution belongs to the head
        assert parts.embed(data).shape == (N, 8)
    else:
        assert parts.head is model.lin
    assert agree(model, data, expected, 1).embed(data).shape == (N, 8)
    last = "lin" if jk else "convs.2"
    assert isinstance(agree(model, data, expected, last).head, nn.Identity)
    state = {id(one) for part in (parts.encoder, parts.head) for one in part.parameters()}
    assert state == {id(one) for one in model.parameters()}  # together they hold every parameter


@pytest.mark.parametrize(("k", "jk"), [(2, "cat"), (2, "max"), (3, "lstm")])
def test_other_tensors_that_cross_are_named(k: int, jk: str) -> None:
    message = r"'at' must be a point that one tensor crosses \(got \d, where besides the output of 'dropout' after "
    message += r"'convs.\d' also those of 'dropout' after 'convs.0'.* used later\); choose another, or pass its two"
    with pytest.raises(InputError, match=message):
        rg.split(gnn.GCN(5, 8, 3, 4, jk=jk), k)


@pytest.mark.parametrize("plain_last", [True, False])
@pytest.mark.parametrize("norm", [None, "batch_norm", "graph_norm"])
def test_perceptrons(data: Data, plain_last: bool, norm: str | None) -> None:
    model = warmed(gnn.MLP([5, 8, 8, 3], dropout=0.5, norm=norm, plain_last=plain_last), data.x)
    expected = model(data.x, data.batch)
    assert isinstance(agree(model, data, expected).head, gnn.Linear) == plain_last
    for at in (1, 2, 3, "lins.1"):
        agree(model, data, expected, at)


def test_sequential_models(data: Data) -> None:
    joined = gnn.Sequential(
        "x, edge_index",
        [
            (gnn.GCNConv(5, 8), "x, edge_index -> x1"),
            nn.ReLU(),
            (gnn.GCNConv(8, 8), "x1, edge_index -> x2"),
            (lambda x1, x2: [x1, x2], "x1, x2 -> xs"),
            (gnn.JumpingKnowledge("cat"), "xs -> x"),
            nn.Linear(16, 3),
        ],
    )
    pooled = gnn.Sequential(
        "x, edge_index, batch",
        [
            (gnn.GCNConv(5, 8), "x, edge_index -> x"),
            (gnn.global_mean_pool, "x, batch -> x"),
            nn.Linear(8, 3),
        ],
    )
    assert agree(joined.eval(), data, joined(data.x, data.edge_index)).embed(data).shape == (N, 16)
    agree(joined, data, joined(data.x, data.edge_index), 1)
    assert agree(pooled.eval(), data, pooled(data.x, data.edge_index, data.batch)).embed(data).shape == (3, 8)


@pytest.mark.parametrize("block", ["res+", "res", "dense", "plain"])
def test_deep_stacks(data: Data, block: str) -> None:
    model = Deep(block).eval()
    expected = model(data.x, data.edge_index)
    for at in (None, 1, 2, "first", "blocks.0"):
        agree(model, data, expected, at)
    assert rg.split(model).head is model.last


def test_encoders_of_autoencoders_and_infomax(data: Data) -> None:
    for model in (
        gnn.GAE(gnn.GCN(5, 8, 2)),
        gnn.VGAE(Variational()),
        gnn.DeepGraphInfomax(8, gnn.GCN(5, 8, 2, act="prelu"), summary=torch.mean, corruption=lambda *args: args),
    ):
        agree(model.eval(), data, model.encoder(data.x, data.edge_index))


def test_points_that_do_not_exist_list_the_nearest() -> None:
    model = gnn.GCN(5, 8, 3, 4)
    for at in (0, 4, True, 1.0):
        with pytest.raises(InputError, match="'at' must be from 1 to 3, the layers 'convs.0', 'convs.1', 'convs.2'"):
            rg.split(model, at)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"'at' must be a submodule that is called \(got 'conv.1'\); the nearest"):
        rg.split(model, "conv.1")
    with pytest.raises(InputError, match="nearest names are 'convs.1'"):
        rg.split(model, "convs.11")
    with pytest.raises(
        InputError, match="must have a point between two layers that one tensor crosses; at=1 cuts behind"
    ):
        rg.split(gnn.GCN(5, 8, 1, 4))
    with pytest.raises(InputError, match=r"'model' must be a torch module \(got dict\)"):
        rg.split({})  # type: ignore[arg-type]


@given(depth=st.integers(2, 4), jk=st.sampled_from([None, "last", "cat"]), at=st.integers(1, 5))
@settings(max_examples=15, deadline=None)
def test_every_point_gives_the_same_outputs_or_an_error(depth: int, jk: str | None, at: int) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(depth)
        data = Data(x=torch.rand(9, 5), edge_index=torch.randint(0, 9, (2, 20)))
        model = gnn.GraphSAGE(5, 6, depth, 3, jk=jk).double().eval()
    data.x = data.x.double()
    try:
        parts = rg.split(model, at)
    except InputError:
        assert at > depth + (jk is not None) or jk == "cat"
        return
    assert torch.equal(parts(data), model(data.x, data.edge_index))


@pytest.mark.parametrize("jk", [None, "cat"])
def test_two_split_models_are_stitched(data: Data, jk: str | None) -> None:
    a, b = (gnn.GCN(5, 6, 3, 4, jk=jk).eval() for _ in range(2))
    ahead, behind = rg.split(a), rg.split(b)
    with torch.no_grad():
        z, foreign = ahead.encode(data), behind.encode(data)
    spaces = [rg.AnchorSet.from_embeddings(rows, data) for rows in (z, foreign)]
    with pytest.warns(rg.maps.FewAnchorsWarning) if jk else nullcontext():
        network = rg.stitch(ahead, behind, data)
    if jk is None:
        by_hand = behind.head(rg.translate(*spaces)(z), data.edge_index).detach()
        torch.testing.assert_close(network(data), by_hand)
    else:
        assert isinstance(network.head, nn.Linear)
    inner = rg.stitch(ahead, behind, data, at=1)
    earlier = rg.stitch(rg.split(a, 1), rg.split(b, 1), data)
    torch.testing.assert_close(inner(data), earlier(data))
    own = rg.stitch(behind, behind, data, at=1, shrinkage=1e-6)
    torch.testing.assert_close(own(data), b(data.x, data.edge_index).detach(), rtol=1e-3, atol=1e-3)
    assert not {id(one) for one in network.parameters()} & {id(one) for one in (*a.parameters(), *b.parameters())}


def test_parts_are_copied_and_cut_again(data: Data) -> None:
    model = gnn.GAT(5, 8, 3, 4).eval()
    parts = copy.deepcopy(rg.split(model))
    assert torch.equal(parts(data), model(data.x, data.edge_index))
    stored = io.BytesIO()
    torch.save(parts, stored)
    stored.seek(0)
    loaded = torch.load(stored, weights_only=False)
    assert torch.equal(loaded(data), parts(data))
    assert torch.equal(rg.split(loaded, 1)(data), parts(data))
    again = rg.split(parts, "convs.0")
    assert isinstance(again.head, TailHead) and torch.equal(again(data), parts(data))
    traced = rg.split(rg.Model(gnn.GCN(5, 8, 2).eval(), nn.Linear(8, 2)), 1)
    assert traced(data).shape == (N, 2)
