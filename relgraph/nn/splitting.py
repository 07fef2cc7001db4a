"""Taking a trained module apart into an encoder and a head."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn
from torch_geometric.nn import GAE, DeepGraphInfomax

from relgraph.errors import InputError
from relgraph.nn.cutting import At, cut
from relgraph.nn.model import Model, cut_model
from relgraph.nn.tracing import trace


def split(model: nn.Module, at: At = None, *, given: Sequence[str] = (), node_type: str | None = None) -> Model:
    r"""Take a trained module apart into an encoder and a head: ``split(model)(data)`` equals ``model``.

    .. math:: \text{model}(G) = \text{head}(\text{encoder}(G), G)

    The module is traced by :mod:`torch.fx` and cut where a single tensor passes, besides the inputs of the graph. A
    head that is one linear layer is that layer itself; a head that passes messages takes ``(h, edge_index, ...)``, and
    :func:`relgraph.stitch` translates the embeddings in front of it. Both parts share their parameters with the module,
    as a slice of a :class:`relgraph.nn.Encoder` does.

    Args:
        model: A network of ``torch_geometric.nn.models``, a ``torch_geometric.nn.Sequential``, or a module written by
            hand. Of ``GAE``, ``VGAE`` and ``DeepGraphInfomax`` the encoder is taken apart.
        at: ``None`` for a cut before the last layer, which is the head or, without a separate head, the last
            convolution. ``k`` for a cut behind layer ``k`` and its normalization, activation and dropout; layers are
            the modules with a weight matrix in the order of their calls, from 1. A name, such as ``"convs.1"``, for the
            output of that submodule.
        given: Optional arguments that graphs will have, where the module branches on their presence
            (``if edge_weight is not None``). Without it such an argument is refused in a call.
        node_type: Node type of the embeddings, for a module of heterogeneous graphs. Of a module that returns a
            dictionary by type, the output is that of this type.

    Raises:
        InputError: If the module cannot be traced, there is no such point (the nearest names are listed), several
            tensors cross it (they are named), or the tensor there is of another node type.

    Example:
        >>> import torch
        >>> from torch_geometric.data import Data
        >>> from torch_geometric.nn import GCN
        >>> data = Data(x=torch.rand(4, 3), edge_index=torch.tensor([[0, 1], [1, 0]]))
        >>> gcn = GCN(3, 8, num_layers=2, out_channels=5).eval()
        >>> model = split(gcn)
        >>> model.embed(data).shape, torch.equal(model(data), gcn(data.x, data.edge_index))
        (torch.Size([4, 8]), True)
        >>> split(GCN(3, 8, num_layers=2, out_channels=5, jk="cat")).head
        Linear(in_features=16, out_features=5, bias=True)
    """
    if not isinstance(model, nn.Module):
        raise InputError("model", f"must be a torch module (got {type(model).__name__}); load weights into one first")
    if isinstance(model, Model):
        return Model(*cut_model(model, at, "model"), model.node_type)
    if isinstance(model, GAE | DeepGraphInfomax):
        model = model.encoder
    encoder, head = cut(trace(model, given), at, node_type)
    parts = Model(encoder, head, node_type)
    parts.training = model.training
    return parts
