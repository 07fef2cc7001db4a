"""Stock models of PyG and modules written by hand, trained by a plain PyG loop; nothing here imports relgraph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
import torch_geometric.nn as gnn
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.transforms import SVDFeatureReduction
from torch_geometric.utils import degree

HIDDEN = 64
OPTIONS: dict[str, Any] = {"hidden_channels": HIDDEN, "dropout": 0.5}
JUMPS = ("none", "last", "cat", "max", "lstm")
STOCK = {
    "gcn": gnn.GCN,
    "sage": gnn.GraphSAGE,
    "gin": gnn.GIN,
    "gat": gnn.GAT,
    "gatv2": lambda *sizes, **options: gnn.GAT(*sizes, v2=True, **options),
    "pna": gnn.PNA,
    "edgecnn": gnn.EdgeCNN,
}


def convolution(channels: int, out_channels: int) -> nn.Module:
    """The layer of the models written by hand."""
    return gnn.GCNConv(channels, out_channels)


class Deep(nn.Module):
    """Residual blocks of PyG between two linear layers."""

    def __init__(self, channels: int, classes: int, block: str = "res+") -> None:
        super().__init__()
        self.first, self.last = nn.Linear(channels, HIDDEN), nn.Linear(HIDDEN, classes)
        self.blocks = nn.ModuleList(
            gnn.DeepGCNLayer(convolution(HIDDEN, HIDDEN), nn.LayerNorm(HIDDEN), nn.ReLU(), block, dropout=0.5)
            for _ in range(2)
        )

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        x = self.first(F.dropout(x, 0.5, self.training))
        for block in self.blocks:
            x = block(x, edge_index)
        return self.last(x)


class ByHand(nn.Module):
    """Two convolutions and a perceptron as head."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = convolution(channels, HIDDEN), convolution(HIDDEN, HIDDEN)
        self.norm, self.head = nn.BatchNorm1d(HIDDEN), gnn.MLP([HIDDEN, HIDDEN, classes], dropout=0.5)

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None) -> Tensor:
        x = F.dropout(x, 0.5, self.training)
        x = F.relu(self.norm(self.conv1(x, edge_index, edge_weight)))
        x = F.relu(self.conv2(F.dropout(x, 0.5, self.training), edge_index, edge_weight))
        return F.log_softmax(self.head(x), dim=-1)


class InitialResidual(nn.Module):
    """GCNII: every layer also takes the state before the first one."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(channels, HIDDEN), nn.Linear(HIDDEN, classes)
        self.convs = nn.ModuleList(gnn.GCN2Conv(HIDDEN, 0.1, 0.5, layer) for layer in (1, 2, 3))

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        x = start = self.first(F.dropout(x, 0.5, self.training)).relu()
        for conv in self.convs:
            x = conv(F.dropout(x, 0.5, self.training), start, edge_index).relu()
        return self.last(x)


class Branching(ByHand):
    """A module whose control flow depends on values, which no tracer follows."""

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None) -> Tensor:
        return super().forward(x if x.max() > 0 else -x, edge_index, edge_weight)


class Variational(nn.Module):
    """The encoder of a VGAE."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = convolution(channels, HIDDEN), convolution(HIDDEN, HIDDEN)
        self.mu, self.logstd = convolution(HIDDEN, out_channels), convolution(HIDDEN, out_channels)

    def forward(self, x: Tensor, edge_index: Tensor) -> tuple[Tensor, Tensor]:
        x = self.conv2(self.conv1(x, edge_index).relu(), edge_index).relu()
        return self.mu(x, edge_index), self.logstd(x, edge_index)


def sequential(channels: int, classes: int) -> nn.Module:
    """Two convolutions joined, and a linear layer."""
    return gnn.Sequential(
        "x, edge_index",
        [
            (nn.Dropout(0.5), "x -> x"),
            (convolution(channels, HIDDEN), "x, edge_index -> x1"),
            nn.ReLU(),
            (nn.Dropout(0.5), "x1 -> x2"),
            (convolution(HIDDEN, HIDDEN), "x2, edge_index -> x2"),
            nn.ReLU(),
            (lambda x1, x2: torch.cat([x1, x2], dim=-1), "x1, x2 -> x"),
            nn.Linear(2 * HIDDEN, classes),
        ],
    )


