"""The group report: tables, figures and the page, written from all cross-validations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from math import isnan
from pathlib import Path
from typing import Any

from bids_shresnet.evaluation.cross_validation import CrossValidation, summarize_validation
from bids_shresnet.io.storage import write_bytes, write_json, write_text, write_tsv
from bids_shresnet.outputs.json_records import to_json
from bids_shresnet.outputs.model.folder import Model
from bids_shresnet.outputs.runs.history import (
    Role,
    ScanRow,
    read_failed_scans,
    read_last_findings,
    read_last_scans,
    read_novel_fractions,
)
from bids_shresnet.outputs.sidecars import package_versions
from bids_shresnet.report.figures.pairing import draw_pairing
from bids_shresnet.report.group_content import DatasetReport, PairReport
from bids_shresnet.report.group_page import render_group_report
from bids_shresnet.report.methods_text import read_methods_text
from bids_shresnet.report.pair_report import build_pair_report
from bids_shresnet.report.style import Drawing
from bids_shresnet.report.validation_sentence import validation_sentence

GROUP_TABLE_COLUMNS: Mapping[str, Mapping[str, str]] = {
    "pair": {"Description": "Scanners, from the source to the target."},
    "subject": {"Description": "Held-out subject."},
    "fold": {"Description": "Number of the split that held the subject out."},
    "method": {
        "Description": "Method. no_harmonization: the input scan; scan_rescan: the target's "
        "second scan; noise_floor: a perfect prediction without noise."
    },
    "tissue": {
        "Description": "WM: white matter, GM: grey matter, as segmented in the target's scan."
    },
    "quantity": {
        "Description": "signal: S/S0 in the target's directions. FA, MD: of the maps that are "
        "written for a scan, looked up at the target's voxels, against the target's own maps."
    },
    "places": {
        "Description": "all: every voxel of the tissue that both scanners measured; interior: only "
        "those around which the source scan holds signal. Comparisons use all."
    },
    "nmse": {
        "Description": "Squared differences from the target's measurement over its sum of squares."
    },
    "bias": {"Description": "Mean over the tissue, relative to the target's mean, minus 1."},
    "mean": {"Description": "Mean over the tissue; MD in mm^2/s."},
    "target_mean": {"Description": "Mean that the target measured there."},
}


def write_group_report(
    root: Path, cross_validations: Sequence[CrossValidation], command: str
) -> tuple[str, ...]:
    """Write group_harmonization.tsv and .json, figures and group.html.

    Records of earlier runs in the output (logs, sidecars, reports on subjects) are read again.
    Returns one sentence per pair about its validation.
    """
    dataset = _read_dataset_report(root, cross_validations)
    pairs = [build_pair_report(item, dataset.subject_pages) for item in cross_validations]
    _write_group_table(root, cross_validations)
    _write_figures(root / "figures", dataset, pairs)
    about = _describe_origin(cross_validations, command)
    write_text(root / "group.html", render_group_report(pairs, about, dataset))
    return tuple(validation_sentence(pair) for pair in pairs)


def _read_dataset_report(root: Path, cross_validations: Sequence[CrossValidation]) -> DatasetReport:
    """Read everything that is not about one pair."""
    scans = read_last_scans(root) or _travelling_scans(cross_validations)
    return DatasetReport(
        scans=scans,
        figures=(draw_pairing(scans),) if scans else (),
        novel_fractions=read_novel_fractions(root),
        findings=read_last_findings(root),
        failures=read_failed_scans(root),
        subject_pages=frozenset(path.name for path in root.glob("sub-*.html")),
        methods_text=read_methods_text(root),
    )


def _travelling_scans(cross_validations: Sequence[CrossValidation]) -> tuple[ScanRow, ...]:
    """Scans that the models alone are known to be trained on."""
    rows: list[ScanRow] = []
    for item in cross_validations:
        rows += _travelling_scans_of_model(item.model)
    return tuple(rows)


def _travelling_scans_of_model(model: Model) -> Iterator[ScanRow]:
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


def _write_group_table(root: Path, cross_validations: Sequence[CrossValidation]) -> None:
    """Write the errors of all pairs as a table, and its sidecar with the comparisons."""
    rows = []
    for item in cross_validations:
        rows += [{"pair": item.model.name, **asdict(row)} for row in item.rows]
    write_tsv(root / "group_harmonization.tsv", rows, list(GROUP_TABLE_COLUMNS))
    pairs = [_pair_record(item) for item in cross_validations]
    write_json(root / "group_harmonization.json", {**GROUP_TABLE_COLUMNS, "Pairs": pairs})


def _pair_record(cross_validation: CrossValidation) -> dict[str, Any]:
    return {
        "Name": cross_validation.model.name,
        "Validation": to_json(summarize_validation(cross_validation)),
        "Folds": [to_json(split) for split in cross_validation.model.splits],
        "Comparisons": [_defined_values(asdict(row)) for row in cross_validation.comparisons],
        "Bias": [_defined_values(asdict(row)) for row in cross_validation.biases],
    }


def _defined_values(record: Mapping[str, Any]) -> dict[str, Any]:
    """Drop NaN, such as the interval of two subjects, because JSON has no NaN."""
    return {key: value for key, value in record.items() if not _has_nan(value)}


def _has_nan(value: Any) -> bool:
    if isinstance(value, tuple):
        return any(_has_nan(item) for item in value)
    return isinstance(value, float) and isnan(value)


def _write_figures(folder: Path, dataset: DatasetReport, pairs: Sequence[PairReport]) -> None:
    """Write all figures as PNG and SVG."""
    for drawing in dataset.figures:
        _write_figure(folder, "group", drawing)
    for pair in pairs:
        for drawing in pair.drawings:
            _write_figure(folder, pair.name, drawing)


def _write_figure(folder: Path, owner: str, drawing: Drawing) -> None:
    write_bytes(folder / f"{owner}_{drawing.name}.png", drawing.png)
    write_bytes(folder / f"{owner}_{drawing.name}.svg", drawing.svg)


def _describe_origin(cross_validations: Sequence[CrossValidation], command: str) -> dict[str, str]:
    """Command, models and versions that the page was made from, by name."""
    models = {
        f"model {number}": f"{item.model.name}, SHA-256 {item.model.digest}"
        for number, item in enumerate(cross_validations, 1)
    }
    return {"command": command, **models, **package_versions()}
