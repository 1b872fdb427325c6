"""The group report: tables, figures and the page, written from all cross-validations."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from bids_shresnet.evaluation.cross_validation import CrossValidation
from bids_shresnet.evaluation.group_tables import write_group_tables
from bids_shresnet.io.storage import write_text
from bids_shresnet.outputs.model.folder import Model
from bids_shresnet.outputs.runs.history import (
    NovelFraction,
    Role,
    ScanRow,
    read_failed_scans,
    read_last_findings,
    read_last_scans,
    read_novel_fractions,
)
from bids_shresnet.outputs.runs.past_runs import read_level_runs
from bids_shresnet.outputs.sidecars import package_versions
from bids_shresnet.report.figure_store import digest_results, reuse_figures, write_figure
from bids_shresnet.report.figures.pairing import draw_pairing
from bids_shresnet.report.figures.subjects import draw_subject_errors
from bids_shresnet.report.group_content import DatasetReport, PairReport
from bids_shresnet.report.group_page import render_group_report
from bids_shresnet.report.methods_text import read_methods_text
from bids_shresnet.report.pair_report import build_pair_report, draw_figures
from bids_shresnet.report.validation_sentence import validation_sentence


def write_group_report(
    root: Path, cross_validations: Sequence[CrossValidation], command: str
) -> tuple[str, ...]:
    """Write the tables of all pairs with their descriptions, figures and group.html.

    Records of earlier runs in the output (logs, sidecars, reports on subjects) are read again.
    Returns one sentence per pair about its validation.
    """
    dataset = _read_dataset_report(root, cross_validations)
    pairs = [_report_pair(root, item, dataset.subject_pages) for item in cross_validations]
    write_group_tables(root, cross_validations)
    for drawing in dataset.figures:
        write_figure(root, "group", drawing)
    about = _describe_origin(root, cross_validations, command)
    write_text(root / "group.html", render_group_report(pairs, about, dataset))
    return tuple(validation_sentence(pair) for pair in pairs)


def _report_pair(root: Path, item: CrossValidation, subject_pages: Collection[str]) -> PairReport:
    """Build the report of a pair, and write its figures where they differ from those on disk."""
    model = item.model
    digest = digest_results(model)
    figures = reuse_figures(root, model.name, digest, lambda: draw_figures(item))
    subject_errors = draw_subject_errors(item.rows, item.method, subject_pages)
    write_figure(root, model.name, subject_errors)
    return build_pair_report(item, figures, subject_errors)


def _read_dataset_report(root: Path, cross_validations: Sequence[CrossValidation]) -> DatasetReport:
    """Read everything that is not about one pair."""
    scans = read_last_scans(root) or _travelling_scans(cross_validations)
    novel_fractions = read_novel_fractions(root)
    return DatasetReport(
        scans=mark_harmonized(scans, novel_fractions),
        figures=(draw_pairing(scans),) if scans else (),
        novel_fractions=novel_fractions,
        findings=read_last_findings(root),
        failures=read_failed_scans(root),
        subject_pages=frozenset(path.name for path in root.glob("*.html")),
        methods_text=read_methods_text(root),
    )


def mark_harmonized(
    scans: Sequence[ScanRow], harmonized: Sequence[NovelFraction]
) -> tuple[ScanRow, ...]:
    """Give a role to scans that `group` had no use for and `participant` has harmonized."""
    names = {item.scan.partition("_desc-")[0] for item in harmonized}
    rows = []
    for row in scans:
        if not row.roles and row.name.partition("_dwi.")[0].partition("_desc-")[0] in names:
            row = replace(row, roles=("to harmonize",), reason="harmonized by participant")
        rows.append(row)
    return tuple(rows)


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


def _describe_origin(
    root: Path, cross_validations: Sequence[CrossValidation], command: str
) -> dict[str, str]:
    """Runs, models and versions that the page was made from, by name."""
    facts = {"page written by": command}
    for level, run in read_level_runs(root).items():
        facts[f"{level}: command"] = run.command
        facts[f"{level}: started"] = run.start_time
        facts[f"{level}: ended"] = run.end_time
    for number, item in enumerate(cross_validations, 1):
        facts[f"model {number}"] = f"{item.model.name}, SHA-256 {item.model.digest}"
    return facts | package_versions()
