"""What the encoders share: they are made of layers, and any run of layers can be called alone."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from relgraph.errors import InputError


class LayeredEncoder(nn.Module, ABC):
    r"""An encoder that is a chain of layers, :math:`Z = f_L(\dots f_1(X))`, message passing included.

    A layer takes its dropout at its input and its nonlinearity at its output, so that the state between two layers is
    what the next one reads. The last state is the representation. An encoder is written once, as :meth:`part`, and its
    ``forward`` is the part from the first layer to the last; :func:`relgraph.nn.cut.cut` takes a model apart by it.

    Attributes:
        num_layers: How many layers, ``L``.
        widths: Width of the state after each of them, ``L`` numbers.
        out_channels: Width of the representation, the last of these.
    """

    num_layers: int = 2
    widths: tuple[int, ...]
    out_channels: int

    @abstractmethod
    def part(
        self, h: Tensor, start: int, stop: int, edge_index: Tensor | None = None, edge_weight: Tensor | None = None
    ) -> Tensor:
        """The state after layer ``stop`` from the state after layer ``start``, the features being the state after 0.

        Args:
            h: State after layer ``start``, shape ``(N, F_start)``.
            start: Layers that are done, from 0.
            stop: Layers that will be done, from ``start + 1`` to ``num_layers``.
            edge_index: Edges of the graph at hand, ``(2, E)``; only an encoder without a graph can do without.
            edge_weight: Their weights, ``(E,)``; not looked at by an encoder whose ``forward`` takes none.

        Returns:
            The state after layer ``stop``, shape ``(N, F_stop)``.
        """


def check_layers(num_layers: int) -> None:
    """Refuse an encoder that would have nothing before its last propagation.

    Raises:
        InputError: If there are fewer than two layers.
    """
    if num_layers < 2:
        raise InputError(
            "num_layers",
            f"must be at least 2, a convolution and the propagation that the head reads (got {num_layers})",
        )
