"""What a command sets for its own process."""

from __future__ import annotations

import pytest

from relgraph.cli import process


def test_waiting_threads_sleep_unless_the_user_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    process.prepare_process()
    assert process.os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    process.prepare_process()
    assert process.os.environ["OMP_WAIT_POLICY"] == "ACTIVE"


def test_a_command_keeps_freed_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    called = []
    monkeypatch.setattr(process, "keep_freed_memory", lambda: called.append(True))
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    process.prepare_process()
    assert called == [True]
