from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from matplotlib.figure import Figure

from bids_shresnet.report.figures.point_notes import PointNote, note_points, write_notes
from bids_shresnet.report.style import Drawing, figure_style, render_figure

HREF = "{http://www.w3.org/1999/xlink}href"
SVG = "{http://www.w3.org/2000/svg}"


def draw_points(notes: list[PointNote]) -> Drawing:
    with figure_style():
        figure = Figure(figsize=(2, 2))
        points = figure.subplots().scatter(range(len(notes)), range(len(notes)))
        note_points(points, notes)
        return write_notes(render_figure(figure, "points", "caption", "alt"))


@pytest.mark.parametrize("count", [1, 2, 30])  # matplotlib writes few points in another way
def test_each_point_has_its_text_and_the_link_of_its_page(count: int) -> None:
    notes = [PointNote(f'<{n}> & 5 %: "a"', f"sub-{n}.html" if n % 2 else "") for n in range(count)]
    root = ET.fromstring(draw_points(notes).svg)
    found = []
    for element in root.iter():
        title = element.find(f"{SVG}title")
        if title is not None:
            shapes = [item for item in element.iter() if item.tag in (f"{SVG}use", f"{SVG}path")]
            assert len(shapes) == 1
            found.append(PointNote(title.text or "", element.get(HREF, "").removeprefix("../")))
    assert found == notes


def test_notes_change_no_pixel_and_leave_no_address() -> None:
    notes = [PointNote("a", "b.html"), PointNote("c")]
    drawing = draw_points(notes)
    assert drawing.has_links
    assert b"note:" not in drawing.svg
    assert drawing.png == draw_points([PointNote("x"), PointNote("y")]).png
