"""The examples run as they are, here with tiny heads and short training."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import product
from pathlib import Path

import nibabel as nib
import numpy as np

from bids_shresnet.evaluation.results import QUANTITIES, TISSUES
from tests.pages import ROOT

MODEL = "from-SIGNAEXCITE000000PHANTMR1_to-Prisma99001"
SCORE = r"^(WM|GM) (signal|FA|MD) +[\d.]+ +[\d.]+ +-?[\d.]+%$"
SCAN = "sub-05/ses-ge/dwi/sub-05_ses-ge"


def test_the_phantom_example_harmonizes_the_subject_that_did_not_travel(example_run: Path) -> None:
    root = example_run / "out/derivatives/shresnet"
    assert (root / "group.html").exists()
    assert (root / "models" / MODEL / "heldout.tsv").exists()
    harmonized = [path.name for path in root.rglob("*_desc-harmonized_dwi.nii.gz")]
    assert harmonized == ["sub-05_ses-ge_desc-harmonized_dwi.nii.gz"]


def test_the_phantom_example_ends_with_scores(example_run: Path) -> None:
    scores = re.findall(SCORE, (example_run / "stdout").read_text(), re.MULTILINE)
    assert scores == list(product(TISSUES, QUANTITIES))


def test_the_nifti_example_harmonizes_as_the_app_does(example_run: Path, tmp_path: Path) -> None:
    root = example_run / "out/derivatives/shresnet"
    image = example_run / f"phantom/bids/{SCAN}_dwi.nii.gz"
    script = ROOT / "examples/one_nifti.py"
    paths = [script, root / "models" / MODEL, image, tmp_path]
    command = [sys.executable, *map(str, paths)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "mean FA in the brain" in run.stdout
    np.testing.assert_array_equal(
        values(tmp_path / "harmonized_dwi.nii.gz"),
        values(root / f"{SCAN}_desc-harmonized_dwi.nii.gz"),
    )


def test_the_nifti_example_has_at_most_ten_lines() -> None:
    code = (ROOT / "examples/one_nifti.py").read_text().split('"""')[2]
    assert len([line for line in code.splitlines() if line.strip()]) <= 10


def values(path: Path) -> np.ndarray:
    return np.asarray(nib.Nifti1Image.from_filename(path).dataobj)
