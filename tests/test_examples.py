"""The examples run as they stand, here on tiny heads and hardly trained."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import product
from pathlib import Path

import nibabel as nib
import numpy as np

from bids_shresnet.evaluation.statistics import QUANTITIES, TISSUES
from tests.pages import ROOT

MODEL = "from-SIGNAEXCITE000000PHANTMR1_to-Prisma99001"


def test_the_walk_through_harmonizes_the_subject_that_did_not_travel(walk: Path) -> None:
    root = walk / "out/derivatives/shresnet"
    assert (root / "group.html").exists()
    assert (root / "models" / MODEL / "heldout.tsv").exists()
    harmonized = [path.name for path in root.rglob("*_desc-harmonized_dwi.nii.gz")]
    assert harmonized == ["sub-05_ses-ge_desc-harmonized_dwi.nii.gz"]


def test_the_walk_through_ends_with_scores(walk: Path) -> None:
    rows = re.findall(
        r"^(WM|GM) (signal|FA|MD) +[\d.]+ +[\d.]+ +-?[\d.]+%$",
        (walk / "said").read_text(),
        re.MULTILINE,
    )
    assert rows == list(product(TISSUES, QUANTITIES))


def test_one_nifti_is_harmonized_with_a_saved_model_as_by_the_app(
    walk: Path, tmp_path: Path
) -> None:
    image = "sub-05/ses-ge/dwi/sub-05_ses-ge_dwi.nii.gz"
    script = ROOT / "examples/one_nifti.py"
    model = walk / "out/derivatives/shresnet/models" / MODEL
    command = [
        sys.executable,
        script,
        model,
        walk / "phantom/bids" / image,
        tmp_path / "harmonized",
    ]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "mean FA in the brain" in said
    ours, apps = (
        np.asarray(nib.load(path).dataobj)
        for path in (
            tmp_path / "harmonized/harmonized_dwi.nii.gz",
            walk / "out/derivatives/shresnet" / image.replace("_dwi", "_desc-harmonized_dwi"),
        )
    )
    np.testing.assert_array_equal(ours, apps)
    lines = [line for line in script.read_text().split('"""')[2].splitlines() if line.strip()]
    assert len(lines) <= 10
