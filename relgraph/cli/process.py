"""What a command sets for its own process before torch is loaded, so that it computes quickly."""

from __future__ import annotations

import os
import signal
from types import FrameType

from relgraph.memory import keep_freed_memory


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
