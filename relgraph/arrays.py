"""Arrays of numpy and pandas in a form that torch takes, and tensors as arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray


def torch_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The type that torch has for this one: in the byte order of the machine, and float64 for a long double.

    Example:
        >>> torch_type(np.dtype(">f4")) == np.float32, torch_type(np.dtype(np.longdouble)) == np.float64
        (True, True)
    """
    return np.dtype(np.float64) if dtype.type is np.longdouble else dtype.newbyteorder("=")


def plain(array: NDArray[Any]) -> NDArray[Any]:
    """The array itself if torch can use it as it is, else a copy: of another type, reversed, or not to be written to.

    Example:
        >>> torch.from_numpy(plain(np.arange(3)[::-1]))
        tensor([2, 1, 0])
    """
    kind = torch_type(array.dtype)
    if kind == array.dtype and array.flags.writeable and min(array.strides, default=0) >= 0:
        return array
    return array.astype(kind, order="C")


def as_array(value: Any) -> NDArray[Any]:
    """A tensor, or what numpy converts, as an array; of bfloat16, which numpy lacks, in float32.

    Example:
        >>> as_array(torch.ones(2, dtype=torch.bfloat16))
        array([1., 1.], dtype=float32)
    """
    if not isinstance(value, torch.Tensor):
        return np.asarray(value)
    value = value.detach().cpu()
    found: NDArray[Any] = (value.float() if value.dtype == torch.bfloat16 else value).numpy()
    return found
