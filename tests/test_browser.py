"""Reports in a real browser: headless Chromium, offline, as wide as a desktop and a phone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from bids_shresnet.outputs.ratings import write_group_ratings
from bids_shresnet.report.figures.errors import draw_biases
from bids_shresnet.report.group_content import DatasetReport
from bids_shresnet.report.group_page import render_group_report
from bids_shresnet.report.scan_index import IndexContent, render_index
from bids_shresnet.report.subject_page import render_subject_report
from tests.report.figures.test_scan_values import VALUES
from tests.report.test_group_page import pair_report
from tests.report.test_index_rows import index_rows, last_status, qc_row
from tests.report.test_subject_page import subject_report

pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page, Request

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
CHROMIUM_FLAGS = (
    "--no-sandbox",  # root has none in a container
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
)
PAGES = ("group", "sub-01", "index")
INDEX_ROWS = index_rows(
    [qc_row(f"{n:02d}", 0.4 + n / 100 + (n == 0)) for n in range(9)], last_status("10", "failed")
)
DESKTOP_WIDTH = 1280
PHONE_WIDTH = 390
WCAG_A_AND_AA = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa")
FLICKER_MILLISECONDS = 1000  # more than one change, less than two
IMAGES = "[...document.images].map(image => [image.alt, image.naturalWidth])"
HREFS = "[...document.querySelectorAll('a[href]')].map(link => link.getAttribute('href'))"
HAS_TARGET = "id => document.getElementById(id) !== null"
OVERFLOW = "document.documentElement.scrollWidth - innerWidth"
SHOWN_IMAGE = "document.querySelector('figure.flicker img.shown').dataset.label"
FLICKER_BUTTON = "figure.flicker .tools button:last-child"


@dataclass
class Tab:
    """An open page, and what happened while it was open."""

    page: Page
    messages: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def add_message(self, message: ConsoleMessage) -> None:
        self.messages.append(f"{message.type}: {message.text}")

    def add_error(self, error: Exception) -> None:
        self.messages.append(f"uncaught: {error}")

    def add_request(self, request: Request) -> None:
        if not request.url.startswith(("file:", "data:")):
            self.requests.append(request.url)


@contextmanager
def open_tab(
    browser: Browser,
    path: Path,
    width: int = DESKTOP_WIDTH,
    reduced_motion: Literal["reduce"] | None = None,
    color_scheme: Literal["light", "dark"] = "light",
) -> Iterator[Tab]:
    """Open a page without network until all of it is loaded."""
    context = browser.new_context(
        offline=True,
        viewport={"width": width, "height": 900},
        is_mobile=width == PHONE_WIDTH,
        reduced_motion=reduced_motion,
        color_scheme=color_scheme,
    )
    tab = Tab(context.new_page())
    tab.page.on("console", tab.add_message)
    tab.page.on("pageerror", tab.add_error)
    tab.page.on("request", tab.add_request)
    tab.page.goto(path.as_uri(), wait_until="load")
    yield tab
    context.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no chromium on the PATH")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    pair = replace(pair_report(), figures={"metrics": (draw_biases(pair_report().biases),)})
    texts = {
        "group": render_group_report([pair], {"command": "app"}, DatasetReport()),
        "sub-01": render_subject_report(subject_report()),
        "index": render_index(
            IndexContent(INDEX_ROWS, VALUES), frozenset(f"{name}.html" for name in PAGES)
        ),
    }
    for name, text in texts.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in texts}


@pytest.mark.parametrize("width", [DESKTOP_WIDTH, PHONE_WIDTH])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_complete_and_fits_the_window(
    browser: Browser, pages: dict[str, Path], name: str, width: int
) -> None:
    with open_tab(browser, pages[name], width) as tab:
        images = tab.page.evaluate(IMAGES)
        overflow = tab.page.evaluate(OVERFLOW)
    assert images or name == "index"  # its figure is an SVG
    assert [alt for alt, pixels in images if not pixels] == []
    assert overflow <= 0
    assert tab.messages == []
    assert tab.requests == []


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_somewhere(browser: Browser, pages: dict[str, Path], name: str) -> None:
    with open_tab(browser, pages[name]) as tab:
        hrefs = tab.page.evaluate(HREFS)
        for href in hrefs:
            if href.startswith("#"):
                assert tab.page.evaluate(HAS_TARGET, href.removeprefix("#")), href
            else:
                assert pages[name].with_name(href).exists(), href
    assert hrefs


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [DESKTOP_WIDTH, PHONE_WIDTH])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_accessible(
    browser: Browser,
    pages: dict[str, Path],
    name: str,
    width: int,
    color_scheme: Literal["light", "dark"],
) -> None:
    """The rules of WCAG 2 at levels A and AA, as axe-core checks them."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    rules = {"runOnly": {"type": "tag", "values": WCAG_A_AND_AA}}
    with open_tab(browser, pages[name], width, color_scheme=color_scheme) as tab:
        results = axe.Axe().run(tab.page, options=rules)
    assert results.response["violations"] == [], results.generate_report()
    assert results.response["passes"]


