"""Who was scanned where and what for, and who was held out of which fold, as matrices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bids_shresnet.outputs.history import ScanRow
from bids_shresnet.pairs import Split
from bids_shresnet.report.style import (
    DARK,
    FAINT,
    GREEN,
    ORANGE,
    WHITE,
    Drawing,
    figure_style,
    render_figure,
)

MAX_SUBJECT_COLUMNS = 60  # subjects whose columns are still told apart
MARKER_SIZE_POINTS = 8.5  # of a mark, points
TRAINING_LABEL, UNUSED_LABEL = "a scan to learn from", "scanned, but not to learn from"
CELL_MARKERS: Mapping[str, Mapping[str, Any]] = {
    TRAINING_LABEL: {"marker": "s", "color": GREEN},
    UNUSED_LABEL: {"marker": "o", "color": WHITE},
    "held out": {"marker": "s", "color": ORANGE},
    "validation": {"marker": "D", "color": WHITE},
    "training": {"marker": ".", "color": FAINT},
}


def draw_pairing(scans: Sequence[ScanRow]) -> Drawing:
    """A row a scanner, a column a subject; where there are many, only subjects of several scanners."""
    known = [scan for scan in scans if scan.scanner]
    counts = Counter((scan.scanner, scan.subject) for scan in known)
    places = Counter(subject for _, subject in counts)
    several = [subject for subject in places if places[subject] > 1]
    subjects = sorted(places if len(places) <= MAX_SUBJECT_COLUMNS else several)
    scanners = sorted({scan.scanner for scan in known})
    trained_on = {(scan.scanner, scan.subject) for scan in known if scan.is_training_scan}
    kinds = {
        place: TRAINING_LABEL if place in trained_on else UNUSED_LABEL
        for place in counts
        if place[1] in subjects
    }
    cells = {
        (subjects.index(subject), scanners.index(name)): kind
        for (name, subject), kind in kinds.items()
    }
    numbers = {
        (subjects.index(who), scanners.index(name)): counts[name, who] for name, who in kinds
    }
    with figure_style():
        figure, axes = _draw_matrix(
            [f"sub-{name}" for name in subjects], scanners, cells, (TRAINING_LABEL, UNUSED_LABEL)
        )
        for place, number in numbers.items():
            if number > 1:
                axes.annotate(
                    str(number), place, ha="center", va="center", fontsize=7, color=DARK, zorder=3
                )
        alt = f"Matrix of {len(subjects)} subjects and {len(scanners)} scanners: who was scanned where"
        left = len(places) - len(subjects)
        return render_figure(figure, "pairing", _caption(left), alt)


def draw_splits(splits: Sequence[Split]) -> Drawing:
    """A row a fold, a column a subject."""
    subjects = sorted({name for one in splits for part in vars(one).values() for name in part})
    kinds = {"test": "held out", "validation": "validation", "training": "training"}
    cells = {
        (subjects.index(name), row): kind
        for row, split in enumerate(splits)
        for part, kind in kinds.items()
        for name in getattr(split, part)
    }
    names = [f"fold {row}" for row in range(1, len(splits) + 1)]
    with figure_style():
        figure, _ = _draw_matrix(
            [f"sub-{name}" for name in subjects], names, cells, tuple(kinds.values())
        )
        caption = (
            f"Splits of {len(subjects)} travelling subjects into {len(splits)} folds. The network of a fold learns "
            "from its training subjects, stops by the validation subject and is evaluated on the held-out subject."
        )
        alt = (
            f"Matrix of {len(subjects)} subjects and {len(splits)} folds: who was held out of which"
        )
        return render_figure(figure, "splits", caption, alt)


def _draw_matrix(
    columns: Sequence[str],
    rows: Sequence[str],
    cells: Mapping[tuple[int, int], str],
    kinds: Sequence[str],
) -> tuple[Figure, Axes]:
    """Marks by column and row, with the names of both and what the marks mean."""
    longest = max(map(len, rows), default=0)
    size = (1.5 + 0.085 * longest + 0.24 * len(columns), 1.6 + 0.26 * len(rows))
    figure = Figure(figsize=(max(5.0, size[0]), size[1]), layout="constrained")
    axes = figure.subplots()
    for kind in kinds:
        places = [place for place, found in cells.items() if found == kind]
        axes.plot([x for x, _ in places], [y for _, y in places], **_marker_options(kind))
    axes.set_xticks(range(len(columns)), columns, rotation=90)
    axes.set_yticks(range(len(rows)), rows)
    axes.set_xlim(-0.6, len(columns) - 0.4)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.grid(color=FAINT, alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)
    handles = [Line2D([], [], label=kind, **_marker_options(kind)) for kind in kinds]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(kinds), frameon=False)
    return figure, axes


def _marker_options(kind: str) -> dict[str, Any]:
    return {
        "linestyle": "none",
        "markersize": MARKER_SIZE_POINTS,
        "markeredgecolor": DARK,
        **CELL_MARKERS[kind],
    }


def _caption(hidden_subjects: int) -> str:
    more = (
        f" {hidden_subjects} more subjects, each scanned on one scanner, are not drawn."
        if hidden_subjects
        else ""
    )
    return (
        "Scanners and subjects: a square is a scan that a model learns from, of a subject scanned on both scanners of "
        "a pair; a circle is a scan that none learns from, because the subject was scanned on one of them only, or the "
        f"scanner is in no pair. A number counts the scans where there are several.{more}"
    )
