from __future__ import annotations

from itertools import product

import pytest

from bids_shresnet.report.figures.scan_values import ScanValue, draw_scan_values
from tests.report.drawings import assert_is_described, assert_is_reproducible, svg_texts

pytestmark = pytest.mark.slow
COLUMNS = (("GE", "before"), ("GE", "after"), ("Prisma", "target"))
VALUES = [
    ScanValue(f"{n:02d}", scanner, stage, tissue, quantity, 0.4 + n / 100)
    for n, (scanner, stage), tissue, quantity in product(
        range(3), COLUMNS, ("WM", "GM"), ("FA", "MD")
    )
]


def test_scanners_and_stages_are_columns_and_points_link_to_pages() -> None:
    drawing = draw_scan_values(VALUES, {"sub-01.html"})
    assert_is_described(drawing)
    texts = svg_texts(drawing)
    assert texts.count("before") == texts.count("after") == texts.count("target") == 2
    svg = drawing.svg.decode()
    assert "../sub-01.html" in svg
    assert "../sub-02.html" not in svg


def test_the_figure_is_reproducible() -> None:
    assert_is_reproducible(lambda: draw_scan_values(VALUES[:12], ()))
