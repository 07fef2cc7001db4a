"""The layer in PyG's and PyTorch's pipelines: explainers, files, several processes, and transforms after AddAnchors."""

from __future__ import annotations

import copy
import io
import os
import socket
import warnings
from datetime import timedelta
from pathlib import Path

import pytest
import torch
import torch_geometric.transforms as T
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.explain import Explainer, GNNExplainer
from torch_geometric.nn import GCNConv, SAGEConv, Sequential, global_mean_pool

import relgraph as rg
from relgraph.errors import InputError

NODES, ANCHORS = 40, 6
BASE = rg.AnchorSet.from_rows(torch.eye(8)[:ANCHORS], torch.arange(ANCHORS))


def graph(**attributes: object) -> Data:
    generator = torch.Generator().manual_seed(0)
    edges = torch.randint(NODES, (2, 120), generator=generator)
    edges = edges[:, edges[0] != edges[1]]
    x, y = torch.rand(NODES, 5, generator=generator), torch.arange(NODES) % 3
    return rg.AddAnchors(ANCHORS, seed=1)(Data(x=x, edge_index=edges, y=y, **attributes))


class Net(nn.Module):
    """A graph convolution, the layer and a linear head; of a batch of graphs, on the means of their nodes."""

    def __init__(self, layer: rg.RelativeLayer, anchors: Tensor | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.relative, self.head = SAGEConv(5, 8), layer, nn.Linear(ANCHORS, 3)
        self.anchors = anchors

    def forward(self, x: Tensor, edge_index: Tensor, batch: Tensor | None = None) -> Tensor:
        z = self.conv(x, edge_index)
        z = z if batch is None else global_mean_pool(z, batch)
        return self.head(self.relative(z) if self.relative.frozen else self.relative(z, self.anchors))


# Explainers.


# Anchors of whole graphs are other graphs, so that the layer is frozen there.
@pytest.mark.parametrize(("level", "frozen"), [("node", True), ("node", False), ("graph", True)])
def test_an_explainer_finds_the_neighbors_that_matter(level: str, frozen: bool) -> None:
    data = graph()
    net = Net(rg.RelativeLayer().freeze(BASE) if frozen else rg.RelativeLayer(), rg.anchor_index(data)).eval()
    explainer = Explainer(
        net,
        GNNExplainer(epochs=20),
        explanation_type="model",
        node_mask_type="attributes",
        edge_mask_type="object",
        model_config={"mode": "multiclass_classification", "task_level": level, "return_type": "raw"},
    )
    where = {"index": 3} if level == "node" else {"batch": torch.zeros(NODES, dtype=torch.int64)}
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        torch.manual_seed(0)
        found = explainer(data.x, data.edge_index, **where)
    touching = torch.isin(data.edge_index[1], torch.tensor([3]))
    if not frozen:
        touching |= torch.isin(data.edge_index[1], rg.anchor_index(data))
    used = found.edge_mask > 0
    assert found.edge_mask.isfinite().all() and used.any()
    if level == "node":
        assert not used[~touching].any()


# Copies, files, processes.


@pytest.mark.parametrize("options", [{}, {"ema": 0.5}, {"similarity": "whitened"}])
def test_a_copied_or_saved_module_gives_the_same(options: dict[str, object], tmp_path: Path) -> None:
    data = graph()
    net = Net(rg.RelativeLayer(**options), rg.anchor_index(data))  # type: ignore[arg-type]
    net.train()(data.x, data.edge_index)
    expected = net.eval()(data.x, data.edge_index)
    torch.save(net, tmp_path / "net.pt")
    saved = torch.load(tmp_path / "net.pt", weights_only=False)
    state = io.BytesIO()
    torch.save(net.state_dict(), state)
    fresh = Net(rg.RelativeLayer(**options), rg.anchor_index(data)).eval()  # type: ignore[arg-type]
    state.seek(0)
    fresh.load_state_dict(torch.load(state, weights_only=True))
    for other in (copy.deepcopy(net), saved, fresh):
        assert torch.equal(other(data.x, data.edge_index), expected)


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(_train_part, (port, str(tmp_path)), nprocs=2)  # type: ignore[no-untyped-call]
    data = graph()
    net = Net(rg.RelativeLayer(detach_anchors=True), rg.anchor_index(data))
    out = net(data.x, data.edge_index)
    losses = [nn.functional.cross_entropy(out[rank::2], data.y[rank::2]) for rank in range(2)]
    (sum(losses) / 2).backward()
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        for name, parameter in net.named_parameters():
            torch.testing.assert_close(found[f"module.{name}"], parameter.grad, rtol=1e-5, atol=1e-6)


def _train_part(rank: int, port: int, folder: str) -> None:
    torch.set_num_threads(1)
    limit = timedelta(seconds=60)
    torch.distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", timeout=limit, rank=rank, world_size=2)
    data = graph()
    net = nn.parallel.DistributedDataParallel(Net(rg.RelativeLayer(detach_anchors=True), rg.anchor_index(data)))
    out = net(data.x, data.edge_index)
    nn.functional.cross_entropy(out[rank::2], data.y[rank::2]).backward()
    torch.save({name: parameter.grad for name, parameter in net.named_parameters()}, f"{folder}/{rank}.pt")
    # Without destructors: that of DDP's reducer joins gloo's threads while it holds the interpreter's lock, and such a
    # thread may need the lock to free the last all-reduce, so that about one process in fifty would wait forever.
    os._exit(0)


def test_in_a_sequential_module_under_compilation_and_autocast() -> None:
    data = graph()
    net = Sequential(
        "x, edge_index, anchors",
        [
            (GCNConv(5, 8), "x, edge_index -> z"),
            nn.ReLU(),
            (rg.RelativeLayer(), "z, anchors -> r"),
            (nn.Linear(ANCHORS, 3), "r -> out"),
        ],
    )
    given = data.x, data.edge_index, rg.anchor_index(data)
    compiled = torch.compile(net, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(*given), net(*given))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert net(*given).dtype == torch.bfloat16 and net(*given).isfinite().all()


# Transforms after AddAnchors.


def anchors_of(data: Data) -> list[int]:
    return data.node_id[rg.anchor_index(data)].tolist()


@pytest.mark.parametrize(
    "transform",
    [
        T.RandomNodeSplit(num_val=4, num_test=4),
        T.ToUndirected(),
        T.NormalizeFeatures(),
        T.SVDFeatureReduction(3),
        T.AddSelfLoops(),
        T.GCNNorm(),
        T.Constant(),
        T.LocalDegreeProfile(),
        T.AddLaplacianEigenvectorPE(3, is_undirected=True),
        T.RemoveDuplicatedEdges(),
        T.ToSparseTensor(layout=torch.sparse_csr),
        T.GDC(diffusion_kwargs={"method": "ppr", "alpha": 0.1}),
    ],
    ids=lambda transform: getattr(transform, "__name__", type(transform).__name__),
)
def test_the_anchors_stay_the_same_nodes(transform: object) -> None:
    data = graph()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        changed = transform(copy.copy(data))  # type: ignore[operator]
    assert anchors_of(changed) == anchors_of(data)
    space = rg.AnchorSet.from_embeddings(torch.rand(NODES, 4), changed)
    assert space.ids.tolist() == anchors_of(data)


def test_a_link_split_keeps_the_anchors_of_every_part() -> None:
    data = graph()
    for part in T.RandomLinkSplit(num_val=0.1, num_test=0.1)(data):
        assert anchors_of(part) == anchors_of(data)


def test_a_component_keeps_its_anchors_or_names_the_lost_one() -> None:
    data = graph()
    apart = int(rg.anchor_index(data)[2])
    connected = [node for node in range(NODES) if node != apart]
    ring = torch.tensor([connected, connected[1:] + connected[:1]])
    data.edge_index = torch.hstack([ring, ring.flip(0)])
    part = T.LargestConnectedComponents()(data)
    assert part.num_nodes == NODES - 1
    with pytest.raises(InputError, match="'anchor_rank' must hold every rank from 0 to 5 once .got 0 of rank 2."):
        rg.anchor_index(part)
    data.edge_index = torch.hstack([data.edge_index, torch.tensor([[apart], [connected[0]]])])
    assert anchors_of(T.LargestConnectedComponents(connection="weak")(data)) == anchors_of(data)
