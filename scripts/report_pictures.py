#!/usr/bin/env python3
"""Make docs/images/report-*.png, the pictures of docs/how-to/report.md, from reports.

    scripts/report_pictures.py OUTPUT_DIR/derivatives/shresnet sub-01

OUTPUT_DIR holds the results of `group` and `participant`, and the subject travelled. The pages are
opened in headless Chromium (playwright). The documentation shows simulated travelling heads with
real anatomy (2.4 mm voxels).
"""

from __future__ import annotations

import sys
from io import BytesIO
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, NamedTuple

from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import Page

IMAGES = Path(__file__).resolve().parent.parent / "docs/images"
WIDTH = 1040  # of the window, pixels
HEIGHT = 1600
COLOURS = 256  # of an image, which is then half as large
HIDE_BAR = ".bar { position: static !important; }"


class Shot(NamedTuple):
    """A part of a page.

    Attributes
    ----------
    name
        Of the image, after `report-`.
    page
        Name of the page without extension; empty for that of the subject.
    selector
        Of the part.
    button
        Text of the button to press first.
    """

    name: str
    page: str
    selector: str
    button: str = ""


SHOTS = (
    Shot("effect", "group", "#summary [aria-label^='Size of the effect']"),
    Shot("tested", "group", "#summary [aria-label^='What was tested']"),
    Shot("head", "group", "#before-after figure:has(img[alt^='FA of a held-out'])"),
    Shot("agreement", "group", "#before-after .beside figure:nth-of-type(3)"),
    Shot("subjects", "group", "#metrics figure:has(svg)"),
    Shot("known-effects", "group", "#metrics [aria-label^='Known effects']"),
    Shot("uncertainty-coverage", "group", "#uncertainty figure"),
    Shot("scans", "index", "#scanners figure"),
    Shot("outliers", "index", "#scans .box"),
    Shot("means", "", "#summary .box"),
    Shot("registration", "", "#images figure:has-text('registration')", "target"),
    Shot("fa", "", "#images figure:has(h4:text-is('Fractional anisotropy'))", "after"),
    Shot(
        "difference",
        "",
        "#images figure:has(h4:text-is('Difference of FA'))",
        "after \N{MINUS SIGN} target",
    ),
    Shot("power", "", "#metrics figure:has(h4:text-is('Power of the harmonics'))"),
    Shot("novelty", "", "#trust figure:nth-of-type(1)"),
    Shot("uncertainty", "", "#trust figure:nth-of-type(2)"),
    Shot("rating", "", "#rating"),
)


def main(output: Path, subject: str) -> None:
    """Take all pictures."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=which("chromium") or which("chromium-browser"),
            args=["--no-sandbox", "--disable-gpu"],
        )
        page = chromium.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        for shot in SHOTS:
            page.goto((output / f"{shot.page or subject}.html").resolve().as_uri())
            page.add_style_tag(content=HIDE_BAR)
            take_picture(page, shot)
        chromium.close()


def take_picture(page: Page, shot: Shot) -> None:
    """Write the image of one part of an open page."""
    part = page.locator(shot.selector).first
    if shot.button:
        part.get_by_role("button", name=shot.button, exact=True).click()
    with Image.open(BytesIO(part.screenshot())) as image:
        quantized = image.convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE)
        quantized.save(IMAGES / f"report-{shot.name}.png", optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
