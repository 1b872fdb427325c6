"""Broken and odd datasets, each with what a dry run must say of it and the code it must exit with."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import nibabel as nib
import numpy as np
import pytest
from jaxtyping import Float

from bids_shresnet.cli.app import main
from tests.datasets import AFFINE, GE, PRISMA, Series, spiral, write_tree

pytestmark = pytest.mark.slow

SUBJECTS = ("01", "02", "03")
GOOD, NOTHING, USAGE, BAD, MISSING, NO_OUTPUT = 0, 18, 64, 65, 66, 73
ONE = "sub-01/ses-ge/dwi/sub-01_ses-ge_dwi"
OTHER = "sub-01/ses-siemens/dwi/sub-01_ses-siemens_dwi"
BVALS = [0.0, *[1000.0] * 6]
BVECS = spiral(7) * (np.array(BVALS) > 0)[:, None]
MASK = "sub-01/ses-ge/dwi/sub-01_ses-ge_desc-brain_mask.nii.gz"
Tree = Mapping[str, Any]


def heads(
    ge: Mapping[float, int] | None = None,
    siemens: Mapping[float, int] | None = None,
    **fields: object,
) -> Tree:
    """Three travelling heads; `fields` are of GE's series."""
    tree = {}
    for subject in SUBJECTS:
        stem = f"sub-{subject}/ses-{{0}}/dwi/sub-{subject}_ses-{{0}}_dwi"
        tree[stem.format("ge")] = Series(
            **{"shells": ge or {0: 1, 1000: 6}, "sidecar": GE} | fields
        )  # type: ignore[arg-type]
        tree[stem.format("siemens")] = Series(siemens or {0: 1, 1000: 6}, PRISMA)
    return tree


def on_every(extension: str, content: Any, session: str = "ge") -> Tree:
    """The same file for each subject's scan of a scanner."""
    return {
        f"sub-{s}/ses-{session}/dwi/sub-{s}_ses-{session}_dwi{extension}": content for s in SUBJECTS
    }


def table(rows: Float[np.ndarray, "r c"]) -> str:
    return "\n".join(" ".join(f"{value:g}" for value in row) for row in rows)


def image(
    data: Any = 100,
    *,
    sform: int = 2,
    qform: int = 2,
    shape: tuple[int, ...] = (2, 2, 2, 7),
    **other: Any,
) -> Any:
    """An image of a constant, or of any data, with any orientation fields."""
    values = np.broadcast_to(np.asarray(data, np.float32), shape).copy()
    header = nib.Nifti1Header()
    header.set_data_dtype(np.float32)
    header.set_qform(other.get("qform_affine", AFFINE), qform)
    header.set_sform(other.get("affine", AFFINE), sform)
    header["pixdim"][1:4] = other.get("pixdim", (2, 2, 2))
    return nib.Nifti1Image(
        values, None, header
    )  # without an affine, nibabel leaves the header as it is


def with_value(value: float, *places: tuple[int, ...]) -> Float[np.ndarray, "2 2 2 7"]:
    data = np.full((2, 2, 2, 7), 100.0, np.float32)
    for place in places:
        data[place] = value
    return data


def with_hole() -> Any:
    mask = np.ones((5, 5, 5), np.uint8)
    mask[2, 2, 2] = 0
    return mask


def crumbs() -> Any:
    mask = np.zeros((5, 5, 5), np.uint8)
    mask[:2], mask[4, 4, 4] = 1, 1
    return mask


class Case(NamedTuple):
    """What lies in the dataset, how the app is called, and the oracle: exit code and words."""

    name: str
    tree: Tree
    code: int
    words: tuple[str, ...]
    flags: tuple[str, ...] = ()
    derivative: Tree | None = None
    spoil: Callable[[Path], object] | None = None


