"""Tiny BIDS datasets from a dict of contents by path.

    {
        "sub-01/dwi/sub-01_dwi": Series(sidecar=PRISMA),
        "participants.tsv": [["participant_id"], ["sub-01"]],
    }

becomes an image with its .bval, .bvec and .json, and a table. A dict becomes JSON, a list of rows a
TSV, an array a NIfTI image; images and texts are written as they are. None becomes a link to
content that was not fetched.
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

Sidecar = dict[str, Any]
Shells = Mapping[int, int] | Mapping[float, int]  # number of volumes by b-value in s/mm2

GE: Sidecar = {
    "Manufacturer": "GE",
    "ManufacturersModelName": "SIGNA EXCITE",
    "DeviceSerialNumber": "000000UOWMR1",
}
PRISMA: Sidecar = {
    "Manufacturer": "Siemens",
    "ManufacturersModelName": "Prisma",
    "DeviceSerialNumber": "66083",
}
ELITION: Sidecar = {
    "Manufacturer": "Philips",
    "ManufacturersModelName": "Ingenia Elition X",
    "DeviceSerialNumber": 45053,
}
DESCRIPTION = {"Name": "generated", "BIDSVersion": "1.10.0", "DatasetType": "raw"}
# The labels of a tissue segmentation, as QSIPrep numbers them
TISSUE_TABLE = [("index", "name"), ("1", "CSF"), ("2", "Gray Matter"), ("3", "White Matter")]
AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])  # voxel indices to RAS+ mm


@dataclass(frozen=True)
class Series:
    """A DWI series.

    Attributes
    ----------
    shells
        Number of volumes by b-value in s/mm2.
    sidecar
        Its own sidecar; None for no file.
    has_tables
        Whether its gradient tables lie beside it.
    shape
        Voxels of the grid.
    """

    shells: Shells = field(default_factory=lambda: {0: 1, 1000: 6})
    sidecar: Mapping[str, Any] | None = None
    has_tables: bool = True
    shape: tuple[int, int, int] = (2, 2, 2)

    @property
    def bvals(self) -> list[float]:
        """b-values in s/mm2, one per volume."""
        return [b for b, count in self.shells.items() for _ in range(count)]

    @property
    def bvecs(self) -> Float[np.ndarray, "n 3"]:
        """Directions, one per volume; zero at b = 0."""
        return spiral(len(self.bvals)) * (np.array(self.bvals) > 0)[:, None]

    def gradient_tables(self) -> dict[str, str]:
        """Texts of its FSL tables by extension."""
        bvec = "\n".join(" ".join(f"{value:.6f}" for value in axis) for axis in self.bvecs.T)
        return {".bval": " ".join(f"{b:g}" for b in self.bvals), ".bvec": bvec}

    def files(self) -> dict[str, Any]:
        """Contents of its files by extension."""
        files: dict[str, Any] = {".nii.gz": np.full((*self.shape, len(self.bvals)), 100, np.int16)}
        if self.has_tables:
            files |= self.gradient_tables()
        if self.sidecar is not None:
            files[".json"] = dict(self.sidecar)
        return files


def spiral(count: int) -> Float[np.ndarray, "count 3"]:
    """Spread unit vectors over the half sphere by the golden angle."""
    height = (np.arange(count) + 0.5) / count
    angle = np.arange(count) * np.pi * (3 - np.sqrt(5))
    radius = np.sqrt(1 - height**2)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), height], axis=1)


def write_tree(root: Path, tree: Mapping[str, Any]) -> Path:
    """Write a dataset, with a dataset_description.json where the tree has none; return its root."""
    for name, content in ({"dataset_description.json": DESCRIPTION} | dict(tree)).items():
        files = content.files() if isinstance(content, Series) else {"": content}
        for extension, file_content in files.items():
            _write(root / (name + extension), file_content)
    return root


def travelling_heads(
    root: Path,
    subjects: Mapping[str, Sequence[Mapping[str, Any]]],
    shells: Mapping[str, Shells] | None = None,
) -> Path:
    """Write a dataset of subjects on several scanners, with a session per manufacturer.

    Parameters
    ----------
    root
        Folder of the dataset.
    subjects
        Sidecars of a subject's scans, by label.
    shells
        Number of volumes by b-value, by session label, where they are not the default ones.
    """
    tree = {}
    for subject, sidecars in subjects.items():
        for sidecar in sidecars:
            session = str(sidecar["Manufacturer"]).lower()
            volumes = (shells or {}).get(session, Series().shells)
            name = f"sub-{subject}/ses-{session}/dwi/sub-{subject}_ses-{session}_dwi"
            tree[name] = Series(volumes, sidecar)
    return write_tree(root, tree)


def _write(path: Path, content: Any) -> None:
    """Write a file by the type of its content."""
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
