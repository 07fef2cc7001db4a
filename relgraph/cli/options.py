"""Parsing of options that hold names, and the option of every library argument."""

from __future__ import annotations

from relgraph.errors import InputError
from relgraph.registry import Registry

# The option that sets an argument of the library, for errors that name the argument.
OPTIONS = {
    "dataset": "--dataset",
    "name": "--dataset",
    "root": "--data-root",
    "task": "--task",
    "features": "--features",
    "encoder": "--encoders",
    "encoders": "--encoders",
    "seeds": "--seeds",
    "method": "--methods",
    "methods": "--methods",
    "num_anchors": "--anchors",
    "strategy": "--anchor-strategy",
    "anchor_features": "--anchor-features",
    "at": "--stitch-at",
    "split": "--split",
    "settings": "--settings",
    "epochs": "--epochs",
    "device": "--device",
}


def names(option: str, text: str, registry: Registry) -> tuple[str, ...]:
    """The names that an option was given, separated by commas.

    Raises:
        InputError: If one is not registered, or there is none.

    Example:
        >>> from relgraph.registry import ENCODERS
        >>> names("--encoders", "gcn, sage", ENCODERS)
        ('gcn', 'sage')
    """
    found = tuple(part.strip() for part in text.split(",") if part.strip())
    if not found:
        raise InputError(option, f"must name at least one of {', '.join(sorted(registry))} (got {text!r})")
    return tuple(registry.check(name, option) for name in found)


def listed(title: str, registry: Registry) -> str:
    """The block of a help text that lists a registry."""
    width = max(map(len, registry)) + 2
    rows = (f"  {name:<{width}}{meaning}" for name, meaning in registry.meanings().items())
    return "\n".join(["\b", f"{title}:", *rows])
