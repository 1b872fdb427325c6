"""Points of a figure that show a text under the pointer, and link to a page.

Matplotlib writes no titles into an SVG, but an address around each point. So the address of a point
holds its text until the SVG is written.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from urllib.parse import quote, unquote

from matplotlib.collections import PathCollection

from bids_shresnet.report.style import FOLDER_UP, Drawing

NOTE = re.compile(r'<a xlink:href="note:([^:"]*):([^"]*)"[^>]*>(.*?)</a>', re.DOTALL)


@dataclass(frozen=True)
class PointNote:
    """Text of a point, and the name of the page that it links to; empty for no link."""

    text: str
    page: str = ""


def note_points(points: PathCollection, notes: Sequence[PointNote]) -> None:
    """Give each point its note."""
    points.set_urls(
        [f"note:{quote(note.text, safe='')}:{quote(note.page, safe='')}" for note in notes]
    )


def write_notes(drawing: Drawing) -> Drawing:
    """Replace the addresses of all points in the SVG by titles and links."""
    svg = NOTE.sub(_write_note, drawing.svg.decode())
    return replace(drawing, svg=svg.encode(), has_links=True)


def _write_note(point: re.Match[str]) -> str:
    text, page, shape = point.groups()
    title = f"<title>{escape(unquote(text))}</title>"
    if not page:
        return f"<g>{title}{shape}</g>"
    return f'<a xlink:href="{FOLDER_UP}{escape(unquote(page))}">{title}{shape}</a>'
