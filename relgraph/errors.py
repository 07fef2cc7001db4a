"""Errors that relgraph raises on purpose, each one sentence: argument, rule, value got, way out.

The command line prints the sentence alone and keeps tracebacks for unexpected errors.
"""

from __future__ import annotations

import difflib
import operator
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any


class InputError(ValueError):
    """An argument breaks a rule. The command line ends with status 2.

    Args:
        argument: Name of the argument that is wrong; empty if the message is a whole sentence.
        message: What follows the name: the rule, the value got and a way out.

    Example:
        >>> error = InputError("num_anchors", "must be at least 1 (got 0)")
        >>> print(error)
        'num_anchors' must be at least 1 (got 0)
        >>> error.sentence("--anchors")
        "'--anchors' must be at least 1 (got 0)"
    """

    def __init__(self, argument: str, message: str) -> None:
        self.argument = argument
        self.message = message
        super().__init__(argument, message)

    def __str__(self) -> str:
        return self.sentence(self.argument)

    def sentence(self, name: str) -> str:
        """The whole sentence, with another name for the argument, such as that of a command-line option."""
        return f"'{name}' {self.message}" if self.argument else self.message


@contextmanager
def renamed(names: Mapping[str, str]) -> Iterator[None]:
    """Errors in the block name arguments as the caller knows them: files for tensors, options for arguments.

    Names in the message, in quotes or as ``the source``, are replaced as well, but no value that was got.

    Example:
        >>> with renamed({"z": "--rows"}):
        ...     raise InputError("kept", "must have the rows of 'z' (got 'z'); answer them")
        Traceback (most recent call last):
        relgraph.errors.InputError: 'kept' must have the rows of '--rows' (got 'z'); answer them
    """

    def said(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        return f"'{names[name]}'" if name in names else found[0]

    try:
        yield
    except InputError as error:
        message = re.sub(r"(?<!got )'(\w+)'|\bthe (source|target)\b", said, error.message)
        argument = names.get(error.argument, error.argument)
        if (argument, message) == (error.argument, error.message):
            raise
        raise InputError(argument, message) from error


class RelgraphWarning(UserWarning):
    """The base of all warnings of relgraph; the command line shows them in its table."""


class DataError(RuntimeError):
    """A file, a folder, the network or the machine is not as needed. The command line ends with status 1."""


def import_extra(module: str, extra: str) -> Any:
    """Import an optional package; if it is not installed, a DataError names the extra of relgraph that installs it."""
    try:
        return import_module(module)
    except ImportError as error:
        way_out = f"install it with: pip install 'relgraph[{extra}]'"
        raise DataError(f"the package '{module}' must be installed for this (got none); {way_out}") from error


def require(argument: str, value: Any, kind: type, way_out: str) -> None:
    """Refuse an argument of another type, such as one in the wrong place.

    Example:
        >>> require("rows", 3, list, "give several")
        Traceback (most recent call last):
        relgraph.errors.InputError: 'rows' must be a list (got int); give several
    """
    if not isinstance(value, kind):
        article = "an" if kind.__name__[0] in "AEIOU" else "a"
        raise InputError(argument, f"must be {article} {kind.__name__} (got {type(value).__name__}); {way_out}")


def reason(error: BaseException) -> str:
    """The message of an error of another package in one line.

    Example:
        >>> reason(ValueError("bad header:\\n  no magic bytes"))
        'bad header: no magic bytes'
    """
    return " ".join(str(error).split())


def whole_number(argument: str, value: Any) -> int:
    """An integer of Python or numpy as an ``int``; anything else, a fraction included, is refused.

    Example:
        >>> whole_number("count", 2.5)
        Traceback (most recent call last):
        relgraph.errors.InputError: 'count' must be a whole number (got 2.5); give an int
    """
    try:
        return operator.index(value)
    except TypeError as error:
        got = repr(value) if isinstance(value, (float, str)) else type(value).__name__
        raise InputError(argument, f"must be a whole number (got {got}); give an int") from error


def real_number(argument: str, value: Any) -> float:
    """A number as a ``float``; anything else, text included, is refused.

    Example:
        >>> real_number("share", "0.5")
        Traceback (most recent call last):
        relgraph.errors.InputError: 'share' must be a number (got '0.5'); give a float
    """
    try:
        if not isinstance(value, (str, bytes)):
            return float(value)
    except (TypeError, ValueError, RuntimeError):  # the last of tensors of several numbers
        pass
    got = repr(value) if isinstance(value, str) else type(value).__name__
    raise InputError(argument, f"must be a number (got {got}); give a float")


def unknown_name(argument: str, got: object, valid: Iterable[str]) -> InputError:
    """The error for a name that is not registered: lists the valid names and suggests the nearest.

    Example:
        >>> print(unknown_name("encoder", "gnc", ["sage", "gcn"]))
        'encoder' must be one of gcn, sage (got 'gnc'); did you mean 'gcn'?
    """
    names = sorted(valid)
    wanted = str(got).lower()
    near = difflib.get_close_matches(wanted, names, n=5, cutoff=0.5)
    # Swapped letters are the likeliest slip: prefer, among close names, the one with the same letters.
    near.sort(key=lambda name: sorted(name) != sorted(wanted))
    hint = f"; did you mean '{near[0]}'?" if near else ""
    return InputError(argument, f"must be one of {', '.join(names)} (got {got!r}){hint}")
