"""The application: its commands, and the exit status of every error."""

from __future__ import annotations

import signal
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer

from relgraph import __version__
from relgraph.cli import compare, drift, show, stability, stitch, translate, upgrade
from relgraph.cli.options import OPTIONS, WIDTH
from relgraph.cli.process import Stopped, prepare_process, stop_orderly
from relgraph.errors import DataError, InputError

USAGE, FAILURE, INTERRUPTED = 2, 1, 130

CONTEXT = {"max_content_width": WIDTH, "help_option_names": ["-h", "--help"]}

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None, context_settings=CONTEXT)
app.command(help=stitch.HELP, short_help=stitch.SUMMARY)(stitch.stitch)
app.command(help=translate.HELP, short_help=translate.SUMMARY)(translate.translate)
app.command(help=show.HELP, short_help=show.SUMMARY)(show.show)
app.command(help=stability.HELP, short_help=stability.SUMMARY)(stability.stability)
app.command(help=upgrade.HELP, short_help=upgrade.SUMMARY)(upgrade.upgrade)
app.command(help=drift.HELP, short_help=drift.SUMMARY)(drift.drift)
app.command(help=compare.HELP, short_help=compare.SUMMARY)(compare.compare)


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

    Every error is one line on standard error; ``--debug`` adds the traceback. The state of the calling process is not
    changed. ``arguments`` are the words after ``relgraph``, by default those of the command line.

    Example:
        >>> main(["--version"])
        relgraph 0.2.0
        0
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    state: dict[str, bool] = {}  # commands set "debug" here
    try:
        status = typer.main.get_command(app).main(args=given, prog_name="relgraph", standalone_mode=False, obj=state)
    except (KeyboardInterrupt, typer.Abort):
        return _fail("interrupted", INTERRUPTED, state)
    except Stopped as error:
        return _fail(f"stopped by {signal.Signals(error.number).name}", 128 + error.number, state)
    except InputError as error:
        return _fail(error.sentence(OPTIONS.get(error.argument, error.argument)), USAGE, state)
    except DataError as error:
        return _fail(str(error), FAILURE, state)
    except Exception as error:
        if hasattr(error, "format_message"):  # a usage error of the parser
            return _fail(_sentence(error, given), USAGE, state)
        what = " ".join(str(error).split()) or "no message"
        hint = "" if state.get("debug") else "; --debug shows where"
        return _fail(f"unexpected {type(error).__name__} ({what}){hint}", FAILURE, state)
    if status == INTERRUPTED:  # the parser turns an interrupt into this status
        return _fail("interrupted", INTERRUPTED, state)
    return status if isinstance(status, int) else 0


def _fail(sentence: str, status: int, state: dict[str, bool]) -> int:
    if state.get("debug"):
        traceback.print_exc()
    sys.stderr.write(f"relgraph: {sentence}\n")
    return status


def _sentence(error: Exception, given: list[str]) -> str:
    message: str = error.format_message()  # type: ignore[attr-defined]  # checked by the caller
    context, commands = getattr(error, "ctx", None), [given[0]] if given and not given[0].startswith("-") else []
    command = " ".join(["relgraph", *commands]) if context is None else context.command_path
    return f"{' '.join(message.split()).rstrip('.')}; see {command} --help"
