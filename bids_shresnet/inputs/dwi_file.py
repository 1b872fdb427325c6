"""A DWI file as found in a dataset, before any check, and its gradient tables as written.

What is wrong with a file becomes a finding, so that all problems of a dataset are listed at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from bids_shresnet.errors import BadInput, Finding, InputMissing
from bids_shresnet.io.file_errors import unreadable_finding
from bids_shresnet.io.gradients.number_tables import read_number_table
from bids_shresnet.regions import Regions
from bids_shresnet.scans import Segmentation


@dataclass(frozen=True)
class DwiFile:
    """An image of a DWI series, or of a map a scanner computed from one.

    Attributes
    ----------
    image, dataset
        The file as found, and the root of its dataset.
    suffix, entities
        The parts of its name; see `BidsFile`.
    metadata
        Sidecars merged by inheritance. A preprocessed image also has the fields that all its raw
        images agree on.
    pipeline
        Name of the pipeline that made the dataset, in small letters; empty for raw data.
    bval, bvec, b_table
        Gradient tables by inheritance (`b_table` is MRtrix's .b); None where there is none.
    masks, segmentations, regions
        Brain masks, tissue segmentations and sets of regions of the same subject and session, on
        any grid; the closest name first.
    aligned_files
        Files of masks and segmentations that are in the image's space by their names. Others are
        usable only if they are on its grid.
    raw_images
        Raw images that a preprocessed image was made from.
    preprocessed_image
        Preprocessed image that replaces this raw image.
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
    regions: tuple[Regions, ...] = ()
    aligned_files: frozenset[Path] = frozenset()
    raw_images: tuple[Path, ...] = ()
    preprocessed_image: Path | None = None
    findings: tuple[Finding, ...] = ()


def read_raw_gradients(
    file: DwiFile,
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, "m 3"]]:
    """Read b-values and b-vectors as written.

    Returns
    -------
    bvals
        b-values in s/mm2.
    bvecs
        b-vectors of any length and any number, as in the file.

    Raises
    ------
    BadInput
        If a table is missing or no table of numbers; with a finding for each.
    """
    tables: list[Float[np.ndarray, "r c"]] = []
    findings: list[Finding] = []
    for extension, path in ((".bval", file.bval), (".bvec", file.bvec)):
        try:
            tables.append(_read_gradient_file(file, extension, path))
        except BadInput as error:
            findings.extend(error.findings)
    if findings:
        raise BadInput(findings)
    bvals, bvecs = tables
    if 3 not in bvecs.shape:
        value = f"a table of {bvecs.shape[0]} x {bvecs.shape[1]} numbers"
        remedy = "b-vectors are 3 lines of numbers; convert the scan again."
        raise BadInput([Finding.error(str(file.bvec), value, remedy)])
    return bvals.ravel(), bvecs.T if bvecs.shape[0] == 3 else bvecs


def describe_search(file: DwiFile) -> str:
    """Name the folders that were searched for what an image inherits."""
    return f"looked beside it and in the folders above, up to {file.dataset}"


def _read_gradient_file(
    file: DwiFile, extension: str, path: Path | None
) -> Float[np.ndarray, "r c"]:
    """Read a table of numbers, or raise BadInput with the place where it should be."""
    if path is None:
        value = f"no {extension} belongs to it; {describe_search(file)}"
        remedy = f"Put {file.image.name.split('.')[0]}{extension} beside it."
        if file.pipeline or "desc" in file.entities:
            remedy += " Without its derivative (-d), the raw scan is used."
        raise BadInput([Finding.error(file.image, value, remedy)])
    try:
        return read_number_table(path)
    except InputMissing as error:
        raise BadInput([unreadable_finding(path, str(error))]) from error
