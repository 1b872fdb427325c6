"""A travelling subject in the work folder: the source image and the matched voxels, as arrays."""

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

# Prefixes of array names; those of the matched voxels have none.
SOURCE_PREFIX = "image_"
UNHARMONIZED_PREFIX = "unharmonized_"
MISSING_SHELLS_PREFIX = "missing_"
HALVES_PREFIXES = {  # by field; a digit for the half follows
    "source_halves": "source_half_",
    "target_halves": "target_half_",
}

REGIONS_ARRAY = "regions"
DENOISED_ARRAY = "source_denoised"
IMAGE_FIELDS = ("coefficients", "mask", "affine", "contrast", "order_2_power")
MISSING_SHELL_FIELDS = ("signal", "bvals", "bvecs", "sh_matrix")  # others are those of `matched`


def write_travelling_subject(
    folder: Path, subject: TravellingSubject, record: Mapping[str, Any]
) -> None:
    """Write the arrays of a subject, and a record of its inputs."""
    image = {name: getattr(subject.source, name) for name in IMAGE_FIELDS}
    arrays = {
        DENOISED_ARRAY: subject.source_denoised.astype(np.float16),
        **_existing_arrays(vars(subject.matched)),
        **_add_prefix(SOURCE_PREFIX, _existing_arrays(image)),
        **_add_prefix(UNHARMONIZED_PREFIX, vars(subject.unharmonized)),
    }
    if subject.regions is not None:
        arrays[REGIONS_ARRAY] = subject.regions
    if subject.missing_shells is not None:
        missing = {name: getattr(subject.missing_shells, name) for name in MISSING_SHELL_FIELDS}
        arrays |= _add_prefix(MISSING_SHELLS_PREFIX, missing)
    for name, prefix in HALVES_PREFIXES.items():
        for number, half in enumerate(getattr(subject, name), 1):
            arrays |= _add_prefix(f"{prefix}{number}_", _existing_arrays(vars(half)))
    write_arrays(folder, arrays, record)


def open_travelling_subject(folder: Path, shells: Sequence[Shell]) -> TravellingSubject:
    """Open a subject without reading its arrays into memory; `shells` are the source's."""
    arrays = open_arrays(folder)
    image = _pop_prefix(SOURCE_PREFIX, arrays)
    unharmonized = _pop_prefix(UNHARMONIZED_PREFIX, arrays)
    missing = _pop_prefix(MISSING_SHELLS_PREFIX, arrays)
    halves = {name: _pop_halves(prefix, arrays) for name, prefix in HALVES_PREFIXES.items()}
    regions = arrays.pop(REGIONS_ARRAY, None)
    denoised = arrays.pop(DENOISED_ARRAY)
    matched = MatchedVoxels(**arrays)
    return TravellingSubject(
        source=ShImage(shells=tuple(shells), **image),
        source_denoised=denoised,
        matched=matched,
        unharmonized=UnharmonizedData(**unharmonized),
        regions=regions,
        missing_shells=replace(matched, **missing) if missing else None,
        source_halves=halves["source_halves"],
        target_halves=halves["target_halves"],
    )


def _existing_arrays(arrays: Mapping[str, Array | None]) -> dict[str, Array]:
    return {name: array for name, array in arrays.items() if array is not None}


def _pop_halves(prefix: str, arrays: dict[str, Array]) -> tuple[MatchedVoxels, ...]:
    """Take both halves of a scan out of all arrays; none if they were not written."""
    parts = [_pop_prefix(f"{prefix}{number}_", arrays) for number in (1, 2)]
    return tuple(MatchedVoxels(**part) for part in parts if part)


def _add_prefix(prefix: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {f"{prefix}{name}": array for name, array in arrays.items()}


def _pop_prefix(prefix: str, arrays: dict[str, Array]) -> dict[str, Array]:
    """Take the arrays with a prefix out of all arrays."""
    names = [name for name in arrays if name.startswith(prefix)]
    return {name.removeprefix(prefix): arrays.pop(name) for name in names}
