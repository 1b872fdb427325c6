"""A dataset with something broken or odd, and what a dry run must answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from jaxtyping import Float

from tests.datasets import AFFINE, GE, PRISMA, Series, Shells

SUBJECTS = ("01", "02", "03")
GE_DWI = "sub-01/ses-ge/dwi/sub-01_ses-ge_dwi"
PRISMA_DWI = "sub-01/ses-siemens/dwi/sub-01_ses-siemens_dwi"
ONE_SHELL = {0: 1, 1000: 6}
# Exit codes
OK = 0
NOTHING_SELECTED = 18
USAGE = 64
BAD_INPUT = 65
INPUT_MISSING = 66
NO_OUTPUT = 73

Tree = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """A dataset, how the app is called, and the expected answer.

    Attributes
    ----------
    name
        What is broken or odd.
    tree
        The dataset, as `write_tree` takes it.
    exit_code, messages
        The expected exit code, and texts in the output.
    flags
        Further flags; {root} is the dataset.
    derivative
        A derivative dataset to pass with `-d`.
    damage
        Called with the dataset's root before the app runs.
    """

    name: str
    tree: Tree
    exit_code: int
    messages: tuple[str, ...]
    flags: tuple[str, ...] = ()
    derivative: Tree | None = None
    damage: Callable[[Path], object] | None = None


def make_heads(
    ge: Shells = ONE_SHELL,
    siemens: Shells = ONE_SHELL,
    *,
    sidecar: Mapping[str, Any] | None = GE,
    has_tables: bool = True,
    shape: tuple[int, int, int] = (2, 2, 2),
) -> dict[str, Any]:
    """Three travelling heads; `sidecar`, `has_tables` and `shape` are those of the GE scans."""
    ge_series = Series(ge, sidecar, has_tables=has_tables, shape=shape)
    prisma_series = Series(siemens, PRISMA)
    tree = {}
    for subject in SUBJECTS:
        tree[f"sub-{subject}/ses-ge/dwi/sub-{subject}_ses-ge_dwi"] = ge_series
        tree[f"sub-{subject}/ses-siemens/dwi/sub-{subject}_ses-siemens_dwi"] = prisma_series
    return tree


def heads_with(extension: str, content: Any) -> dict[str, Any]:
    """Three travelling heads, with another file of the first GE scan."""
    return make_heads() | {f"{GE_DWI}{extension}": content}


def for_every_subject(extension: str, content: Any) -> Tree:
    """The same file for the GE scan of each subject."""
    return {
        f"sub-{subject}/ses-ge/dwi/sub-{subject}_ses-ge_dwi{extension}": content
        for subject in SUBJECTS
    }


def format_table(rows: Float[np.ndarray, "r c"]) -> str:
    return "\n".join(" ".join(f"{value:g}" for value in row) for row in rows)


def make_image(
    data: Any = 100,
    *,
    sform: int = 2,
    qform: int = 2,
    shape: tuple[int, ...] = (2, 2, 2, 7),
    **other: Any,
) -> nib.Nifti1Image:
    """An image of a constant, or of any data, with any orientation fields."""
    values = np.broadcast_to(np.asarray(data, np.float32), shape).copy()
    header = nib.Nifti1Header()
    header.set_data_dtype(np.float32)
    header.set_qform(other.get("qform_affine", AFFINE), qform)
    header.set_sform(other.get("affine", AFFINE), sform)
    header["pixdim"][1:4] = other.get("pixdim", (2, 2, 2))
    return nib.Nifti1Image(values, None, header)  # no affine: nibabel leaves the header as it is
