"""A travelling subject in the work area: the arrays of the source image and of what the two scans teach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from bids_shresnet.io.arrays import open_arrays, write_arrays
from bids_shresnet.pairs import MatchedVoxels, TravellingSubject, UnharmonizedData
from bids_shresnet.scans import Shell, ShImage

Array = Shaped[np.ndarray, "..."]

SOURCE_PREFIX, UNHARMONIZED_PREFIX, MISSING_SHELLS_PREFIX = (
    "image_",
    "unharmonized_",
    "missing_",
)  # before the names of the arrays of these parts
MISSING_SHELL_FIELDS = (
    "signal",
    "bvals",
    "bvecs",
    "sh_matrix",
)  # in which the missing shells differ from those that are matched
IMAGE_FIELDS = ("coefficients", "mask", "affine", "contrast")


def write_travelling_subject(
    folder: Path, subject: TravellingSubject, record: Mapping[str, Any]
) -> None:
    """Write the arrays and what they were made from."""
    image = {f"{SOURCE_PREFIX}{name}": getattr(subject.source, name) for name in IMAGE_FIELDS}
    plain = {
        f"{UNHARMONIZED_PREFIX}{name}": array for name, array in vars(subject.unharmonized).items()
    }
    missing = (
        {
            f"{MISSING_SHELLS_PREFIX}{name}": getattr(subject.missing_shells, name)
            for name in MISSING_SHELL_FIELDS
        }
        if subject.missing_shells
        else {}
    )
    write_arrays(folder, {**vars(subject.matched), **image, **plain, **missing}, record)


def open_travelling_subject(folder: Path, shells: Sequence[Shell]) -> TravellingSubject:
    """Open a subject without reading its arrays into memory; `shells` are the source's."""
    arrays = open_arrays(folder)
    image, plain, labels = (
        _pop_arrays(arrays, part)
        for part in (SOURCE_PREFIX, UNHARMONIZED_PREFIX, MISSING_SHELLS_PREFIX)
    )
    matched = MatchedVoxels(**arrays)
    missing = replace(matched, **labels) if labels else None
    return TravellingSubject(
        ShImage(shells=tuple(shells), **image), matched, UnharmonizedData(**plain), missing
    )


def _pop_arrays(arrays: dict[str, Array], prefix: str) -> dict[str, Array]:
    """Take the arrays of one part out of all."""
    return {
        name.removeprefix(prefix): arrays.pop(name)
        for name in list(arrays)
        if name.startswith(prefix)
    }
