"""Which pictures are made of a harmonized scan, on which scales, and what is said below each."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from bids_shresnet.diffusion.regions import TRACTS
from bids_shresnet.report.figures.agreement import difference_figure, joint_figure
from bids_shresnet.report.figures.agreement_data import of_voxels
from bids_shresnet.report.figures.power import subject_power
from bids_shresnet.report.pictures.gallery import Panel
from bids_shresnet.report.pictures.mosaic import Scale, colour_mosaic, mosaic
from bids_shresnet.report.pictures.scan_maps import AFTER, BEFORE, TARGET, Pictured, compared, in_tracts, powers, turned
from bids_shresnet.report.style import Drawing

MD_UNIT = 1e-3  # mm2/s, in which MD is shown
FA, MD = Scale(0.0, 0.8, "FA (no unit)"), Scale(0.0, 2.0, "MD (10⁻³ mm²/s)")
STEP, ENOUGH = 0.05, 98  # ends of a difference's scale: multiples of a step; percentile that lies within
NOTICED = 30.0  # degrees: end of the scale of angles
NOVEL, MOST_NOVEL = 1.0, 2.0  # threshold of the guard, and the end of its scale
SIDES = "Patient's right is on the left; numbers are mm along the axis."
BESIDE = (
    " Target: the same head as the target scanner measured it, moved rigidly onto this scan and looked up in the "
    "nearest voxel, so it is neither interpolated nor smoothed; EPI distortion of the two scanners still differs."
)
SEEN = "in the voxels that the mosaics show"


def panels_of(shown: Pictured) -> tuple[Panel, ...]:
    """All pictures in the order of the page."""
    in_units = {name: values / MD_UNIT for name, values in shown.md.items()}
    return (
        _maps(shown, shown.fa, FA, "FA", "Fractional anisotropy"),
        _maps(shown, in_units, MD, "MD", "Mean diffusivity"),
        _signal(shown),
        _change(shown, shown.fa, "FA", FA.label),
        _change(shown, in_units, "MD", MD.label),
        _colours(shown),
        _angles(shown),
        *_agreements(shown),
        *_power(shown),
        *_trust(shown),
    )


def _maps(
    shown: Pictured, maps: Mapping[str, Float[np.ndarray, "x y z"]], scale: Scale, short: str, words: str
) -> Panel:
    caption = f"{words}, all pictures on the same scale. {_sides(shown)}"
    pictures = {name: _map(shown, values, scale, short, name, caption) for name, values in maps.items()}
    return Panel("images", words, pictures)


def _map(
    shown: Pictured, values: Float[np.ndarray, "x y z"], scale: Scale, short: str, name: str, caption: str
) -> Drawing:
    title, alt = f"{name.capitalize()}: {short}", f"Mosaic of {short}, {name}, in axial, coronal and sagittal slices"
    return mosaic(values, shown.cut, scale, title, name=f"{short.lower()}{name.capitalize()}", caption=caption, alt=alt)


def _signal(shown: Pictured) -> Panel:
    """One volume of the middle shell."""
    shell = shown.shells[len(shown.shells) // 2]
    end = float(np.ceil(10 * np.percentile(shown.views[BEFORE].signal, 99.5)) / 10)
    others = {name: view.off for name, view in shown.views.items() if view.off > 1}
    off = "; ".join(f"{name}: {angle:.0f}° away" for name, angle in others.items())
    near = f" The volume with the nearest direction is shown ({off})." if off else ""
    caption = (
        f"S/S0 of one volume in the middle of the shell of b = {shell.bvalue:.0f} s/mm² (of the source), as measured "
        f"and as harmonized, on the same scale.{near} {_sides(shown)}"
    )
    maps = {name: shown.volume(name, view.signal) for name, view in shown.views.items()}
    scale = Scale(0.0, max(end, 0.1), "S/S0 (no unit)")
    pictures = {name: _map(shown, values, scale, "DWI", name, caption) for name, values in maps.items()}
    return Panel("images", "One DWI volume", pictures)


def _change(shown: Pictured, maps: Mapping[str, Float[np.ndarray, "x y z"]], short: str, label: str) -> Panel:
    """What harmonizing changed and, with a target, what was wrong before and is wrong after; one scale for all."""
    pairs = [*([(BEFORE, TARGET), (AFTER, TARGET)] if TARGET in maps else []), (AFTER, BEFORE)]
    differences = {pair: maps[pair[0]] - maps[pair[1]] for pair in pairs}
    every = np.concatenate([np.abs(one[shown.cut.seen]) for one in differences.values()])
    reach = max(STEP, float(np.ceil(np.nanpercentile(every, ENOUGH) / STEP)) * STEP)
    scale = Scale(-reach, reach, f"difference of {label}", "RdBu_r")
    caption = (
        f"Differences of {short}, all on the same symmetric scale; white: none, red: the first is higher. "
        f"{_sides(shown)}"
    )
    pictures = {}
    for (one, other), values in differences.items():
        title = f"{short}: {one} \N{MINUS SIGN} {other}"
        name = f"{short.lower()}{one.capitalize()}Minus{other.capitalize()}"
        drawing = mosaic(values, shown.cut, scale, title, name=name, caption=caption, alt=f"Mosaic of {title}")
        pictures[f"{one} \N{MINUS SIGN} {other}"] = drawing
    return Panel("images", f"Difference of {short}", pictures)


def _colours(shown: Pictured) -> Panel:
    caption = f"Principal direction of the tensor (colour) and FA (brightness). {_sides(shown)}"
    pictures = {}
    for name, view in shown.views.items():
        directions = np.nan_to_num(shown.volume(name, view.tensor.direction))
        drawing = colour_mosaic(
            directions,
            np.nan_to_num(shown.fa[name]) / FA.high,
            shown.cut,
            f"{name.capitalize()}: colour FA",
            name=f"colourFa{name.capitalize()}",
            caption=caption,
            alt=f"Mosaic of principal directions, {name}",
        )
        pictures[name] = drawing
    return Panel("images", "Fibre directions", pictures)


def _angles(shown: Pictured) -> Panel:
    tracts = in_tracts(shown)
    values = np.full(tracts.shape, np.nan, dtype=np.float32)
    values[tracts] = turned(shown)
    caption = (
        f"Angle between the principal directions before and after, where the mean FA of both is above {TRACTS:g}; "
        f"elsewhere there is no one direction to speak of. {SIDES}"
    )
    drawing = mosaic(
        shown.volume(BEFORE, values),
        shown.cut,
        Scale(0.0, NOTICED, "angle (degrees)", "viridis"),
        "Angle between principal directions, before and after",
        name="angle",
        caption=caption,
        alt="Mosaic of the angle between principal directions before and after",
    )
    return Panel("images", "Change of fibre directions", {"angle": drawing})


def _agreements(shown: Pictured) -> list[Panel]:
    """Scan and target voxel by voxel."""
    remark = f"Noise of both scans and what the rigid registration leaves widen the cloud. {_regions(shown)}"
    panels = []
    for quantity, maps in (("FA", shown.fa), ("MD", shown.md)):
        if found := compared(shown, maps):
            both = of_voxels(found, quantity, SEEN, remark)
            panels += [
                Panel("metrics", f"{quantity} and the target's {quantity}", {"joint": joint_figure(both)}),
                Panel("metrics", f"Difference of {quantity} to the target's", {"difference": difference_figure(both)}),
            ]
    return panels


def _power(shown: Pictured) -> list[Panel]:
    """Nothing where there is no region."""
    found = powers(shown)
    if not found:
        return []
    drawing = subject_power(found, shown.shells, shown.method, where=SEEN, remark=_regions(shown))
    return [Panel("metrics", "Power of the harmonics", {"power": drawing})]


def _regions(shown: Pictured) -> str:
    return f"Regions: {'; '.join(region.name for region in shown.regions)}."


def _sides(shown: Pictured) -> str:
    """How the slices lie and, where there is one, what the target's are."""
    return SIDES + (BESIDE if TARGET in shown.views else "")


