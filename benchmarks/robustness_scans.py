"""Copies of simulated scans that preprocessing or another acquisition has changed, as BIDS files.

A changed scan is that of a new subject, e.g. sub-41mppca for sub-41. Changed signals are raw scans.
Changed masks are in a derivative dataset of their own. Changed grids are in one that is written
like QSIPrep's, with the mask on the same grid.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.processing import resample_from_to

from benchmarks.preprocessing_changes import CHANGES, GRID_SCALES, MASK_CHANGES, resample_dwi
from bids_shresnet.inputs.qsiprep import QSIPREP
from bids_shresnet.io.description import DESCRIPTION_FILE_NAME
from bids_shresnet.io.gradients.gradient_tables import write_gradient_table
from bids_shresnet.io.images.nifti import read_dwi, read_mask
from bids_shresnet.io.storage import write_json, write_text
from bids_shresnet.phantom.raw_files import write_raw_dwi, write_raw_image
from bids_shresnet.scans import Dwi, Scan

RAW = "bids"
MASKS = "masks"
ALL_CHANGES = (*CHANGES, *MASK_CHANGES, *GRID_SCALES)
QSIPREP_SPACE = "space-ACPC"


@dataclass(frozen=True)
class Variant:
    """A changed copy of a scan.

    Attributes
    ----------
    scan
        The scan as simulated.
    change
        Name of the change.
    out
        Folder of the datasets with changed scans.
    """

    scan: Scan
    change: str
    out: Path

    @property
    def subject(self) -> str:
        """Label of the subject in the datasets with changed scans."""
        return f"{self.scan.subject}{self.change}"

    def stem(self, dataset: str) -> Path:
        """Path of its files in a dataset, without suffix and extension."""
        _, *folders = self.scan.image.parent.relative_to(self.scan.dataset).parts
        name = self.scan.name.replace(f"sub-{self.scan.subject}", f"sub-{self.subject}", 1)
        return self.out.joinpath(dataset, f"sub-{self.subject}", *folders, name)

    @property
    def truth_stem(self) -> Path:
        """Path of the files of its truth, without the last underscore.

        Raises
        ------
        SystemExit
            If there is no truth, or that of several targets.
        """
        folder = self.scan.dataset.parent / "truth" / f"sub-{self.scan.subject}"
        found = list(folder.glob(f"ses-{self.scan.session}_to-*_dwi.nii.gz"))
        if len(found) != 1:
            msg = f"{folder} has {len(found)} truths of {self.scan.name}; one is needed"
            raise SystemExit(msg)
        return found[0].with_name(found[0].name.removesuffix("_dwi.nii.gz"))


def write_variants(variants: Sequence[Variant], seed: int) -> None:
    """Write the changed scans that are not there yet."""
    for variant in variants:
        sidecar = _add_suffix(variant.stem(RAW), "_dwi.json")
        if sidecar.exists():
            continue
        dwi = read_dwi(variant.scan)
        if change := CHANGES.get(variant.change):
            rng = np.random.default_rng([seed, zlib.crc32(variant.subject.encode())])
            _write_raw(variant, change(dwi, rng))
        else:
            _write_derivative(variant, dwi)
            _write_raw(variant, dwi)
        write_json(sidecar, variant.scan.metadata)  # last, as it says that all is there


def write_descriptions(out: Path, changes: Sequence[str]) -> dict[str, Path]:
    """Describe the datasets that the changes need; returns the derivatives by name."""
    _describe(out / RAW, "raw")
    derivatives = {}
    for name, names in ((MASKS, MASK_CHANGES), (QSIPREP, GRID_SCALES)):
        if set(names).intersection(changes):
            derivatives[name] = out / name
            _describe(out / name, "derivative", name)
    return derivatives


def _describe(dataset: Path, kind: str, pipeline: str = "") -> None:
    description = {"Name": "Changed scans", "BIDSVersion": "1.11.1", "DatasetType": kind}
    made_by = {"GeneratedBy": [{"Name": pipeline}]} if pipeline else {}
    write_json(dataset / DESCRIPTION_FILE_NAME, {**description, **made_by})
    write_text(dataset / "README.md", "# Made by benchmarks/robustness.py\n")


def _write_raw(variant: Variant, dwi: Dwi) -> None:
    seconds = float(variant.scan.metadata.get("RepetitionTime", 0))
    stem = _add_suffix(variant.stem(RAW), "_dwi")
    stem.parent.mkdir(parents=True, exist_ok=True)
    write_raw_dwi(stem, dwi, repetition_time=seconds)


def _write_derivative(variant: Variant, dwi: Dwi) -> None:
    """Write a changed mask, or a scan on a changed grid with its mask."""
    truth = _add_suffix(variant.truth_stem, "_mask.nii.gz")
    mask = read_mask(truth, dwi.shape, dwi.affine)
    if change := MASK_CHANGES.get(variant.change):
        path = _add_suffix(variant.stem(MASKS), "_desc-brain_mask.nii.gz")
        path.parent.mkdir(parents=True, exist_ok=True)
        write_raw_image(path, change(mask).astype(np.float32), dwi.affine)
        return
    changed = resample_dwi(dwi, GRID_SCALES[variant.change])
    stem = _add_suffix(variant.stem(QSIPREP), f"_{QSIPREP_SPACE}")
    stem.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(mask.astype(np.uint8), dwi.affine)
    new_mask = resample_from_to(image, (changed.shape, changed.affine), order=0)
    _save_lps(new_mask, _add_suffix(stem, "_desc-brain_mask.nii.gz"))
    _write_qsiprep_dwi(_add_suffix(stem, "_desc-preproc_dwi"), changed)


def _write_qsiprep_dwi(stem: Path, dwi: Dwi) -> None:
    """Write a DWI as QSIPrep does: LPS+ voxels, b-vectors along their axes, and MRtrix's .b."""
    image = nib.Nifti1Image(dwi.data.astype(np.float32), dwi.affine)
    affine = _save_lps(image, _add_suffix(stem, ".nii.gz"))
    write_gradient_table(stem, dwi, affine, bvec_axes="image", has_b_table=True)
    write_json(_add_suffix(stem, ".json"), {"SkullStripped": False})


def _save_lps(image: nib.Nifti1Image, path: Path) -> np.ndarray:
    """Write an image in canonical order with its voxels in LPS+ order; returns its affine."""
    flips = np.array([[0, -1], [1, -1], [2, 1]])
    lps = image.as_reoriented(flips)
    nib.save(lps, path)
    return np.asarray(lps.affine)


def _add_suffix(stem: Path, suffix: str) -> Path:
    return stem.with_name(f"{stem.name}{suffix}")
