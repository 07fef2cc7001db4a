"""The console of a command, and its progress: a bar on a terminal, one line per stage elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

Progress = Callable[[str, int, int], None]

# The name of every stage, and of its steps if they are counted.
STAGES = {
    "load": ("loading", ""),
    "train": ("training", "epochs"),
    "sources": ("training for sources", "epochs"),
    "remedies": ("training for remedies", "epochs"),
    "stitch": ("stitching", "methods"),
    "write": ("writing", ""),
    "translate": ("translating", "rows"),
    "encode": ("encoding", "rows"),
    "compare": ("comparing", "pairs"),
}
_ESTIMATE_AFTER = 2.0  # seconds of a stage, after which its whole time is estimated


def console(*, stderr: bool) -> Console:
    """Where results are shown."""
    from rich.console import Console

    found = Console(stderr=stderr, highlight=False)
    # A pipe has no width: tables are laid out for 100 columns there, and sentences stay on one line each.
    return found if found.is_terminal else Console(stderr=stderr, highlight=False, width=100, soft_wrap=True)


@contextlib.contextmanager
def quiet_output(wanted: bool) -> Iterator[None]:
    """Send what libraries print meanwhile to standard error, to keep standard output for the document."""
    with contextlib.redirect_stdout(sys.stderr) if wanted else contextlib.nullcontext():
        yield


@contextlib.contextmanager
def progress() -> Iterator[Progress]:
    """A function that is called with a stage, the steps done since its last call, and all steps of the stage."""
    from rich.console import Console

    errors = Console(stderr=True)
    if errors.is_terminal:
        with _bar(errors) as tell:
            yield tell
    else:
        lines = StageLines(sys.stderr.write)
        yield lines.advance
        lines.finish()


class StageLines:
    """One line at the start of every stage, and for a long one its estimated and its true time.

    Example:
        >>> seconds = iter([0.0, 3.0, 30.0])
        >>> lines = StageLines(lambda text: print(text, end=""), lambda: next(seconds))
        >>> lines.advance("train", 0, 1000), lines.advance("train", 100, 1000), lines.finish()
        relgraph: training (1,000 epochs)
        relgraph: training takes about 30 s
        relgraph: training took 30.0 s
        (None, None, None)
    """

    def __init__(self, write: Callable[[str], object], clock: Callable[[], float] = time.perf_counter) -> None:
        self._write, self._clock = write, clock
        self._stage, self._start, self._done, self._estimated = "", 0.0, 0, False

    def advance(self, stage: str, done: int, total: int) -> None:
        """Count some steps of a stage."""
        now = self._clock()
        name, unit = STAGES[stage]
        if stage != self._stage:
            self._end(now)
            self._stage, self._start, self._done, self._estimated = stage, now, 0, False
            self._write(f"relgraph: {name}{f' ({total:,} {unit})' if total and unit else ''}\n")
        self._done += done
        spent = now - self._start
        if not self._estimated and spent > _ESTIMATE_AFTER and 0 < self._done < total:
            self._estimated = True
            self._write(f"relgraph: {name} takes about {spent * total / self._done:.0f} s\n")

    def finish(self) -> None:
        """End the last stage."""
        self._end(self._clock())

    def _end(self, now: float) -> None:
        if self._estimated:
            self._write(f"relgraph: {STAGES[self._stage][0]} took {now - self._start:.1f} s\n")


@contextlib.contextmanager
def _bar(errors: Console) -> Iterator[Progress]:
    from rich import progress as rich

    name, left = rich.TextColumn("{task.description}"), rich.TextColumn("left:")
    columns = (
        rich.SpinnerColumn(),
        name,
        rich.BarColumn(),
        rich.MofNCompleteColumn(),
        left,
        rich.TimeRemainingColumn(),
    )
    with rich.Progress(*columns, console=errors, transient=True) as bar:
        tasks: dict[str, Any] = {}

        def tell(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                bar.refresh()  # a short stage can be over before the bar's own clock has ticked: show its end
                for task in tasks.values():
                    bar.update(task, visible=False)
                name, unit = STAGES[stage]
                tasks[stage] = bar.add_task(f"{name} ({unit})" if unit else name, total=total or None)
            bar.advance(tasks[stage], done)

        yield tell
        bar.refresh()
