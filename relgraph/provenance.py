"""What a result was made with: versions of Python and of packages."""

from __future__ import annotations

import platform
from importlib.metadata import version


def versions(*packages: str) -> dict[str, str]:
    """Versions of Python and of packages, without the name of a build.

    Example:
        >>> list(versions("numpy", "relgraph"))
        ['python', 'numpy', 'relgraph']
    """
    return {"python": platform.python_version(), **{name: version(name).split("+")[0] for name in packages}}
