"""What surrounds a command: its console, its progress bar, standard output kept clean, errors that name options."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from relgraph.errors import InputError, unknown_name

if TYPE_CHECKING:
    from rich.console import Console

    from relgraph.stitching.experiment import Progress


def name(option: str, given: str, valid: Mapping[str, str]) -> str:
    """A name that an option was given, if it is one of the valid ones."""
    if given not in valid:
        raise unknown_name(option, given, valid)
    return given


def names(option: str, text: str, valid: Mapping[str, str]) -> tuple[str, ...]:
    """The names that an option was given, separated by commas."""
    found = tuple(part.strip() for part in text.split(",") if part.strip())
    if not found:
        raise InputError(option, f"must name at least one of {', '.join(sorted(valid))} (got {text!r})")
    for one in found:
        name(option, one, valid)
    return found


# What the library calls the options.
OPTIONS = {
    "encoders": "--encoders",
    "seeds": "--seeds",
    "arms": "--arms",
    "num_anchors": "--anchors",
    "strategy": "--anchor-strategy",
    "space": "--anchor-space",
    "split": "--split",
    "epochs": "--epochs",
    "stitch_at": "--stitch-at",
}


@contextlib.contextmanager
def options_named() -> Iterator[None]:
    """Let an error of the library name the option that the user gave, and not the argument that it became."""
    try:
        yield
    except InputError as error:
        text = str(error)
        for argument, option in OPTIONS.items():
            text = text.replace(f"'{argument}'", f"'{option}'")
        raise InputError("", text) from error


def console(*, stderr: bool) -> Console:
    """Where results are shown."""
    from rich.console import Console

    found = Console(stderr=stderr, highlight=False)
    # A pipe has no width: tables are made for 100 columns there, and sentences stay on one line each.
    return found if found.is_terminal else Console(stderr=stderr, highlight=False, width=100, soft_wrap=True)


@contextlib.contextmanager
def aside(wanted: bool) -> Iterator[None]:
    """Keep standard output for the document, whatever a library prints meanwhile."""
    if wanted:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    else:
        yield


@contextlib.contextmanager
def progress() -> Iterator[Progress]:
    """A bar on standard error that goes away at the end; nothing at all on a pipe."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

    words = {"start": "loading", "train": "training (epochs)", "stitch": "stitching (arms)", "write": "writing"}
    errors = Console(stderr=True)
    if not errors.is_terminal:
        yield lambda stage, done, total: None
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=errors, transient=True) as bar:
        tasks: dict[str, Any] = {}

        def tell(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                bar.refresh()  # a short stage can be over before the bar's own clock has ticked: show how it ended
                for task in tasks.values():
                    bar.update(task, visible=False)
                tasks[stage] = bar.add_task(words.get(stage, stage), total=total or None)
            bar.advance(tasks[stage], done)

        yield tell
        bar.refresh()
