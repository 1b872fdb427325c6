"""Whole runs of the app on a phantom of 8 mm, and what they leave."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib

from bids_shresnet.cli.app import main
from bids_shresnet.io.storage import hash_file, read_json, read_tsv

VALIDATOR = Path(sys.executable).parent / "bids-validator-deno"
TRAINING = (
    "--training.max-epochs=2",
    "--training.adam-epochs=1",
    "--training.voxels-per-epoch=1000",
)
ONE_CORE = ("--nprocs", "1", "--omp-nthreads", "1")
MODEL = "from-SIGNAEXCITE000000PHANTMR1_to-Prisma99001"
TRAVELLING = ("01", "02", "03")
APPLY_ONLY = "04"  # scanned on the source only
SUBJECTS = (*TRAVELLING, APPLY_ONLY)
METHODS = (
    *("b_value_only", "denoised", "map_regression", "sh_projection", "order_gain"),
    *("linear_rish", "shresnet_uncalibrated", "shresnet"),
)
GROUP_FLAGS = ("--methods", *METHODS, "--resblocks", "0")
GROUP_TABLES = ("group_harmonization", "group_comparisons", "group_bias", "group_regions")
GROUP_FILES = (
    "group.html",
    *(f"{name}.json" for name in GROUP_TABLES),
    *(f"{name}.tsv" for name in GROUP_TABLES),
)


@dataclass(frozen=True)
class HarmonizedDataset:
    """A dataset that was harmonized.

    Exit code, output, digests of the input before the run, and its attempts to reach a network.
    """

    bids: Path
    root: Path
    code: int
    input_before: dict[str, str]
    network_events: tuple[str, ...]

    def output(self, subject: str, name: str = "desc-harmonized_dwi.nii.gz") -> Path:
        return self.root / f"sub-{subject}/ses-ge/dwi/sub-{subject}_ses-ge_{name}"

    def source(self, subject: str, extension: str = ".nii.gz") -> Path:
        return self.bids / f"sub-{subject}/ses-ge/dwi/sub-{subject}_ses-ge_dwi{extension}"


def run_app(bids: Path, out: Path, *arguments: str, level: str = "participant") -> int:
    return main([str(bids), str(out), level, *ONE_CORE, *TRAINING, *arguments])


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file by its path."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): hash_file(path) for path in files}


def results(root: Path) -> dict[str, str]:
    """Digests of scans, figures and models, but not of records that hold the time of the run."""
    return {
        name: digest
        for name, digest in digests(root).items()
        if name.startswith(("sub-", "models/from-")) and not name.endswith(".html")
    }


def run_folders(root: Path) -> list[Path]:
    """Folders of all runs, the latest last."""
    folders = [path for path in (root / "logs").iterdir() if path.is_dir()]
    return sorted(folders, key=lambda folder: folder.stat().st_mtime_ns)


def latest_run(root: Path) -> Path:
    return run_folders(root)[-1]


def status_by_file(run_folder: Path) -> dict[str, str]:
    """Status of each scan in a run."""
    return {row["file"]: row["status"] for row in read_tsv(run_folder / "status.tsv")}


def held_out_rows(root: Path) -> list[dict[str, str]]:
    return read_tsv(root / "models" / MODEL / "heldout.tsv")


def read_harmonization(sidecar: Path) -> dict[str, Any]:
    """Read the record of the harmonization of a scan from its sidecar."""
    return dict(read_json(sidecar)["Harmonization"])


def load_image(path: Path) -> nib.Nifti1Image:
    return nib.Nifti1Image.from_filename(path)


def validator_report(root: Path) -> dict[str, Any]:
    """Result of the BIDS validator for an output."""
    command = [str(VALIDATOR), str(root), "--format", "json"]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    return dict(json.loads(process.stdout))
