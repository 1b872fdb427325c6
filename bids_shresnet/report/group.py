"""Results of all folds -> tables, figures and the group report."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from bids_shresnet.evaluation.cross_validation import CrossValidation, summarize_validation
from bids_shresnet.evaluation.statistics import QUANTITIES, compare_methods
from bids_shresnet.io.storage import write_bytes, write_json, write_text, write_tsv
from bids_shresnet.outputs.history import (
    Role,
    ScanRow,
    read_failed_scans,
    read_last_findings,
    read_last_scans,
    read_novel_fractions,
)
from bids_shresnet.outputs.json_records import to_json
from bids_shresnet.outputs.model_folder import RESBLOCKS_TSV, TRAINING_TSV, Model
from bids_shresnet.outputs.sidecars import package_versions
from bids_shresnet.report.figures.agreement import draw_differences, draw_joint_histograms
from bids_shresnet.report.figures.agreement_data import group_agreement
from bids_shresnet.report.figures.errors import draw_biases, draw_errors
from bids_shresnet.report.figures.pairing import draw_pairing, draw_splits
from bids_shresnet.report.figures.power import draw_group_power
from bids_shresnet.report.figures.resblocks import draw_sweep, read_sweep, sweep_table
from bids_shresnet.report.figures.subjects import draw_subject_errors
from bids_shresnet.report.figures.training import TrainingCurve, draw_training_curves, read_curves
from bids_shresnet.report.figures.uncertainty import draw_calibration
from bids_shresnet.report.group_page import (
    DatasetReport,
    PairReport,
    render_group_report,
    validation_sentence,
)
from bids_shresnet.report.methods_text import read_methods_text
from bids_shresnet.report.style import Drawing
from bids_shresnet.settings import NO_HARMONIZATION

NO_HISTOGRAMS_NOTE = (
    "This model was validated by a version that kept no histograms: joint histograms, Bland-Altman plots and the power by "
    "order are missing. To have them, delete the model's folder and run group again."
)
NO_SPREAD_NOTE = (
    "How the spread of the networks goes with their error is not known: there is one network only, all are alike, or "
    "the noise of the target's scans is not known."
)
NO_CURVES_NOTE = "The method is fitted in closed form: there are no epochs to draw."
GROUP_TABLE_COLUMNS: Mapping[str, Mapping[str, str]] = {
    "pair": {"Description": "Scanners, from the source to the target."},
    "subject": {"Description": "Held-out subject."},
    "fold": {"Description": "Number of the split that held the subject out."},
    "method": {
        "Description": "Harmonizer; no_harmonization: the input scan; rescan: the target's second scan."
    },
    "tissue": {
        "Description": "WM: white matter, GM: grey matter, by the target's scan, where the source's voxels around a "
        "place all hold signal."
    },
    "quantity": {
        "Description": "signal: S/S0 in the target's directions. FA, MD: of the tensor; where a method takes noise "
        "away, as the target would have measured its prediction, with noise, because noise makes measured FA too high."
    },
    "nmse": {
        "Description": "Squared differences to the target's measurement over its sum of squares."
    },
    "bias": {"Description": "Mean of the tissue over the target's mean, minus 1."},
}


def build_pair_report(cross_validation: CrossValidation, pages: Collection[str] = ()) -> PairReport:
    """What the report says of a pair; `pages` are the reports on subjects that are there to be linked."""
    model = cross_validation.model
    validation = summarize_validation(cross_validation)
    sweep, curves = read_sweep(model.folder / RESBLOCKS_TSV), _read_model_curves(model)
    return PairReport(
        name=model.name,
        source=model.source,
        target=model.target,
        comparisons=cross_validation.comparisons,
        biases=cross_validation.biases,
        rows=cross_validation.rows,
        answers={name: result.answer for name, result in validation.better_than.items()},
        figures={
            "inputs": [draw_splits(model.splits)],
            "before-after": _agreement_figures(cross_validation),
            "metrics": [
                *_error_figures(cross_validation, pages),
                *([draw_sweep(sweep)] if sweep else []),
            ],
            "uncertainty": [draw_calibration(cross_validation.uncertainty)]
            if cross_validation.uncertainty
            else [],
            "training": [draw_training_curves(curves)] if curves else [],
        },
        notes={
            "before-after": (
                *([] if cross_validation.histograms else [NO_HISTOGRAMS_NOTE]),
                *_orientation_notes(cross_validation),
            ),
            "uncertainty": _uncertainty_notes(cross_validation),
            "training": () if curves else (NO_CURVES_NOTE,),
        },
        agreements=cross_validation.agreements,
        splits=model.splits,
        sweep=sweep_table(sweep),
        missing_shell_errors=cross_validation.missing_shell_errors,
        method=cross_validation.method,
    )


def _agreement_figures(cross_validation: CrossValidation) -> list[Drawing]:
    """Source against target before and after, and the power of each order."""
    found = cross_validation.histograms
    if found is None:
        return []
    compared = [
        group_agreement(found, cross_validation.agreements, quantity) for quantity in QUANTITIES
    ]
    pairs = [draw(one) for one in compared for draw in (draw_joint_histograms, draw_differences)]
    return [*pairs, draw_group_power(cross_validation.powers, cross_validation.method)]


def _error_figures(cross_validation: CrossValidation, pages: Collection[str]) -> list[Drawing]:
    """Errors by method, by subject, and the bias that is left."""
    others = [
        one
        for name in cross_validation.baselines
        if name != NO_HARMONIZATION
        for one in compare_methods(cross_validation.rows, name, [NO_HARMONIZATION])
    ]
    errors = [
        draw_errors(cross_validation.rows, (*cross_validation.comparisons, *others), quantity)
        for quantity in QUANTITIES
    ]
    return [
        *errors,
        draw_subject_errors(cross_validation.rows, cross_validation.method, pages),
        draw_biases(cross_validation.biases),
    ]


def _read_model_curves(model: Model) -> tuple[TrainingCurve, ...]:
    return read_curves(model.folder / TRAINING_TSV, [fold.best_epoch for fold in model.card.folds])


def _orientation_notes(cross_validation: CrossValidation) -> list[str]:
    """Whether directions are kept."""
    if not cross_validation.orientations:
        return []
    means = {
        (name, method): float(
            np.mean(
                [
                    float(row[name])
                    for row in cross_validation.orientations
                    if row["method"] == method
                ]
            )
        )
        for name in ("angle", "correlation")
        for method in (NO_HARMONIZATION, cross_validation.method)
    }
    methods = (NO_HARMONIZATION, cross_validation.method)
    angles, correlations = (
        [means[name, one] for one in methods] for name in ("angle", "correlation")
    )
    return [
        "White matter with one main direction: the principal direction is {:.2f} degrees off the target's in the input, "
        "{:.2f} harmonized; the angular correlation of the signal is {:.3f} and {:.3f}.".format(
            *angles, *correlations
        )
    ]


def _uncertainty_notes(cross_validation: CrossValidation) -> list[str]:
    """What the uncertainty map is worth."""
    calibration = cross_validation.uncertainty
    if calibration is None:
        return [NO_SPREAD_NOTE]
    low = calibration.groups[0]
    high = calibration.groups[-1]
    return [
        f"The uncertainty map is the spread of the networks, {low.spread:.4f} in its lowest and "
        f"{high.spread:.4f} in its highest fifth of voxels; the error there (S/S0, less the noise of the target's "
        f"scan) is {low.error:.4f} and {high.error:.4f}, with a rank correlation of {calibration.rank_correlation:.2f}."
    ]


def write_group_report(
    root: Path, cross_validations: Sequence[CrossValidation], command: str
) -> tuple[str, ...]:
    """Write group_harmonization.tsv and .json, figures and group.html; return one sentence per pair on its validation.

    What is beside the models in the output (logs, sidecars, reports on subjects) is read again.
    """
    dataset = _read_dataset_report(root, cross_validations)
    pair_reports = [build_pair_report(item, dataset.subject_pages) for item in cross_validations]
    rows = [
        {"pair": item.model.name, **asdict(row)} for item in cross_validations for row in item.rows
    ]
    write_tsv(root / "group_harmonization.tsv", rows, list(GROUP_TABLE_COLUMNS))
    write_json(
        root / "group_harmonization.json",
        {**GROUP_TABLE_COLUMNS, "Pairs": [_pair_record(item) for item in cross_validations]},
    )
    for name, drawings in {
        "group": dataset.figures,
        **{one.name: one.drawings for one in pair_reports},
    }.items():
        for drawing in drawings:
            _write_drawing(root / "figures", name, drawing)
    digests = {
        f"model {n}": f"{one.model.name}, SHA-256 {one.model.digest}"
        for n, one in enumerate(cross_validations, 1)
    }
    about = {"command": command, **digests, **package_versions()}
    write_text(root / "group.html", render_group_report(pair_reports, about, dataset))
    return tuple(validation_sentence(report) for report in pair_reports)


def _read_dataset_report(root: Path, cross_validations: Sequence[CrossValidation]) -> DatasetReport:
    """All that is not about one pair."""
    scans = read_last_scans(root) or tuple(
        row for item in cross_validations for row in _travelling_scan_rows(item.model)
    )
    return DatasetReport(
        scans=scans,
        figures=(draw_pairing(scans),) if scans else (),
        novel_fractions=read_novel_fractions(root),
        findings=read_last_findings(root),
        failures=read_failed_scans(root),
        subject_pages=frozenset(path.name for path in root.glob("sub-*.html")),
        methods_text=read_methods_text(root),
    )


def _travelling_scan_rows(model: Model) -> Iterator[ScanRow]:
    """What a model alone says of the dataset: who was scanned on both scanners."""
    roles: dict[str, Role] = {model.source: "travelling source", model.target: "travelling target"}
    for subject in model.card.subjects:
        for scanner, role in roles.items():
            yield ScanRow(
                file="",
                subject=subject,
                session="",
                scanner=scanner,
                shells="",
                roles=(role,),
            )


def _pair_record(cross_validation: CrossValidation) -> dict[str, Any]:
    return {
        "Name": cross_validation.model.name,
        "Validation": to_json(summarize_validation(cross_validation)),
        "Folds": [to_json(split) for split in cross_validation.model.splits],
        "Comparisons": [
            _drop_undefined_values(asdict(one)) for one in cross_validation.comparisons
        ],
        "Bias": [_drop_undefined_values(asdict(one)) for one in cross_validation.biases],
    }


def _drop_undefined_values(record: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is undefined (an interval of two subjects): JSON knows no NaN."""
    pairs = ((key, value) for key, value in record.items())
    return {
        key: value
        for key, value in pairs
        if not any(
            isinstance(x, float) and x != x
            for x in (value if isinstance(value, tuple) else (value,))
        )
    }


def _write_drawing(folder: Path, pair: str, drawing: Drawing) -> None:
    write_bytes(folder / f"{pair}_{drawing.name}.png", drawing.png)
    write_bytes(folder / f"{pair}_{drawing.name}.svg", drawing.svg)
