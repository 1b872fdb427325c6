"""A regular expression for --scanner-from that fits the file names of a dataset.

A suggestion that makes a scanner of a person, a visit or a protocol does more harm than none. So
one is made only if the scanners that it gives share subjects, and do not look like visits.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from itertools import combinations

from bids_shresnet.inputs.dwi_file import DwiFile
from bids_shresnet.planning.scan_choice import MIN_TRAVELLING

# Only sessions: a subject label is a person, an acquisition label a protocol
PATTERNS = (
    "ses-(?P<scanner>[0-9A-Za-z]+)",  # ses-ge
    "ses-(?P<scanner>[A-Za-z]+)",  # ses-ge01
    "ses-[A-Za-z]*[0-9]+(?P<scanner>[A-Za-z]+)",  # ses-THP0001IOWA1
)
VISIT = re.compile(
    "(v|visit|y|yr|year|m|mo|month|w|wk|week|d|day|t|tp|time(point)?|base(line)?|bl|screening|pre|"
    "post|fu|follow(up)?|test|retest|rescan|repeat|scan|ses|session|s|run)",
    re.IGNORECASE,
)


def suggest_pattern(files: Iterable[DwiFile]) -> str:
    """Return a regular expression that gives scanners with shared subjects; empty if none does."""
    names = [(file.entities.get("subject", ""), file.image.name) for file in files]
    fitting = (pattern for pattern in PATTERNS if _is_plausible(pattern, names))
    return next(fitting, "")


def _is_plausible(pattern: str, names: Collection[tuple[str, str]]) -> bool:
    """Return whether a pattern gives scanners that share enough subjects, and no visits."""
    subjects: dict[str, set[str]] = {}
    for subject, name in names:
        match = re.search(pattern, name)
        if match is None:
            continue
        skipped = match[0].removeprefix("ses-").removesuffix(match["scanner"])
        if not skipped.endswith(subject if skipped else ""):
            return False  # what is skipped may tell scanners apart
        subjects.setdefault(match["scanner"], set()).add(subject)
    stems = [re.sub("[0-9]", "", label).casefold() for label in subjects]
    if len(set(stems)) < len(stems) or any(map(VISIT.fullmatch, stems)):
        return False  # labels that differ in numbers only are repeats
    pairs = combinations(subjects.values(), 2)
    return any(len(one & other) >= MIN_TRAVELLING for one, other in pairs)
