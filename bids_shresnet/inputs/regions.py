"""Sets of regions that derivatives add to a scan, and their voxels on its grid.

A `dseg` whose table names regions is a set. So are masks or probability maps whose names differ
only in the region: in `bundle-` or `tract-`, or else in `label-`, or else in `desc-`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from bids_shresnet.inputs.derivatives import (
    TISSUES_BY_LABEL,
    DerivativeFile,
    read_label_image,
)
from bids_shresnet.inputs.segmentation import read_label_names
from bids_shresnet.io.images.nifti import read_on_grid
from bids_shresnet.regions import UNNAMED_REGIONS, Parcellation, RegionMaps, Regions

MAP_SUFFIXES = ("mask", "probseg")
REGION_KEYS = ("bundle", "tract", "label", "desc")  # that name a region, the first one counts
SET_KEYS = ("seg", "atlas", "desc")  # that name a set of regions
SET_LABELS = {"bundle": "bundles", "tract": "tracts"}  # of sets without a name
BRAIN = "brain"


def find_regions(derivatives: Sequence[DerivativeFile]) -> tuple[Regions, ...]:
    """Find the sets of regions in the given order; of two with one label, the first."""
    by_label: dict[str, Regions] = {}
    found: list[Regions] = [*_find_parcellations(derivatives)]
    found += _find_region_maps(derivatives)
    for regions in found:
        by_label.setdefault(regions.label, regions)
    return tuple(by_label.values())


def read_region_weights(
    regions: Regions, shape: tuple[int, int, int], affine: Float[np.ndarray, "4 4"]
) -> Iterator[tuple[str, Float[np.ndarray, "x y z"]]]:
    """Yield the name of each region, and its weight in each voxel of a canonical grid.

    A mask and a region of a parcellation have the weight 1 inside and 0 outside.

    Raises
    ------
    InputMissing
        If one of the files does not exist.
    BadInput
        If one of them is damaged.
    """
    if isinstance(regions, Parcellation):
        labels = np.rint(read_on_grid(regions.path, shape, affine, spline_order=0))
        for number, name in regions.names.items():
            yield name, np.asarray(labels == number, np.float32)
        return
    for name, path in regions.paths.items():
        is_mask = path.name.split(".")[0].endswith("_mask")
        weights = read_on_grid(path, shape, affine, spline_order=0 if is_mask else 1)
        yield name, np.asarray(weights > 0 if is_mask else weights, np.float32)


def _find_parcellations(derivatives: Sequence[DerivativeFile]) -> Iterator[Parcellation]:
    """Yield each dseg whose table names regions that are no tissues."""
    for derivative in derivatives:
        if derivative.file.suffix == "dseg" and read_label_image(derivative) is None:
            tables = derivative.dataset.applicable_files(derivative.file, ".tsv")
            names = read_label_names(tables)
            if names:
                label = _set_label(_name_parts(derivative.file.path))
                yield Parcellation(derivative.file.path, names, label)


def _find_region_maps(derivatives: Sequence[DerivativeFile]) -> Iterator[RegionMaps]:
    """Yield the masks and probability maps of regions, set by set."""
    sets: dict[tuple[Path, str], dict[str, Path]] = {}
    labels: dict[tuple[Path, str], str] = {}
    for derivative in derivatives:
        path = derivative.file.path
        parts = _name_parts(path)
        key = next((key for key in REGION_KEYS if key in parts), "")
        if derivative.file.suffix in MAP_SUFFIXES and key and not _is_tissue_or_brain(parts):
            shared_name = path.name.replace(f"_{key}-{parts[key]}", "")
            sets.setdefault((path.parent, shared_name), {}).setdefault(parts[key], path)
            labels[path.parent, shared_name] = _set_label(parts, key)
    for key_of_set, paths in sets.items():
        yield RegionMaps(dict(sorted(paths.items())), labels[key_of_set])


def _name_parts(path: Path) -> dict[str, str]:
    """Return the pairs of key and label in a file name; pybids does not know all keys."""
    pairs = (part.partition("-") for part in path.name.split(".")[0].split("_"))
    return {key: label for key, _, label in pairs if label}


def _is_tissue_or_brain(parts: Mapping[str, str]) -> bool:
    """Return whether an image shows a tissue of the whole brain, or the brain."""
    is_specific = not {"desc", "atlas", "seg"}.isdisjoint(parts)
    is_tissue = parts.get("label") in TISSUES_BY_LABEL and not is_specific
    return is_tissue or parts.get("desc") == BRAIN


def _set_label(parts: Mapping[str, str], region_key: str = "") -> str:
    """Return the label that a name gives to its set of regions, such as that of an atlas."""
    keys = (key for key in SET_KEYS if key in parts and key != region_key)
    return next((parts[key] for key in keys), SET_LABELS.get(region_key, UNNAMED_REGIONS))
