"""What a command sets for its own process."""

from __future__ import annotations

import ctypes
import platform
import sys
from types import SimpleNamespace

import pytest

from relgraph.cli import process


def test_glibc_understands_and_nothing_else_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    if platform.libc_ver()[0] == "glibc":
        assert process.keep_freed_memory()
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace())  # a C library without mallopt
    assert not process.keep_freed_memory()
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not process.keep_freed_memory()


def test_waiting_threads_sleep_unless_the_user_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    process.prepare_process()
    assert process.os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    process.prepare_process()
    assert process.os.environ["OMP_WAIT_POLICY"] == "ACTIVE"
