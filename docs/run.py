"""Run every Python snippet of a page, each alone in a new folder.

python docs/run.py docs/tasks.md
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any


def snippets(page: Path) -> dict[str, str]:
    """The Python snippets of a page by the heading above them."""
    parts = re.split(r"^## (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    found = zip(parts[1::2], parts[2::2], strict=True)
    codes = {title: re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL) for title, text in found}
    return {title: "\n".join(some) for title, some in codes.items() if some}


def run(code: str, name: str) -> dict[str, Any]:
    """The names that a snippet defines."""
    names: dict[str, Any] = {"__name__": "snippet"}
    before = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            exec(compile(code, name, "exec"), names)
        finally:
            os.chdir(before)
    return names


if __name__ == "__main__":
    import relgraph

    sys.stdout.write(f"relgraph {relgraph.__version__} of {Path(relgraph.__file__).parent.parent.name}\n")
    for title, code in snippets(Path(sys.argv[1])).items():
        run(code, title)
        sys.stdout.write(f"{title}: done\n")
