"""A travelling subject in the work area: the arrays of the source image and of what the two scans teach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from bids_shresnet.files.arrays import open_arrays, write_arrays
from bids_shresnet.scans import Matched, Shell, ShImage, Travelling, Unharmonized

Array = Shaped[np.ndarray, "..."]

SOURCE, UNHARMONIZED = "image_", "unharmonized_"  # before the names of the arrays of these parts
IMAGE = ("coefficients", "mask", "affine", "contrast")


def write_travelling(folder: Path, subject: Travelling, record: Mapping[str, Any]) -> None:
    """Write the arrays and what they were made from."""
    image = {f"{SOURCE}{name}": getattr(subject.source, name) for name in IMAGE}
    plain = {f"{UNHARMONIZED}{name}": array for name, array in vars(subject.unharmonized).items()}
    write_arrays(folder, {**vars(subject.matched), **image, **plain}, record)


def open_travelling(folder: Path, shells: Sequence[Shell]) -> Travelling:
    """Open a subject without reading its arrays into memory; `shells` are the source's."""
    arrays = open_arrays(folder)
    image, plain = _taken(arrays, SOURCE), _taken(arrays, UNHARMONIZED)
    return Travelling(ShImage(shells=tuple(shells), **image), Matched(**arrays), Unharmonized(**plain))


def _taken(arrays: dict[str, Array], prefix: str) -> dict[str, Array]:
    """Take the arrays of one part out of all."""
    return {name.removeprefix(prefix): arrays.pop(name) for name in list(arrays) if name.startswith(prefix)}
