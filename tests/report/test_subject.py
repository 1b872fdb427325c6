from __future__ import annotations

from pathlib import Path

import pytest

from bids_shresnet.io.storage import write_json
from bids_shresnet.report.subject import find_harmonized_subjects, read_subject
from bids_shresnet.runtime.leftovers import temporary_path


def write_sidecar(root: Path, session: str) -> Path:
    sidecar = root / f"sub-01/ses-{session}/dwi/sub-01_ses-{session}_desc-harmonized_dwi.json"
    write_json(sidecar, {"Sources": [f"bids:raw:sub-01/{session}.nii.gz"], "Harmonization": {}})
    return sidecar


def test_a_page_leaves_out_what_another_job_is_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    complete = write_sidecar(tmp_path, "a")
    removed = write_sidecar(tmp_path, "b")
    removed.unlink()
    temporary_path(removed).write_text("{")
    assert find_harmonized_subjects(tmp_path) == ("01",)
    assert [scan.scan_file for scan in read_subject(tmp_path, "01", None).scans] == ["a.nii.gz"]
    module = "bids_shresnet.report.subject"
    monkeypatch.setattr(f"{module}.find_harmonized_sidecars", lambda *_: [complete, removed])
    assert [scan.scan_file for scan in read_subject(tmp_path, "01", None).scans] == ["a.nii.gz"]
