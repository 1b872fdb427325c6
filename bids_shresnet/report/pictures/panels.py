"""The pictures of a harmonized scan, their colour scales and captions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float

from bids_shresnet.report.figures.agreement import draw_differences, draw_joint_histograms
from bids_shresnet.report.figures.agreement_data import AgreementData, voxel_agreement
from bids_shresnet.report.figures.power import draw_subject_power
from bids_shresnet.report.page import MINUS
from bids_shresnet.report.pictures.anatomy_panels import anatomy_panel, novelty_panel
from bids_shresnet.report.pictures.captions import (
    ANGLE_CAPTION,
    DIRECTION_CAPTION,
    ORIENTATION_CAPTION,
    SHOWN_VOXELS_PHRASE,
    TARGET_CAPTION,
    UNCERTAINTY_CAPTION,
    UNCERTAINTY_SCALE_PERCENTILE,
)
from bids_shresnet.report.pictures.dwi_view import DwiView
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
from bids_shresnet.report.style import DISPLAY_FACTORS, Drawing
from bids_shresnet.scans import Tissue

FA_SCALE = ColourScale(0.0, 0.8, "FA")
MD_SCALE = ColourScale(0.0, 2.0, "MD (10⁻³ mm²/s)")
MAX_ANGLE_DEGREES = 30.0  # end of the scale of angles
DIFFERENCE_SCALE_STEP = 0.05  # the scale of differences ends at a multiple of it
DIFFERENCE_SCALE_PERCENTILE = 98  # of the differences that the scale covers
MIN_UNCERTAINTY_SCALE = 1e-4
MIN_ANGLE_TO_REPORT_DEGREES = 1.0  # between the direction of a volume and the one asked for

# States in the names of files: the words of the maps (desc-input, desc-harmonized)
FILE_WORDS = {BEFORE: "Input", AFTER: "Harmonized", TARGET: "Target"}

Maps = Mapping[str, Float[np.ndarray, "x y z"]]  # by state: before, after, target


def build_panels(scan_maps: ScanMaps) -> tuple[Panel, ...]:
    """Draw all pictures, in the order of the page."""
    fa = scan_maps.fa
    md = {state: DISPLAY_FACTORS["MD"] * values for state, values in scan_maps.md.items()}
    return (
        anatomy_panel(scan_maps),
        _map_panel(scan_maps, fa, FA_SCALE, "FA", "Fractional anisotropy"),
        _map_panel(scan_maps, md, MD_SCALE, "MD", "Mean diffusivity"),
        _signal_panel(scan_maps),
        _difference_panel(scan_maps, fa, "FA", FA_SCALE.label),
        _difference_panel(scan_maps, md, "MD", MD_SCALE.label),
        _direction_panel(scan_maps),
        _angle_panel(scan_maps),
        *_agreement_panels(scan_maps),
        *_power_panels(scan_maps),
        novelty_panel(scan_maps),
        *_uncertainty_panels(scan_maps),
    )


def _map_panel(
    scan_maps: ScanMaps, maps: Maps, scale: ColourScale, quantity: str, title: str
) -> Panel:
    caption = f"{title}, all pictures on the same scale. {_layout_caption(scan_maps)}"
    return Panel("images", title, _map_pictures(scan_maps, maps, scale, quantity, caption))


def _map_pictures(
    scan_maps: ScanMaps, maps: Maps, scale: ColourScale, quantity: str, caption: str
) -> dict[str, Drawing]:
    """Draw one picture per state."""
    mask = scan_maps.layout.mask
    return {
        state: draw_mosaic(
            np.where(mask, values, np.nan),
            scan_maps.layout,
            scale,
            f"{state.capitalize()}: {quantity}",
            name=f"{quantity.lower()}{FILE_WORDS[state]}",
            caption=caption,
            alt=f"Mosaic of {quantity}, {state}, in axial, coronal and sagittal slices",
        )
        for state, values in maps.items()
    }


def _signal_panel(scan_maps: ScanMaps) -> Panel:
    """Draw one volume of the middle shell."""
    shell = scan_maps.shells[len(scan_maps.shells) // 2]
    maps = {
        state: scan_maps.unmask_view(state, view.signal) for state, view in scan_maps.views.items()
    }
    highest = np.percentile(scan_maps.views[BEFORE].signal, 99.5)
    scale = ColourScale(0.0, max(0.1, float(np.ceil(10 * highest) / 10)), "S/S0")
    caption = (
        f"S/S0 of one volume of the shell of b = {shell.bvalue:.0f} s/mm² (of the source), on the "
        f"same scale. {_describe_volumes(scan_maps)} {_layout_caption(scan_maps)}"
    )
    pictures = _map_pictures(scan_maps, maps, scale, "DWI", caption)
    return Panel("images", "One DWI volume", pictures)


def _describe_volumes(scan_maps: ScanMaps) -> str:
    """Name the volume of each state, its direction, and its angle to that of the source."""
    volumes = []
    for state, view in scan_maps.views.items():
        vector = ", ".join(f"{value:.2f}" for value in view.direction).replace("-", MINUS)
        angle = f", {view.angle_degrees:.0f}° away" if _is_other_direction(view) else ""
        volumes.append(f"{state}: volume {view.volume + 1}, along ({vector}){angle}")
    return f"{'; '.join(volumes)}.".capitalize()


def _is_other_direction(view: DwiView) -> bool:
    return view.angle_degrees > MIN_ANGLE_TO_REPORT_DEGREES


def _difference_panel(scan_maps: ScanMaps, maps: Maps, quantity: str, label: str) -> Panel:
    """Draw the change, and the errors before and after if there is a target, on one scale."""
    errors = [(BEFORE, TARGET), (AFTER, TARGET)] if TARGET in maps else []
    differences = {
        (first, second): maps[first] - maps[second] for first, second in [*errors, (AFTER, BEFORE)]
    }
    tissue = _shown_tissue(scan_maps)
    end = _difference_scale_end([values[tissue] for values in differences.values()])
    scale = ColourScale(-end, end, f"difference of {label}", "RdBu_r")
    pictures = {
        f"{first} {MINUS} {second}": _difference_picture(
            scan_maps, values, scale, quantity, (first, second)
        )
        for (first, second), values in differences.items()
    }
    return Panel("images", f"Difference of {quantity}", pictures)


def _shown_tissue(scan_maps: ScanMaps) -> Bool[np.ndarray, "x y z"]:
    """Voxels in the pictures in grey and white matter; the rim would stretch the scale."""
    shown_mask = scan_maps.layout.shown_mask
    if scan_maps.tissue is None:
        return shown_mask
    return np.asarray(shown_mask & np.isin(scan_maps.tissue, (Tissue.GM, Tissue.WM)))


def _difference_picture(
    scan_maps: ScanMaps,
    values: Float[np.ndarray, "x y z"],
    scale: ColourScale,
    quantity: str,
    states: tuple[str, str],
) -> Drawing:
    first, second = states
    title = f"{quantity}: {first} {MINUS} {second}"
    return draw_mosaic(
        np.where(scan_maps.layout.mask, values, np.nan),
        scan_maps.layout,
        scale,
        title,
        name=f"{quantity.lower()}{FILE_WORDS[first]}Minus{FILE_WORDS[second]}",
        caption=(
            f"Differences of {quantity}, all on the same symmetric scale; white: none, red: the "
            f"first is higher. {_layout_caption(scan_maps)}"
        ),
        alt=f"Mosaic of {title}",
    )


def _difference_scale_end(differences: Sequence[Float[np.ndarray, " v"]]) -> float:
    sizes = np.abs(np.concatenate(differences))
    covered = np.nanpercentile(sizes, DIFFERENCE_SCALE_PERCENTILE)
    steps = max(1.0, float(np.ceil(covered / DIFFERENCE_SCALE_STEP)))
    return steps * DIFFERENCE_SCALE_STEP


def _direction_panel(scan_maps: ScanMaps) -> Panel:
    caption = f"{DIRECTION_CAPTION} {_layout_caption(scan_maps)}"
    pictures = {}
    for state, view in scan_maps.views.items():
        directions = scan_maps.unmask_view(state, view.tensor.direction)
        pictures[state] = draw_direction_mosaic(
            np.nan_to_num(directions),
            np.nan_to_num(scan_maps.fa[state]) / FA_SCALE.high,
            scan_maps.layout,
            f"{state.capitalize()}: colour FA",
            name=f"colourFa{FILE_WORDS[state]}",
            caption=caption,
            alt=f"Mosaic of principal directions, {state}",
        )
    return Panel("images", "Fibre directions", pictures)


def _angle_panel(scan_maps: ScanMaps) -> Panel:
    tracts = tract_mask(scan_maps)
    angles = np.full(tracts.shape, np.nan, dtype=np.float32)
    angles[tracts] = direction_change(scan_maps)
    drawing = draw_mosaic(
        scan_maps.unmask_view(BEFORE, angles),
        scan_maps.layout,
        ColourScale(0.0, MAX_ANGLE_DEGREES, "angle (degrees)", "viridis"),
        "Angle between principal directions, before and after",
        name="angle",
        caption=ANGLE_CAPTION,
        alt="Mosaic of the angle between principal directions before and after",
    )
    return Panel("images", "Change of fibre directions", {"angle": drawing})


def _agreement_panels(scan_maps: ScanMaps) -> list[Panel]:
    """Compare scan and target voxel by voxel."""
    remark = (
        "Noise of both scans and errors of the rigid registration widen the cloud. "
        f"{_regions_caption(scan_maps)}"
    )
    panels = []
    for quantity, maps in (("FA", scan_maps.fa), ("MD", scan_maps.md)):
        values = paired_values(scan_maps, maps)
        if values:
            agreement = voxel_agreement(values, quantity, SHOWN_VOXELS_PHRASE, remark)
            panels += _draw_agreement(agreement, quantity)
    return panels


def _draw_agreement(agreement: AgreementData, quantity: str) -> list[Panel]:
    """Draw joint histograms and differences of one quantity."""
    joint = {"joint": draw_joint_histograms(agreement)}
    difference = {"difference": draw_differences(agreement)}
    return [
        Panel("metrics", f"{quantity} and the target's {quantity}", joint),
        Panel("metrics", f"Difference of {quantity} to the target's", difference),
    ]


def _power_panels(scan_maps: ScanMaps) -> list[Panel]:
    powers = rish_by_region(scan_maps)
    if not powers:
        return []
    drawing = draw_subject_power(
        powers,
        scan_maps.shells,
        scan_maps.method,
        where=SHOWN_VOXELS_PHRASE,
        remark=_regions_caption(scan_maps),
    )
    return [Panel("metrics", "Power of the harmonics", {"power": drawing})]


def _uncertainty_panels(scan_maps: ScanMaps) -> list[Panel]:
    """Draw how far the target's signal may be from the harmonized one, if this is known."""
    if scan_maps.uncertainty is None:
        return []
    brain_values = scan_maps.uncertainty[scan_maps.layout.mask]
    end = float(np.percentile(brain_values, UNCERTAINTY_SCALE_PERCENTILE))
    label = "standard deviation of S/S0"
    drawing = draw_mosaic(
        np.where(scan_maps.layout.mask, scan_maps.uncertainty, np.nan),
        scan_maps.layout,
        ColourScale(0.0, max(end, MIN_UNCERTAINTY_SCALE), label, "viridis"),
        "Uncertainty",
        name="uncertainty",
        caption=UNCERTAINTY_CAPTION,
        alt="Mosaic of the uncertainty of the signal",
    )
    return [Panel("trust", "Uncertainty", {"uncertainty": drawing})]


def _regions_caption(scan_maps: ScanMaps) -> str:
    return f"Regions: {'; '.join(region.name for region in scan_maps.regions)}."


def _layout_caption(scan_maps: ScanMaps) -> str:
    """Describe the slices and, if there is one, the target's."""
    if TARGET in scan_maps.views:
        return f"{ORIENTATION_CAPTION} {TARGET_CAPTION}"
    return ORIENTATION_CAPTION
