from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from itertools import product

import pytest

from bids_shresnet.report.figures.scan_values import (
    MAX_NAMES,
    ScanValue,
    draw_scan_quality,
    draw_scan_values,
)
from tests.report.drawings import assert_is_described, assert_is_reproducible, svg_texts

pytestmark = pytest.mark.slow
FONT_SIZE = 7  # of the names
COLUMNS = (("GE", "before"), ("GE", "after"), ("Prisma", "target"))
PANELS = ("FA, white matter", "FA, grey matter", "MD, white matter", "MD, grey matter")
VALUES = [
    ScanValue(f"{n:02d}", "", scanner, stage, panel, 0.4 + n / 100)
    for panel, n, (scanner, stage) in product(PANELS, range(3), COLUMNS)
]


def novelties(values: Sequence[float]) -> list[ScanValue]:
    return [
        ScanValue(f"{number:02d}", "a", "GE", "harmonized", "Out of distribution (%)", value)
        for number, value in enumerate(values)
    ]


def test_scanners_and_stages_are_columns_and_points_link_to_pages() -> None:
    drawing = draw_scan_values(VALUES, {"sub-01.html"})
    assert_is_described(drawing)
    texts = svg_texts(drawing)
    assert [text for text in texts if text in PANELS] == list(PANELS)
    assert texts.count("before") == texts.count("after") == texts.count("target") == len(PANELS)
    svg = drawing.svg.decode()
    assert "../sub-01.html" in svg
    assert "../sub-02.html" not in svg
    assert svg.count("<title>sub-02, Prisma, target: 0.42</title>") == len(PANELS)


def test_outliers_alone_are_named() -> None:
    drawing = draw_scan_quality(novelties([2.0, 2.1, 2.2, 2.3, 2.4, 30.0]), ())
    names = [text for text in svg_texts(drawing) if text.startswith("sub-")]
    assert names == ["sub-05 ses-a"]


def test_names_of_outliers_at_the_same_height_are_one_above_the_other() -> None:
    drawing = draw_scan_quality(novelties([2.0, 2.1, 2.2, 2.3, 2.4, 30.0, 30.0]), ())
    elements = ET.fromstring(drawing.svg).iter()
    texts = [element for element in elements if element.tag.endswith("text")]
    places = [element.attrib for element in texts if (element.text or "").startswith("sub-")]
    first, second = sorted(float(place["y"]) for place in places)
    assert second - first > FONT_SIZE


def test_of_many_outliers_those_furthest_from_the_median_are_named() -> None:
    usual = [1 + number / 100 for number in range(50)]
    odd = [20.0 + number for number in range(2 * MAX_NAMES)]
    drawing = draw_scan_quality(novelties([*usual, *odd]), ())
    names = [text for text in svg_texts(drawing) if text.startswith("sub-")]
    assert sorted(names) == [f"sub-{number} ses-a" for number in range(55, 60)]


def test_the_figure_is_reproducible() -> None:
    assert_is_reproducible(lambda: draw_scan_values(VALUES[:9], ()))
