"""From a BIDS dataset to the usable scans and the excluded files, each with its reason.

Only names, sidecars, gradient tables and image headers are read. All files are looked at before
anything is refused: problems become findings of the inventory, for the caller to show.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

from bids_shresnet.config import (
    DEFAULT_SCANNER_COLUMN,
    RAW_DATASET_NAME,
    InputSettings,
    ScannerSettings,
)
from bids_shresnet.errors import InputMissing
from bids_shresnet.inputs.dataset import has_database
from bids_shresnet.inputs.dwi_file import DwiFile
from bids_shresnet.inputs.filters import read_bids_filter
from bids_shresnet.inputs.find import find_dwi
from bids_shresnet.inputs.scanners import ScannerNaming, read_scanner_naming
from bids_shresnet.pairs import ExcludedScan, Inventory
from bids_shresnet.planning.checks.dwi_files import check_truncation, check_unique_names
from bids_shresnet.planning.checks.readme import check_readme
from bids_shresnet.planning.checks.scanners import find_conflicts
from bids_shresnet.planning.checks.unused_inputs import (
    check_derivatives,
    check_misnamed,
    check_presence,
    check_scanner_map,
    check_scanner_pattern,
)
from bids_shresnet.planning.classify import Classification, FileClassifier
from bids_shresnet.planning.scanner_names import rename_scanners
from bids_shresnet.planning.scanner_patterns import suggest_pattern
from bids_shresnet.scans import Scan, Scanner


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
        If the dataset, a derivative, the scanner map, the scanner column, the filter file or an
        excluded participant does not exist.
    UsageError
        If --derivatives, --scanner-from, --alias, --bids-filter-file or --bids-database-dir makes
        no sense.
    """
    datasets = inputs.named_datasets()
    derivatives = {name: path for name, path in datasets.items() if name != RAW_DATASET_NAME}
    subjects = () if is_identity_required else inputs.participant_label
    database = inputs.bids_database_dir
    if is_dry_run and database and not has_database(database):
        database = None  # a dry run writes none
    files = find_dwi(inputs.bids_dir, derivatives, subjects=subjects, database=database)
    _check_excluded_labels(inputs, files)
    naming = _read_naming(inputs.bids_dir, scanners, files)
    classifier = FileClassifier(
        naming=naming,
        bids_filter=read_bids_filter(inputs.bids_filter_file, inputs.exclude_participant_label),
        is_identity_required=is_identity_required,
        opened_subjects=inputs.participant_label if is_dry_run else (),
    )
    classified = [classifier.classify(file) for file in files]
    usable = (item.scan for item in classified if isinstance(item.scan, Scan))
    renamed = rename_scanners(_unify_scanners(usable), scanners, is_training=is_identity_required)
    unused = [
        *check_presence(inputs.bids_dir, files),
        *([] if subjects else check_misnamed(inputs.bids_dir, files)),
        *check_derivatives(derivatives, files),
        *check_scanner_map(scanners.scanner_map, naming, files),
        *check_scanner_pattern(naming, files, renamed),
        *([] if scanners.anonymize_scanners else check_readme(inputs.bids_dir, renamed)),
    ]
    inventory = _make_inventory(classified, tuple(renamed), naming)
    inventory = replace(inventory, findings=(*unused, *inventory.findings))
    names = {path: name for name, path in datasets.items()}
    scans = tuple(replace(scan, dataset_name=names[scan.dataset]) for scan in inventory.scans)
    return replace(inventory, scans=scans)


def _make_inventory(
    classified: Sequence[Classification], scans: tuple[Scan, ...], naming: ScannerNaming
) -> Inventory:
    """Collect scans, excluded files and findings, and compare the scans with each other."""
    conflicts = find_conflicts(scans, naming.split_by, naming.statements)
    findings = [
        *naming.findings,
        *chain.from_iterable(item.findings for item in classified),
        *check_unique_names(scans),
        *check_truncation(scans),
        *dict.fromkeys(chain.from_iterable(conflicts.values())),
    ]
    excluded = (item.scan for item in classified if isinstance(item.scan, ExcludedScan))
    return Inventory(scans, tuple(excluded), tuple(findings), conflicts)


def _read_naming(root: Path, settings: ScannerSettings, files: Iterable[DwiFile]) -> ScannerNaming:
    """Read how scanners are named, and check that the column and the keys asked for exist."""
    column = settings.scanner_column
    naming = read_scanner_naming(root, settings.scanner_map, column, settings.scanner_from)
    if column != DEFAULT_SCANNER_COLUMN and not naming.table_scanners:
        msg = (
            f"--scanner-column {column}: no such column with a value in scans.tsv, "
            f"sessions.tsv or participants.tsv of {root}"
        )
        raise InputMissing(msg)
    files = tuple(files)
    _check_split_keys(settings.split_by, files, root)
    statements = () if settings.anonymize_scanners else naming.statements  # of serial numbers
    return replace(
        naming,
        split_by=settings.split_by,
        statements=statements,
        suggested_pattern=suggest_pattern(files),
    )


def _check_excluded_labels(inputs: InputSettings, files: Iterable[DwiFile]) -> None:
    """Refuse labels of --exclude-participant-label that no subject has."""
    known = {path.name.removeprefix("sub-") for path in inputs.bids_dir.glob("sub-*")}
    known |= {file.entities.get("subject", "") for file in files}
    unknown = [label for label in inputs.exclude_participant_label if label not in known]
    if unknown:
        labels = " ".join(unknown)
        msg = f"--exclude-participant-label {labels}: no such participant in {inputs.bids_dir}"
        raise InputMissing(msg)


def _check_split_keys(keys: Sequence[str], files: Iterable[DwiFile], root: Path) -> None:
    """Refuse keys that no sidecar has."""
    known = {key for file in files for key in file.metadata}
    unknown = [key for key in keys if key not in known]
    if unknown:
        msg = f"--split-by {' '.join(unknown)}: no sidecar of a DWI in {root} has such a key"
        raise InputMissing(msg)


def _unify_scanners(scans: Iterable[Scan]) -> tuple[Scan, ...]:
    """Give all scans of a label the same Scanner, whatever the spelling in each sidecar."""
    scanners: dict[str, Scanner] = {}
    unified = []
    for scan in scans:
        if scan.scanner:
            scanner = scanners.setdefault(scan.scanner.label, scan.scanner)
            unified.append(replace(scan, scanner=scanner))
    return tuple(unified)
