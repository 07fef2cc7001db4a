"""Keeping freed memory: what the allocator is told, and that it does so."""

from __future__ import annotations

import ctypes
import platform
import subprocess
import sys
from types import SimpleNamespace

import pytest

import relgraph as rg
from relgraph import memory

PAGE_FAULTS = """
import resource, sys
import relgraph as rg

if sys.argv[1] == "keep":
    assert rg.keep_freed_memory()

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

bytearray(1 << 26)
before = faults()
for _ in range(8):
    bytearray(1 << 26)
print(faults() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_large_blocks_are_used_again() -> None:
    counts = {
        what: int(subprocess.run([sys.executable, "-c", PAGE_FAULTS, what], capture_output=True, check=True).stdout)
        for what in ("keep", "return")
    }
    assert counts["keep"] < 0.1 * counts["return"]


def test_nothing_happens_without_glibc(monkeypatch: pytest.MonkeyPatch) -> None:
    assert rg.keep_freed_memory is memory.keep_freed_memory
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace())  # a C library without mallopt
    assert not rg.keep_freed_memory()
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not rg.keep_freed_memory()
