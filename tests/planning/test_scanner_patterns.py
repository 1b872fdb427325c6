from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from bids_shresnet.inputs.dwi_file import DwiFile
from bids_shresnet.planning.scanner_patterns import suggest_pattern

SUBJECTS = ("01", "02", "03")


def make_files(sessions: Sequence[str], subjects: Sequence[str] = SUBJECTS) -> list[DwiFile]:
    """One DWI of each subject in each session; `{}` in a session label is the subject."""
    names = [(sub, ses.format(sub)) for sub in subjects for ses in sessions]
    return [
        DwiFile(
            image=Path(f"/data/sub-{subject}_ses-{session}_dwi.nii.gz"),
            dataset=Path("/data"),
            suffix="dwi",
            entities={"subject": subject, "session": session},
            metadata={},
        )
        for subject, session in names
    ]


@pytest.mark.parametrize(
    ("sessions", "scanners"),
    [
        (("ge", "prisma"), {"ge", "prisma"}),
        (("ucsd1", "sdsu1"), {"ucsd1", "sdsu1"}),
        (("THP{}IOWA1", "THP{}MGH1", "THP{}MGH2"), {"IOWA", "MGH"}),  # of THP
    ],
)
def test_a_pattern_names_the_scanners_that_subjects_share(
    sessions: Sequence[str], scanners: set[str]
) -> None:
    files = make_files(sessions)
    pattern = suggest_pattern(files)
    matches = [re.search(pattern, file.image.name) for file in files]
    assert {match["scanner"] for match in matches if match} == scanners


@pytest.mark.parametrize(
    "sessions",
    [
        ("01", "02"),  # visits
        ("baseline", "followup"),
        ("s1Ax1", "s1Ax2", "s1Bx1"),  # of MASiVar: scanner and repeat
        ("{}",),  # the subject once more
        ("1204", "3076"),  # days, as of ARC
    ],
)
def test_no_pattern_makes_scanners_of_visits_repeats_or_persons(sessions: Sequence[str]) -> None:
    assert suggest_pattern(make_files(sessions)) == ""


def test_two_shared_subjects_are_too_few() -> None:
    assert suggest_pattern(make_files(("ge", "prisma"), SUBJECTS[:2])) == ""
