from __future__ import annotations

from relgraph.cli.console import StageLines


def lines_of(calls: list[tuple[str, int, int]], clock: list[float]) -> list[str]:
    written: list[str] = []
    ticks = iter(clock)
    lines = StageLines(written.append, lambda: next(ticks))
    for call in calls:
        lines.advance(*call)
    lines.finish()
    return written


def test_a_short_stage_is_one_line() -> None:
    assert lines_of([("load", 0, 0), ("write", 0, 0)], [0.0, 0.1, 0.2]) == [
        "relgraph: loading\n",
        "relgraph: writing\n",
    ]


def test_a_long_stage_is_estimated_once_and_timed() -> None:
    calls = [("train", 0, 100), ("train", 10, 100), ("train", 10, 100), ("stitch", 0, 4)]
    assert lines_of(calls, [0.0, 4.0, 8.0, 40.0, 41.0]) == [
        "relgraph: training (100 epochs)\n",
        "relgraph: training takes about 40 s\n",
        "relgraph: training took 40.0 s\n",
        "relgraph: stitching (4 methods)\n",
    ]


def test_the_last_step_of_a_stage_is_not_estimated() -> None:
    assert lines_of([("train", 0, 10), ("train", 10, 10)], [0.0, 9.0, 9.0]) == ["relgraph: training (10 epochs)\n"]