def test_input_and_harmonized_change_by_button_and_key_and_print_side_by_side(
    browser: Browser, pages: dict[str, Path]
) -> None:
    with open_tab(browser, pages["sub-01"]) as tab:
        page = tab.page
        assert page.evaluate(SHOWN_IMAGE) == "before"
        page.focus("figure.flicker .tools button")
        page.keyboard.press("ArrowRight")
        assert page.evaluate(SHOWN_IMAGE) == "after"
        page.click(FLICKER_BUTTON)
        assert page.evaluate(SHOWN_IMAGE) == "before"
        page.wait_for_timeout(FLICKER_MILLISECONDS)
        assert page.evaluate(SHOWN_IMAGE) == "after"
        page.emulate_media(media="print")
        images = page.locator("figure.flicker img").all()
        assert all(image.is_visible() for image in images)
        left, right = [image.bounding_box() for image in images]
    assert left
    assert right
    assert left["x"] < right["x"]
    assert left["y"] == right["y"]


def test_one_switch_changes_all_pictures_and_a_picture_can_be_enlarged(
    browser: Browser, pages: dict[str, Path]
) -> None:
    with open_tab(browser, pages["sub-01"]) as tab:
        page = tab.page
        page.get_by_role("group", name="All pictures").get_by_role("button", name="after").click()
        assert page.evaluate(SHOWN_IMAGE) == "after"
        page.keyboard.press("f")
        page.keyboard.press("f")
        assert page.evaluate(SHOWN_IMAGE) == "before"
        page.get_by_role("button", name="enlarge").first.click()
        dialog = page.get_by_role("dialog")
        assert dialog.get_by_role("img").get_attribute("alt") == "Alt of fabefore"
        page.keyboard.press("Escape")
        assert not dialog.is_visible()


def test_a_rating_is_exported_as_the_app_collects_it(
    browser: Browser, pages: dict[str, Path], tmp_path: Path
) -> None:
    with open_tab(browser, pages["sub-01"]) as tab:
        page = tab.page
        page.keyboard.press("3")
        page.get_by_label("motion").check()
        page.get_by_label("Comment").fill("1 of 3 volumes")
        with page.expect_download() as download:
            page.get_by_role("button", name="export as JSON").click()
        assert download.value.suggested_filename == "sub-01_rating.json"
        download.value.save_as(tmp_path / "ratings/sub-01_rating.json")
    (row,) = write_group_ratings(tmp_path)
    assert (row["participant_id"], row["rating"]) == ("sub-01", "fail")
    assert (row["artefacts"], row["comment"]) == ("motion", "1 of 3 volumes")


def test_one_form_of_the_methods_is_shown_at_a_time(
    browser: Browser, pages: dict[str, Path]
) -> None:
    with open_tab(browser, pages["sub-01"]) as tab:
        page = tab.page
        assert page.locator("#methods-text").is_visible()
        page.get_by_role("tab", name="Text").focus()
        page.keyboard.press("ArrowRight")
        assert page.locator("#methods-markdown").is_visible()
        assert not page.locator("#methods-text").is_visible()


def test_a_press_changes_once_where_reduced_motion_is_preferred(
    browser: Browser, pages: dict[str, Path]
) -> None:
    with open_tab(browser, pages["sub-01"], reduced_motion="reduce") as tab:
        tab.page.click(FLICKER_BUTTON)
        tab.page.wait_for_timeout(1.7 * FLICKER_MILLISECONDS)
        assert tab.page.evaluate(SHOWN_IMAGE) == "after"


def test_tables_sort_by_the_column_that_is_pressed(
    browser: Browser, pages: dict[str, Path]
) -> None:
    with open_tab(browser, pages["sub-01"]) as tab:
        button = tab.page.locator("#pairing th button").nth(1)
        cell = tab.page.locator("#pairing tbody tr").first.locator("td, th").nth(1)
        for scanner in ("GE", "Prisma"):  # ascending, then descending
            button.click()
            assert cell.text_content() == scanner
