"""Power (RISH) of every order before and after, beside the target's, subject by subject."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bids_shresnet.agreement import MEASURED, STATES, Power
from bids_shresnet.files.drawing import FAINT, TISSUE_NAMES, Drawing, boxes, draw, look, style, tidy
from bids_shresnet.statistics import NOTHING, TISSUES


def power_figure(powers: Sequence[Power], method: str) -> Drawing:
    """A row a shell and tissue, a column an order; before, after and the target, a line a subject."""
    orders, bvalues = (sorted({getattr(row, name) for row in powers}) for name in ("order", "bvalue"))
    lines = list(product(bvalues, TISSUES))
    n = len({row.subject for row in powers})
    with style():
        figure = Figure(figsize=(max(4.5, 2.3 * len(orders)), 0.6 + 2.3 * len(lines)), layout="constrained")
        panels = figure.subplots(len(lines), len(orders), sharex=True, squeeze=False)
        for (line, column), axes in np.ndenumerate(panels):
            place = (*lines[line], orders[column])
            _panel(axes, [r for r in powers if (r.bvalue, r.tissue, r.order) == place], (NOTHING, method, MEASURED))
            shell = f"b = {place[0]:.0f}, " if len(bvalues) > 1 else ""
            axes.set_title(f"{TISSUE_NAMES[place[1]]}, {shell}order {place[2]}", fontsize="medium")
        figure.supylabel("mean power, (S/S0)²", fontsize="medium")
        return draw(figure, "rish", _caption(n), f"Power by order before and after and of the target, {n} subjects")


def _panel(axes: Axes, powers: Sequence[Power], methods: tuple[str, str, str]) -> None:
    """Three boxes and a line a subject; only subjects that have all three are joined."""
    values = [_by_subject(powers, method) for method in methods]
    for subject in values[-1]:
        line = [column.get(subject, np.nan) for column in values]
        axes.plot(range(3), line, color=FAINT, alpha=0.6, linewidth=0.8, marker=".", markersize=3, zorder=1)
    looks = [look(methods[0]), look(methods[1]), {"facecolor": FAINT}]
    boxes(axes, [list(column.values()) for column in values], looks)
    axes.set_xticks(range(3), [*STATES, MEASURED])
    axes.set_xlim(-0.6, 2.6)
    axes.set_ylim(bottom=0)
    tidy(axes, "y")


def _by_subject(powers: Sequence[Power], method: str) -> Mapping[str, float]:
    return {row.subject: row.power for row in powers if row.method == method}


def _caption(n: int) -> str:
    return (
        f"Power of the signal by order of its spherical harmonics (RISH), mean over a tissue of {n} held-out subjects; "
        "a grey line is a subject. Order 0 is the mean over directions, higher orders are contrast between directions. "
        "Noise adds power to every order. A prediction without noise is therefore shown as the target would measure "
        "it: the power that the noise of the target's scan has in the mean is added."
    )
