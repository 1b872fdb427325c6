"""A DWI series as it was found, and the little that is read of it before anything is judged.

Gradient tables are read as written, unlike in `fsl.py`, and of an image only the header: what is wrong with a file
becomes a finding, so that all that is wrong with a dataset can be listed at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from bids_shresnet.errors import BadInput, Finding, InputMissing
from bids_shresnet.io.fsl import read_number_table
from bids_shresnet.io.nifti_header import unreadable_finding
from bids_shresnet.scans import Segmentation


@dataclass(frozen=True)
class DwiFile:
    """An image of a DWI series, or of a map a scanner computed from one, before anything is judged.

    Attributes
    ----------
    image, dataset
        The file as found, and the root of its dataset.
    suffix, entities
        Of its name; entities by long name, values as text with their zeros, in the order of the name.
    metadata
        Sidecars merged by inheritance; a preprocessed image also has what all raw images it was made from agree on.
    pipeline
        Name of what made its dataset, in small letters; empty for raw data.
    bval, bvec, b_table
        By inheritance; None where there is none. `b_table` is MRtrix's .b.
    masks, segmentations
        Brain masks and tissue segmentations of the same subject and session, on any grid, the closest name first.
    aligned_files
        Those of their files that are in the image's space by their names; others are only if they are on its grid.
    raw_images
        Raw images that a preprocessed one stands for.
    preprocessed_image
        Preprocessed image that stands for this raw one.
    findings
        What is wrong with its sidecars.
    """

    image: Path
    dataset: Path
    suffix: str
    entities: Mapping[str, str]
    metadata: Mapping[str, Any]
    pipeline: str = ""
    bval: Path | None = None
    bvec: Path | None = None
    b_table: Path | None = None
    masks: tuple[Path, ...] = ()
    segmentations: tuple[Segmentation, ...] = ()
    aligned_files: frozenset[Path] = frozenset()
    raw_images: tuple[Path, ...] = ()
    preprocessed_image: Path | None = None
    findings: tuple[Finding, ...] = ()


def read_gradients(file: DwiFile) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, "m 3"]]:
    """b-values in s/mm2 and b-vectors as written: of any length, along the image's axes; nothing is matched or mended.

    Raises
    ------
    BadInput
        If a table is missing or no table of numbers; with a finding for each.
    """
    tables: list[Float[np.ndarray, "r c"]] = []
    findings: list[Finding] = []
    for extension, path in ((".bval", file.bval), (".bvec", file.bvec)):
        try:
            tables.append(_read_numbers(path) if path else _raise_missing_table(file, extension))
        except BadInput as error:
            findings.extend(error.findings)
    if not findings and 3 not in tables[1].shape:
        value = f"a table of {tables[1].shape[0]} x {tables[1].shape[1]} numbers"
        remedy = "b-vectors are 3 lines of numbers; convert the scan again."
        findings.append(Finding("error", str(file.bvec), value, remedy))
    if findings:
        raise BadInput(findings)
    bvals, bvecs = tables
    return bvals.ravel(), bvecs.T if bvecs.shape[0] == 3 else bvecs


def _read_numbers(path: Path) -> Float[np.ndarray, "r c"]:
    """Read a table of numbers; a missing file is a finding like any other."""
    try:
        return read_number_table(path)
    except InputMissing as error:
        raise BadInput([unreadable_finding(path, str(error))]) from error


def describe_search(file: DwiFile) -> str:
    """Say where what an image inherits was looked for."""
    return f"looked beside it and in the folders above, up to {file.dataset}"


def _raise_missing_table(file: DwiFile, extension: str) -> Float[np.ndarray, "r c"]:
    """Say where a gradient table was looked for."""
    value = f"no {extension} belongs to it; {describe_search(file)}"
    remedy = f"Put {file.image.name.split('.')[0]}{extension} beside it."
    raise BadInput([Finding("error", str(file.image), value, remedy)])
