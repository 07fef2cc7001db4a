"""The page in a headless Chromium: no errors, no overflow on a phone, sorting by mouse and keyboard, loaded images."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from relgraph.report import render_html, save_html
from relgraph.report.stitching import stitching_report
from relgraph.report.upgrade import upgrade_report
from relgraph.stitching import build_report
from tests.report.made import HOSTILE, made
from tests.report.test_stability import predicted, trained
from tests.stitching.small import run

pytestmark = pytest.mark.slow

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WIDTHS = (390, 1280)
# A page is as wide as its widest element; tables scroll in containers of their own.
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
OUTSIDE = """[...document.querySelectorAll("body *")].filter((one) => !one.closest(".scroll table, svg *")
    && one.getBoundingClientRect().right > innerWidth + 1).map((one) => one.tagName)"""
IMAGES = """Promise.all([...document.querySelectorAll("svg image")].map((one) => {
    const image = new Image();
    image.src = one.href.baseVal;
    return image.decode().then(() => image.naturalWidth * one.getBoundingClientRect().width > 0, () => false);
}))"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("there is no chromium")
    with sync_api.sync_playwright() as started:
        # In a container, root has no namespaces for the sandbox.
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A page with everything, one with hostile names, one without intervals, and those of the commands."""
    folder = tmp_path_factory.mktemp("pages")
    experiment = run("nodes")
    expected = {"old": {"convert": {"fidelity": {"value": 0.9, "low": 0.8, "high": 1.0}}}}
    upgrade = {"verdict": "keep", "reason": "r", "method": "kl", "num_anchors": 9, "expected": expected}
    reports = {
        "made": made(),
        "hostile": made(HOSTILE),
        "stitch": stitching_report(build_report(experiment, command="relgraph stitch"), experiment),
        "upgrade": upgrade_report({**upgrade, "distances": {"old": 0.5}, "notes": ["none"]}),
        "stability": trained(folder / "runs").report(),
        "predictions": predicted(1, 3, labeled=False).report(),
        "many": predicted(11, 5, name="a model with a long name").report(),
    }
    for name, report in reports.items():
        save_html(report, folder / f"{name}.html")
    return {name: folder / f"{name}.html" for name in reports}


class Opened:
    """A page with what it complained about and what it asked for."""

    def __init__(self, browser: Any, path: Path, width: int = 1280, scheme: str = "light") -> None:
        self.page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.complaints.append(dialog.message), dialog.dismiss()))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())

    def column(self, table: str, place: int) -> list[str]:
        """Keys of a column, from top to bottom."""
        rows = f"table:has(#table-{table}) tbody tr"
        return self.page.eval_on_selector_all(rows, "(rows, at) => rows.map((r) => r.cells[at].dataset.key)", place)

    def heads(self, table: str) -> Any:
        return self.page.locator(f"table:has(#table-{table}) thead th")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["made", "hostile", "stitch", "upgrade", "stability", "predictions", "many"])
def test_no_errors_no_overflow_no_requests_and_images_load(
    name: str, width: int, scheme: str, browser: Any, pages: dict[str, Path]
) -> None:
    opened = Opened(browser, pages[name], width, scheme)
    assert opened.page.evaluate(OVERFLOW) <= 0
    assert opened.page.evaluate(OUTSIDE) == []
    loaded = opened.page.evaluate(IMAGES)
    assert all(loaded) and len(loaded) == {"made": 2, "hostile": 2, "upgrade": 0}.get(name, len(loaded))
    assert loaded or name == "upgrade"
    assert [url for url in opened.requests if not url.startswith("data:")] == [pages[name].as_uri()]
    assert opened.complaints == []
    opened.page.close()


def test_a_wide_table_scrolls_in_its_own_container(browser: Any, pages: dict[str, Path]) -> None:
    opened = Opened(browser, pages["made"], 390)
    wide = opened.page.locator(".scroll:has(#table-wide)")
    assert wide.evaluate("(one) => one.scrollWidth > 3 * one.clientWidth")
    wide.focus()
    opened.page.keyboard.press("ArrowRight")
    for _ in range(50):  # scrolling is smooth
        if wide.evaluate("(one) => one.scrollLeft"):
            break
        opened.page.wait_for_timeout(100)
    assert wide.evaluate("(one) => one.scrollLeft") > 0
    first = wide.locator("tbody th").first
    assert first.evaluate("(one) => one.getBoundingClientRect().left") < 60  # the name of the row remains visible
    opened.page.close()


def test_tables_sort_by_mouse_and_keyboard(browser: Any, pages: dict[str, Path]) -> None:
    opened = Opened(browser, pages["made"])
    heads, given = opened.heads("values"), opened.column("values", 0)
    assert [heads.nth(place).get_attribute("aria-sort") for place in range(4)] == ["none"] * 4
    heads.nth(1).locator("button").click()
    assert opened.column("values", 1) == ["-0.25", "0.5", "0.75", ""]  # as numbers, without a value last
    assert heads.nth(1).get_attribute("aria-sort") == "ascending"
    heads.nth(1).locator("button").click()
    assert opened.column("values", 1) == ["0.75", "0.5", "-0.25", ""]
    assert heads.nth(1).get_attribute("aria-sort") == "descending"
    heads.nth(2).locator("button").focus()
    opened.page.keyboard.press("Enter")
    assert opened.column("values", 2) == ["-3", "9", "80", "1000"]
    opened.page.keyboard.press("Space")
    assert opened.column("values", 2) == ["1000", "80", "9", "-3"]
    states = [heads.nth(place).get_attribute("aria-sort") for place in range(4)]
    assert states == ["none", "none", "descending", "none"]
    heads.nth(0).locator("button").click()
    assert opened.column("values", 0) == ["alpha", "beta gcn", "gamma 9", "gamma 10"] != given
    assert opened.complaints == []
    opened.page.close()


def test_the_tables_of_a_study_sort_by_what_they_show(browser: Any, pages: dict[str, Path]) -> None:
    opened = Opened(browser, pages["stability"])
    for table, place in (("accuracy", 1), ("strata", 2), ("representations", 4), ("flips", 2)):
        head = opened.heads(table).nth(place).locator("button")
        head.click()
        rising = [float(key) for key in opened.column(table, place) if key]
        assert rising == sorted(rising) and len(rising) > 1, table
        head.click()
        assert [float(key) for key in opened.column(table, place) if key] == rising[::-1], table
    assert opened.complaints == []
    opened.page.close()


def test_texts_and_drawings_are_legible_in_both_schemes(browser: Any, pages: dict[str, Path]) -> None:
    for scheme in ("light", "dark"):
        opened = Opened(browser, pages["stitch"], scheme=scheme)
        page = _luminance(opened.page.evaluate("getComputedStyle(document.body).backgroundColor"))
        for selector, least in (
            ("p", 7.0),
            ("svg text", 7.0),
            (".note", 4.5),
            ("nav a", 4.5),
            (".bounds, .count", 4.5),
        ):
            property = "fill" if selector.startswith("svg") else "color"
            text = opened.page.eval_on_selector(selector, f"(one) => getComputedStyle(one).{property}")
            low, high = sorted((page, _luminance(text)))
            assert (high + 0.05) / (low + 0.05) >= least, (scheme, selector, text)
        opened.page.close()


def _luminance(color: str) -> float:
    """Relative luminance as WCAG defines it, of ``rgb(r, g, b)``."""
    parts = [int(part) / 255 for part in color.removeprefix("rgb(").removesuffix(")").split(",")]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_the_page_is_readable_without_its_script(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(render_html(made()).replace('"use strict";', '"use other";'), encoding="utf-8")
    opened = Opened(browser, path)
    # A script with another digest than that of the policy does not run.
    assert opened.page.locator("th button").count() == 0
    assert opened.page.locator("td").count() > 100 and "Content Security Policy" in "".join(opened.complaints)
    opened.page.close()
