"""Broken and odd gradient tables, and shells of a pair that do not match."""

from __future__ import annotations

import numpy as np

from tests.datasets import GE, PRISMA, Series, spiral
from tests.zoo.case import (
    BAD_INPUT,
    OK,
    PRISMA_DWI,
    Case,
    for_every_subject,
    format_table,
    heads_with,
    make_heads,
    make_image,
)

BVALS = [0.0, *[1000.0] * 6]  # s/mm2
BVECS = spiral(7) * (np.array(BVALS) > 0)[:, None]
ROOT_TABLES = {f"dwi{extension}": text for extension, text in Series().gradient_tables().items()}
TWO_SHELLS = {0: 1, 500: 6, 1000: 6}
# GE scanners write b-vectors of length sqrt(b / bmax)
BVEC_SCALES = np.sqrt(np.array([0, *[500.0] * 6, *[1000.0] * 6]) / 1000)[:, None]

GRADIENT_CASES = (
    Case(
        name="all is well",
        tree=make_heads(),
        exit_code=OK,
        messages=("Findings\n  none",),
    ),
    Case(
        name="b-vectors scaled by b",
        tree=make_heads(TWO_SHELLS, TWO_SHELLS)
        | for_every_subject(".bvec", format_table((spiral(13) * BVEC_SCALES).T)),
        exit_code=OK,
        messages=("warning", "b-vectors of length 0.7071 to 1", "used with length 1"),
    ),
    Case(
        name="b-vectors all zero at b=1000",
        tree={
            **make_heads(),
            "sub-04/dwi/sub-04_dwi": Series(sidecar=GE),
            "sub-04/dwi/sub-04_dwi.bvec": format_table(np.zeros((3, 7))),
        },
        exit_code=OK,
        messages=("sub-04_dwi.nii.gz", "all b-vectors are zero: a trace or ADC image"),
    ),
    Case(
        name="one b-vector zero at b=1000",
        tree=heads_with(".bvec", format_table((BVECS * (np.arange(7) != 3)[:, None]).T)),
        exit_code=BAD_INPUT,
        messages=("error", "no direction in the volumes 3", ".bvec"),
    ),
    Case(
        name="a b-vector that is NaN",
        tree=heads_with(".bvec", "nan " * 7 + "\n" + format_table(BVECS.T[1:])),
        exit_code=BAD_INPUT,
        messages=("no direction in the volumes",),
    ),
    Case(
        name="b-vectors not zero at b=0",
        tree=make_heads() | for_every_subject(".bvec", format_table(spiral(7).T)),
        exit_code=OK,
        messages=("note", "b=0 volumes that are not zero"),
    ),
    Case(
        name="b=0.001",
        tree=heads_with(".bval", format_table(np.array([[0.001, *BVALS[1:]]]))),
        exit_code=OK,
        messages=("note", "near zero: 0.001", "count as b=0"),
    ),
    Case(
        name="b=5 with a direction",
        tree=make_heads()
        | for_every_subject(".bval", format_table(np.array([[5, *BVALS[1:]]])))
        | for_every_subject(".bvec", format_table(spiral(7).T)),
        exit_code=OK,
        messages=("near zero: 5", "They are ignored"),
    ),
    Case(
        name="a shell of 985 to 1010",
        tree=make_heads() | for_every_subject(".bval", "0 985 990 1000 1000 1005 1010"),
        exit_code=OK,
        messages=("note", "scattered from 985 to 1010", "one shell"),
    ),
    Case(
        name="a shell of 2440 to 2470",
        tree=make_heads(siemens={0: 1, 2450: 6})
        | for_every_subject(".bval", "0 2440 2450 2455 2460 2465 2470"),
        exit_code=OK,
        messages=("scattered from 2440 to 2470",),
    ),
    Case(
        name="shells that run into each other",
        tree=make_heads() | for_every_subject(".bval", "0 900 950 1000 1050 1100 1150"),
        exit_code=OK,
        messages=("warning", "scattered from 900 to 1150", "they count as one"),
    ),
    Case(
        name="a negative b-value",
        tree=heads_with(".bval", "0 -1000 1000 1000 1000 1000 1000"),
        exit_code=BAD_INPUT,
        messages=("negative", "volumes 1"),
    ),
    Case(
        name="a b-value that is no number",
        tree=heads_with(".bval", "0 b 1000 1000 1000 1000 1000"),
        exit_code=BAD_INPUT,
        messages=("not a table of numbers",),
    ),
    Case(
        name="b-values in ms/um2",
        tree=make_heads() | {"sub-04/dwi/sub-04_dwi": Series({0: 1, 1: 6}, GE)},
        exit_code=OK,
        messages=("only b=0 images", "ms/um2"),
    ),
    Case(
        name="more b-values than b-vectors",
        tree=heads_with(".bval", format_table(np.array([[*BVALS, 1000]]))),
        exit_code=BAD_INPUT,
        messages=("7 b-vectors for 8 b-values",),
    ),
    Case(
        name="tables longer than the image",
        tree=heads_with(".nii.gz", make_image(shape=(2, 2, 2, 5))),
        exit_code=BAD_INPUT,
        messages=("5 volumes, but 7 b-values", "truncated"),
    ),
    Case(
        name="b-vectors in two lines",
        tree=heads_with(".bvec", format_table(BVECS.T[:2])),
        exit_code=BAD_INPUT,
        messages=("2 x 7 numbers", "3 lines"),
    ),
    Case(
        name="b-vectors in columns",
        tree=heads_with(".bvec", format_table(BVECS)),
        exit_code=OK,
        messages=("Findings\n  none",),
    ),
    Case(
        name="lines of different length",
        tree=heads_with(".bvec", format_table(BVECS.T) + " 1"),
        exit_code=BAD_INPUT,
        messages=("not a table of numbers",),
    ),
    Case(
        name="no line end and CRLF",
        tree=heads_with(".bval", "0 1000 1000 1000 1000 1000 1000\r\n"),
        exit_code=OK,
        messages=("Findings\n  none",),
    ),
    Case(
        name="an empty .bval",
        tree=heads_with(".bval", ""),
        exit_code=BAD_INPUT,
        messages=("the file is empty", ".bval"),
    ),
    Case(
        name="no gradient tables",
        tree=make_heads() | {"sub-04/dwi/sub-04_dwi": Series(sidecar=GE, has_tables=False)},
        exit_code=BAD_INPUT,
        messages=("no .bval belongs to it; looked beside it and in the folders above", "no .bvec"),
    ),
    Case(
        name="gradient tables at the root only",
        tree=make_heads(has_tables=False) | ROOT_TABLES,
        exit_code=OK,
        messages=("Findings\n  none",),
    ),
    Case(
        name="a truncated run",
        tree=make_heads({0: 1, 1000: 12})
        | {"sub-04/ses-ge/dwi/sub-04_ses-ge_dwi": Series({0: 1, 1000: 6}, GE)},
        exit_code=OK,
        messages=("warning", "6 directions, where 3 others", "have 12"),
    ),
    Case(
        name="three directions, each twice",
        tree=make_heads()
        | {
            "sub-04/dwi/sub-04_dwi": Series({0: 1, 1000: 6}, GE),
            "sub-04/dwi/sub-04_dwi.bvec": format_table(
                np.vstack([np.zeros(3), np.eye(3), -np.eye(3)]).T
            ),
        },
        exit_code=OK,
        messages=("only 3 directions",),
    ),
    Case(
        name="three volumes of b=2000",
        tree=make_heads() | {"sub-04/dwi/sub-04_dwi": Series({0: 3, 2000: 3}, GE)},
        exit_code=OK,
        messages=("only 3 directions",),
    ),
    Case(
        name="a reverse phase-encoding file",
        tree=make_heads() | {"sub-01/ses-ge/dwi/sub-01_ses-ge_dir-PA_dwi": Series({0: 3}, GE)},
        exit_code=OK,
        messages=("reverse phase-encoding",),
    ),
    Case(
        name="no b=0 image",
        tree=make_heads() | {"sub-04/dwi/sub-04_dwi": Series({500: 6, 1000: 6}, GE)},
        exit_code=OK,
        messages=("no b=0 image", "smallest b-value is 500"),
    ),
    Case(
        name="an ADC map",
        tree=make_heads()
        | {"sub-01/ses-ge/dwi/sub-01_ses-ge_ADC.nii.gz": make_image(shape=(2, 2, 2))},
        exit_code=OK,
        messages=("ADC), not a measured series",),
    ),
    Case(
        name="a phase image",
        tree=make_heads() | {"sub-01/ses-ge/dwi/sub-01_ses-ge_part-phase_dwi": Series(sidecar=GE)},
        exit_code=OK,
        messages=("the phase part of a complex image",),
    ),
)

