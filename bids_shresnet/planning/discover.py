"""From a BIDS dataset to the usable scans and the list of what is left out, each with its reason.

Only names, sidecars, gradient tables and image headers are read. Nothing is refused before everything was looked at:
what is wrong becomes a finding of the inventory, for the caller to show and to stop at.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import TypeGuard

import numpy as np
from jaxtyping import Float

from bids_shresnet.config import RAW, Config
from bids_shresnet.errors import BadInput, Finding, InputMissing
from bids_shresnet.inputs.bvec_axes import find_axes
from bids_shresnet.inputs.claims import read_claims
from bids_shresnet.inputs.dwi_file import DwiFile, read_gradients
from bids_shresnet.inputs.filters import Wanted, read_wanted
from bids_shresnet.inputs.find import find_dwi
from bids_shresnet.inputs.scanners import Naming, identify, read_naming
from bids_shresnet.io.nifti_header import read_grid
from bids_shresnet.pairs import Inventory, LeftOut
from bids_shresnet.planning.checks import gradients as checks_gradients
from bids_shresnet.planning.checks import headers as checks_header
from bids_shresnet.planning.checks import series as checks
from bids_shresnet.planning.checks.derived_images import Usable
from bids_shresnet.planning.checks.scanners import conflicts
from bids_shresnet.scans import Scan, Scanner

Judged = tuple[Scan | LeftOut | None, tuple[Finding, ...]]  # None for a file that its findings make unusable


def find_scans(config: Config, *, identity_required: bool) -> Inventory:
    """All DWI of the dataset: usable scans, files left out, and what is wrong or odd.

    Without `identity_required`, a scan of an unknown scanner is left out; with it, that is an error.
    Every image is in exactly one place: a scan, or left out.

    Raises
    ------
    InputMissing
        If the dataset, a derivative, the scanner map, the scanner column or the filter file does not exist.
    UsageError
        If --derivatives, --scanner-from, --bids-filter-file or --bids-database-dir makes no sense.
    """
    datasets = config.named_datasets()
    needed = config.participant_label if config.models else ()  # training needs everybody
    files = find_dwi(datasets.pop(RAW), datasets, subjects=needed, database=config.bids_database_dir)
    naming = read_naming(config.bids_dir, config.scanner_map, config.scanner_column, config.scanner_from)
    naming = replace(naming, split_by=config.split_by)
    _check_column(config, naming)
    _check_split(config, files)
    wanted = read_wanted(config.bids_filter_file, config.exclude_participant_label)
    asked = config.participant_label if config.dry_run else ()  # a dry run for some opens no images of others
    judged = [_judge(file, naming, wanted, asked, identity_required=identity_required) for file in files]
    scans = _share_scanners(scan for scan, _ in judged if isinstance(scan, Scan))
    left_out = tuple(
        _why(file, *item) for file, item in zip(files, judged, strict=True) if not isinstance(item[0], Scan)
    )
    findings = [*naming.findings, *(finding for _, some in judged for finding in some)]
    findings += [*checks.mixed_machines(scans), *checks.same_names(scans), *checks_gradients.truncated_runs(scans)]
    doubts = conflicts(scans, read_claims(config.bids_dir), config.split_by)
    findings += dict.fromkeys(finding for some in doubts.values() for finding in some)
    names = {path: name for name, path in config.named_datasets().items()}
    named = tuple(replace(scan, dataset_name=names[scan.dataset]) for scan in scans)
    return Inventory(named, left_out, tuple(findings), doubts)


def _why(file: DwiFile, item: Scan | LeftOut | None, findings: Iterable[Finding]) -> LeftOut:
    """Say of a file that is not usable why; where it is broken, its findings do."""
    if isinstance(item, LeftOut):
        return item
    return LeftOut(file.image, "; ".join(finding.value for finding in findings if finding.severity == "error"))


def _check_column(config: Config, naming: Naming) -> None:
    """Refuse a column that was asked for and is nowhere."""
    if config.scanner_column != Config.scanner_column and not naming.column:
        msg = (
            f"--scanner-column {config.scanner_column}: no such column with a value in scans.tsv, sessions.tsv or "
            f"participants.tsv of {config.bids_dir}"
        )
        raise InputMissing(msg)


def _check_split(config: Config, files: Iterable[DwiFile]) -> None:
    """Refuse a key that was asked for and is in no sidecar."""
    known = {key for file in files for key in file.metadata}
    unknown = [key for key in config.split_by if key not in known]
    if unknown:
        msg = f"--split-by {' '.join(unknown)}: no sidecar of a DWI in {config.bids_dir} has such a key"
        raise InputMissing(msg)


def _share_scanners(scans: Iterable[Scan]) -> tuple[Scan, ...]:
    """One Scanner object a machine, whatever the spelling in each sidecar."""
    first: dict[str, Scanner] = {}
    return tuple(
        replace(scan, scanner=first.setdefault(scan.scanner.label, scan.scanner)) for scan in scans if scan.scanner
    )


def _judge(file: DwiFile, naming: Naming, wanted: Wanted, asked: Collection[str], *, identity_required: bool) -> Judged:
    """Find a file usable, left out, or neither; with what is wrong or odd about it."""
    if reason := checks.not_a_series(file) or wanted.why_not(file):
        return LeftOut(file.image, reason), ()
    try:
        bvals, bvecs = read_gradients(file)
    except BadInput as error:
        return _without_gradients(file, error)
    if reason := checks_gradients.nothing_to_harmonize(bvals, bvecs):
        return LeftOut(file.image, reason), tuple(checks_gradients.unit_faults(file, bvals, bvecs))
    scanner = identify(file, naming)
    if isinstance(scanner, Finding) and not identity_required:
        return LeftOut(file.image, scanner.value), file.findings
    findings = (*file.findings, *checks.sidecar_faults(file), *checks_gradients.gradient_faults(file, bvals, bvecs))
    if asked and file.entities["subject"] not in asked and isinstance(scanner, Scanner):
        return (None if _has_errors(findings) else _scan(file, scanner, bvals)), findings
    return _compare(file, scanner, bvals, bvecs, findings)


def _without_gradients(file: DwiFile, error: BadInput) -> Judged:
    """Leave out a few volumes that never had b-values; all else without gradient tables is an error."""
    faults = (*file.findings, *error.findings)
    if file.bval:
        return None, faults
    try:
        shape, _ = read_grid(file.image)
    except BadInput:  # its missing .bval is an error already
        return None, faults
    reason = checks.too_few_volumes(shape)
    return (LeftOut(file.image, reason), ()) if reason else (None, faults)


def _compare(
    file: DwiFile,
    scanner: Scanner | Finding,
    bvals: Float[np.ndarray, " n"],
    bvecs: Float[np.ndarray, "m 3"],
    findings: tuple[Finding, ...],
) -> Judged:
    """Compare with the image's header; a scan only if nothing is an error."""
    if isinstance(scanner, Finding):
        findings = (*findings, scanner)
    try:
        shape, affine = read_grid(file.image)
        axes, disagreements = find_axes(file, bvecs, affine)
    except BadInput as error:
        findings = (*findings, *error.findings)
        return (_scan(file, scanner, bvals) if _lacks_only_the_image(scanner, findings) else None), findings
    usable = Usable(file, shape, affine)
    mask = usable.first(file.masks, lambda path: (path,))
    segmentation = usable.first(file.segmentations, lambda one: one.files)
    findings += (
        *checks.volume_faults(file, shape, bvals.size),
        *checks_header.placement_faults(file.image, shape, affine),
    )
    findings += (*disagreements, *usable.faults)
    if isinstance(scanner, Finding) or _has_errors(findings):
        return None, findings
    scan = _scan(file, scanner, bvals)
    return replace(scan, mask=mask, segmentation=segmentation, bvec_axes=axes), findings


def _has_errors(findings: Iterable[Finding]) -> bool:
    return any(finding.severity == "error" for finding in findings)


def _lacks_only_the_image(scanner: Scanner | Finding, findings: Iterable[Finding]) -> TypeGuard[Scanner]:
    """Whether one could plan with it: scanners and pairs are shown before annexed images are fetched."""
    return isinstance(scanner, Scanner) and sum(finding.severity == "error" for finding in findings) == 1


def _scan(file: DwiFile, scanner: Scanner, bvals: Float[np.ndarray, " n"]) -> Scan:
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
