"""The pages of the public interface, from the docstrings.

    pip install -c constraints.txt -e ".[docs]" && python docs/build.py FOLDER

A warning of pdoc, such as an annotation that cannot be resolved, is an error.
"""

from __future__ import annotations

import pkgutil
import sys
import warnings
from pathlib import Path

import pdoc

import relgraph


def modules() -> list[str]:
    """All public modules."""
    found = [found.name for found in pkgutil.walk_packages(relgraph.__path__, "relgraph.")]
    return ["relgraph", *(name for name in found if not name.rpartition(".")[2].startswith("_"))]


def build(folder: Path) -> None:
    """Write one page for each module."""
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", message=r".*torch\.jit", category=DeprecationWarning)  # of PyG's import
    warnings.filterwarnings("ignore", message="The module specification")  # packages name some of their modules already
    pdoc.render.configure(docformat="restructuredtext", math=True, footer_text=f"relgraph {relgraph.__version__}")
    pdoc.pdoc(*modules(), output_directory=folder)


if __name__ == "__main__":
    build(Path(sys.argv[1]))
