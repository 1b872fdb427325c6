"""Power (RISH) of each spherical-harmonic order, before and after, and of the target scanner.

The group report draws it over the subjects, the subject report over the voxels of one scan.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bids_shresnet.evaluation.agreement import SCAN_STATES
from bids_shresnet.evaluation.results import TISSUES
from bids_shresnet.evaluation.rish_power import TARGET_MEASUREMENT, RishPower, shell_orders
from bids_shresnet.report.style import (
    FAINT,
    TISSUE_NAMES,
    Drawing,
    box_style,
    draw_boxes,
    draw_subject_line,
    figure_style,
    render_figure,
    style_axes,
)
from bids_shresnet.scans import Shell
from bids_shresnet.settings import NO_HARMONIZATION

WHISKER_PERCENTILES = (5.0, 95.0)
ORDERS_CAPTION = (
    "Order 0 is the mean over directions; higher orders are contrast between directions. A box is "
    "the middle half of the values with their median; its whiskers reach from the 5th to the 95th "
    "percentile. The b-values (s/mm²) are the source's."
)
GROUP_CAPTION = (
    "Power of the signal by order of its spherical harmonics (RISH), mean over a tissue of "
    f"{{subject_count}} held-out subjects. A grey line is one subject. {ORDERS_CAPTION} Noise adds "
    "power to every order. A prediction without noise is therefore shown as the target scanner "
    "would measure it: the mean power of the noise of the target's scan is added."
)
SUBJECT_CAPTION = (
    f"Power of the signal by order of its spherical harmonics (RISH) {{where}}. {ORDERS_CAPTION} "
    "Noise adds to the power of every order and is most of it in high orders. A prediction without "
    "noise is therefore shown as the target scanner would measure it: the mean power of its noise "
    "is added. {remark}"
)


@dataclass(frozen=True)
class PowerPanel:
    """Power of one order of a shell in a region.

    Attributes
    ----------
    values
        Arrays by `SCAN_STATES` and, if it was measured, `TARGET_MEASUREMENT`. They have one value
        per subject, NaN where a subject lacks the state, or one per voxel.
    """

    region: str
    bvalue: float
    order: int
    values: Mapping[str, Float[np.ndarray, " n"]]


def draw_group_power(powers: Sequence[RishPower], method: str) -> Drawing:
    """Draw the mean power of all held-out subjects, with one line per subject."""
    bvalues = sorted({row.bvalue for row in powers})
    orders = sorted({row.order for row in powers})
    measured_tissues = {row.tissue for row in powers}
    tissues = [tissue for tissue in TISSUES if tissue in measured_tissues]
    panels = [
        PowerPanel(
            region=TISSUE_NAMES[tissue],
            bvalue=bvalue,
            order=order,
            values=_subject_values(powers, method, (tissue, bvalue, order)),
        )
        for bvalue, tissue, order in product(bvalues, tissues, orders)
    ]
    subject_count = len({row.subject for row in powers})
    caption = GROUP_CAPTION.format(subject_count=subject_count)
    return _draw_power(panels, method, caption, has_subject_lines=True)


def draw_subject_power(
    powers: Mapping[str, Mapping[str, Float[np.ndarray, "v o"]]],
    shells: Sequence[Shell],
    method: str,
    *,
    where: str,
    remark: str,
) -> Drawing:
    """Draw the power in the voxels of one scan.

    Parameters
    ----------
    powers
        RISH of each order, shell after shell, by region and then by `SCAN_STATES` and, if it was
        measured, `TARGET_MEASUREMENT`.
    shells
        Shells of the source.
    where
        Phrase that names the voxels.
    remark
        Sentence at the end of the caption.
    """
    panels = []
    for region, state_powers in powers.items():
        for column, (bvalue, order) in enumerate(shell_orders(shells)):
            values = {state: power[:, column] for state, power in state_powers.items()}
            panels.append(PowerPanel(region, bvalue, order, values))
    caption = SUBJECT_CAPTION.format(where=where, remark=remark)
    return _draw_power(panels, method, caption, has_subject_lines=False)


def _subject_values(
    powers: Sequence[RishPower], method: str, panel_key: tuple[str, float, int]
) -> dict[str, Float[np.ndarray, " n"]]:
    """Power of each subject by state, for one tissue, b-value and order."""
    subjects = dict.fromkeys(row.subject for row in powers)
    rows = [row for row in powers if (row.tissue, row.bvalue, row.order) == panel_key]
    measured = {(row.method, row.subject): row.power for row in rows}
    before, after = SCAN_STATES
    state_methods = {
        before: NO_HARMONIZATION,
        after: method,
        TARGET_MEASUREMENT: TARGET_MEASUREMENT,
    }
    values = {}
    for state, state_method in state_methods.items():
        power = [measured.get((state_method, subject), np.nan) for subject in subjects]
        values[state] = np.array(power)
    return values


def _draw_power(
    power_panels: Sequence[PowerPanel], method: str, caption: str, *, has_subject_lines: bool
) -> Drawing:
    """Draw one row per shell and region, and one column per order.

    Each panel has its own axis from zero, because orders differ by powers of ten.
    """
    orders = sorted({panel.order for panel in power_panels})
    keys = dict.fromkeys((panel.bvalue, panel.region) for panel in power_panels)
    rows = sorted(keys, key=lambda row: row[0])
    size = (max(4.5, 2.3 * len(orders)), 0.6 + 2.1 * len(rows))
    with figure_style():
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(len(rows), len(orders), squeeze=False)
        for axes in grid.flat:
            axes.axis("off")  # stays so if the shell has no such order
        for panel in power_panels:
            axes = grid[rows.index((panel.bvalue, panel.region)), orders.index(panel.order)]
            _draw_power_panel(axes, panel, method, has_subject_lines=has_subject_lines)
        for (bvalue, region), row_axes in zip(rows, grid, strict=True):
            row_axes[0].set_ylabel(f"{region}\nb = {bvalue:.0f}", fontweight="bold")
        figure.supylabel("power, (S/S0)²", fontsize="medium")
        return render_figure(figure, "power", caption, _alt_text(power_panels))


def _alt_text(panels: Sequence[PowerPanel]) -> str:
    regions = dict.fromkeys(panel.region for panel in panels)
    states = dict.fromkeys(state for panel in panels for state in panel.values)
    return f"Power of the spherical-harmonic orders in {' and '.join(regions)}: {', '.join(states)}"


def _draw_power_panel(
    axes: Axes, panel: PowerPanel, method: str, *, has_subject_lines: bool
) -> None:
    """Draw one box per state; a subject's line has gaps where it lacks a state."""
    axes.axis("on")
    columns = list(panel.values.values())
    if has_subject_lines:
        for subject_values in zip(*columns, strict=True):
            draw_subject_line(axes, subject_values)
    styles = [box_style(NO_HARMONIZATION), box_style(method), {"facecolor": FAINT}]
    finite = [column[np.isfinite(column)].tolist() for column in columns]
    draw_boxes(axes, finite, styles, whiskers=WHISKER_PERCENTILES)
    axes.set_title(f"order {panel.order}", fontsize="medium")
    axes.set_xticks(range(len(columns)), list(panel.values))
    axes.set_xlim(-0.6, len(columns) - 0.4)
    axes.set_ylim(bottom=0)
    style_axes(axes, "y")
