"""Studies with several protocols, visits and scanners, as public datasets have them."""

from __future__ import annotations

from tests.datasets import GE, PRISMA, Series, Shells, Sidecar
from tests.zoo.case import BAD_INPUT, NOTHING_SELECTED, OK, SUBJECTS, Case, Tree, make_heads

ONE_SHELL: Shells = {0: 1, 1000: 6}
HIGH_SHELL: Shells = {0: 1, 5000: 9}
MULTI_SHELL: Shells = {0: 1, 500: 6, 1000: 6, 2000: 6}


def add_scans(session: str, entity: str, shells: Shells, sidecar: Sidecar) -> Tree:
    """One more scan of each subject."""
    return {
        f"sub-{subject}/ses-{session}/dwi/sub-{subject}_ses-{session}_{entity}_dwi": Series(
            shells, sidecar
        )
        for subject in SUBJECTS
    }


SHELL_CHOICE_CASES = (
    Case(
        name="half of the scans of a source lack the shells of the model",
        tree=make_heads() | add_scans("ge", "acq-high", {0: 1, 2000: 6}, GE),
        exit_code=OK,
        messages=(
            "to which 3 scans can be harmonized",
            "no shell at b = 1000 s/mm2 (the scan has b = 2000)",
        ),
    ),
    Case(
        name="the default target counts only scans that a model takes",
        # six scans of the Prisma, of which none but three have a partner on the other scanner
        tree=make_heads() | add_scans("siemens", "acq-high", HIGH_SHELL, PRISMA),
        exit_code=OK,
        messages=("target scanner: Prisma66083, to which 3 scans", "SIGNAEXCITE000000UOWMR1: 3"),
    ),
    Case(
        name="scans with more directions, but of shells that only one scanner has",
        tree=make_heads() | add_scans("ge", "acq-high", HIGH_SHELL, GE),
        exit_code=OK,
        messages=(
            "one of several scans is trained on for 3 subjects and scanners, such as sub-01_ses-ge",
            '{"dwi": {"acquisition": "high"}}',
        ),
    ),
    Case(
        name="subjects on both scanners, but with other b-values",
        tree=make_heads(siemens=HIGH_SHELL),
        exit_code=BAD_INPUT,
        messages=("no b-value within 25 %", "similar b-values"),
    ),
    Case(
        name="a session without scans that a model takes",
        tree=make_heads() | {"sub-04/ses-ge/dwi/sub-04_ses-ge_dwi": Series(HIGH_SHELL, GE)},
        exit_code=NOTHING_SELECTED,
        messages=("is of other b-values: no shell at b = 1000",),
        flags=("--participant-label", "04", "--target", "Prisma"),
    ),
)


def make_study(subject_count: int, missing_count: int) -> Tree:
    """Subjects on two scanners; the images of the first of them were not fetched."""
    tree: Tree = {}
    for number in range(subject_count):
        for session, sidecar in (("ge", GE), ("siemens", PRISMA)):
            subject = f"sub-{number:04d}"
            name = f"{subject}/ses-{session}/dwi/{subject}_ses-{session}_dwi"
            tree[name] = Series(ONE_SHELL, sidecar)
            if number < missing_count:
                tree[f"{name}.nii.gz"] = None
    return tree
