"""Which pictures are made of a harmonized scan, on which scales, and what is said below each."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from bids_shresnet.diffusion.regions import MIN_WHITE_MATTER_FA
from bids_shresnet.report.figures.agreement import draw_differences, draw_joint_histograms
from bids_shresnet.report.figures.agreement_data import voxel_agreement
from bids_shresnet.report.figures.power import draw_subject_power
from bids_shresnet.report.pictures.gallery import Panel
from bids_shresnet.report.pictures.mosaic import ColourScale, draw_direction_mosaic, draw_mosaic
from bids_shresnet.report.pictures.scan_maps import (
    AFTER,
    BEFORE,
    TARGET,
    ScanMaps,
    direction_change,
    paired_values,
    rish_by_region,
    tract_mask,
)
from bids_shresnet.report.style import Drawing

MD_UNIT = 1e-3  # mm2/s, in which MD is shown
FA_SCALE, MD_SCALE = ColourScale(0.0, 0.8, "FA (no unit)"), ColourScale(0.0, 2.0, "MD (10⁻³ mm²/s)")
DIFFERENCE_SCALE_STEP, DIFFERENCE_SCALE_PERCENTILE = (
    0.05,
    98,
)  # ends of a difference's scale: multiples of a step; percentile that lies within
MAX_ANGLE_DEGREES = 30.0  # degrees: end of the scale of angles
NOVELTY_THRESHOLD, MAX_NOVELTY = (
    1.0,
    2.0,
)  # threshold of out-of-distribution voxels, and the end of its scale
ORIENTATION_CAPTION = "Patient's right is on the left; numbers are mm along the axis."
TARGET_CAPTION = (
    " Target: the same head as the target scanner measured it, moved rigidly onto this scan and looked up in the "
    "nearest voxel, so it is neither interpolated nor smoothed; EPI distortion of the two scanners still differs."
)
SHOWN_VOXELS_PHRASE = "in the voxels that the mosaics show"


def build_panels(shown: ScanMaps) -> tuple[Panel, ...]:
    """All pictures in the order of the page."""
    in_units = {name: values / MD_UNIT for name, values in shown.md.items()}
    return (
        _map_panel(shown, shown.fa, FA_SCALE, "FA", "Fractional anisotropy"),
        _map_panel(shown, in_units, MD_SCALE, "MD", "Mean diffusivity"),
        _signal_panel(shown),
        _difference_panel(shown, shown.fa, "FA", FA_SCALE.label),
        _difference_panel(shown, in_units, "MD", MD_SCALE.label),
        _direction_panel(shown),
        _angle_panel(shown),
        *_agreement_panels(shown),
        *_power_panels(shown),
        *_trust(shown),
    )


def _map_panel(
    shown: ScanMaps,
    maps: Mapping[str, Float[np.ndarray, "x y z"]],
    scale: ColourScale,
    short: str,
    words: str,
) -> Panel:
    caption = f"{words}, all pictures on the same scale. {_orientation_caption(shown)}"
    pictures = {
        name: _map_picture(shown, values, scale, short, name, caption)
        for name, values in maps.items()
    }
    return Panel("images", words, pictures)


def _map_picture(
    shown: ScanMaps,
    values: Float[np.ndarray, "x y z"],
    scale: ColourScale,
    short: str,
    name: str,
    caption: str,
) -> Drawing:
    title, alt = (
        f"{name.capitalize()}: {short}",
        f"Mosaic of {short}, {name}, in axial, coronal and sagittal slices",
    )
    return draw_mosaic(
        values,
        shown.layout,
        scale,
        title,
        name=f"{short.lower()}{name.capitalize()}",
        caption=caption,
        alt=alt,
    )


def _signal_panel(shown: ScanMaps) -> Panel:
    """One volume of the middle shell."""
    shell = shown.shells[len(shown.shells) // 2]
    end = float(np.ceil(10 * np.percentile(shown.views[BEFORE].signal, 99.5)) / 10)
    others = {
        name: view.angle_degrees for name, view in shown.views.items() if view.angle_degrees > 1
    }
    off = "; ".join(f"{name}: {angle:.0f}° away" for name, angle in others.items())
    near = f" The volume with the nearest direction is shown ({off})." if off else ""
    caption = (
        f"S/S0 of one volume in the middle of the shell of b = {shell.bvalue:.0f} s/mm² (of the source), as measured "
        f"and as harmonized, on the same scale.{near} {_orientation_caption(shown)}"
    )
    maps = {name: shown.unmask_view(name, view.signal) for name, view in shown.views.items()}
    scale = ColourScale(0.0, max(end, 0.1), "S/S0 (no unit)")
    pictures = {
        name: _map_picture(shown, values, scale, "DWI", name, caption)
        for name, values in maps.items()
    }
    return Panel("images", "One DWI volume", pictures)


def _difference_panel(
    shown: ScanMaps, maps: Mapping[str, Float[np.ndarray, "x y z"]], short: str, label: str
) -> Panel:
    """What harmonizing changed and, with a target, what was wrong before and is wrong after; one scale for all."""
    pairs = [*([(BEFORE, TARGET), (AFTER, TARGET)] if TARGET in maps else []), (AFTER, BEFORE)]
    differences = {pair: maps[pair[0]] - maps[pair[1]] for pair in pairs}
    every = np.concatenate([np.abs(one[shown.layout.shown_mask]) for one in differences.values()])
    reach = max(
        DIFFERENCE_SCALE_STEP,
        float(np.ceil(np.nanpercentile(every, DIFFERENCE_SCALE_PERCENTILE) / DIFFERENCE_SCALE_STEP))
        * DIFFERENCE_SCALE_STEP,
    )
    scale = ColourScale(-reach, reach, f"difference of {label}", "RdBu_r")
    caption = (
        f"Differences of {short}, all on the same symmetric scale; white: none, red: the first is higher. "
        f"{_orientation_caption(shown)}"
    )
    pictures = {}
    for (one, other), values in differences.items():
        title = f"{short}: {one} \N{MINUS SIGN} {other}"
        name = f"{short.lower()}{one.capitalize()}Minus{other.capitalize()}"
        drawing = draw_mosaic(
            values, shown.layout, scale, title, name=name, caption=caption, alt=f"Mosaic of {title}"
        )
        pictures[f"{one} \N{MINUS SIGN} {other}"] = drawing
    return Panel("images", f"Difference of {short}", pictures)


def _direction_panel(shown: ScanMaps) -> Panel:
    caption = f"Principal direction of the tensor (colour) and FA (brightness). {_orientation_caption(shown)}"
    pictures = {}
    for name, view in shown.views.items():
        directions = np.nan_to_num(shown.unmask_view(name, view.tensor.direction))
        drawing = draw_direction_mosaic(
            directions,
            np.nan_to_num(shown.fa[name]) / FA_SCALE.high,
            shown.layout,
            f"{name.capitalize()}: colour FA",
            name=f"colourFa{name.capitalize()}",
            caption=caption,
            alt=f"Mosaic of principal directions, {name}",
        )
        pictures[name] = drawing
    return Panel("images", "Fibre directions", pictures)


def _angle_panel(shown: ScanMaps) -> Panel:
    tracts = tract_mask(shown)
    values = np.full(tracts.shape, np.nan, dtype=np.float32)
    values[tracts] = direction_change(shown)
    caption = (
        f"Angle between the principal directions before and after, where the mean FA of both is above {MIN_WHITE_MATTER_FA:g}; "
        f"elsewhere there is no one direction to speak of. {ORIENTATION_CAPTION}"
    )
    drawing = draw_mosaic(
        shown.unmask_view(BEFORE, values),
        shown.layout,
        ColourScale(0.0, MAX_ANGLE_DEGREES, "angle (degrees)", "viridis"),
        "Angle between principal directions, before and after",
        name="angle",
        caption=caption,
        alt="Mosaic of the angle between principal directions before and after",
    )
    return Panel("images", "Change of fibre directions", {"angle": drawing})


def _agreement_panels(shown: ScanMaps) -> list[Panel]:
    """Scan and target voxel by voxel."""
    remark = f"Noise of both scans and what the rigid registration leaves widen the cloud. {_regions_caption(shown)}"
    panels = []
    for quantity, maps in (("FA", shown.fa), ("MD", shown.md)):
        if found := paired_values(shown, maps):
            both = voxel_agreement(found, quantity, SHOWN_VOXELS_PHRASE, remark)
            panels += [
                Panel(
                    "metrics",
                    f"{quantity} and the target's {quantity}",
                    {"joint": draw_joint_histograms(both)},
                ),
                Panel(
                    "metrics",
                    f"Difference of {quantity} to the target's",
                    {"difference": draw_differences(both)},
                ),
            ]
    return panels


def _power_panels(shown: ScanMaps) -> list[Panel]:
    """Nothing where there is no region."""
    found = rish_by_region(shown)
    if not found:
        return []
    drawing = draw_subject_power(
        found, shown.shells, shown.method, where=SHOWN_VOXELS_PHRASE, remark=_regions_caption(shown)
    )
    return [Panel("metrics", "Power of the harmonics", {"power": drawing})]


def _regions_caption(shown: ScanMaps) -> str:
    return f"Regions: {'; '.join(region.name for region in shown.regions)}."


def _orientation_caption(shown: ScanMaps) -> str:
    """How the slices lie and, where there is one, what the target's are."""
    return ORIENTATION_CAPTION + (TARGET_CAPTION if TARGET in shown.views else "")


