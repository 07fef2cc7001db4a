from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from pathlib import Path

import pytest

from relgraph.errors import DataError, InputError
from relgraph.report import Column, Estimate, Figure, Report, Section, Table, render_html, save_html
from relgraph.report.svg import svg_element
from tests.report.made import HOSTILE, Reader, drawn, made


@cache
def page_of(name: str = "gcn") -> str:
    return render_html(made(name))


LOADING = {"src", "srcset", "data", "poster", "action", "xlink:href"}


def test_tables_have_captions_heads_and_keys() -> None:
    page = Reader(page_of())
    assert page.inside["caption"] == ["Values of gcn", "Forty columns"]
    assert len(page.all("table")) == 2
    heads = page.all("th")
    assert sum(head.get("scope") == "col" for head in heads) == 4 + 40
    assert sum(head.get("scope") == "row" for head in heads) == 4 + 3
    cells = [cell["data-key"] for cell in page.all("td")][:9]
    assert cells == ["0.5", "1000", "1", "", "9", "0", "0.75", "80", "1"]
    regions = [part for part in page.all("div") if part.get("role") == "region"]
    assert [part["aria-labelledby"] for part in regions] == [part["id"] for part in page.all("caption")]
    assert all(part["tabindex"] == "0" for part in regions)


def test_numbers_have_their_intervals_and_counts() -> None:
    column = Column("share", "share", unit="%", digits=1)
    rows = [["a", Estimate(0.5, 0.4, 0.6, 20, "pairs")], ["b", Estimate(0.75, n=30)], ["c", 3]]
    text = "".join(Reader(render_html(Report("R", sections=[Section("S", tables=[_table(column, rows)])]))).text)
    assert "50.0 [40.0, 60.0] n = 20 pairs" in text and "75.0 n = 30" in text and "300.0" in text
    same = [["a", Estimate(0.5, n=20)], ["b", None], ["c", Estimate(0.6, n=20)]]
    text = "".join(Reader(render_html(Report("R", sections=[Section("S", tables=[_table(column, same)])]))).text)
    assert text.count("n = 20") == 1 and "share (%) n = 20" in text  # once, in the head


def _table(column: Column, rows: list[list[str | int | Estimate | None]]) -> Table:
    return Table("t", "T", [Column("name", "name"), column], rows)


def test_figures_have_texts_and_ids_that_differ() -> None:
    page = Reader(page_of())
    figures = [figure for figure in page.all("svg") if figure.get("role") == "img"]
    assert [figure["aria-label"] for figure in figures] == [f"A line and pixels, gcn {seed}." for seed in (0, 1)]
    assert all("viewbox" in figure and "height" not in figure for figure in figures)
    assert len(page.all("figure")) == 2 and page.inside["figcaption"] == ["Caption gcn"] * 2
    assert "one & two < three" in page.inside["text"]
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids)) and ids
    used = re.findall(r"url\(#([^)]*)\)", page_of())
    assert used and set(used) <= set(ids)


def test_nothing_is_loaded_from_elsewhere() -> None:
    text = page_of()
    page = Reader(text)
    assert "http:" not in text and "https:" not in text and "@import" not in text
    for tag, attributes in page.elements:
        for name in LOADING & set(attributes):
            assert str(attributes[name]).startswith(("data:", "#")), (tag, name)
        assert not any(name.startswith("on") for name in attributes)
    assert {link["href"] for link in page.all("link")} == {"data:,"}
    targets = {f"#{attributes['id']}" for _, attributes in page.elements if "id" in attributes}
    assert all(link["href"] in targets for link in page.all("a"))


def test_the_policy_allows_the_script_of_the_page_and_no_other() -> None:
    page = Reader(page_of(HOSTILE))
    (script,) = page.inside["script"]
    policy = next(one["content"] for one in page.all("meta") if one.get("http-equiv") == "Content-Security-Policy")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy and "default-src 'none'" in policy


def test_texts_of_users_are_escaped() -> None:
    page = Reader(page_of(HOSTILE))
    assert len(page.all("script")) == 1 and page.all("img") == []
    text = "".join(page.text)
    for place in (
        "Report on {}",
        "{} is good.",
        "{} is small.",
        "Text of {}.",
        "beta {}",
        "Values of {}",
        "Caption {}",
    ):
        assert place.format(HOSTILE) in text
    assert HOSTILE in "".join(page.inside["code"])
    figures = [figure["aria-label"] for figure in page.all("svg") if "aria-label" in figure]
    assert figures[0] == f"A line and pixels, {HOSTILE} 0."


def test_the_page_is_complete_without_a_script_and_the_same_every_time(tmp_path: Path) -> None:
    save_html(made(), tmp_path / "a.html")
    assert (tmp_path / "a.html").read_text(encoding="utf-8") == page_of()  # drawn at another time
    assert "<button" not in page_of().partition("<script>")[0]
    with pytest.raises(DataError, match="must be writable"):
        save_html(Report("R"), tmp_path / "missing" / "a.html")


def test_a_report_of_nothing_is_a_page() -> None:
    page = Reader(render_html(Report("R")))
    assert page.inside["h1"] == ["R"] and page.all("table") == [] == page.all("nav")


def test_black_takes_the_color_of_the_page() -> None:
    element = svg_element(Figure(drawn, "A line."), "one")
    assert "currentColor" in element and "#000000" not in element and "max-width: 288px" in element
    assert "<metadata" not in element and "xmlns" not in element
    assert element == svg_element(Figure(drawn, "A line."), "one") != svg_element(Figure(drawn, "A line."), "two")


def test_svg_documents_are_taken_as_they_are_but_for_scripts() -> None:
    given = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><script>a()</script><path d="M0 0"/></svg>'
    element = svg_element(Figure(given, 'A "path".'), "one")
    assert element.startswith("<svg") and "script" not in element and '<path d="M0 0"/>' in element
    assert Reader(element).all("svg")[0]["aria-label"] == 'A "path".'
    for wrong in ("<svg", "<html/>", ""):
        with pytest.raises(InputError, match="must .*be an SVG document"):
            svg_element(Figure(wrong, "Nothing."), "one")
