"""Helpers for tests of figures."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable
from io import BytesIO
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Float
from matplotlib.image import imread

from bids_shresnet.report.style import Drawing

USER_SETTINGS: Any = {"font.size": 30, "svg.fonttype": "path", "axes.facecolor": "red"}


def svg_texts(drawing: Drawing) -> list[str]:
    """All texts of the SVG, in order."""
    elements = ET.fromstring(drawing.svg).iter()
    return ["".join(element.itertext()) for element in elements if element.tag.endswith("text")]


def png_pixels(png: bytes) -> Float[np.ndarray, "y x 3"]:
    """Red, green and blue from 0 to 1."""
    return np.asarray(imread(BytesIO(png))[..., :3])


def assert_is_described(drawing: Drawing) -> None:
    """Check that a figure has a PNG, a caption and a shorter text for readers who cannot see it."""
    assert drawing.png.startswith(b"\x89PNG")
    assert len(drawing.caption) > len(drawing.alt) > 20


def assert_is_reproducible(draw: Callable[[], Drawing]) -> None:
    """Check that a figure depends on no settings of the process, and changes none."""
    settings = dict(mpl.rcParams)
    first = draw()
    assert dict(mpl.rcParams) == settings
    with mpl.rc_context(USER_SETTINGS):
        second = draw()
    assert second == first
    assert b"<dc:date>" not in first.svg
