"""Figures as SVG elements inside a page: text stays text, and black takes the color of the page's text."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING
from xml.dom import minidom
from xml.parsers.expat import ExpatError

from relgraph.errors import InputError
from relgraph.report.document import Figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

POINTS_PER_PIXEL = 0.75


def svg_element(figure: Figure, salt: str) -> str:
    """The figure as an ``<svg>`` element for a page of HTML.

    Lines and texts in pure black become ``currentColor``, so that they are legible on a light and on a dark page; what
    must remain dark, such as a text on a white box, needs any other color. The element has the figure's text as its
    label, scales with the page, and refers to nothing outside itself.

    Args:
        figure: What to draw.
        salt: Makes the ids of this element differ from those of others on the page.

    Raises:
        InputError: If the source is no SVG document.
    """
    text = figure.source if isinstance(figure.source, str) else _drawn(figure.source(), salt)
    try:
        root = minidom.parseString(text).documentElement
    except ExpatError as error:
        raise InputError("source", f"must draw a figure or be an SVG document (got: {error}); check it") from error
    if root is None or root.tagName != "svg":
        raise InputError("source", "must be an SVG document with the root 'svg' (got another); check it")
    for name in ("metadata", "title", "script"):
        for node in root.getElementsByTagName(name):
            if node.parentNode is not None:
                node.parentNode.removeChild(node)
    width = root.getAttribute("width").removesuffix("pt")
    for name in ("xmlns", "xmlns:xlink", "version", "width", "height"):  # HTML knows them without
        if root.hasAttribute(name):
            root.removeAttribute(name)
    root.setAttribute("role", "img")
    root.setAttribute("aria-label", figure.alt)
    root.setAttribute("fill", "currentColor")
    if width.replace(".", "", 1).isdecimal():
        root.setAttribute("style", f"max-width: {float(width) / POINTS_PER_PIXEL:.0f}px")
    for node in root.getElementsByTagName("g"):
        if node.hasAttribute("id"):  # names of matplotlib's artists, the same in every figure and referred to by none
            node.removeAttribute("id")
    return str(root.toxml()).replace("#000000", "currentColor")


def _drawn(drawing: Drawing, salt: str) -> str:
    from matplotlib import rc_context

    text = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": salt}):
        drawing.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return text.getvalue()
