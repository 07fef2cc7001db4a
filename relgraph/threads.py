"""Pools of threads of numerical libraries. Imports nothing heavy."""

from __future__ import annotations

from functools import cache
from typing import Any


@cache
def thread_pools(library: str) -> Any:
    """A ``ThreadpoolController`` of the pools that are loaded, kept: looking for them takes as long as a small fit.

    Args:
        library: The library whose threads are limited, imported already. Each has a controller of its own, because one
            that was made before the import does not know its pools.

    Example:
        >>> import sklearn
        >>> with thread_pools("sklearn").limit(limits=1):
        ...     pass
    """
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
