"""How the tables of the README files are written."""

from __future__ import annotations

import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NAMES = {"cora": "Cora", "citeseer": "CiteSeer", "pubmed": "PubMed", "photo": "Photo"}


def results(question, name="results"):
    """The measured numbers of one benchmark."""
    return json.loads((ROOT / "benchmarks" / question / f"{name}.json").read_text(encoding="utf-8"))


def table(header, rows):
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def interval(figure, digits=3):
    """Mean and interval of a figure."""
    if figure is None:
        return "-"
    text = f"{figure['mean']:.{digits}f}"
    if figure["interval"]:
        low, high = figure["interval"]
        text += f" [{low:.{digits}f}, {high:.{digits}f}]"
    return text


def short(figure, key="mean"):
    """One number of a figure."""
    return "-" if figure is None else f"{figure[key]:.3f}"
