"""What goes wrong because of the caller or of the world, each as one sentence.

Everything that relgraph raises on purpose is one of the two classes here, so that the command line can print the
sentence alone and keep tracebacks for its own mistakes. The sentence names the argument, the rule, the value got and
a way out.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """An argument breaks a rule. The command line ends with status 2."""


class DataError(RuntimeError):
    """A file, a folder, the network or the machine is not as needed. The command line ends with status 1."""


def unknown_name(argument: str, got: object, valid: Iterable[str]) -> InputError:
    """The error for a name that no registry knows: lists the valid names and suggests the nearest.

    Args:
        argument: Name of the argument, as its user wrote it.
        got: The value that was given.
        valid: All names that would have been understood.

    Example:
        >>> print(unknown_name("encoder", "gnc", ["sage", "gcn"]))
        'encoder' must be one of gcn, sage (got 'gnc'); did you mean 'gcn'?
    """
    names = sorted(valid)
    wanted = str(got).lower()
    near = difflib.get_close_matches(wanted, names, n=5, cutoff=0.5)
    # Swapped letters are the likeliest slip: of names that are about as near, the one with the same letters.
    near.sort(key=lambda name: sorted(name) != sorted(wanted))
    hint = f"; did you mean '{near[0]}'?" if near else ""
    return InputError(f"'{argument}' must be one of {', '.join(names)} (got {got!r}){hint}")
