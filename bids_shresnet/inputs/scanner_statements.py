"""What the tables of a dataset say of the scanner of a scan, to compare with its sidecar.

Such a column names no scanner, because it may say where a subject was to be scanned. But a
contradiction is worth a warning: one of the two is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bids_shresnet.inputs.scanner_labels import (
    model_and_serial,
    normalize_model,
    normalize_serial,
    sanitize_label,
)
from bids_shresnet.inputs.tables import Row

VENDOR = "Manufacturer"
MODEL = "ManufacturersModelName"
SERIAL = "DeviceSerialNumber"
# Columns of real tables (letters only), and the key of a sidecar that says the same
KEYS_BY_COLUMN = {
    "manufacturer": VENDOR,
    "vendor": VENDOR,
    "scannermanufacturer": VENDOR,
    "scannervendor": VENDOR,
    "manufacturersmodelname": MODEL,
    "manufacturermodelname": MODEL,
    "model": MODEL,
    "scannermodel": MODEL,
    "deviceserialnumber": SERIAL,
    "serial": SERIAL,
    "serialnumber": SERIAL,
    "scannerserial": SERIAL,
    "scannerserialnumber": SERIAL,
}
VENDOR_NAMES = {
    "GE": "GE( Medical Systems| Healthcare)?|General Electric",
    "Siemens": "Siemens( Healthineers)?",
    "Philips": "Philips( Medical Systems| Healthcare)?",
    "Canon": "(Canon|Toshiba)( Medical Systems)?",
    "United Imaging": "UIH|United Imaging( Healthcare)?",
}
# No letters around a name: GE is a part of many words
VENDOR_PATTERNS = {
    vendor: re.compile(f"(?<![a-z])({names})(?![a-z])", re.IGNORECASE)
    for vendor, names in VENDOR_NAMES.items()
}


@dataclass(frozen=True)
class ScannerStatement:
    """A cell of a table that describes the scanner of some scans.

    Attributes
    ----------
    row
        `sub-..`, `sub-.._ses-..` or a file name: what the cell is about.
    key
        The key of a sidecar that says the same: Manufacturer, ManufacturersModelName or
        DeviceSerialNumber.
    value
        The cell.
    """

    row: str
    key: str
    value: str

    def is_about(self, file_name: str) -> bool:
        """Return whether a file name has all entities of the row."""
        return _name_parts(self.row) <= _name_parts(file_name)

    def contradicts(self, sidecar: Mapping[str, Any]) -> bool:
        """Return whether a sidecar says something else, not just in another spelling."""
        model, serial = model_and_serial(sidecar)
        if self.key == SERIAL:
            stated_serial = normalize_serial(self.value)
            return bool(serial and stated_serial) and serial != stated_serial
        stated_vendors = find_vendors(self.value)
        vendors = find_vendors(str(sidecar.get(VENDOR) or ""))
        if vendors and stated_vendors and vendors.isdisjoint(stated_vendors):
            return True
        return self.key == MODEL and _differ(remove_vendors(self.value), remove_vendors(model))


def find_scanner_statements(rows: Iterable[tuple[str, Row]]) -> list[ScannerStatement]:
    """Find the cells that name a vendor, a model or a serial number."""
    statements = []
    for name, row in rows:
        for column, cell in row.items():
            key = KEYS_BY_COLUMN.get(sanitize_label(column).casefold())
            if key:
                statements.append(ScannerStatement(name, key, cell))
    return statements


def find_vendors(text: str) -> set[str]:
    """Find the vendors that a text names."""
    return {vendor for vendor, pattern in VENDOR_PATTERNS.items() if pattern.search(text)}


def remove_vendors(model: str) -> str:
    """Remove the names of vendors from a model: "GE SIGNA Premier" is "SIGNA Premier"."""
    for pattern in VENDOR_PATTERNS.values():
        model = pattern.sub("", model)
    return model


def _differ(model: str, other: str) -> bool:
    """Return whether neither model is a part of the other, as "Prisma" is of "Prisma Fit"."""
    one = sanitize_label(normalize_model(model)).casefold()
    two = sanitize_label(normalize_model(other)).casefold()
    return one not in two and two not in one


def _name_parts(name: str) -> set[str]:
    """Return entities and suffix of a file name."""
    return set(name.split(".")[0].split("_"))