def _trust(shown: Pictured) -> list[Panel]:
    """Where the scan is unlike the training data, and where the networks disagree."""
    novelty = np.where(shown.judged, shown.novelty, np.nan)
    scale = Scale(0.0, MOST_NOVEL, "novelty (1: threshold)", "cividis", NOVEL)
    caption = (
        "How unlike the training data the scan is, in units of the distance that 2 % of healthy brain are beyond. "
        f"Inside the red lines (above {NOVEL:g}) the tissue is unlike anything the networks have seen. White: no "
        f"signal to judge by. {SIDES}"
    )
    drawing = mosaic(
        novelty, shown.cut, scale, "Novelty", name="novelty", caption=caption, alt="Mosaic of the novelty of the scan"
    )
    panels = [Panel("trust", "Novelty", {"novelty": drawing})]
    if shown.uncertainty is not None:
        end = float(np.percentile(shown.uncertainty[shown.cut.mask], 99))
        caption = (
            "Standard deviation of S/S0 over the model's networks: where they disagree, what they say is not well "
            "known. Noise of the scan and what no network was shown are not part of it. The scale ends at the 99th "
            f"percentile of this scan. {SIDES}"
        )
        drawing = mosaic(
            shown.uncertainty,
            shown.cut,
            Scale(0.0, max(end, 1e-4), "standard deviation of S/S0 (no unit)", "viridis"),
            "Uncertainty",
            name="uncertainty",
            caption=caption,
            alt="Mosaic of the disagreement of the networks",
        )
        panels.append(Panel("trust", "Uncertainty", {"uncertainty": drawing}))
    return panels
