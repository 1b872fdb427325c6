"""From a BIDS dataset to the usable scans and the list of what is left out, each with its reason.

Only names, sidecars, gradient tables and image headers are read. Nothing is refused before everything was looked at:
what is wrong becomes a finding of the inventory, for the caller to show and to stop at.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from bids_shresnet.config import RAW, Config
from bids_shresnet.errors import BadInput, Finding, InputMissing
from bids_shresnet.files.bids import find_dwi
from bids_shresnet.files.gradients import find_axes
from bids_shresnet.files.nifti import GRID_TOLERANCE
from bids_shresnet.files.scanners import Naming, identify, read_naming
from bids_shresnet.files.series import DwiFile, read_gradients, read_grid
from bids_shresnet.scans import Inventory, LeftOut, Scan, Scanner
from bids_shresnet.steps import checks

Judged = tuple[Scan | LeftOut | None, tuple[Finding, ...]]  # None for a file that the findings name

logger = logging.getLogger(__name__)


def find_scans(config: Config, *, identity_required: bool) -> Inventory:
    """All DWI of the dataset: usable scans, files left out, and what is wrong or odd.

    Without `identity_required`, a scan of an unknown scanner is left out; with it, that is an error.
    Every image is in exactly one place: a scan, left out, or named by an error.

    Raises
    ------
    InputMissing
        If the dataset, a derivative, the scanner map or the scanner column does not exist.
    UsageError
        If --derivatives or --scanner-from makes no sense.
    """
    datasets = config.named_datasets()
    files = find_dwi(datasets.pop(RAW), datasets)
    naming = read_naming(config.bids_dir, config.scanner_map, config.scanner_column, config.scanner_from)
    _check_column(config, naming)
    judged = [_judge(file, naming, identity_required=identity_required) for file in files]
    scans = _share_scanners(scan for scan, _ in judged if isinstance(scan, Scan))
    left_out = tuple(item for item, _ in judged if isinstance(item, LeftOut))
    findings = [*naming.findings, *(finding for _, some in judged for finding in some)]
    findings += [*checks.mixed_machines(scans), *checks.same_names(scans)]
    names = {path: name for name, path in config.named_datasets().items()}
    named = tuple(replace(scan, dataset_name=names[scan.dataset]) for scan in scans)
    return Inventory(named, left_out, checks.joined(findings))


def _check_column(config: Config, naming: Naming) -> None:
    """Refuse a column that was asked for and is nowhere."""
    if config.scanner_column != Config.scanner_column and not naming.column:
        msg = (
            f"--scanner-column {config.scanner_column}: no such column with a value in scans.tsv, sessions.tsv or "
            f"participants.tsv of {config.bids_dir}"
        )
        raise InputMissing(msg)


def _share_scanners(scans: Iterable[Scan]) -> tuple[Scan, ...]:
    """One Scanner object a machine, whatever the spelling in each sidecar."""
    first: dict[str, Scanner] = {}
    return tuple(
        replace(scan, scanner=first.setdefault(scan.scanner.label, scan.scanner)) for scan in scans if scan.scanner
    )


def _judge(file: DwiFile, naming: Naming, *, identity_required: bool) -> Judged:
    """Find a file usable, left out, or neither; with what is wrong or odd about it."""
    if reason := checks.not_a_series(file):
        return LeftOut(file.image, reason), ()
    try:
        bvals, bvecs = read_gradients(file)
    except BadInput as error:
        return _without_gradients(file, error)
    lengths = np.linalg.norm(bvecs, axis=1)
    if reason := checks.nothing_to_harmonize(bvals, lengths):
        return LeftOut(file.image, reason), ()
    scanner = identify(file, naming)
    if isinstance(scanner, Finding) and not identity_required:
        return LeftOut(file.image, scanner.value), file.findings
    findings = (*file.findings, *checks.gradient_faults(file, bvals, lengths))
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
        return None, (*findings, *error.findings)
    usable = Usable(file, shape, affine)
    mask = next((path for path in file.masks if usable(path)), None)
    segmentation = next((one for one in file.segmentations if all(map(usable, one.files))), None)
    findings = (*findings, *disagreements, *checks.volume_faults(file, shape, bvals.size), *usable.faults)
    if isinstance(scanner, Finding) or any(finding.severity == "error" for finding in findings):
        return None, findings
    scan = _scan(file, scanner, bvals)
    return replace(scan, mask=mask, segmentation=segmentation, bvec_axes=axes), findings


@dataclass
class Usable:
    """Whether a mask or segmentation shows a scan's space: on its grid, or on another one and its name says so.

    Unreadable ones become warnings in `faults`.
    """

    file: DwiFile
    shape: tuple[int, ...]
    affine: Float[np.ndarray, "4 4"]
    faults: list[Finding] = field(default_factory=list)

    def __call__(self, path: Path) -> bool:
        """Judge one image."""
        try:
            shape, affine = read_grid(path)
        except BadInput as error:
            self.faults += [replace(finding, severity="warning") for finding in error.findings]
            return False
        on_grid = shape[:3] == self.shape[:3] and np.allclose(affine, self.affine, atol=GRID_TOLERANCE)
        if not on_grid and path not in self.file.aligned:
            logger.info("%s is not used: it is on another grid than the scan, and not named as in its space", path)
        return bool(on_grid) or path in self.file.aligned


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
