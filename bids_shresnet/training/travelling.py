"""A travelling subject in the work area: the arrays of the source image and of what the two scans teach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from bids_shresnet.io.arrays import open_arrays, write_arrays
from bids_shresnet.pairs import Matched, Travelling, Unharmonized
from bids_shresnet.scans import Shell, ShImage

Array = Shaped[np.ndarray, "..."]

SOURCE, UNHARMONIZED, MISSING = "image_", "unharmonized_", "missing_"  # before the names of the arrays of these parts
LABELS = ("signal", "bvals", "bvecs", "matrix")  # in which the missing shells differ from those that are matched
IMAGE = ("coefficients", "mask", "affine", "contrast")


def write_travelling(folder: Path, subject: Travelling, record: Mapping[str, Any]) -> None:
    """Write the arrays and what they were made from."""
    image = {f"{SOURCE}{name}": getattr(subject.source, name) for name in IMAGE}
    plain = {f"{UNHARMONIZED}{name}": array for name, array in vars(subject.unharmonized).items()}
    missing = {f"{MISSING}{name}": getattr(subject.missing, name) for name in LABELS} if subject.missing else {}
    write_arrays(folder, {**vars(subject.matched), **image, **plain, **missing}, record)


def open_travelling(folder: Path, shells: Sequence[Shell]) -> Travelling:
    """Open a subject without reading its arrays into memory; `shells` are the source's."""
    arrays = open_arrays(folder)
    image, plain, labels = (_taken(arrays, part) for part in (SOURCE, UNHARMONIZED, MISSING))
    matched = Matched(**arrays)
    missing = replace(matched, **labels) if labels else None
    return Travelling(ShImage(shells=tuple(shells), **image), matched, Unharmonized(**plain), missing)


def _taken(arrays: dict[str, Array], prefix: str) -> dict[str, Array]:
    """Take the arrays of one part out of all."""
    return {name.removeprefix(prefix): arrays.pop(name) for name in list(arrays) if name.startswith(prefix)}
