"""Modules that apply a fitted map: affine, kernel, and a map in front of a head."""

from __future__ import annotations

import inspect
from typing import Any, Self, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.fx import Proxy

from relgraph.anchors.matching import as_tensor
from relgraph.errors import InputError, unknown_name
from relgraph.similarity import cosine_similarity, euclidean_distance

Linear = TypeVar("Linear", bound=nn.Linear)

KERNELS = ("dot", "cosine", "rbf")
CHUNK = 1 << 22
"""Similarities that :class:`KernelMap` holds at once."""


class AffineMap(nn.Module):
    r"""An affine map from a source space to a target space.

    .. math:: y = (x - m_s) \, T + m_t

    Args:
        weight: ``T``, shape ``(F, G)``.
        source_center: ``m_s``, shape ``(F,)``.
        target_center: ``m_t``, shape ``(G,)``.

    Example:
        >>> AffineMap(torch.eye(2), torch.zeros(2), torch.tensor([1.0, 2.0]))(torch.zeros(1, 2))
        tensor([[1., 2.]])
    """

    weight: Tensor
    source_center: Tensor
    target_center: Tensor

    def __init__(self, weight: Tensor, source_center: Tensor, target_center: Tensor) -> None:
        super().__init__()
        # Buffers: a map is never trained after its fit, but moves with the module it is part of. Copies, so that the
        # map and the spaces it was made of do not change together.
        for name, value in (("weight", weight), ("source_center", source_center), ("target_center", target_center)):
            self.register_buffer(name, value.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        """Map rows of the source space, shape ``(N, F)``, to the target space, ``(N, G)``, in their own type.

        Of integers the result is in the type of the map. Arrays are taken as tensors.
        """
        x = rows_of_width(x, self.weight.size(0))
        return in_type_of(x, (x.to(self.weight) - self.source_center) @ self.weight + self.target_center)

    def extra_repr(self) -> str:  # noqa: D102
        return f"{self.weight.size(0)} -> {self.weight.size(1)}"


class KernelMap(nn.Module):
    r"""A weighted sum of similarities to anchors, and a constant.

    .. math:: y = s(x - m, A) \, C + b

    Args:
        center: ``m``, shape ``(F,)``.
        anchors: ``A``, around the center, shape ``(K, F)``.
        coefficients: ``C``, shape ``(K, G)``.
        bias: ``b``, shape ``(G,)``.
        similarity: ``s``: ``"dot"``, ``"cosine"`` or ``"rbf"``, :math:`\exp(-d^2 / 2 w^2)` of the distance ``d``.
        width: ``w``, for ``"rbf"`` only.
        shrinkage: That of the fit, for the record.

    Example:
        >>> KernelMap(torch.zeros(2), torch.eye(2), torch.ones(2, 1), torch.zeros(1))(torch.ones(1, 2))
        tensor([[2.]])
    """

    center: Tensor
    anchors: Tensor
    coefficients: Tensor
    bias: Tensor
    weight: Tensor | None

    def __init__(
        self,
        center: Tensor,
        anchors: Tensor,
        coefficients: Tensor,
        bias: Tensor,
        similarity: str = "dot",
        width: float = 1.0,
        shrinkage: float = 0.0,
    ) -> None:
        super().__init__()
        if similarity not in KERNELS:
            raise unknown_name("similarity", similarity, KERNELS)
        # With the dot product the sum is one linear layer, without large terms that nearly cancel.
        self.register_buffer("weight", anchors.mT @ coefficients if similarity == "dot" else None)
        for name, value in (("center", center), ("anchors", anchors), ("coefficients", coefficients), ("bias", bias)):
            self.register_buffer(name, value.detach().clone())
        self.similarity, self.width, self.shrinkage = similarity, width, shrinkage

    def forward(self, x: Tensor) -> Tensor:
        """Map rows, shape ``(*, F)``, to ``(*, G)``, in their own type; of integers in that of the map."""
        x = rows_of_width(x, self.center.size(0))
        offset = x.to(self.center.dtype) - self.center
        if self.weight is not None:
            return in_type_of(x, offset @ self.weight + self.bias)
        rows = max(1, CHUNK // self.anchors.size(0))
        parts = [
            similarities(part, self.anchors, self.similarity, self.width) @ self.coefficients
            for part in torch.split(offset.reshape(-1, offset.size(-1)), rows)
        ]
        return in_type_of(x, (torch.cat(parts) + self.bias).view(*offset.shape[:-1], self.bias.size(0)))

    def to_like(self, reference: Tensor) -> Self:
        """The module on the device of a tensor, and in its type if that is precise enough.

        With a curved kernel it keeps float64: the coefficients are large and nearly cancel, and in float32 the rounding
        error can be as large as the result.
        """
        exact = self.similarity != "dot" and reference.device.type != "mps"  # that device has no double precision
        return self.to(torch.float64 if exact else reference.dtype).to(reference.device)

    def extra_repr(self) -> str:  # noqa: D102
        width = f", width={self.width:.4g}" if self.similarity == "rbf" else ""
        return (
            f"{self.anchors.size(1)} -> {self.coefficients.size(1)}, {self.anchors.size(0)} anchors, "
            f"similarity={self.similarity}{width}, shrinkage={self.shrinkage:g}"
        )


class FittedLinear(nn.Linear):
    """A linear layer for rows of any type: computed in the type of its weight, with outputs in the type of the rows.

    Of integers the outputs are in the type of the weight.

    Example:
        >>> layer = frozen_linear(FittedLinear, torch.tensor([[1.0, 2.0]]), torch.tensor([3.0]))
        >>> layer(torch.ones(1, 2, dtype=torch.float64)), layer(torch.ones(1, 2, dtype=torch.int8))
        (tensor([[6.]], dtype=torch.float64), tensor([[6.]]))
    """

    affine = True
    """Its forward is that of ``nn.Linear``, up to the type: :func:`relgraph.publish` needs no embeddings."""

    def forward(self, input: Tensor) -> Tensor:
        """Outputs ``(N, G)`` of rows ``(N, F)``."""
        input = rows_of_width(input, self.in_features)
        if input.dtype == self.weight.dtype:
            return super().forward(input)
        return in_type_of(input, super().forward(input.to(self.weight.dtype)))


def rows_of_width(rows: Tensor | Any, width: int) -> Tensor:
    """Rows as a tensor, if they are an array or a list; an :class:`InputError` if they are not as wide as a map takes.

    Example:
        >>> rows_of_width([[1.0, 1.0]], 2)
        tensor([[1., 1.]])
    """
    if not isinstance(rows, (Tensor, Proxy)):  # a proxy of torch.fx stands for a tensor
        rows = as_tensor("x", rows)
    if isinstance(rows, Tensor) and (rows.dim() == 0 or rows.size(-1) != width):
        way_out = "pass embeddings of the space that the map was made for"
        raise InputError("x", f"must hold rows of {width} numbers (got shape {tuple(rows.shape)}); {way_out}")
    return cast(Tensor, rows)


def in_type_of(rows: Tensor, result: Tensor) -> Tensor:
    """A result in the type of the rows it was computed from, if that is a floating-point type."""
    return result.to(rows.dtype) if rows.is_floating_point() else result


def similarities(x: Tensor, anchors: Tensor, similarity: str, width: float) -> Tensor:
    """Similarities ``(N, K)`` of rows ``(N, F)`` to anchors ``(K, F)``, both around the center; see KernelMap."""
    if similarity == "dot":
        return x @ anchors.mT
    if similarity == "cosine":
        return cosine_similarity(x, anchors)
    if x is anchors or x.dtype != torch.float64:
        return (euclidean_distance(x, anchors) / width).square().div(-2).exp()
    # In double precision the expanded square is exact enough, if the origin is among the anchors.
    middle = anchors.mean(dim=0)
    x, anchors = x - middle, anchors - middle
    norms = x.square().sum(dim=1, keepdim=True) + anchors.square().sum(dim=1)
    return torch.addmm(norms, x, anchors.mT, alpha=-2).clamp(min=0).div(-2 * width**2).exp()


class TranslatedHead(nn.Module):
    """A translation, then a head. Further arguments, such as the edges of a graph, are passed on to the head.

    Args:
        translation: From the source space to the input space of the head.
        head: Any module whose first argument are embeddings ``(N, G)``.

    Example:
        >>> TranslatedHead(nn.Linear(2, 3), nn.Linear(3, 4))(torch.zeros(5, 2)).shape
        torch.Size([5, 4])
    """

    def __init__(self, translation: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.translation = translation
        self.head = head

    @property
    def graph_arguments(self) -> tuple[str, ...]:
        """Names of the head's arguments after the embeddings."""
        parameters = list(inspect.signature(self.head.forward).parameters.values())[1:]
        named = tuple(one.name for one in parameters if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD))
        return getattr(self.head, "graph_arguments", named)

    def forward(self, z: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Outputs of the head for embeddings of the source space, ``(N, F)``."""
        translated = self.translation(z)
        home = next(self.head.parameters(), translated)  # the head's own type and device
        out: Tensor = self.head(translated.to(home), *args, **kwargs)
        return out


def frozen_linear(kind: type[Linear], weight: Tensor, bias: Tensor) -> Linear:
    """A frozen linear map with a copy of this weight ``(G, F)`` and bias ``(G,)``, in the type of the bias.

    Example:
        >>> frozen_linear(nn.Linear, torch.tensor([[1.0, 2.0]]), torch.tensor([3.0]))(torch.ones(2))
        tensor([6.])
    """
    # Without memory of its own at first: its initial values would be drawn from the global generator.
    linear = kind(weight.size(1), weight.size(0), device="meta")
    for name, value in (("weight", weight), ("bias", bias)):
        own = value.detach().to(bias).clone(memory_format=torch.contiguous_format)
        setattr(linear, name, nn.Parameter(own, requires_grad=False))
    return linear
