"""Other names for scanners: short ones of the user, and such without serial numbers.

Scans are renamed as soon as they are found, so that labels, folders, sidecars, findings and reports
know the new names alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import count
from string import ascii_uppercase
from typing import Any

from bids_shresnet.config import ScannerSettings
from bids_shresnet.errors import UsageError
from bids_shresnet.inputs.scanner_labels import normalize_model, sanitize_label
from bids_shresnet.planning.scanner_choice import find_scanner
from bids_shresnet.scans import Scan, Scanner

IDENTIFYING_KEYS = ("DeviceSerialNumber", "StationName")  # of a machine, in sidecars
LETTERS_OF_ANOTHER_RUN = (
    "--anonymize-scanners with --models: letters of another run may mean other machines; give "
    "every scanner the name that it has in the model with --alias"
)


def rename_scanners(
    scans: Sequence[Scan], settings: ScannerSettings, *, is_training: bool
) -> list[Scan]:
    """Give scanners the names of `alias`, and with `anonymize_scanners` letters for serial numbers.

    Parameters
    ----------
    scans
        Scans with the labels that the dataset gives their scanners.
    is_training
        False if models of another run are used, whose letters may mean other machines.

    Raises
    ------
    InputMissing
        If an alias is for no scanner of the dataset.
    UsageError
        If an alias is for several scanners or is the label of another one, or if letters would
        have to match those of another run.
    """
    scanners = {scan.scanner.label: scan.scanner for scan in scans if scan.scanner}
    names = _find_aliases(settings.alias, scanners)
    if settings.anonymize_scanners:
        unnamed = sorted(label for label in scanners if label not in names)
        if unnamed and not is_training:
            raise UsageError(LETTERS_OF_ANOTHER_RUN)
        names |= _name_by_letters([scanners[label] for label in unnamed], names.values())
    if not names:
        return list(scans)
    return [_rename(scan, names, is_anonymous=settings.anonymize_scanners) for scan in scans]


def _find_aliases(aliases: Collection[str], scanners: Mapping[str, Scanner]) -> dict[str, str]:
    """Return the new name for each label that has one."""
    names: dict[str, str] = {}
    for alias in aliases:
        text, _, name = alias.partition("=")
        names[find_scanner("--alias", text, scanners).label] = name
    kept = scanners.keys() - names.keys()
    if clashing := sorted(kept.intersection(names.values())):
        msg = f"--alias: {' '.join(clashing)} is the label of another scanner"
        raise UsageError(msg)
    return names


def _name_by_letters(scanners: Sequence[Scanner], aliases: Collection[str]) -> dict[str, str]:
    """Return model and letter for the label of each scanner that has a serial number.

    Labels that a user or a table gave stay as they are, and no letter makes one of them again.
    """
    names: dict[str, str] = {}
    taken = {*aliases, *(scanner.label for scanner in scanners if not scanner.serial)}
    for scanner in scanners:
        if scanner.serial:
            model = sanitize_label(normalize_model(scanner.model))
            possible = (f"{model}{_letters(number)}" for number in count(1))
            name = next(name for name in possible if name not in taken)
            names[scanner.label] = name
            taken.add(name)
    return names


def _letters(number: int) -> str:
    """Count A to Z, then AA."""
    number, letter = divmod(number - 1, len(ascii_uppercase))
    return (_letters(number) if number else "") + ascii_uppercase[letter]


def _rename(scan: Scan, names: Mapping[str, str], *, is_anonymous: bool) -> Scan:
    scanner = scan.scanner
    if scanner is None:
        return scan
    renamed = replace(scanner, label=names.get(scanner.label, scanner.label))
    if not is_anonymous:
        return replace(scan, scanner=renamed)
    metadata = _remove_serial(scan.metadata, scanner.serial)
    return replace(scan, scanner=replace(renamed, serial=""), metadata=metadata)


def _remove_serial(metadata: Mapping[str, Any], serial: str) -> dict[str, Any]:
    """Return metadata without keys that identify a machine, or that hold its serial number."""
    return {
        key: value
        for key, value in metadata.items()
        if key not in IDENTIFYING_KEYS and not (serial and serial in str(value))
    }
