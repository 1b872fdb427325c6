from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bids_shresnet.errors import OutputError
from bids_shresnet.io.storage import write_text
from bids_shresnet.outputs.dataset import prepare_root
from bids_shresnet.outputs.runs.run_log import ScanStatus, Status, finish_run
from bids_shresnet.runtime.workers import Workers
from bids_shresnet.workflow.harmonize_scans import ScanResult
from bids_shresnet.workflow.run import Invocation, begin_run, run
from tests.configs import make_config
from tests.datasets import write_tree

CODE = """
import sys
import bids_shresnet.workflow.run
print(*{"ants", "matplotlib", "sklearn", "torch"} & sys.modules.keys())
"""


@pytest.mark.slow
def test_a_plan_is_made_without_what_computes_draws_or_registers() -> None:
    """These look for a folder for their caches while they load: only a scratch folder has one."""
    command = [sys.executable, "-c", CODE]
    process = subprocess.run(command, capture_output=True, text=True, check=True)
    assert process.stdout.split() == []


def run_with(
    statuses: list[Status],
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    is_dry_run: bool = False,
) -> int:
    """Run the app with scans that end so; the work itself is skipped."""
    results = [
        ScanResult(ScanStatus(str(number), "", "scan.nii.gz", status))
        for number, status in enumerate(statuses)
    ]

    def work(*_: object) -> list[ScanResult]:
        write_text(out / "derivatives/shresnet/inside.txt", "")
        with pytest.raises(OutputError, match="refused to write"):
            write_text(out.parent / "outside.txt", "")
        return results

    monkeypatch.setattr("bids_shresnet.workflow.execute_plan.execute_plan", work)
    monkeypatch.setattr("bids_shresnet.workflow.run.make_plan", lambda *_: None)
    monkeypatch.setattr("bids_shresnet.workflow.run.check_start", lambda *_: None)
    monkeypatch.setattr("bids_shresnet.workflow.run.begin_run", lambda *_: None)
    monkeypatch.setattr("bids_shresnet.workflow.run.record_plan", lambda *_: None)
    config = make_config(out.parent / "bids", out, dry_run=is_dry_run)
    return run(config, Invocation(("shresnet",), {}), Workers(1, 1))


@pytest.mark.parametrize(
    ("statuses", "code"),
    [([], 0), (["done", "up to date", "excluded"], 0), (["done", "failed", "done"], 1)],
)
def test_a_failed_scan_fails_the_run_and_nothing_is_written_outside(
    statuses: list[Status], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_with(statuses, tmp_path / "out", monkeypatch) == code
    assert (tmp_path / "out/derivatives/shresnet/inside.txt").exists()
    assert not (tmp_path / "outside.txt").exists()
    write_text(tmp_path / "outside.txt", "")  # after the run there is no limit


def test_a_dry_run_does_no_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_with(["failed"], tmp_path / "out", monkeypatch, is_dry_run=True) == 0
    assert not (tmp_path / "out").exists()


def test_reports_are_rewritten_without_changing_what_the_output_was_made_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "out/derivatives/shresnet"
    bids = write_tree(tmp_path / "bids", {})
    prepare_root(root, {"raw": bids, "qsiprep": tmp_path / "q"}, [{"Name": "qsiprep"}])
    before = (root / "dataset_description.json").read_bytes()
    module = "bids_shresnet.workflow.write_reports"
    monkeypatch.setattr(f"{module}.find_reportable_results", lambda *_: None)
    monkeypatch.setattr(f"{module}.write_reports", lambda *_: None)
    config = make_config(tmp_path / "elsewhere", tmp_path / "out", reports_only=True)
    assert run(config, Invocation(("shresnet",), {}), Workers(1, 1)) == 0
    assert (root / "dataset_description.json").read_bytes() == before


def test_what_a_killed_run_has_left_half_written_is_removed_when_the_next_one_begins(
    tmp_path: Path,
) -> None:
    root = tmp_path / "out/derivatives/shresnet"
    left = [
        root / folder / ".0123456789ab.table.tsv"
        for folder in (
            ".",
            "logs",
            "logs/20260101-000000_x",
            "prov",
            "figures",
            "models/from-A_to-B",
        )
    ]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("half")
        os.utime(path, (0, 0))
    finish_run(begin_run(root, Invocation(("shresnet",), {}), {"raw": write_tree(tmp_path, {})}))
    assert [path for path in left if path.exists()] == []
