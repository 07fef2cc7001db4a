"""What a command sets for its own process before torch is loaded, so that it computes quickly."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from types import FrameType

# Their numbers in glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4


def prepare_process() -> None:
    """Threads that sleep while they wait, and an allocator that keeps what it is given back."""
    # Threads that wait by spinning make the many small steps of training tens of times slower on a busy machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read once, when torch is loaded
    keep_freed_memory()


def stop_orderly() -> None:
    """Let SIGTERM and SIGHUP end the process by an exception, so that work in progress is cleaned up.

    A signal that is ignored, as SIGHUP under ``nohup``, stays ignored. The exit status is 128 plus the signal's number.
    """
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _stop)


def _stop(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # once is enough: the cleanup must not be interrupted
    raise Stopped(number)


class Stopped(SystemExit):
    """A signal asked the process to end."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number = number


def keep_freed_memory() -> bool:
    """Let glibc keep the memory of large tensors that were freed; returns whether there is a glibc that understood.

    It would else return every large block to the system, which clears it before its next use: a good part of the time
    of training on a large graph. In return the peak grows, so that this is for a command, not for a library.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    return bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, ctypes.c_int(2**31 - 1)))
