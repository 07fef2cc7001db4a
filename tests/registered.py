"""All registered similarities and normalizations, loaded, and a loop over them inside one test."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any

from relgraph import registry

SIMILARITIES = {name: registry.SIMILARITIES.resolve(name) for name in registry.SIMILARITIES}
NORMALIZATIONS = {name: registry.NORMALIZATIONS.resolve(name) for name in registry.NORMALIZATIONS}


def looped(names: str, values: Iterable[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """As ``pytest.mark.parametrize``, but inside one test: for cases whose expected result is computed alike.

    A failure names its case in a note.
    """
    arguments = [name.strip() for name in names.split(",")]
    cases = [value if len(arguments) > 1 else (value,) for value in values]

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(test)
        def run(**given: Any) -> None:
            for case in cases:
                try:
                    test(**given, **dict(zip(arguments, case, strict=True)))
                except Exception as error:
                    error.add_note(f"in the case {', '.join(map(str, case))}")
                    raise

        signature = inspect.signature(test)
        kept = [parameter for name, parameter in signature.parameters.items() if name not in arguments]
        run.__signature__ = signature.replace(parameters=kept)  # type: ignore[attr-defined]
        return run

    return decorate


PAIRS = [(s, n) for s in SIMILARITIES for n in NORMALIZATIONS if n == "none" or not SIMILARITIES[s].whitens]
WHITENING = [(s, n) for s, n in PAIRS if SIMILARITIES[s].whitens or n == "whiten"]
EVERY_PAIR = looped("similarity, normalization", PAIRS)
