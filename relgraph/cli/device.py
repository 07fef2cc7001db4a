"""The device that ``--device`` names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from relgraph.errors import DataError, unknown_name

if TYPE_CHECKING:
    import torch

KNOWN = ("auto", "cpu", "cuda", "cuda:N", "mps")


def check_device_name(name: str) -> None:
    """Raise an error if the name is none of :data:`KNOWN`; whether the device is there is not asked."""
    if not re.fullmatch(r"auto|cpu|cuda(:\d{1,3})?|mps", name):
        raise unknown_name("--device", name, KNOWN)


def find_device(name: str) -> torch.device:
    """The device of a checked name, or a :class:`DataError` if it is not there.

    ``auto`` takes CUDA where there is some, else the CPU: never Apple's ``mps``, which has no float64.

    Example:
        >>> find_device("cpu")
        device(type='cpu')
    """
    import torch

    there = ["cpu"]
    if torch.cuda.is_available():
        there += ["cuda", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]
    if torch.backends.mps.is_available():
        there.append("mps")
    if name == "auto":
        name = "cuda" if "cuda" in there else "cpu"
    if name not in there:
        raise DataError(f"'--device' must be there (got '{name}', this machine has {', '.join(there)}); try auto")
    return torch.device(name)