def infomax(channels: int, classes: int) -> nn.Module:
    """Deep Graph Infomax with a GCN of two layers."""
    return gnn.DeepGraphInfomax(
        HIDDEN,
        gnn.GCN(channels, HIDDEN, 2, act="prelu"),
        summary=lambda z, *_: z.mean(dim=0).sigmoid(),
        corruption=lambda x, edge_index: (x[torch.randperm(x.size(0))], edge_index),
    )


OTHERS: dict[str, Callable[[int, int], nn.Module]] = {
    "mlp": lambda channels, classes: gnn.MLP([channels, HIDDEN, HIDDEN, classes], dropout=0.5),
    "deepgcn-res+": Deep,
    "deepgcn-res": lambda channels, classes: Deep(channels, classes, "res"),
    "sequential": sequential,
    "by-hand": ByHand,
    "initial-residual": InitialResidual,
    "branching": Branching,
    "gae": lambda channels, classes: gnn.GAE(gnn.GCN(channels, HIDDEN, 2)),
    "vgae": lambda channels, classes: gnn.VGAE(Variational(channels, HIDDEN)),
    "infomax": infomax,
}
UNSUPERVISED = ("gae", "vgae", "infomax")
NAMES = (*(f"{name}-{jump}" for name in STOCK for jump in JUMPS), *OTHERS)


def features_of(name: str, data: Data) -> Data:
    """The graph; models whose layers act on every edge get 64 singular directions of the features, of unit variance."""
    if not name.startswith(("pna", "edgecnn")):
        return data
    data = SVDFeatureReduction(HIDDEN)(data)
    data.x = (data.x - data.x.mean(dim=0)) / data.x.std()
    return data


def make(name: str, data: Data) -> nn.Module:
    """A model with new parameters from torch's global generator."""
    sizes = data.num_features, int(data.y.max()) + 1
    if name in OTHERS:
        return OTHERS[name](*sizes)
    kind, jump = name.split("-")
    # Three layers with weights either way: the last convolution, or the linear layer behind the jumps, is the head.
    jumps = {"num_layers": 3} if jump == "none" else {"num_layers": 2, "jk": jump}
    options = OPTIONS | jumps | {"out_channels": sizes[1]}
    if kind == "pna":
        counts = torch.bincount(degree(data.edge_index[1], data.num_nodes, torch.long))
        options |= {"aggregators": ["mean", "max", "std"], "scalers": ["identity", "amplification"], "deg": counts}
    return STOCK[kind](sizes[0], **options)


def loss(name: str, model: Any, data: Data) -> Tensor:
    """Cross-entropy of the training nodes, or what the model is trained for without labels."""
    if name == "infomax":
        return model.loss(*model(data.x, data.edge_index))
    if name in ("gae", "vgae"):
        found = model.recon_loss(model.encode(data.x, data.edge_index), data.edge_index)
        return found + model.kl_loss() / data.num_nodes if name == "vgae" else found
    out = model(data.x) if name == "mlp" else model(data.x, data.edge_index)
    return F.cross_entropy(out[data.train_mask], data.y[data.train_mask])


def trained(name: str, data: Data, seed: int, epochs: int) -> nn.Module:
    """A model after Adam with the settings of Kipf and Welling (2017), at its best validation accuracy.

    Validation is measured at every fifth epoch. Models without labels are trained twice as long, to the end.
    """
    torch.manual_seed(seed)
    model, best, kept = make(name, data), 0.0, {}
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=0.0 if name in UNSUPERVISED else 5e-4)
    for epoch in range(2 * epochs if name in UNSUPERVISED else epochs):
        model.train()
        optimizer.zero_grad()
        loss(name, model, data).backward()
        optimizer.step()
        if name not in UNSUPERVISED and (epoch + 1) % 5 == 0:
            value = validation(name, model.eval(), data)
            if value > best:
                best, kept = value, {key: tensor.clone() for key, tensor in model.state_dict().items()}
    model.load_state_dict(kept or model.state_dict())
    return model.eval()


@torch.no_grad()
def validation(name: str, model: nn.Module, data: Data) -> float:
    """Accuracy on the validation nodes."""
    out = model(data.x) if name == "mlp" else model(data.x, data.edge_index)
    return float((out.argmax(1) == data.y)[data.val_mask].float().mean())