SHELL_CASES = (
    Case(
        name="no common b-value",
        tree=make_heads(siemens={0: 1, 3000: 6}),
        exit_code=BAD_INPUT,
        messages=("no b-value within 25 %",),
    ),
    Case(
        name="a shell without a partner",
        tree=make_heads({0: 1, 1000: 6, 3000: 6}),
        exit_code=OK,
        messages=(
            "warning",
            "the shell b=3000 of SIGNAEXCITE000000UOWMR1 has no partner on Prisma66083",
        ),
    ),
    Case(
        name="one subject lacks the shell",
        tree={
            **make_heads(),
            PRISMA_DWI: Series({0: 1, 2000: 6}, PRISMA),
            "sub-04/ses-ge/dwi/sub-04_ses-ge_dwi": Series(sidecar=GE),
            "sub-04/ses-siemens/dwi/sub-04_ses-siemens_dwi": Series(sidecar=PRISMA),
        },
        exit_code=OK,
        messages=("warning", "sub-01", "it lacks a shell that the other subjects share"),
    ),
    Case(
        name="too few directions for the order",
        tree=make_heads(),
        exit_code=BAD_INPUT,
        messages=("6 directions at b=1000, and order 4 has 15 coefficients", "--sh-order"),
        flags=("--sh-order", "4"),
    ),
    Case(
        name="a shell of three directions",
        tree=make_heads({0: 1, 500: 3, 1000: 6}, {0: 1, 500: 3, 1000: 6}),
        exit_code=OK,
        messages=("warning", "3 directions at b=500, and order 2 has 6 coefficients"),
    ),
)
