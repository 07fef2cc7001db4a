"""The application: its commands, and what becomes of errors."""

from __future__ import annotations

import signal
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated, cast

import typer

from relgraph import __version__
from relgraph.cli.process import Stopped, prepare_process, stop_orderly
from relgraph.cli.stitch import HELP, stitch
from relgraph.errors import DataError, InputError

USAGE, FAILURE, INTERRUPTED = 2, 1, 130

# Newer versions of typer carry a copy of click, older ones import click: its exceptions are reached through typer.
_ClickError = cast("type[Exception]", typer.BadParameter.__mro__[2])

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
app.command(help=HELP)(stitch)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"relgraph {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def relgraph(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and stop.")
    ] = False,
) -> None:
    """Graph embeddings and heads that survive a change of seed, architecture or retraining."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def run() -> int:
    """The console script: :func:`main` in a process of its own, whose allocator and signal handlers are set first."""
    prepare_process()
    stop_orderly()
    return main()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status: 0, 1 (failure), 2 (usage), 130 (interrupted) or 128 + N (signal N).

    Whatever goes wrong is one line on standard error; ``--debug`` adds the traceback. The process that calls this is
    left as it was.

    Args:
        arguments: What follows ``relgraph`` on the command line; ``None`` takes it from there.

    Example:
        >>> main(["--version"])
        relgraph 0.1.0
        0
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    try:
        status = typer.main.get_command(app).main(args=given, prog_name="relgraph", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        return _fail("interrupted", INTERRUPTED, debug)
    except Stopped as error:
        return _fail(f"stopped by {signal.Signals(error.number).name}", 128 + error.number, debug)
    except InputError as error:
        return _fail(str(error), USAGE, debug)
    except DataError as error:
        return _fail(str(error), FAILURE, debug)
    except _ClickError as error:
        return _fail(_sentence(error), USAGE, debug)
    except Exception as error:
        what = " ".join(str(error).split()) or "no further word"
        hint = "" if debug else "; --debug shows where"
        return _fail(f"unexpected {type(error).__name__} ({what}){hint}", FAILURE, debug)
    return status if isinstance(status, int) else 0


def _fail(sentence: str, status: int, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    sys.stderr.write(f"relgraph: {sentence}\n")
    return status


def _sentence(error: Exception) -> str:
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    context = getattr(error, "ctx", None)
    command = "relgraph" if context is None else context.command_path
    return f"{' '.join(str(message).split()).rstrip('.')}; see {command} --help"
