"""What tests read in figures."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from bids_shresnet.report.style import Drawing


def texts(drawing: Drawing) -> list[str]:
    """Return all texts of a figure, in the order of its SVG."""
    elements = ET.fromstring(drawing.svg).iter()
    return ["".join(e.itertext()) for e in elements if e.tag.endswith("text")]
