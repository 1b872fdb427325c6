"""Tiny BIDS datasets from a plain dict: path -> content.

`{"sub-01/dwi/sub-01_dwi": Series(sidecar=PRISMA), "participants.tsv": [["participant_id"], ["sub-01"]]}` becomes an
image with its .bval, .bvec and .json, and a table. A dict becomes JSON, a list of rows a TSV, an array a NIfTI image,
an image or a text itself, and None a link to annexed content that is not there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from jaxtyping import Float

GE = {
    "Manufacturer": "GE",
    "ManufacturersModelName": "SIGNA EXCITE",
    "DeviceSerialNumber": "000000UOWMR1",
}
PRISMA = {
    "Manufacturer": "Siemens",
    "ManufacturersModelName": "Prisma",
    "DeviceSerialNumber": "66083",
}
ELITION = {
    "Manufacturer": "Philips",
    "ManufacturersModelName": "Ingenia Elition X",
    "DeviceSerialNumber": 45053,
}
DESCRIPTION = {"Name": "generated", "BIDSVersion": "1.10.0", "DatasetType": "raw"}
AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])  # voxel indices to RAS mm


@dataclass(frozen=True)
class Series:
    """A DWI series: volumes by b-value in s/mm2, its own sidecar, and whether its gradient tables lie beside it."""

    shells: Mapping[float, int] = field(default_factory=lambda: {0: 1, 1000: 6})
    sidecar: Mapping[str, Any] | None = None
    tables: bool = True
    shape: tuple[int, int, int] = (2, 2, 2)

    @property
    def bvals(self) -> list[float]:
        """One a volume."""
        return [b for b, count in self.shells.items() for _ in range(count)]

    @property
    def bvecs(self) -> Float[np.ndarray, "n 3"]:
        """One a volume, zero at b = 0."""
        return spiral(len(self.bvals)) * (np.array(self.bvals) > 0)[:, None]

    def gradient_tables(self) -> dict[str, str]:
        """Texts of its FSL tables, by extension."""
        bvec = "\n".join(" ".join(f"{value:.6f}" for value in axis) for axis in self.bvecs.T)
        return {".bval": " ".join(f"{b:g}" for b in self.bvals), ".bvec": bvec}

    def files(self) -> dict[str, Any]:
        """Contents by extension."""
        image = {".nii.gz": np.full((*self.shape, len(self.bvals)), 100, np.int16)}
        tables = self.gradient_tables() if self.tables else {}
        return image | tables | ({} if self.sidecar is None else {".json": dict(self.sidecar)})


def spiral(count: int) -> Float[np.ndarray, "count 3"]:
    """Spread unit vectors over the half sphere by the golden angle."""
    height = (np.arange(count) + 0.5) / count
    angle = np.arange(count) * np.pi * (3 - np.sqrt(5))
    radius = np.sqrt(1 - height**2)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), height], axis=1)


def write_tree(root: Path, tree: Mapping[str, Any]) -> Path:
    """Write a dataset and return its root; it gets a dataset_description.json where the tree has none."""
    for name, content in ({"dataset_description.json": DESCRIPTION} | dict(tree)).items():
        files = content.files() if isinstance(content, Series) else {"": content}
        for extension, part in files.items():
            _write(root / (name + extension), part)
    return root


# The labels of a tissue segmentation, as QSIPrep numbers them
TISSUES = [("index", "name"), ("1", "CSF"), ("2", "Gray Matter"), ("3", "White Matter")]


def travelling_heads(
    root: Path,
    subjects: Mapping[str, Sequence[Mapping[str, Any]]],
    shells: Mapping[str, Mapping[float, int]] | None = None,
) -> Path:
    """Write a dataset: subject label -> sidecars of the scanners it was on; a session is named by its manufacturer.

    `shells` gives the volumes by b-value of a session label, where they are not the default ones.
    """
    tree = {}
    for subject, sidecars in subjects.items():
        for sidecar in sidecars:
            session = str(sidecar["Manufacturer"]).lower()
            volumes = (shells or {}).get(session, Series().shells)
            tree[f"sub-{subject}/ses-{session}/dwi/sub-{subject}_ses-{session}_dwi"] = Series(
                volumes, sidecar
            )
    return write_tree(root, tree)


def _write(path: Path, content: Any) -> None:
    """One file, by the type of its content."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if content is None:
        path.unlink(missing_ok=True)
        path.symlink_to(".git/annex/objects/not-here")
    elif isinstance(content, nib.Nifti1Image):
        content.to_filename(path)
    elif isinstance(content, np.ndarray):
        nib.Nifti1Image(content, AFFINE).to_filename(path)
    elif isinstance(content, list):
        path.write_text("".join("\t".join(row) + "\n" for row in content))
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
