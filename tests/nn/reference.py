"""Every encoder by its formula, written densely or node by node, in float64."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from relgraph.nn import GCN2Encoder, GCNEncoder, GINEncoder, SAGEEncoder, make_encoder
from relgraph.registry import ENCODERS

NAMES = sorted(ENCODERS)


def made(name: str, in_channels: int = 5, *, seed: int = 0, **options: float | None) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = make_encoder(name, in_channels, **options).double()
        # PyG starts biases at zero, which would hide a forgotten one.
        for parameter in encoder.parameters():
            if parameter.dim() == 1:
                nn.init.normal_(parameter)
    return encoder.eval()


def adjacency(edges: Tensor, weights: Tensor | None, count: int) -> Tensor:
    """Row = receiving node, column = sending node; parallel edges add up."""
    dense = torch.zeros(count, count, dtype=torch.float64)
    for place, (source, target) in enumerate(edges.T.tolist()):
        dense[target, source] += 1.0 if weights is None else weights[place]
    return dense


def dense_gcn(encoder: GCNEncoder, x: Tensor, a: Tensor) -> Tensor:
    a = normalized_adjacency(a)
    return a @ (a @ x @ encoder.layers[0].conv.lin.weight.T + encoder.layers[0].conv.bias).clamp(min=0)


def dense_deeper_gcn(encoder: GCNEncoder, x: Tensor, a: Tensor) -> Tensor:
    a = normalized_adjacency(a)
    for conv in (layer.conv for layer in encoder.layers[:-1]):
        x = (a @ x @ conv.lin.weight.T + conv.bias).clamp(min=0)
    return a @ x


def dense_sage(encoder: SAGEEncoder, x: Tensor, a: Tensor) -> Tensor:
    mean = a / a.sum(1, keepdim=True).clamp(min=1)
    for conv in (layer.conv for layer in encoder.layers[:-1]):
        x = (mean @ x @ conv.lin_l.weight.T + x @ conv.lin_r.weight.T + conv.lin_l.bias).clamp(min=0)
    return torch.cat([x, mean @ x], dim=1)


def slow_attention(conv: nn.Module, x: Tensor, edges: Tensor) -> Tensor:
    """One layer of graph attention (Velickovic et al. 2018), node by node and head by head, every node a neighbor
    of its own."""
    heads, width = conv.heads, conv.out_channels
    h = (x @ conv.lin.weight.T).view(len(x), heads, width)
    out = torch.zeros(len(x), heads * width, dtype=torch.float64)
    for node in range(len(x)):
        senders = [source for source, target in edges.T.tolist() if target == node] + [node]
        for head in range(heads):
            scores = []
            for sender in senders:
                raw = (conv.att_src[0, head] @ h[sender, head] + conv.att_dst[0, head] @ h[node, head]).item()
                scores.append(math.exp(raw if raw > 0 else 0.2 * raw))
            for sender, score in zip(senders, scores, strict=True):
                out[node, head * width : (head + 1) * width] += score / sum(scores) * h[sender, head]
    return out + conv.bias


def normalized_adjacency(a: Tensor) -> Tensor:
    a = a + torch.diag(torch.where(a.diagonal() == 0, 1.0, 0.0).to(a))
    scale = a.sum(1).rsqrt()
    return scale[:, None] * a * scale[None, :]


def dense_gin(encoder: GINEncoder, x: Tensor, a: Tensor) -> Tensor:
    a = a + torch.eye(len(a), dtype=a.dtype)
    first, _, second = encoder.layers[0].conv.nn
    h = (a @ x @ first.weight.T + first.bias).clamp(min=0)
    z = a @ (h @ second.weight.T + second.bias).clamp(min=0)
    z = z - z.mean(1, keepdim=True)
    return z / (z.square().mean(1, keepdim=True) + 1e-5).sqrt()


def dense_gcn2(encoder: GCN2Encoder, x: Tensor, a: Tensor, alpha: float, theta: float) -> Tensor:
    a = normalized_adjacency(a)
    initial = h = (x @ encoder.layers[0].lin.weight.T + encoder.layers[0].lin.bias).clamp(min=0)
    for layer, conv in enumerate((layer.conv for layer in encoder.layers), start=1):
        beta = math.log(theta / layer + 1)
        mixed = (1 - alpha) * a @ h.clamp(min=0) + alpha * initial
        h = (1 - beta) * mixed + beta * mixed @ conv.weight1
    return h


def slow_dot_attention(conv: nn.Module, x: Tensor, edges: Tensor) -> Tensor:
    """One layer of Shi et al. (2021), node by node and head by head; a node is no neighbor of its own."""
    heads, width = conv.heads, conv.out_channels
    query, key, value = (
        (x @ lin.weight.T + lin.bias).view(len(x), heads, width)
        for lin in (conv.lin_query, conv.lin_key, conv.lin_value)
    )
    out = x @ conv.lin_skip.weight.T + conv.lin_skip.bias
    for node in range(len(x)):
        senders = [source for source, target in edges.T.tolist() if target == node]
        for head in range(heads):
            scores = [math.exp((query[node, head] @ key[j, head]).item() / math.sqrt(width)) for j in senders]
            for sender, score in zip(senders, scores, strict=True):
                out[node, head * width : (head + 1) * width] += score / sum(scores) * value[sender, head]
    return out
