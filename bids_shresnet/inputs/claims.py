"""What a dataset's tables and README say of scanners: no evidence, but worth a warning where the sidecars disagree.

In real data a README swaps two vendors, and a table names the scanner that a subject was to be scanned on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bids_shresnet.inputs.scanners import (
    normalize_model,
    normalize_serial,
    sanitize_label,
    sidecar_model,
)
from bids_shresnet.inputs.tables import read_dataset_tables
from bids_shresnet.io.storage import NOT_AVAILABLE

MANUFACTURER, MODEL, SERIAL = "Manufacturer", "ManufacturersModelName", "DeviceSerialNumber"
COLUMNS = {  # headings of real tables, letters only
    "manufacturer": MANUFACTURER,
    "vendor": MANUFACTURER,
    "manufacturersmodelname": MODEL,
    "model": MODEL,
    "scannermodel": MODEL,
    "deviceserialnumber": SERIAL,
    "serial": SERIAL,
    "serialnumber": SERIAL,
    "scannerserial": SERIAL,
}
VENDORS = {  # GE in capitals only: ge is in many words
    "GE": re.compile(r"\bGE\b|(?i:general electric)"),
    "Siemens": re.compile("(?i:siemens)"),
    "Philips": re.compile("(?i:philips)"),
    "Canon": re.compile("(?i:canon|toshiba)"),
    "UIH": re.compile(r"\bUIH\b|(?i:united imaging)"),
}
ENTITY = re.compile(r"\b(?:sub|ses|acq)-[0-9A-Za-z]+")


@dataclass(frozen=True)
class Claim:
    """That the scans with these entities in their name (`sub-..`, `sub-.._ses-..`) are of such a scanner."""

    source: str
    entities: str
    field: str
    value: str

    def is_about(self, name: str) -> bool:
        """Whether a file name has the entities."""
        return set(self.entities.split("_")) <= set(name.split(".")[0].split("_"))

    def agrees(self, sidecar: Mapping[str, Any]) -> bool:
        """Whether a sidecar says the same, in whatever spelling, or nothing."""
        said, claimed = plain(self.field, sidecar), plain(self.field, {self.field: self.value})
        return not said or not claimed or said == claimed


def plain(field: str, sidecar: Mapping[str, Any]) -> str:
    """A field of a sidecar in one spelling, for comparison."""
    if field == SERIAL:
        return normalize_serial(sidecar.get(SERIAL))
    if field == MODEL:
        return sanitize_label(normalize_model(sidecar_model(sidecar))).casefold()
    named = vendors(str(sidecar.get(MANUFACTURER) or ""))
    return named[0] if len(named) == 1 else ""


def vendors(text: str) -> list[str]:
    """Manufacturers that a text names."""
    return [name for name, pattern in VENDORS.items() if pattern.search(text)]


def read_claims(root: Path) -> list[Claim]:
    """Claims of participants.tsv, sessions.tsv and scans.tsv, and of the lines of the README that name one vendor."""
    claims = [
        Claim("a table", name.split(".")[0], field, cell.strip())
        for name, row in read_dataset_tables(root)
        for heading, cell in row.items()
        if (field := COLUMNS.get(sanitize_label(str(heading)).casefold()))
        and cell
        and cell.strip() != NOT_AVAILABLE
    ]
    for readme in sorted(root.glob("README*")):
        for line in readme.read_text(encoding="utf-8", errors="replace").splitlines():
            named = vendors(line)
            if len(named) == 1:
                claims += [
                    Claim(readme.name, entity, MANUFACTURER, named[0])
                    for entity in ENTITY.findall(line)
                ]
    return claims
