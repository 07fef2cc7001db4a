"""A report with everything in it, and a reader of pages."""

from __future__ import annotations

from functools import partial
from html.parser import HTMLParser
from typing import Any

import numpy as np
from matplotlib.figure import Figure as Drawing

from relgraph.report import Column, Estimate, Figure, Report, Section, Table

HOSTILE = "<script>document.title='taken'</script>\"'&<img src=https://example.org/x.png onerror=alert(1)>"
VOID = {"meta", "link", "img", "br", "input"}


def drawn(seed: int = 0) -> Drawing:
    """A line, a text and an image in pixels."""
    figure = Drawing(figsize=(3, 2))
    axis = figure.subplots()
    axis.plot([0, 1], [0, 1], color="black")
    axis.imshow(np.random.default_rng(seed).random((4, 4)), extent=(0, 1, 0, 1), aspect="auto")
    axis.set_title("one & two < three")
    return figure


def made(name: str = "gcn") -> Report:
    """Two tables, one of them wide, and two figures; ``name`` stands wherever a user's text may."""
    values = Table(
        "values",
        f"Values of {name}",
        [
            Column("name", f"name {name}", "what it is called"),
            Column("share", "share", "of all rows", "%", 1),
            Column("count", "count"),
            Column("good", "good"),
        ],
        [
            (f"beta {name}", Estimate(0.5, 0.4, 0.6, 20, "pairs"), 1000, True),
            ("alpha", None, 9, False),
            ("gamma 10", Estimate(0.75, 0.7, 0.8, 20, "pairs"), 80, True),
            ("gamma 9", Estimate(-0.25, -0.3, -0.2, 20, "pairs"), -3, True),
        ],
        note=f"Intervals of {name}.",
    )
    wide = Table(
        "wide", "Forty columns", [Column(f"c{place}", f"column {place}") for place in range(40)], [[*range(40)]] * 3
    )
    figures = [Figure(partial(drawn, seed), f"A line and pixels, {name} {seed}.", f"Caption {name}") for seed in (0, 1)]
    sections = [
        Section(f"First {name}", [f"Text of {name}."], [("data", name)], [values]),
        Section("Wide", tables=[wide]),
        Section("Figures", figures=figures),
    ]
    return Report(
        f"Report on {name}",
        [f"{name} is good."],
        sections,
        [f"{name} is small."],
        f"relgraph stitch --dataset {name} --encoders {'gcn,' * 60}sage",
        {"python": "3.11", "relgraph": "0.2.0"},
    )


class Reader(HTMLParser):
    """Elements of a page with their attributes, and texts; tags must be closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.inside: dict[str, list[str]] = {}
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.inside.setdefault(tag, []).append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)
        for tag in set(self.open):
            self.inside[tag][-1] += data

    def all(self, tag: str) -> list[dict[str, Any]]:
        """Attributes of all elements of a tag."""
        return [attributes for name, attributes in self.elements if name == tag]
