from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPT = runpy.run_path(str(Path(__file__).parent.parent / "scripts" / "release_notes.py"))
CHANGELOG = """\
# Changelog

## [0.2.0] - Unreleased

- Soon.

## [0.1.1] - 2026-02-03

### Fixed

- This.

## [0.1.0] - 2026-01-02

- That.
"""

release_notes: Callable[[str, str], str] = SCRIPT["release_notes"]


@pytest.mark.parametrize(
    ("version", "notes"), [("0.1.1", "### Fixed\n\n- This.\n"), ("0.1.0", "- That.\n")]
)
def test_the_notes_of_a_version_are_all_between_its_heading_and_the_next(
    version: str, notes: str
) -> None:
    assert release_notes(CHANGELOG, version) == notes


@pytest.mark.parametrize(
    ("version", "error"),
    [("0.2.0", "'Unreleased' for a date"), ("0.1", "no heading for 0.1"), ("1.0.0", "no heading")],
)
def test_a_version_without_a_dated_heading_is_an_error(version: str, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        release_notes(CHANGELOG, version)


def test_a_tag_other_than_the_version_is_an_error() -> None:
    with pytest.raises(SystemExit, match=r"The tag is 99\.0\.0"):
        SCRIPT["main"]("99.0.0")
