"""What the allocator of a process does with freed memory. Imports nothing heavy."""

from __future__ import annotations

import ctypes
import sys

# Their numbers in glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4


def keep_freed_memory() -> bool:
    """Let glibc keep the memory of large tensors that were freed; returns whether there is a glibc that understood.

    It would else return every large block to the system, which clears it before its next use: a good part of the time
    of training on a large graph. In return the process holds what it has used until it ends: its peak, and several
    times that where blocks become larger and larger, since none fits where a smaller one was. The command calls this
    at its start; the library never does, because it changes the whole process: call it once in your own script.

    Example:
        >>> import relgraph as rg
        >>> isinstance(rg.keep_freed_memory(), bool)
        True
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    return bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, ctypes.c_int(2**31 - 1)))
