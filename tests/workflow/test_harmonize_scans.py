from __future__ import annotations

import logging
from pathlib import Path

import pytest

from bids_shresnet.harmonization.jobs import HarmonizeJob, make_harmonize_jobs
from bids_shresnet.harmonization.options import HarmonizeOptions
from bids_shresnet.io.storage import read_tsv
from bids_shresnet.outputs.model.folder import Model
from bids_shresnet.outputs.runs.run_log import Run, ScanStatus
from bids_shresnet.outputs.stamps import LOCKS_FOLDER
from bids_shresnet.pairs import NOT_REQUESTED
from bids_shresnet.runtime.workers import Workers
from bids_shresnet.scans import Scan
from bids_shresnet.workflow.harmonize_scans import (
    ScanJob,
    log_summary,
    run_phases,
    run_scan_jobs,
)
from tests.configs import make_config
from tests.workflow.locks import is_locked

MODULE = "bids_shresnet.workflow.harmonize_scans"
ONE_PROCESS = Workers(1, 1, has_progress_bars=False)


@pytest.fixture
def jobs(scans: tuple[Scan, ...], model: Model, this_run: Run) -> list[ScanJob]:
    found, _ = make_harmonize_jobs(
        scans,
        [model],
        options=HarmonizeOptions(),
        bids_dir=scans[0].dataset,
        root=this_run.root,
    )
    return [ScanJob(job) for job in found]


def fail_for_the_second(job: HarmonizeJob) -> bool:
    if job.scan.subject == "02":
        msg = "this scan is odd"
        raise LookupError(msg)
    return True


def test_the_others_go_on_after_a_failed_scan_and_each_is_recorded_when_it_ends(
    jobs: list[ScanJob], this_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = []

    def write(job: HarmonizeJob) -> bool:
        table = this_run.folder / "status.tsv"
        recorded.append([row["status"] for row in read_tsv(table)] if table.exists() else [])
        return fail_for_the_second(job)

    monkeypatch.setattr(f"{MODULE}.write_harmonized_scan", write)
    monkeypatch.setattr(f"{MODULE}.write_pictures", lambda _: False)
    results = run_scan_jobs(jobs, make_config(), this_run, ONE_PROCESS)
    assert [result.row.status for result in results] == ["done", "failed", "done"]
    assert results[1].row.reason == "LookupError: this scan is odd"
    assert recorded == [[], ["done"], ["done", "failed"]]
    (crash,) = this_run.folder.glob("crash_*.txt")
    assert "Traceback" in crash.read_text()


def test_on_request_no_scan_is_begun_after_a_failed_one(
    jobs: list[ScanJob], this_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{MODULE}.write_harmonized_scan", fail_for_the_second)
    monkeypatch.setattr(f"{MODULE}.write_pictures", lambda _: False)
    config = make_config(stop_on_first_crash=True)
    results = run_scan_jobs(jobs, config, this_run, ONE_PROCESS)
    assert [result.row.status for result in results] == ["done", "failed"]


@pytest.mark.parametrize(
    ("should_stop", "subjects"), [(False, ["01", "02", "03"]), (True, ["01", "02"])]
)
def test_a_phase_begins_when_the_one_before_is_done_and_not_after_a_crash_that_stops(
    should_stop: bool,
    subjects: list[str],
    jobs: list[ScanJob],
    this_run: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(f"{MODULE}.write_harmonized_scan", fail_for_the_second)
    monkeypatch.setattr(f"{MODULE}.write_pictures", lambda _: False)
    config = make_config(stop_on_first_crash=should_stop)
    results = run_phases([jobs[:2], [], jobs[2:]], config, this_run, ONE_PROCESS)
    assert [result.row.subject for result in results] == subjects


def test_images_and_pictures_of_a_scan_are_written_under_its_lock(
    jobs: list[ScanJob], this_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked: list[bool] = []

    def watch(job: HarmonizeJob) -> bool:
        locked.append(is_locked(job.outputs.root / LOCKS_FOLDER / job.scan.name))
        return True

    monkeypatch.setattr(f"{MODULE}.write_harmonized_scan", watch)
    monkeypatch.setattr(f"{MODULE}.write_pictures", lambda _: watch(jobs[0].job))  # type: ignore[arg-type]
    run_scan_jobs(jobs[:1], make_config(), this_run, ONE_PROCESS)
    assert locked == [True, True]
    assert not is_locked(this_run.root / LOCKS_FOLDER / jobs[0].job.scan.name)


def test_a_run_of_no_scans_has_no_results(this_run: Run) -> None:
    assert run_scan_jobs([], make_config(Path("data")), this_run, ONE_PROCESS) == []


def test_subjects_that_nobody_asked_for_have_no_line_but_are_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    reason = f"{NOT_REQUESTED} (--participant-label)"
    others = [ScanStatus(f"{n:02}", "", f"sub-{n:02}", "excluded", reason) for n in range(2, 9)]
    log_summary([ScanStatus("01", "", "sub-01_dwi", "done"), *others], [], Path("out"))
    assert caplog.messages == [
        "sub-01: sub-01_dwi done",
        "models: ; scans: 1 done, 7 excluded; results: out",
    ]
