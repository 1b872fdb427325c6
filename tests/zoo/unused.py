"""What the user gave and nothing uses, misnamed files, and tables as other programs write them."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.datasets import DESCRIPTION, GE, PRISMA, Series
from tests.zoo.case import (
    BAD_INPUT,
    GE_DWI,
    INPUT_MISSING,
    NOTHING_SELECTED,
    OK,
    SUBJECTS,
    USAGE,
    Case,
    Tree,
    make_heads,
)

Rows = list[list[str]]
MAP: Rows = [["scan", "scanner"], ["ses-ge", "A"], ["ses-siemens", "B"], ["ses-gee", "C"]]
UMLAUT_MAP = "scan\tscanner\nses-ge\tGr\N{LATIN SMALL LETTER U WITH DIAERESIS}n\n"
UMLAUT_TABLE = "participant_id\tname\nsub-01\tM\N{LATIN SMALL LETTER U WITH DIAERESIS}ller\n"


def rename(old: str, new: str) -> Tree:
    """Three travelling heads and a fourth one with another name."""
    tree = make_heads() | {"sub-04/ses-ge/dwi/sub-04_ses-ge_dwi": Series(sidecar=GE)}
    return {(name.replace(old, new) if "sub-04" in name else name): tree[name] for name in tree}


def write_text(name: str, text: str, encoding: str) -> Callable[[Path], object]:
    return lambda root: (root / name).write_bytes(text.encode(encoding))


def write_marked_json(name: str, content: Any) -> Callable[[Path], object]:
    """Write JSON as a Windows editor does, with a mark of the encoding first."""
    return lambda root: (root / name).write_bytes(codecs.BOM_UTF8 + json.dumps(content).encode())


THP_FOLDERS = [f"sub-{n}/ses-THP{n}{site}1" for n in SUBJECTS for site in ("IOWA", "MGH")]
LOOKS_LIKE_DWI = "looks like a DWI, but is not named as BIDS has it: sub-<label>"

UNUSED_CASES = (
    Case(
        name="a line of a scanner map that matches no scan",
        tree=make_heads() | {"scanners.tsv": MAP},
        exit_code=OK,
        messages=("line ses-gee: matches no DWI",),
        flags=("--scanner-map", "{root}/scanners.tsv"),
    ),
    Case(
        name="a pattern that matches no file name",
        tree=make_heads(),
        exit_code=OK,
        messages=("--scanner-from: it matches no file name",),
        flags=("--scanner-from", "site-(?P<scanner>[a-z]+)"),
    ),
    Case(
        name="a pattern that loses to sidecars",
        tree=make_heads(),
        exit_code=OK,
        messages=("it matches 6 files, but names the scanner of none",),
        flags=("--scanner-from", "ses-(?P<scanner>[a-z]+)"),
    ),
    Case(
        name="no such excluded participant",
        tree=make_heads(),
        exit_code=INPUT_MISSING,
        messages=("--exclude-participant-label 99: no such participant",),
        flags=("--exclude-participant-label", "99"),
    ),
    Case(
        name="an empty derivative",
        tree=make_heads(),
        exit_code=OK,
        messages=("-d masks=", "nothing in it belongs to a DWI", "The raw DWI are used"),
        derivative={},
    ),
    Case(
        name="a derivative whose names lack desc-preproc",
        tree=make_heads(),
        exit_code=OK,
        messages=("nothing in it belongs to a DWI", "desc-preproc_dwi"),
        derivative={GE_DWI: Series(sidecar=GE)},
    ),
    Case(
        name="a derivative without the gradient tables of some DWI",
        tree=make_heads(),
        exit_code=BAD_INPUT,
        messages=(
            "error: 2 files, such as",
            "no .bval belongs to it",
            "Without its derivative (-d), the raw scan is used",
        ),
        derivative={
            f"sub-{subject}/ses-ge/dwi/sub-{subject}_ses-ge_desc-preproc_dwi": Series(
                sidecar=GE, has_tables=subject == "01"
            )
            for subject in SUBJECTS
        },
    ),
    Case(
        name="a map that a pipeline computed",
        tree=make_heads() | {"sub-01/ses-ge/dwi/sub-01_ses-ge_model-DTI_FA.nii.gz": "not read"},
        exit_code=OK,
        messages=("a map that a pipeline computed (FA)",),
    ),
    Case(
        name="the raw dataset as derivative",
        tree=make_heads(),
        exit_code=USAGE,
        messages=("is given twice",),
        flags=("-d", "{root}"),
    ),
    Case(
        name="capital letters in the suffix",
        tree=rename("_dwi", "_DWI"),
        exit_code=OK,
        messages=("sub-04_ses-ge_DWI.nii.gz", LOOKS_LIKE_DWI),
    ),
    Case(
        name="a session folder without ses-",
        tree=rename("/ses-ge/", "/ge/"),
        exit_code=OK,
        messages=("/sub-04/ge/dwi/", LOOKS_LIKE_DWI),
    ),
    Case(
        name="a subject folder without sub-",
        tree=rename("sub-04/", "04/"),
        exit_code=OK,
        messages=("/04/ses-ge/dwi/", LOOKS_LIKE_DWI),
    ),
    Case(
        name="a file of one subject in the folder of another",
        tree=make_heads() | {"sub-09/ses-ge/dwi/sub-01_ses-ge_run-2_dwi": Series(sidecar=GE)},
        exit_code=BAD_INPUT,
        messages=("the file is of sub-01, its folder of sub-09",),
    ),
    Case(
        name="a dataset without DWI",
        tree={"sub-01/anat/sub-01_T1w.nii.gz": "not read"},
        exit_code=BAD_INPUT,
        messages=("it has no DWI, which BIDS names sub-<label>",),
    ),
    Case(
        name="exclusions that leave no scan",
        tree=make_heads(),
        exit_code=NOTHING_SELECTED,
        messages=("6 x not asked for (--exclude-participant-label)",),
        flags=("--exclude-participant-label", *SUBJECTS),
    ),
)

ENCODING_CASES = (
    *(
        Case(
            name=f"a scanner map in {encoding}",
            tree=make_heads(),
            exit_code=BAD_INPUT,
            messages=("scanners.tsv", "UTF-8"),
            flags=("--scanner-map", "{root}/scanners.tsv"),
            damage=write_text("scanners.tsv", UMLAUT_MAP, encoding),
        )
        for encoding in ("utf-16", "latin-1")
    ),
    *(
        Case(
            name=f"participants.tsv in {encoding}",
            tree=make_heads(),
            exit_code=BAD_INPUT,
            messages=("participants.tsv", "UTF-8"),
            damage=write_text("participants.tsv", UMLAUT_TABLE, encoding),
        )
        for encoding in ("utf-16", "latin-1")
    ),
    Case(
        name="a sidecar of a Windows editor",
        tree=make_heads(),
        exit_code=OK,
        messages=("Findings\n  none",),
        damage=write_marked_json(f"{GE_DWI}.json", GE),
    ),
    Case(
        name="a description of a Windows editor",
        tree=make_heads(),
        exit_code=OK,
        messages=("Findings\n  none",),
        damage=write_marked_json("dataset_description.json", DESCRIPTION),
    ),
    Case(
        name="an empty description",
        tree=make_heads(),
        exit_code=BAD_INPUT,
        messages=("dataset_description.json", "the file is empty"),
        damage=lambda root: (root / "dataset_description.json").write_text(""),
    ),
    Case(
        name="a sidecar that is no JSON is not called missing",
        tree=make_heads() | {f"{GE_DWI}.json": "{"},
        exit_code=BAD_INPUT,
        messages=("unknown scanner: its sidecar cannot be read",),
    ),
)

PATTERN_CASES = (
    Case(
        name="protocols are not suggested as scanners",
        tree={
            f"sub-{subject}/dwi/sub-{subject}_acq-{protocol}_dwi": Series()
            for subject in SUBJECTS
            for protocol in ("NODDI10DIR", "DTI")
        },
        exit_code=BAD_INPUT,
        messages=("or with --scanner-from, if a part of the file names does.",),
    ),
    Case(
        name="persons are not suggested as scanners",
        tree={f"sub-{subject}/dwi/sub-{subject}_dwi": Series() for subject in SUBJECTS},
        exit_code=BAD_INPUT,
        messages=("or with --scanner-from, if a part of the file names does.",),
    ),
    Case(
        name="sessions that name the visit are not suggested as scanners",
        tree={
            f"sub-{subject}/ses-{visit}/dwi/sub-{subject}_ses-{visit}_dwi": Series()
            for subject in SUBJECTS
            for visit in ("baseline", "followup")
        },
        exit_code=BAD_INPUT,
        messages=("or with --scanner-from, if a part of the file names does.",),
    ),
    Case(
        name="sessions that hold the subject and the site",
        tree={f"{folder}/dwi/{folder.replace('/', '_')}_dwi": Series() for folder in THP_FOLDERS},
        exit_code=BAD_INPUT,
        messages=("--scanner-from 'ses-[A-Za-z]*[0-9]+(?P<scanner>[A-Za-z]+)'",),
    ),
    Case(
        name="a serial number of a hospital's own",
        tree=make_heads(
            sidecar=GE | {"DeviceSerialNumber": "000000CAMH", "InstitutionName": "CAMH"}
        ),
        exit_code=OK,
        messages=("SIGNAEXCITE000000CAMH",),
    ),
    Case(
        name="echo times that differ between protocols only",
        tree=make_heads(sidecar=GE | {"EchoTime": 0.08})
        | {
            f"sub-{subject}/ses-ge/dwi/sub-{subject}_ses-ge_acq-fast_dwi": Series(
                sidecar=GE | {"EchoTime": 0.06}
            )
            for subject in SUBJECTS
        },
        exit_code=OK,
        messages=("an echo time of 60 ms; the model was trained on 80 ms",),
        flags=("--target", PRISMA["ManufacturersModelName"]),
    ),
)
