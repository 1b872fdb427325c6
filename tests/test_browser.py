"""Reports in a real browser, offline, at the width of a desk and of a phone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bids_shresnet.report.figures.errors import draw_biases
from bids_shresnet.report.group_page import DatasetReport, render_group_report
from bids_shresnet.report.subject_page import render_subject_report
from tests.browser import CHROMIUM, Tab, browser
from tests.report.test_group_page import pair_report
from tests.report.test_subject_page import report

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
WIDTHS = (1280, 390)
SHOWN = "document.querySelector('figure.flicker img.shown').dataset.label"
PRESS = "document.querySelector('figure.flicker .tools button:last-child')"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    made = replace(pair_report(), figures={"metrics": (draw_biases(pair_report().biases),)})
    texts = {
        "group": render_group_report([made], {"command": "app"}, DatasetReport()),
        "sub-01": render_subject_report(report()),
    }
    for name, text in texts.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in texts}


@pytest.fixture(scope="module")
def tab() -> Iterator[Tab]:
    with browser() as opened:
        yield opened


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["group", "sub-01"])
def test_a_page_is_whole(tab: Tab, pages: dict[str, Path], name: str, width: int) -> None:
    tab.errors.clear()
    tab.open(pages[name], width)
    found = tab.look()
    assert tab.errors == []
    assert tab.requests == []
    assert found["images"]
    assert [alt for alt, drawn in found["images"] if not drawn] == []
    assert found["broken"] == []
    assert [file for file in found["files"] if not pages[name].with_name(file).exists()] == []
    assert found["width"] <= found["window"]


def test_before_and_after_change_by_button_and_by_key_and_print_beside_each_other(
    tab: Tab, pages: dict[str, Path]
) -> None:
    tab.open(pages["sub-01"], 1280)
    assert tab.run(SHOWN) == "before"
    tab.run("document.querySelector('figure.flicker .tools button').focus()")
    tab.press("ArrowRight")
    assert tab.run(SHOWN) == "after"
    tab.run(f"{PRESS}.click()")
    assert tab.run(SHOWN) == "before"
    assert tab.run(f"new Promise(done => setTimeout(() => done({SHOWN}), 1000))") == "after"
    tab.ask("Emulation.setEmulatedMedia", media="print")
    places = tab.run(
        "[...document.querySelectorAll('figure.flicker img')].map(i => [i.getBoundingClientRect().x, "
        "i.getBoundingClientRect().y, getComputedStyle(i).visibility])"
    )
    tab.ask("Emulation.setEmulatedMedia", media="")
    (x, y, one), (other_x, other_y, other) = places
    assert x < other_x
    assert y == other_y
    assert one == other == "visible"


def test_where_less_motion_is_preferred_a_press_changes_once(
    tab: Tab, pages: dict[str, Path]
) -> None:
    still = [{"name": "prefers-reduced-motion", "value": "reduce"}]
    tab.ask("Emulation.setEmulatedMedia", features=still)
    tab.open(pages["sub-01"], 1280)
    tab.run(f"{PRESS}.click()")
    assert tab.run(f"new Promise(done => setTimeout(() => done({SHOWN}), 1700))") == "after"
    tab.ask("Emulation.setEmulatedMedia", features=[])


def test_tables_sort_by_the_column_that_is_pressed(tab: Tab, pages: dict[str, Path]) -> None:
    tab.open(pages["sub-01"], 1280)
    first = "document.querySelector('#pairing tbody tr').cells[1].textContent"
    for wanted in ("GE", "Prisma"):  # ascending, then descending
        tab.run("document.querySelectorAll('#pairing th button')[1].click()")
        assert tab.run(first) == wanted