def _trust(shown: ScanMaps) -> list[Panel]:
    """Where the scan is unlike the training data, and where the networks disagree."""
    novelty = np.where(shown.signal_mask, shown.novelty, np.nan)
    scale = ColourScale(0.0, MAX_NOVELTY, "novelty (1: threshold)", "cividis", NOVELTY_THRESHOLD)
    caption = (
        "How unlike the training data the scan is, in units of the distance that 2 % of healthy brain are beyond. "
        f"Inside the red lines (above {NOVELTY_THRESHOLD:g}) the tissue is unlike anything the networks have seen. White: no "
        f"signal to judge by. {ORIENTATION_CAPTION}"
    )
    drawing = draw_mosaic(
        novelty,
        shown.layout,
        scale,
        "Novelty",
        name="novelty",
        caption=caption,
        alt="Mosaic of the novelty of the scan",
    )
    panels = [Panel("trust", "Novelty", {"novelty": drawing})]
    if shown.uncertainty is not None:
        end = float(np.percentile(shown.uncertainty[shown.layout.mask], 99))
        caption = (
            "Standard deviation of S/S0 over the model's networks: where they disagree, what they say is not well "
            "known. Noise of the scan and what no network was shown are not part of it. The scale ends at the 99th "
            f"percentile of this scan. {ORIENTATION_CAPTION}"
        )
        drawing = draw_mosaic(
            shown.uncertainty,
            shown.layout,
            ColourScale(0.0, max(end, 1e-4), "standard deviation of S/S0 (no unit)", "viridis"),
            "Uncertainty",
            name="uncertainty",
            caption=caption,
            alt="Mosaic of the disagreement of the networks",
        )
        panels.append(Panel("trust", "Uncertainty", {"uncertainty": drawing}))
    return panels
