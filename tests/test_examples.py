"""The examples run as they are, here with tiny heads and short training."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from bids_shresnet.evaluation.results import QUANTITIES, TISSUES
from bids_shresnet.io.storage import write_tsv
from bids_shresnet.outputs.group_scalars import GROUP_COLUMNS
from tests.pages import ROOT

MODEL = "from-SIGNAEXCITE000000PHANTMR1_to-Prisma99001"
SCORE = r"^(WM|GM) (signal|FA|MD) +[\d.]+ +[\d.]+ +-?[\d.]+%$"
SCAN = "sub-04/ses-ge/dwi/sub-04_ses-ge"


def test_the_phantom_example_harmonizes_the_subject_that_did_not_travel(example_run: Path) -> None:
    root = example_run / "out/derivatives/shresnet"
    assert (root / "group.html").exists()
    assert (root / "models" / MODEL / "heldout.tsv").exists()
    harmonized = [path.name for path in root.rglob("*_desc-harmonized_dwi.nii.gz")]
    assert harmonized == ["sub-04_ses-ge_desc-harmonized_dwi.nii.gz"]


def test_the_phantom_example_ends_with_scores(example_run: Path) -> None:
    scores = re.findall(SCORE, (example_run / "stdout").read_text(), re.MULTILINE)
    assert scores == list(product(TISSUES, QUANTITIES))


def test_the_notebook_runs_from_top_to_bottom(
    example_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "demo").symlink_to(example_run)
    monkeypatch.chdir(tmp_path)
    notebook = json.loads((ROOT / "examples/harmonize.ipynb").read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] for cell in cells)
    names: dict[str, Any] = {}
    for cell in cells:
        exec("".join(cell["source"]), names)
    assert (tmp_path / "harmonized/sub-04_dwi.json").exists()
    assert (tmp_path / "harmonized/sub-04_ses-ge_harmonized_dwi.nii.gz").exists()


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


@pytest.mark.parametrize("name", ["one_nifti.py", "site_effect.py", "neuroharmonize.py"])
def test_the_python_examples_have_at_most_ten_lines(name: str) -> None:
    code = (ROOT / "examples" / name).read_text().split('"""')[2]
    assert len([line for line in code.splitlines() if line.strip()]) <= 10


def test_the_mixed_model_finds_the_difference_of_the_scanners_in_the_table(tmp_path: Path) -> None:
    """If each subject was on both scanners, it is the mean difference within subjects."""
    rng = np.random.default_rng(0)
    rows = []
    differences: dict[str, list[float]] = {"before": [], "after": []}
    for stage, subject in product(differences, range(12)):
        reference = 0.45 + rng.normal(0, 0.02)
        difference = (0.09 if stage == "before" else 0.0) + rng.normal(0, 0.005)
        differences[stage].append(difference)
        for batch, value in {"A": reference, "B": reference + difference}.items():
            rows.append(scalar_row(stage, batch, subject, value))
    write_tsv(tmp_path / "group_scalars.tsv", rows, list(GROUP_COLUMNS))
    script = str(ROOT / "examples/site_effect.py")
    command = [sys.executable, script, str(tmp_path / "group_scalars.tsv")]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    found = {}
    for line in lines:
        match = re.fullmatch(r"WM, (\w+), batch\[T.B\]: ([-+.\d]+) %, p = ([-.e\d]+)", line)
        assert match is not None
        found[match[1]] = (float(match[2]), float(match[3]))
    for stage, values in differences.items():
        reference = np.mean([row["value"] for row in rows if in_stage(row, stage)])
        expected = 100 * np.mean(values) / reference
        assert found[stage][0] == pytest.approx(expected, abs=0.01)
    assert found["before"][1] < 1e-6
    assert found["after"][1] > 0.05


def test_combat_after_us_removes_the_difference_of_means_that_is_left(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = []
    for batch, subject, region in product("AB", range(20), ("WM", "GM", "CST")):
        value = rng.normal(0.45, 0.01) + (0.02 if batch == "A" else 0.0)
        rows.append(scalar_row("after", batch, subject, value) | {"region": region})
    write_tsv(tmp_path / "group_scalars.tsv", rows, list(GROUP_COLUMNS))
    out = tmp_path / "out.tsv"
    script = str(ROOT / "examples/neuroharmonize.py")
    subprocess.run([sys.executable, script, tmp_path / "group_scalars.tsv", out], check=True)
    means = pd.read_csv(out, sep="\t", index_col=["file", "batch"]).groupby("batch").mean()
    assert means.shape == (2, 3)
    assert (means.loc["A"] - means.loc["B"]).abs().max() < 0.005


def scalar_row(stage: str, batch: str, subject: int, value: float) -> dict[str, Any]:
    known = {"stage": stage, "batch": batch, "participant_id": f"sub-{subject:02d}"}
    file = f"sub-{subject:02d}_ses-{batch}_dwi.nii.gz"
    measured = {"seg": "tissue", "region": "WM", "measure": "fa", "value": value}
    return {**known, "file": file, **measured}


def in_stage(row: dict[str, Any], stage: str) -> bool:
    """Return whether a row is of the first scanner in a stage."""
    return bool(row["stage"] == stage and row["batch"] == "A")


def values(path: Path) -> np.ndarray:
    return np.asarray(nib.Nifti1Image.from_filename(path).dataobj)
