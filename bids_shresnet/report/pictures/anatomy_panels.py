"""Pictures on the mean b0: masks, tissues and registration, and what is out of distribution."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from bids_shresnet.report.pictures.captions import (
    ANATOMY_CAPTION,
    NOVELTY_CAPTION,
    NOVELTY_THRESHOLD,
    ORIENTATION_CAPTION,
    REGISTRATION_CAPTION,
)
from bids_shresnet.report.pictures.gallery import Panel
from bids_shresnet.report.pictures.mosaic import ColourScale, draw_mosaic
from bids_shresnet.report.pictures.scan_maps import BEFORE, TARGET, ScanMaps
from bids_shresnet.report.style import ORANGE, SKY, Drawing
from bids_shresnet.scans import Tissue

MAX_NOVELTY = 2.0  # end of its scale
B0_SCALE = ColourScale(0.0, 2.5, "mean b0 over its median in the brain")
FILE_NAMES = {BEFORE: "b0Input", TARGET: "b0Target"}


def anatomy_panel(scan_maps: ScanMaps) -> Panel:
    """Draw the b0 of this scan and of the target's, both with the outlines of this scan."""
    caption = f"{ANATOMY_CAPTION} {ORIENTATION_CAPTION}"
    if TARGET not in scan_maps.views:
        pictures = {BEFORE: _draw_b0(scan_maps, BEFORE, scan_maps.s0, caption)}
        return Panel("images", "Brain mask and tissues", pictures)
    caption = f"{ANATOMY_CAPTION} {REGISTRATION_CAPTION} {ORIENTATION_CAPTION}"
    s0 = scan_maps.unmask_view(TARGET, scan_maps.views[TARGET].s0)
    images = {BEFORE: scan_maps.s0, TARGET: s0 / np.nanmedian(s0)}
    pictures = {
        state: _draw_b0(scan_maps, state, image, caption) for state, image in images.items()
    }
    return Panel("images", "Brain mask, tissues and registration", pictures)


def _draw_b0(
    scan_maps: ScanMaps, state: str, image: Float[np.ndarray, "x y z"], caption: str
) -> Drawing:
    return draw_mosaic(
        image,
        scan_maps.layout,
        B0_SCALE,
        f"{state.capitalize()}: mean b0, with the mask and white matter of this scan",
        name=FILE_NAMES[state],
        caption=caption,
        alt=f"Mosaic of the mean b0, {state}, with outlines of the brain and of white matter",
        outlines=_outlines(scan_maps),
    )


def novelty_panel(scan_maps: ScanMaps) -> Panel:
    """Draw where the scan is out of distribution, over its b0."""
    is_novel = scan_maps.signal_mask & (scan_maps.novelty > NOVELTY_THRESHOLD)
    drawing = draw_mosaic(
        np.where(is_novel, scan_maps.novelty, np.nan),
        scan_maps.layout,
        ColourScale(NOVELTY_THRESHOLD, MAX_NOVELTY, "out-of-distribution score", "autumn"),
        "Out-of-distribution voxels, over the mean b0",
        name="novelty",
        caption=NOVELTY_CAPTION,
        alt="Mosaic of the out-of-distribution voxels of the scan over its mean b0",
        underlay=_grey_b0(scan_maps),
    )
    return Panel("trust", "Out-of-distribution voxels", {"novelty": drawing})


def _outlines(scan_maps: ScanMaps) -> dict[str, Bool[np.ndarray, "x y z"]]:
    """Return the regions to outline by colour."""
    outlines = {ORANGE: scan_maps.layout.mask}
    if scan_maps.tissue is not None:
        outlines[SKY] = np.asarray(scan_maps.tissue == Tissue.WM)
    return outlines


def _grey_b0(scan_maps: ScanMaps) -> Float[np.ndarray, "x y z"]:
    """Mean b0 inside the brain, scaled to 0 to 1."""
    scaled = np.clip(scan_maps.s0 / B0_SCALE.high, 0, 1)
    return np.asarray(np.where(scan_maps.layout.mask, scaled, 0))
