"""Broken and missing files, unknown scanners, and flags that fit no dataset."""

from __future__ import annotations

from pathlib import Path

from tests.datasets import GE, Series
from tests.zoo.case import (
    BAD_INPUT,
    GE_DWI,
    INPUT_MISSING,
    NO_OUTPUT,
    NOTHING_SELECTED,
    OK,
    USAGE,
    Case,
    heads_with,
    make_heads,
)

SERIAL_KEY = "DeviceSerialNumber"
NO_SERIAL = {key: value for key, value in GE.items() if key != SERIAL_KEY}


def truncate_file(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


FILE_CASES = (
    Case(
        name="content of an annex that is not here",
        tree=heads_with(".nii.gz", None),
        exit_code=BAD_INPUT,
        messages=("a link to content that is not here", "datalad get"),
    ),
    Case(
        name="an annexed .bvec that is not here",
        tree=heads_with(".bvec", None),
        exit_code=BAD_INPUT,
        messages=("datalad get", ".bvec"),
    ),
    Case(
        name="an annexed sidecar that is not here",
        tree=heads_with(".json", None),
        exit_code=BAD_INPUT,
        messages=("unknown scanner", "datalad get"),
    ),
    Case(
        name="a table that names another vendor",
        tree=make_heads()
        | {"participants.tsv": [["participant_id", "manufacturer"], ["sub-01", "Philips"]]},
        exit_code=OK,
        messages=("sub-01", "a table says Manufacturer Philips", "The sidecars are used"),
    ),
    Case(
        name="an empty image",
        tree=heads_with(".nii.gz", ""),
        exit_code=BAD_INPUT,
        messages=("the file is empty", "Copy or convert it again"),
    ),
    Case(
        name="no image at all",
        tree=heads_with(".nii.gz", "not an image"),
        exit_code=BAD_INPUT,
        messages=("cannot be read",),
    ),
    Case(
        name="an image that was cut off",
        tree=make_heads(shape=(9, 9, 9)),
        exit_code=BAD_INPUT,
        messages=("not a readable NIfTI image",),
        damage=lambda root: truncate_file(root / f"{GE_DWI}.nii.gz"),
    ),
    Case(
        name="a sidecar that is no JSON",
        tree=heads_with(".json", "{"),
        exit_code=BAD_INPUT,
        messages=("not valid JSON", ".json"),
    ),
    Case(
        name="no sidecar",
        tree=make_heads() | {"sub-04/dwi/sub-04_dwi": Series()},
        exit_code=BAD_INPUT,
        messages=(
            "no .json belongs to it; looked beside it and in the folders above",
            "--scanner-map",
        ),
    ),
    Case(
        name="no sidecar, but a named scanner",
        tree=make_heads(sidecar=None),
        exit_code=OK,
        messages=("no .json belongs to it", "regex"),
        flags=("--scanner-from", "ses-(?P<scanner>ge)", "--target", "Prisma"),
    ),
    Case(
        name="no serial number",
        tree=make_heads(sidecar=NO_SERIAL),
        exit_code=BAD_INPUT,
        messages=("lack DeviceSerialNumber", "--scanner-from 'ses-(?P<scanner>[0-9A-Za-z]+)'"),
    ),
    Case(
        name="an anonymized serial number",
        tree=make_heads(sidecar=GE | {SERIAL_KEY: "0000000000orange"}),
        exit_code=BAD_INPUT,
        messages=("seems anonymized (0000000000orange)",),
    ),
    Case(
        name="a serial number as a number",
        tree=make_heads(sidecar=GE | {SERIAL_KEY: 35343.0}),
        exit_code=OK,
        messages=("SIGNAEXCITE35343",),
    ),
    Case(
        name="one serial number for two models",
        tree={**make_heads(sidecar=GE | {SERIAL_KEY: "66083"})},
        exit_code=OK,
        messages=("SIGNAEXCITE66083", "Prisma66083"),
    ),
    Case(
        name="a model with a trailing blank, its key misspelt",
        tree=make_heads(
            sidecar={"Manufacturer": "Siemens", "ManufacturerModelName": "Avanto ", SERIAL_KEY: "7"}
        ),
        exit_code=OK,
        messages=("Avanto7",),
    ),
    Case(
        name="no travelling subjects",
        tree={name: series for name, series in make_heads().items() if "sub-01" not in name},
        exit_code=BAD_INPUT,
        messages=("no scanner shares 3 subjects",),
    ),
    Case(
        name="one subject on both scanners",
        tree={name: series for name, series in make_heads().items() if "sub-01" in name},
        exit_code=BAD_INPUT,
        messages=("Prisma66083: 1 subject, of them 1 with SIGNAEXCITE000000UOWMR1",),
    ),
    Case(
        name="an empty dataset",
        tree={},
        exit_code=BAD_INPUT,
        messages=("it has no DWI",),
    ),
)

COMMAND_LINE_CASES = (
    Case(
        name="no such participant",
        tree=make_heads(),
        exit_code=INPUT_MISSING,
        messages=("--participant-label 99",),
        flags=("--participant-label", "99"),
    ),
    Case(
        name="filters that leave nothing",
        tree=make_heads() | {"sub-09/ses-ge/dwi/sub-09_ses-ge_dwi": Series(sidecar=GE)},
        exit_code=NOTHING_SELECTED,
        messages=("not asked for (--session-label)",),
        flags=("--participant-label", "09", "--session-label", "siemens"),
    ),
    Case(
        name="no such target",
        tree=make_heads(),
        exit_code=INPUT_MISSING,
        messages=("--target Trio",),
        flags=("--target", "Trio"),
    ),
    Case(
        name="a target that names two",
        tree=make_heads(),
        exit_code=USAGE,
        messages=("names several scanners",),
        flags=("--target", "s"),
    ),
    Case(
        name="an output below a file",
        tree=make_heads(),
        exit_code=NO_OUTPUT,
        messages=("out is no folder",),
        damage=lambda root: (root.parent / "out").write_text(""),
    ),
)
