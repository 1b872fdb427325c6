"""What the README of a dataset says of its scanners, against the sidecars.

A line that names one vendor and a session's site, such as `SDSU-MRI: GE Discovery` where sessions
are ses-sdsu1, is a statement. READMEs are prose: only a plain contradiction is worth a warning.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from bids_shresnet.errors import Finding
from bids_shresnet.inputs.scanner_statements import VENDOR, find_vendors
from bids_shresnet.scans import Scan

README_NAMES = ("README", "README.md", "README.txt", "README.rst")
SESSION_LABEL = re.compile(r"\bses-\w+")  # ses-ge names a session, not a vendor
MIN_STEM_LENGTH = 3  # letters of a session label that name a site


def check_readme(root: Path, scans: Iterable[Scan]) -> list[Finding]:
    """Warn about vendors that README gives to the sessions of others."""
    path = next((root / name for name in README_NAMES if (root / name).is_file()), None)
    if path is None:
        return []
    measured = _vendors_by_stem(scans)
    stated = _read_statements(path, measured)
    remedy = "The sidecars are used; if README is right, name the scanners with --scanner-map."
    findings = []
    for stem, vendors in stated.items():
        if len(vendors) == 1 and measured[stem] and vendors.isdisjoint(measured[stem]):
            machines = " and ".join(sorted(measured[stem]))
            value = f"it says {vendors.pop()} of {stem}, the sidecars of its sessions {machines}"
            findings.append(Finding.warning(path, value, remedy))
    return findings


def _vendors_by_stem(scans: Iterable[Scan]) -> dict[str, set[str]]:
    """Return the vendors in the sidecars, by the letters that a session label begins with."""
    vendors: dict[str, set[str]] = defaultdict(set)
    for scan in scans:
        stem = re.match("[a-z]*", scan.session.casefold())
        if stem and len(stem[0]) >= MIN_STEM_LENGTH:
            vendors[stem[0]] |= find_vendors(str(scan.metadata.get(VENDOR) or ""))
    return vendors


def _read_statements(path: Path, stems: Iterable[str]) -> Mapping[str, set[str]]:
    """Return the vendors that lines of README name together with one site."""
    stated: dict[str, set[str]] = defaultdict(set)
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        words = {word.casefold() for word in re.findall("[A-Za-z]+", line)}
        vendors = find_vendors(SESSION_LABEL.sub("", line))
        sites = words.intersection(stems)
        if len(vendors) == len(sites) == 1:
            stated[sites.pop()] |= vendors
    return stated
