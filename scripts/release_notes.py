#!/usr/bin/env python3
"""Print the notes of a release from CHANGELOG.md: release_notes.py VERSION.

The version has to be that of the file `version`, and its heading has to carry a date.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def release_notes(changelog: str, version: str) -> str:
    """Return the text below the heading `## [VERSION] - YYYY-MM-DD`.

    Raises
    ------
    ValueError
        There is no such heading, or it has no date yet.
    """
    start = f"[{version}] - "
    for section in re.split("^## ", changelog, flags=re.MULTILINE):
        heading, _, notes = section.partition("\n")
        if heading.startswith(start):
            _check_date(heading.removeprefix(start))
            return notes.strip() + "\n"
    msg = f"CHANGELOG.md: no heading for {version}; add '## [{version}] - YYYY-MM-DD'"
    raise ValueError(msg)


def _check_date(date: str) -> None:
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", date):
        msg = f"CHANGELOG.md: the release has '{date}' for a date; write YYYY-MM-DD"
        raise ValueError(msg)


def main(tag: str) -> None:
    """Check the tag against the file `version` and print the notes."""
    version = (ROOT / "version").read_text(encoding="utf-8").strip()
    if tag != version:
        sys.exit(f"The tag is {tag}, but the file `version` says {version}: make them agree")
    sys.stdout.write(release_notes((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), version))


if __name__ == "__main__":
    main(*sys.argv[1:])
