"""From a BIDS dataset to the usable scans and the list of excluded files, each with its reason.

Only names, sidecars, gradient tables and image headers are read. Nothing is refused before everything was looked at:
what is wrong becomes a finding of the inventory, for the caller to show and to stop at.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeGuard

import numpy as np
from jaxtyping import Float

from bids_shresnet.config import (
    DEFAULT_SCANNER_COLUMN,
    RAW_DATASET_NAME,
    InputSettings,
    ScannerSettings,
)
from bids_shresnet.errors import BadInput, Finding, InputMissing
from bids_shresnet.inputs.bvec_axes import find_bvec_axes
from bids_shresnet.inputs.dwi_file import DwiFile, read_raw_gradients
from bids_shresnet.inputs.filters import BidsFilter, read_bids_filter
from bids_shresnet.inputs.find import find_dwi
from bids_shresnet.inputs.scanners import ScannerNaming, identify_scanner, read_scanner_naming
from bids_shresnet.io.nifti_header import read_grid
from bids_shresnet.pairs import ExcludedScan, Inventory
from bids_shresnet.planning.checks import dwi_files as checks
from bids_shresnet.planning.checks import gradients as checks_gradients
from bids_shresnet.planning.checks import headers as checks_header
from bids_shresnet.planning.checks.derived_images import ImageMatcher
from bids_shresnet.planning.checks.scanners import find_conflicts
from bids_shresnet.scans import Scan, Scanner

Classification = tuple[
    Scan | ExcludedScan | None, tuple[Finding, ...]
]  # None for a file that its findings make unusable


def find_scans(
    inputs: InputSettings,
    scanners: ScannerSettings,
    *,
    is_identity_required: bool,
    is_dry_run: bool = False,
) -> Inventory:
    """Find all DWI of the dataset: usable scans, excluded files, and what is wrong or odd.

    Every image is either a scan or excluded. Training requires the identity of every scanner and
    the scans of all subjects. Without it, a scan of an unknown scanner is excluded, and only the
    subjects of --participant-label are listed. A dry run for some subjects opens no other images.

    Raises
    ------
    InputMissing
        If the dataset, a derivative, the scanner map, the scanner column or the filter file does not exist.
    UsageError
        If --derivatives, --scanner-from, --bids-filter-file or --bids-database-dir makes no sense.
    """
    root = inputs.bids_dir
    derivatives = inputs.named_datasets()
    del derivatives[RAW_DATASET_NAME]
    files = find_dwi(
        root,
        derivatives,
        subjects=() if is_identity_required else inputs.participant_label,
        database=inputs.bids_database_dir,
    )
    naming = read_scanner_naming(
        root, scanners.scanner_map, scanners.scanner_column, scanners.scanner_from
    )
    naming = replace(naming, split_by=scanners.split_by)
    _check_column(scanners.scanner_column, naming, root)
    _check_split(scanners.split_by, files, root)
    wanted = read_bids_filter(inputs.bids_filter_file, inputs.exclude_participant_label)
    asked = inputs.participant_label if is_dry_run else ()
    classified = [
        _classify_file(file, naming, wanted, asked, is_identity_required=is_identity_required)
        for file in files
    ]
    scans = _unify_scanners(scan for scan, _ in classified if isinstance(scan, Scan))
    left_out = tuple(
        _excluded_scan(file, *item)
        for file, item in zip(files, classified, strict=True)
        if not isinstance(item[0], Scan)
    )
    findings = [*naming.findings, *(finding for _, some in classified for finding in some)]
    findings += [
        *checks.check_serial_numbers(scans),
        *checks.check_unique_names(scans),
        *checks_gradients.check_truncation(scans),
    ]
    conflicts = find_conflicts(scans, scanners.split_by)
    findings += dict.fromkeys(finding for some in conflicts.values() for finding in some)
    names = {path: name for name, path in inputs.named_datasets().items()}
    named = tuple(replace(scan, dataset_name=names[scan.dataset]) for scan in scans)
    return Inventory(named, left_out, tuple(findings), conflicts)


def _excluded_scan(
    file: DwiFile, item: Scan | ExcludedScan | None, findings: Iterable[Finding]
) -> ExcludedScan:
    """Exclude a file for the reason given, or for the errors found in it."""
    if isinstance(item, ExcludedScan):
        return item
    errors = (finding.value for finding in findings if finding.severity == "error")
    return _exclude(file, "; ".join(errors))


def _exclude(file: DwiFile, reason: str) -> ExcludedScan:
    """Exclude a file."""
    return ExcludedScan(
        image=file.image,
        subject=file.entities.get("subject", ""),
        session=file.entities.get("session", ""),
        reason=reason,
    )


def _check_column(column: str, naming: ScannerNaming, root: Path) -> None:
    """Refuse a column that no table has."""
    if column != DEFAULT_SCANNER_COLUMN and not naming.table_scanners:
        msg = (
            f"--scanner-column {column}: no such column with a value in scans.tsv, "
            f"sessions.tsv or participants.tsv of {root}"
        )
        raise InputMissing(msg)


def _check_split(keys: Sequence[str], files: Iterable[DwiFile], root: Path) -> None:
    """Refuse keys that no sidecar has."""
    known = {key for file in files for key in file.metadata}
    unknown = [key for key in keys if key not in known]
    if unknown:
        msg = f"--split-by {' '.join(unknown)}: no sidecar of a DWI in {root} has such a key"
        raise InputMissing(msg)


def _unify_scanners(scans: Iterable[Scan]) -> tuple[Scan, ...]:
    """One Scanner object a machine, whatever the spelling in each sidecar."""
    first: dict[str, Scanner] = {}
    return tuple(
        replace(scan, scanner=first.setdefault(scan.scanner.label, scan.scanner))
        for scan in scans
        if scan.scanner
    )


def _classify_file(
    file: DwiFile,
    naming: ScannerNaming,
    bids_filter: BidsFilter,
    subjects: Collection[str],
    *,
    is_identity_required: bool,
) -> Classification:
    """Find a file usable, excluded, or neither; with what is wrong or odd about it."""
    if reason := checks.name_exclusion_reason(file) or bids_filter.exclusion_reason(file):
        return _exclude(file, reason), ()
    try:
        bvals, bvecs = read_raw_gradients(file)
    except BadInput as error:
        return _classify_without_gradients(file, error)
    if reason := checks_gradients.gradient_exclusion_reason(bvals, bvecs):
        return _exclude(file, reason), tuple(checks_gradients.check_bval_units(file, bvals, bvecs))
    scanner = identify_scanner(file, naming)
    if isinstance(scanner, Finding) and not is_identity_required:
        return _exclude(file, scanner.value), file.findings
    findings = (
        *file.findings,
        *checks.check_sidecar(file),
        *checks_gradients.check_gradients(file, bvals, bvecs),
    )
    if subjects and file.entities["subject"] not in subjects and isinstance(scanner, Scanner):
        return (None if _has_errors(findings) else _make_scan(file, scanner, bvals)), findings
    return _classify_by_header(file, scanner, bvals, bvecs, findings)


def _classify_without_gradients(file: DwiFile, error: BadInput) -> Classification:
    """Leave out a few volumes that never had b-values; all else without gradient tables is an error."""
    faults = (*file.findings, *error.findings)
    if file.bval:
        return None, faults
    try:
        shape, _ = read_grid(file.image)
    except BadInput:  # its missing .bval is an error already
        return None, faults
    reason = checks.volume_exclusion_reason(shape)
    return (_exclude(file, reason), ()) if reason else (None, faults)


def _classify_by_header(
    file: DwiFile,
    scanner: Scanner | Finding,
    bvals: Float[np.ndarray, " n"],
    bvecs: Float[np.ndarray, "m 3"],
    findings: tuple[Finding, ...],
) -> Classification:
    """Compare with the image's header; a scan only if nothing is an error."""
    if isinstance(scanner, Finding):
        findings = (*findings, scanner)
    try:
        shape, affine = read_grid(file.image)
        axes, disagreements = find_bvec_axes(file, bvecs, affine)
    except BadInput as error:
        findings = (*findings, *error.findings)
        return (
            _make_scan(file, scanner, bvals) if _is_only_image_missing(scanner, findings) else None
        ), findings
    usable = ImageMatcher(file, shape, affine)
    mask = usable.find_first(file.masks, lambda path: (path,))
    segmentation = usable.find_first(file.segmentations, lambda one: one.files)
    findings += (
        *checks.check_volume_count(file, shape, bvals.size),
        *checks_header.check_header(file.image, shape, affine),
    )
    findings += (*disagreements, *usable.findings)
    if isinstance(scanner, Finding) or _has_errors(findings):
        return None, findings
    scan = _make_scan(file, scanner, bvals)
    return replace(scan, mask=mask, segmentation=segmentation, bvec_axes=axes), findings


def _has_errors(findings: Iterable[Finding]) -> bool:
    return any(finding.severity == "error" for finding in findings)


def _is_only_image_missing(
    scanner: Scanner | Finding, findings: Iterable[Finding]
) -> TypeGuard[Scanner]:
    """Whether one could plan with it: scanners and pairs are shown before annexed images are fetched."""
    return (
        isinstance(scanner, Scanner)
        and sum(finding.severity == "error" for finding in findings) == 1
    )


def _make_scan(file: DwiFile, scanner: Scanner, bvals: Float[np.ndarray, " n"]) -> Scan:
    """Make a scan of a file without faults."""
    assert file.bval is not None
    assert file.bvec is not None
    return Scan(
        image=file.image,
        bval=file.bval,
        bvec=file.bvec,
        entities=file.entities,
        metadata=file.metadata,
        scanner=scanner,
        bvals=tuple(bvals.tolist()),
        dataset=file.dataset,
        b_table=file.b_table,
    )