SCALE = np.sqrt(np.array([0, *[500.0] * 6, *[1000.0] * 6]) / 1000)[:, None]
TWO_SHELLS = {0: 1, 500: 6, 1000: 6}
SHEARED = AFFINE + np.array([[0, 1.0, 0, 0], *[[0] * 4] * 3])
TURNED = AFFINE @ np.array([[0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
SERIAL = "DeviceSerialNumber"
BIG = (5, 5, 5)
JSON = {key: value for key, value in GE.items() if key != SERIAL}
ROOT_TABLES = {f"dwi{extension}": text for extension, text in Series().gradient_tables().items()}

ZOO = (
    # gradient tables
    Case("all is well", heads(), GOOD, ("Findings\n  none",)),
    Case(
        "b-vectors scaled by b",
        heads(TWO_SHELLS, TWO_SHELLS) | on_every(".bvec", table((spiral(13) * SCALE).T)),
        GOOD,
        ("warning", "b-vectors of length 0.7071 to 1", "used with length 1"),
    ),
    Case(
        "b-vectors all zero at b=1000",
        {
            **heads(),
            "sub-04/dwi/sub-04_dwi": Series(sidecar=GE),
            "sub-04/dwi/sub-04_dwi.bvec": table(np.zeros((3, 7))),
        },
        GOOD,
        ("sub-04_dwi.nii.gz", "all b-vectors are zero: a trace or ADC image"),
    ),
    Case(
        "one b-vector zero at b=1000",
        heads() | {f"{ONE}.bvec": table((BVECS * (np.arange(7) != 3)[:, None]).T)},
        BAD,
        ("error", "no direction in the volumes 3", ".bvec"),
    ),
    Case(
        "a b-vector that is NaN",
        heads() | {f"{ONE}.bvec": "nan " * 7 + "\n" + table(BVECS.T[1:])},
        BAD,
        ("no direction in the volumes",),
    ),
    Case(
        "b-vectors not zero at b=0",
        heads() | on_every(".bvec", table(spiral(7).T)),
        GOOD,
        ("note", "b=0 volumes that are not zero"),
    ),
    Case(
        "b=0.001",
        heads() | {f"{ONE}.bval": table(np.array([[0.001, *BVALS[1:]]]))},
        GOOD,
        ("note", "near zero: 0.001", "count as b=0"),
    ),
    Case(
        "b=5 with a direction",
        heads()
        | on_every(".bval", table(np.array([[5, *BVALS[1:]]])))
        | on_every(".bvec", table(spiral(7).T)),
        GOOD,
        ("near zero: 5", "They are ignored"),
    ),
    Case(
        "a shell of 985 to 1010",
        heads() | on_every(".bval", "0 985 990 1000 1000 1005 1010"),
        GOOD,
        ("note", "scattered from 985 to 1010", "one shell"),
    ),
    Case(
        "a shell of 2440 to 2470",
        heads(siemens={0: 1, 2450: 6}) | on_every(".bval", "0 2440 2450 2455 2460 2465 2470"),
        GOOD,
        ("scattered from 2440 to 2470",),
    ),
    Case(
        "shells that run into each other",
        heads() | on_every(".bval", "0 900 950 1000 1050 1100 1150"),
        GOOD,
        ("warning", "scattered from 900 to 1150", "they count as one"),
    ),
    Case(
        "a negative b-value",
        heads() | {f"{ONE}.bval": "0 -1000 1000 1000 1000 1000 1000"},
        BAD,
        ("negative", "volumes 1"),
    ),
    Case(
        "a b-value that is no number",
        heads() | {f"{ONE}.bval": "0 b 1000 1000 1000 1000 1000"},
        BAD,
        ("not a table of numbers",),
    ),
    Case(
        "b-values in ms/um2",
        heads() | {"sub-04/dwi/sub-04_dwi": Series({0: 1, 1: 6}, GE)},
        GOOD,
        ("only b=0 images", "ms/um2"),
    ),
    Case(
        "more b-values than b-vectors",
        heads() | {f"{ONE}.bval": table(np.array([[*BVALS, 1000]]))},
        BAD,
        ("7 b-vectors for 8 b-values",),
    ),
    Case(
        "tables longer than the image",
        heads() | {f"{ONE}.nii.gz": image(shape=(2, 2, 2, 5))},
        BAD,
        ("5 volumes, but 7 b-values", "truncated"),
    ),
    Case(
        "b-vectors in two lines",
        heads() | {f"{ONE}.bvec": table(BVECS.T[:2])},
        BAD,
        ("2 x 7 numbers", "3 lines"),
    ),
    Case(
        "b-vectors in columns", heads() | {f"{ONE}.bvec": table(BVECS)}, GOOD, ("Findings\n  none",)
    ),
    Case(
        "lines of different length",
        heads() | {f"{ONE}.bvec": table(BVECS.T) + " 1"},
        BAD,
        ("not a table of numbers",),
    ),
    Case(
        "no line end and CRLF",
        heads() | {f"{ONE}.bval": "0 1000 1000 1000 1000 1000 1000\r\n"},
        GOOD,
        ("Findings\n  none",),
    ),
    Case("an empty .bval", heads() | {f"{ONE}.bval": ""}, BAD, ("the file is empty", ".bval")),
    Case(
        "no gradient tables",
        heads() | {"sub-04/dwi/sub-04_dwi": Series(sidecar=GE, has_tables=False)},
        BAD,
        ("no .bval belongs to it; looked beside it and in the folders above", "no .bvec"),
    ),
    Case(
        "gradient tables at the root only",
        heads(has_tables=False) | ROOT_TABLES,
        GOOD,
        ("Findings\n  none",),
    ),
    Case(
        "a truncated run",
        heads({0: 1, 1000: 12})
        | {"sub-04/ses-ge/dwi/sub-04_ses-ge_dwi": Series({0: 1, 1000: 6}, GE)},
        GOOD,
        ("warning", "6 directions, where 3 others", "have 12"),
    ),
    Case(
        "three directions, each twice",
        heads()
        | {
            "sub-04/dwi/sub-04_dwi": Series({0: 1, 1000: 6}, GE),
            "sub-04/dwi/sub-04_dwi.bvec": table(np.vstack([np.zeros(3), np.eye(3), -np.eye(3)]).T),
        },
        GOOD,
        ("only 3 directions",),
    ),
    Case(
        "three volumes of b=2000",
        heads() | {"sub-04/dwi/sub-04_dwi": Series({0: 3, 2000: 3}, GE)},
        GOOD,
        ("only 3 directions",),
    ),
    Case(
        "a reverse phase-encoding file",
        heads() | {"sub-01/ses-ge/dwi/sub-01_ses-ge_dir-PA_dwi": Series({0: 3}, GE)},
        GOOD,
        ("reverse phase-encoding",),
    ),
    Case(
        "no b=0 image",
        heads() | {"sub-04/dwi/sub-04_dwi": Series({500: 6, 1000: 6}, GE)},
        GOOD,
        ("no b=0 image", "smallest b-value is 500"),
    ),
    Case(
        "an ADC map",
        heads() | {"sub-01/ses-ge/dwi/sub-01_ses-ge_ADC.nii.gz": image(shape=(2, 2, 2))},
        GOOD,
        ("ADC), not a measured series",),
    ),
    Case(
        "a phase image",
        heads() | {"sub-01/ses-ge/dwi/sub-01_ses-ge_part-phase_dwi": Series(sidecar=GE)},
        GOOD,
        ("the phase part of a complex image",),
    ),
    # shells of a pair
    Case("no common b-value", heads(siemens={0: 1, 3000: 6}), BAD, ("no b-value within 25 %",)),
    Case(
        "a shell without a partner",
        heads({0: 1, 1000: 6, 3000: 6}),
        GOOD,
        ("warning", "the shell b=3000 of SIGNAEXCITE000000UOWMR1 has no partner on Prisma66083"),
    ),
    Case(
        "one subject lacks the shell",
        {
            **heads(),
            OTHER: Series({0: 1, 2000: 6}, PRISMA),
            "sub-04/ses-ge/dwi/sub-04_ses-ge_dwi": Series(sidecar=GE),
            "sub-04/ses-siemens/dwi/sub-04_ses-siemens_dwi": Series(sidecar=PRISMA),
        },
        BAD,
        ("error",),
    ),
    Case(
        "too few directions for the order",
        heads(),
        BAD,
        ("6 directions at b=1000, and order 4 has 15 coefficients", "--sh-order"),
        ("--sh-order", "4"),
    ),
    Case(
        "a shell of three directions",
        heads({0: 1, 500: 3, 1000: 6}, {0: 1, 500: 3, 1000: 6}),
        GOOD,
        ("warning", "3 directions at b=500, and order 2 has 6 coefficients"),
    ),
    # files
    Case(
        "content of an annex that is not here",
        heads() | {f"{ONE}.nii.gz": None},
        BAD,
        ("a link to content that is not here", "datalad get"),
    ),
    Case(
        "an annexed .bvec that is not here",
        heads() | {f"{ONE}.bvec": None},
        BAD,
        ("datalad get", ".bvec"),
    ),
    Case(
        "an annexed sidecar that is not here",
        heads() | {f"{ONE}.json": None},
        BAD,
        ("unknown scanner", "datalad get"),
    ),
    Case(
        "an empty image",
        heads() | {f"{ONE}.nii.gz": ""},
        BAD,
        ("the file is empty", "Copy or convert it again"),
    ),
    Case("no image at all", heads() | {f"{ONE}.nii.gz": "not an image"}, BAD, ("cannot be read",)),
    Case(
        "an image that was cut off",
        heads(shape=(9, 9, 9)),
        BAD,
        ("not a readable NIfTI image",),
        spoil=lambda root: cut(root / f"{ONE}.nii.gz"),
    ),
    Case(
        "a sidecar that is no JSON",
        heads() | {f"{ONE}.json": "{"},
        BAD,
        ("not a JSON object", ".json"),
    ),
    Case(
        "no sidecar",
        heads() | {"sub-04/dwi/sub-04_dwi": Series()},
        BAD,
        ("no .json belongs to it; looked beside it and in the folders above", "--scanner-map"),
    ),
    Case(
        "no sidecar, but a named scanner",
        heads(sidecar=None),
        GOOD,
        ("no .json belongs to it", "regex"),
        ("--scanner-from", "ses-(?P<scanner>ge)", "--target", "Prisma"),
    ),
    Case(
        "no serial number", heads(sidecar=JSON), BAD, ("lack DeviceSerialNumber", "--scanner-from")
    ),
    Case(
        "an anonymized serial number",
        heads(sidecar=GE | {SERIAL: "0000000000orange"}),
        BAD,
        ("anonymized (0000000000orange)",),
    ),
    Case(
        "a serial number as a number",
        heads(sidecar=GE | {SERIAL: 35343.0}),
        GOOD,
        ("SIGNAEXCITE35343",),
    ),
    Case(
        "one serial number for two models",
        {**heads(sidecar=GE | {SERIAL: "66083"})},
        GOOD,
        ("SIGNAEXCITE66083", "Prisma66083"),
    ),
    Case(
        "a model with a trailing blank, its key misspelt",
        heads(sidecar={"Manufacturer": "Siemens", "ManufacturerModelName": "Avanto ", SERIAL: "7"}),
        GOOD,
        ("Avanto7",),
    ),
    Case(
        "no travelling subjects",
        {name: series for name, series in heads().items() if "sub-01" not in name},
        BAD,
        ("no scanner shares 3 subjects",),
    ),
    Case("an empty dataset", {}, BAD, ("no usable scan",)),
    # headers
    Case(
        "sform and qform disagree",
        heads() | {f"{ONE}.nii.gz": image(qform_affine=TURNED)},
        GOOD,
        ("warning", "sform and qform disagree by up to"),
    ),
    Case(
        "orientation codes of 0",
        heads() | {f"{ONE}.nii.gz": image(sform=0, qform=0)},
        GOOD,
        ("warning", "nothing says which side is left"),
    ),
    Case(
        "pixdim of zero",
        heads() | {f"{ONE}.nii.gz": image(qform=0)},
        GOOD,
        ("warning", "pixdim of 0 x 2 x 2 mm"),
        spoil=lambda root: without_size(root / f"{ONE}.nii.gz"),
    ),
    Case(
        "pixdim that is not the affine's",
        heads() | {f"{ONE}.nii.gz": image(qform=0, pixdim=(1, 1, 1))},
        GOOD,
        ("warning", "pixdim of 1 x 1 x 1 mm, where the affine has voxels of 2 x 2 x 2 mm"),
    ),
    Case(
        "voxels in metres",
        heads()
        | {
            f"{ONE}.nii.gz": image(
                affine=np.diag([0.002, 0.002, 0.002, 1]), qform=0, pixdim=[0.002] * 3
            )
        },
        GOOD,
        ("warning", "voxels of 0.002 x 0.002 x 0.002 mm"),
    ),
    Case(
        "a sheared grid",
        heads() | {f"{ONE}.nii.gz": image(affine=SHEARED, qform=0)},
        BAD,
        ("the grid is sheared",),
    ),
    Case(
        "a flat grid",
        heads() | {f"{ONE}.nii.gz": image(affine=np.diag([2.0, 2, 0, 1]), qform=0)},
        BAD,
        ("voxel sizes must be positive",),
    ),
    # values
    Case(
        "NaN",
        heads() | {f"{ONE}.nii.gz": image(with_value(np.nan, (0, 0, 0, 3)))},
        GOOD,
        ("warning", "1.79% of the values in the head are NaN or infinite"),
    ),
    Case(
        "nothing but NaN",
        heads() | {f"{ONE}.nii.gz": image(with_value(np.nan, (..., slice(1, None))))},
        BAD,
        ("error", "85.71% of the values in the head are NaN"),
    ),
    Case(
        "negative values",
        heads() | {f"{ONE}.nii.gz": image(with_value(-1, (0, 0, 0, 3)))},
        GOOD,
        ("warning", "1.79% of the values in the head are negative"),
    ),
    Case(
        "negative values outside the head",
        heads() | {f"{ONE}.nii.gz": image(with_value(-1, (0, 0, 0)))},
        GOOD,
        ("note", "values outside the head"),
    ),
    Case(
        "an empty volume",
        heads() | {f"{ONE}.nii.gz": image(with_value(0, (..., 4)))},
        GOOD,
        ("warning", "nothing but zeros in the volumes 4"),
    ),
    Case(
        "b=0 without signal",
        heads() | {f"{ONE}.nii.gz": image(with_value(0, (..., 0)))},
        BAD,
        ("the b=0 volumes hold no signal",),
    ),
    # masks
    Case(
        "a mask with a hole",
        heads(shape=BIG),
        GOOD,
        ("warning", "holes of 1 voxels in a mask of 124"),
        derivative={MASK: with_hole()},
    ),
    Case(
        "a mask in pieces",
        heads(shape=BIG),
        GOOD,
        ("warning", "1 of 51 voxels are apart"),
        derivative={MASK: crumbs()},
    ),
    Case(
        "an empty mask",
        heads(shape=BIG),
        BAD,
        ("the mask is empty",),
        derivative={MASK: np.zeros(BIG, np.uint8)},
    ),
    Case(
        "a mask of the anatomy on another grid",
        heads(),
        GOOD,
        ("note", "a grid of 3 x 2 x 2 voxels that is not the scan's"),
        derivative={MASK.replace("dwi", "anat"): np.ones((3, 2, 2), np.uint8)},
    ),
    Case(
        "a mask in the scan's space on another grid",
        heads(),
        GOOD,
        (),
        derivative={MASK: np.ones((3, 2, 2), np.uint8)},
    ),
    Case(
        "an annexed mask that is not here",
        heads(),
        GOOD,
        ("warning", "datalad get"),
        derivative={MASK: None},
    ),
    # the command line
    Case(
        "no such participant",
        heads(),
        MISSING,
        ("--participant-label 99",),
        ("--participant-label", "99"),
    ),
    Case(
        "filters that leave nothing",
        heads(),
        NOTHING,
        ("already the target scanner",),
        ("--session-label", "siemens", "--target", "Prisma"),
    ),
    Case("no such target", heads(), MISSING, ("--target Trio",), ("--target", "Trio")),
    Case("a target that names two", heads(), USAGE, ("names several scanners",), ("--target", "s")),
    Case(
        "an output below a file",
        heads(),
        NO_OUTPUT,
        ("out is no folder",),
        spoil=lambda root: (root.parent / "out").write_text(""),
    ),
)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def without_size(path: Path) -> None:
    """Write a 0 where NIfTI has pixdim[1], which nibabel would not."""
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[80:84] = bytes(4)
    path.write_bytes(gzip.compress(content))


def dry_run(case: Case, folder: Path) -> int:
    """Make the dataset and look at it."""
    root = write_tree(folder / "data", case.tree)
    flags = list(case.flags)
    if case.derivative is not None:
        flags += ["-d", f"masks={write_tree(folder / 'masks', case.derivative)}"]
    if case.spoil:
        case.spoil(root)
    return main(
        [str(root), str(folder / "out"), "participant", "--dry-run", "--nprocs", "1", *flags]
    )


@pytest.mark.parametrize("case", ZOO, ids=lambda case: case.name)
def test_what_is_wrong_or_odd_is_said_and_the_exit_code_tells_whether_it_can_be_used(
    case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = dry_run(case, tmp_path)
    said = "".join(capsys.readouterr())
    assert [word for word in case.words if word not in said] == []
    assert code == case.code
    assert "Traceback" not in said
    assert not (tmp_path / "out").is_dir()


def test_all_that_is_wrong_is_said_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of tables, files, headers and values, in different subjects."""
    tree = {**heads(), "sub-04/ses-ge/dwi/sub-04_ses-ge_dwi": Series(sidecar=GE)}
    tree |= {
        f"sub-05/ses-{s}/dwi/sub-05_ses-{s}_dwi": Series(sidecar=c)
        for s, c in (("ge", GE), ("siemens", PRISMA))
    }
    tree |= {"sub-04/ses-ge/dwi/sub-04_ses-ge_dwi.bval": "0 1000"}
    tree |= {"sub-05/ses-ge/dwi/sub-05_ses-ge_dwi.nii.gz": ""}
    tree |= {f"{ONE}.nii.gz": image(with_value(0, (..., 0)))}
    assert dry_run(Case("", tree, BAD, ()), tmp_path) == BAD
    errors = [line for line in capsys.readouterr().err.splitlines() if "error: " in line]
    assert [
        sum(word in line for line in errors)
        for word in ("7 b-vectors for 2 b-values", "file is empty", "hold no signal")
    ] == [
        1,
        1,
        1,
    ]


def test_little_space_is_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10**8))
    assert dry_run(Case("", heads(), GOOD, ()), tmp_path) == GOOD
    assert "GB will be written, and 0.1 GB are free" in capsys.readouterr().out
