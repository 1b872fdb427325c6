"""Who was scanned on which scanner, and who was held out of which fold, as matrices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bids_shresnet.outputs.runs.history import ScanRow
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

MAX_SUBJECT_COLUMNS = 60  # with more, subjects of a single scanner are not drawn
MARKER_SIZE_POINTS = 8.5
TRAINING_LABEL = "used for training"
UNUSED_LABEL = "scanned, but not used for training"
SPLIT_LABELS = ("held out", "validation", "training")
CELL_MARKERS: Mapping[str, Mapping[str, Any]] = {
    TRAINING_LABEL: {"marker": "s", "color": GREEN},
    UNUSED_LABEL: {"marker": "o", "color": WHITE},
    "held out": {"marker": "s", "color": ORANGE},
    "validation": {"marker": "D", "color": WHITE},
    "training": {"marker": ".", "color": FAINT},
}

Cell = tuple[str, str]  # names of the column and the row


@dataclass(frozen=True)
class _Matrix:
    """Marks in a grid of named columns and rows.

    Attributes
    ----------
    marks
        Label of the mark by cell.
    labels
        All labels in the order of the legend.
    """

    columns: Sequence[str]
    rows: Sequence[str]
    marks: Mapping[Cell, str]
    labels: Sequence[str]

    def position(self, cell: Cell) -> tuple[int, int]:
        """Index of the column and of the row."""
        column, row = cell
        return self.columns.index(column), self.rows.index(row)


def draw_pairing(scans: Sequence[ScanRow]) -> Drawing:
    """Draw one row per scanner and one column per subject.

    If there are more than `MAX_SUBJECT_COLUMNS` subjects, only those of several scanners are drawn.
    """
    scans = [scan for scan in scans if scan.scanner]
    scan_counts = Counter((scan.subject, scan.scanner) for scan in scans)
    training_cells = {(scan.subject, scan.scanner) for scan in scans if scan.is_training_scan}
    subjects = _subjects_to_draw(scan_counts)
    cells = [cell for cell in scan_counts if cell[0] in subjects]
    matrix = _Matrix(
        columns=subjects,
        rows=sorted({scan.scanner for scan in scans}),
        marks={c: TRAINING_LABEL if c in training_cells else UNUSED_LABEL for c in cells},
        labels=(TRAINING_LABEL, UNUSED_LABEL),
    )
    with figure_style():
        figure, axes = _draw_matrix(matrix)
        for cell in cells:
            if scan_counts[cell] > 1:
                _write_in_cell(axes, matrix.position(cell), str(scan_counts[cell]))
        alt = f"Matrix of {len(subjects)} subjects and {len(matrix.rows)} scanners: who was scanned"
        hidden_subjects = len({scan.subject for scan in scans}) - len(subjects)
        return render_figure(figure, "pairing", _pairing_caption(hidden_subjects), alt)


def draw_splits(splits: Sequence[Split]) -> Drawing:
    """Draw one row per fold and one column per subject."""
    folds = [f"fold {number}" for number in range(1, len(splits) + 1)]
    marks: dict[Cell, str] = {}
    for fold, split in zip(folds, splits, strict=True):
        parts = (split.test, split.validation, split.training)
        for label, subjects in zip(SPLIT_LABELS, parts, strict=True):
            marks |= {(subject, fold): label for subject in subjects}
    columns = sorted({subject for subject, _ in marks})
    with figure_style():
        figure, _ = _draw_matrix(_Matrix(columns, folds, marks, SPLIT_LABELS))
        alt = f"Matrix of {len(columns)} subjects and {len(splits)} folds: who was held out"
        return render_figure(figure, "splits", _splits_caption(len(columns), len(splits)), alt)


def _subjects_to_draw(scan_counts: Mapping[Cell, int]) -> list[str]:
    scanner_counts = Counter(subject for subject, _ in scan_counts)
    if len(scanner_counts) <= MAX_SUBJECT_COLUMNS:
        return sorted(scanner_counts)
    return sorted(subject for subject, count in scanner_counts.items() if count > 1)


def _draw_matrix(matrix: _Matrix) -> tuple[Figure, Axes]:
    """Draw the marks, the names of columns and rows, and the legend."""
    longest_name = max((len(name) for name in matrix.rows), default=0)
    width = 1.5 + 0.085 * longest_name + 0.24 * len(matrix.columns)
    height = 1.6 + 0.26 * len(matrix.rows)
    figure = Figure(figsize=(max(5.0, width), height), layout="constrained")
    axes = figure.subplots()
    for label in matrix.labels:
        cells = [cell for cell, mark in matrix.marks.items() if mark == label]
        positions = [matrix.position(cell) for cell in cells]
        axes.plot([x for x, _ in positions], [y for _, y in positions], **_marker_options(label))
    _style_matrix_axes(axes, matrix)
    handles = [Line2D([], [], label=label, **_marker_options(label)) for label in matrix.labels]
    figure.legend(
        handles=handles, loc="outside lower center", ncols=len(matrix.labels), frameon=False
    )
    return figure, axes


def _style_matrix_axes(axes: Axes, matrix: _Matrix) -> None:
    names = [f"sub-{subject}" for subject in matrix.columns]
    axes.set_xticks(range(len(names)), names, rotation=90)
    axes.set_yticks(range(len(matrix.rows)), matrix.rows)
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.set_ylim(len(matrix.rows) - 0.4, -0.6)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.grid(color=FAINT, alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)


def _write_in_cell(axes: Axes, position: tuple[int, int], text: str) -> None:
    axes.annotate(text, position, ha="center", va="center", fontsize=7, color=DARK, zorder=3)


def _marker_options(label: str) -> dict[str, Any]:
    return {
        "linestyle": "none",
        "markersize": MARKER_SIZE_POINTS,
        "markeredgecolor": DARK,
        **CELL_MARKERS[label],
    }


def _splits_caption(subject_count: int, fold_count: int) -> str:
    return (
        f"Splits of {subject_count} travelling subjects into {fold_count} folds. The network of a "
        "fold is trained on its training subjects, stopped early by its validation subject and "
        "tested on its held-out subject."
    )


def _pairing_caption(hidden_subjects: int) -> str:
    caption = (
        "Scanners and subjects. A square is a scan used for training; its subject was scanned on "
        "both scanners of a pair. A circle is a scan not used for training, because its subject "
        "was scanned on one of the scanners only or the scanner is in no pair. A number counts "
        "several scans."
    )
    if hidden_subjects:
        return f"{caption} {hidden_subjects} more subjects, scanned on one scanner, are not drawn."
    return caption
