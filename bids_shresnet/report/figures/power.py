"""Power (RISH) of every order before and after, beside the target's: over the subjects of a group, or one's voxels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bids_shresnet.evaluation.agreement import SCAN_STATES, TARGET_MEASUREMENT, RishPower
from bids_shresnet.evaluation.statistics import TISSUES
from bids_shresnet.report.style import (
    FAINT,
    TISSUE_NAMES,
    Drawing,
    box_style,
    draw_boxes,
    figure_style,
    render_figure,
    style_axes,
)
from bids_shresnet.scans import Shell
from bids_shresnet.settings import NO_HARMONIZATION

WHISKER_PERCENTILES = (5.0, 95.0)  # percentiles
ORDERS_CAPTION = (
    "Order 0 is the mean over directions, higher orders are contrast between directions. A box is the middle half with "
    "its median, its whiskers reach from the 5th to the 95th percentile; b (s/mm²) is the source's."
)


@dataclass(frozen=True)
class PowerPanel:
    """Power of one order of a shell in a region.

    Attributes
    ----------
    values
        By `STATES` and, where it is known, `MEASURED`: one a subject, NaN where one lacks it, or one a voxel.
    """

    region: str
    bvalue: float
    order: int
    values: Mapping[str, Float[np.ndarray, " n"]]


def draw_group_power(powers: Sequence[RishPower], method: str) -> Drawing:
    """Of all held-out subjects, each a line."""
    subjects = dict.fromkeys(row.subject for row in powers)
    found = {
        (row.tissue, row.bvalue, row.order, row.method, row.subject): row.power for row in powers
    }
    states = dict(
        zip(
            (*SCAN_STATES, TARGET_MEASUREMENT),
            (NO_HARMONIZATION, method, TARGET_MEASUREMENT),
            strict=True,
        )
    )
    bvalues, orders = (
        sorted({getattr(row, name) for row in powers}) for name in ("bvalue", "order")
    )
    tissues = [tissue for tissue in TISSUES if any(row.tissue == tissue for row in powers)]
    parts = [
        PowerPanel(
            TISSUE_NAMES[place[0]],
            *place[1:],
            {
                name: np.array([found.get((*place, one, s), np.nan) for s in subjects])
                for name, one in states.items()
            },
        )
        for bvalue, tissue, order in product(bvalues, tissues, orders)
        for place in [(tissue, bvalue, order)]
    ]
    caption = (
        f"Power of the signal by order of its spherical harmonics (RISH), mean over a tissue of {len(subjects)} "
        f"held-out subjects; a grey line is a subject. {ORDERS_CAPTION} Noise adds power to every order. A prediction without "
        "noise is therefore shown as the target would measure it: the power that the noise of the target's scan has in "
        "the mean is added."
    )
    return _draw_power(parts, method, caption, has_subject_lines=True)


def draw_subject_power(
    powers: Mapping[str, Mapping[str, Float[np.ndarray, "v o"]]],
    shells: Sequence[Shell],
    method: str,
    *,
    where: str,
    remark: str,
) -> Drawing:
    """Of the voxels of one scan.

    Parameters
    ----------
    powers
        By region, then by `STATES` and perhaps `MEASURED`: RISH of each order, shell after shell.
    shells
        Of the source.
    where, remark
        Which voxels they are, as a part of a sentence; what a reader has to know besides.
    """
    columns = [
        (shell.bvalue, order) for shell in shells for order in range(0, shell.sh_order + 1, 2)
    ]
    parts = [
        PowerPanel(
            region, bvalue, order, {name: values[:, column] for name, values in by_state.items()}
        )
        for region, by_state in powers.items()
        for column, (bvalue, order) in enumerate(columns)
    ]
    caption = (
        f"Power of the signal by order of its spherical harmonics (RISH) {where}. {ORDERS_CAPTION} A measurement's noise adds "
        "to the power of high orders, where it is most of it; what a network predicts holds less noise. "
        f"{remark}"
    )
    return _draw_power(parts, method, caption, has_subject_lines=False)


def _draw_power(
    power_panels: Sequence[PowerPanel], method: str, caption: str, *, has_subject_lines: bool
) -> Drawing:
    """A row a shell and region, a column an order; each panel from zero, since orders differ by powers of ten."""
    orders = sorted({part.order for part in power_panels})
    rows = sorted(
        dict.fromkeys((part.bvalue, part.region) for part in power_panels), key=lambda row: row[0]
    )
    with figure_style():
        figure = Figure(
            figsize=(max(4.5, 2.3 * len(orders)), 0.6 + 2.1 * len(rows)), layout="constrained"
        )
        panels = figure.subplots(len(rows), len(orders), squeeze=False)
        for axes in panels.flat:
            axes.axis("off")  # of an order that the shell has not
        for part in power_panels:
            axes = panels[rows.index((part.bvalue, part.region)), orders.index(part.order)]
            _draw_power_panel(axes, part, method, has_subject_lines=has_subject_lines)
        for (bvalue, region), row in zip(rows, panels, strict=True):
            row[0].set_ylabel(f"{region}\nb = {bvalue:.0f}", fontweight="bold")
        figure.supylabel("power, (S/S0)²", fontsize="medium")
        regions = " and ".join(dict.fromkeys(part.region for part in power_panels))
        states = ", ".join(dict.fromkeys(name for part in power_panels for name in part.values))
        return render_figure(
            figure,
            "power",
            caption,
            f"Power of the spherical-harmonic orders in {regions}: {states}",
        )


def _draw_power_panel(
    axes: Axes, panel: PowerPanel, method: str, *, has_subject_lines: bool
) -> None:
    """A box a state; lines only between states that a subject has."""
    axes.axis("on")
    values = list(panel.values.values())
    for line in zip(*values, strict=True) if has_subject_lines else ():
        axes.plot(
            range(len(line)),
            line,
            color=FAINT,
            alpha=0.6,
            linewidth=0.8,
            marker=".",
            markersize=3,
            zorder=1,
        )
    looks = [box_style(NO_HARMONIZATION), box_style(method), {"facecolor": FAINT}]
    draw_boxes(
        axes,
        [one[np.isfinite(one)].tolist() for one in values],
        looks,
        whiskers=WHISKER_PERCENTILES,
    )
    axes.set_title(f"order {panel.order}", fontsize="medium")
    axes.set_xticks(range(len(values)), list(panel.values))
    axes.set_xlim(-0.6, len(values) - 0.4)
    axes.set_ylim(bottom=0)
    style_axes(axes, "y")
