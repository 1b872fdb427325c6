from __future__ import annotations

import logging
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bids_shresnet.errors import Finding
from bids_shresnet.io.storage import read_json, read_tsv
from bids_shresnet.outputs.dataset import prepare_root
from bids_shresnet.outputs.runs.provenance import prov_path, read_provenance
from bids_shresnet.outputs.runs.run_log import (
    ScanStatus,
    finish_run,
    record_status,
    start_run,
    write_crash_report,
    write_findings,
)
from bids_shresnet.runtime.logs import log_to_screen

RUN_FILE_COUNT = 4 + 4  # settings, log, status and its description; four records in prov
RUN_NAME = re.compile(r"\d{8}-\d{6}_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
HOMES = [
    ("/home/jane", "qsiprep=/home/jane/q", "qsiprep=~/q"),
    ("/home/jane", "/home/jane", "~"),
    ("/home/jane", "/home/janet/q", "/home/janet/q"),
    ("/home/j.doe+lab", "/home/j.doe+lab/q", "~/q"),
    ("/home/j.doe", "/home/jxdoe", "/home/jxdoe"),
    ("/", "/data", "/data"),
    ("", "/data", "/data"),
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    prepare_root(tmp_path, {"raw": Path("/data")})
    return tmp_path


def write_run(root: Path) -> str:
    run = start_run(root, {}, ["shresnet"])
    finish_run(run, [])
    return run.name


def test_the_record_of_a_run_that_is_killed_holds_what_had_ended(root: Path) -> None:
    run = start_run(root, {}, ["shresnet", "/data"])
    for subject in ("01", "02"):
        record_status(run, [ScanStatus(subject, "", f"sub-{subject}_dwi.nii.gz", "done")])
        rows = read_tsv(run.folder / "status.tsv")
        assert rows[-1]["subject"] == subject
    assert len(rows) == 2
    assert read_provenance(root, run.name).command == "shresnet /data"
    activity = prov_path(root, run.name, "act")
    assert "EndedAtTime" not in read_json(activity)["Activities"][0]
    finish_run(run)
    assert read_tsv(run.folder / "status.tsv") == rows
    assert "EndedAtTime" in read_json(activity)["Activities"][0]


def test_a_run_has_a_folder_of_its_name_with_its_settings(root: Path) -> None:
    settings = {"bids_dir": "/data", "training": {"folds": 3}}
    run = start_run(root, settings, ["shresnet", "/data"])
    finish_run(run, [])
    assert RUN_NAME.fullmatch(run.name)
    assert read_json(root / "logs" / run.name / "config.json") == settings


def test_the_log_has_the_messages_of_the_run_and_no_later_ones(root: Path) -> None:
    logger = logging.getLogger("bids_shresnet.training.train_fold")
    run = start_run(root, {}, ["shresnet"])
    logger.warning("inside %s", "ä")
    finish_run(run, [])
    logger.warning("after")
    log = (run.folder / "run.log").read_text(encoding="utf-8")
    assert "WARNING bids_shresnet.training.train_fold: inside ä" in log
    assert "after" not in log


def test_the_log_begins_with_the_messages_from_before_the_run(root: Path) -> None:
    """In their order and once, although the folder of the log is made after them."""
    logger = logging.getLogger("bids_shresnet.workflow.make_plan")
    with log_to_screen(0):
        logger.info("first")
        logger.debug("second")
        run = start_run(root, {}, ["shresnet"])
        logger.info("third")
        finish_run(run, [])
    lines = (run.folder / "run.log").read_text(encoding="utf-8").splitlines()
    assert [line.rpartition(": ")[2] for line in lines] == ["first", "second", "third"]


def test_the_status_of_every_scan_is_one_line(root: Path) -> None:
    run = start_run(root, {}, ["shresnet"])
    finish_run(run, [ScanStatus("01", "ge", "sub-01/dwi/x.nii.gz", "excluded", "only\nb0", "GE")])
    lines = (run.folder / "status.tsv").read_text().splitlines()
    assert [line.split("\t") for line in lines] == [
        ["subject", "session", "file", "status", "reason", "scanner", "role"],
        ["01", "ge", "sub-01/dwi/x.nii.gz", "excluded", "only b0", "GE", "n/a"],
    ]


def test_a_run_keeps_the_findings_about_the_dataset(root: Path) -> None:
    finding = Finding("warning", "a.bvec, b.bvec", "flip x", "Look.")
    run = start_run(root, {}, ["shresnet"])
    write_findings(run, [finding])
    finish_run(run, [])
    assert read_tsv(run.folder / "findings.tsv") == [vars(finding)]


@pytest.mark.parametrize(("home", "argument", "recorded"), HOMES)
def test_the_name_of_the_user_is_not_recorded(
    home: str, argument: str, recorded: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", home)
    run = start_run(root, {}, ["shresnet", argument])
    write_crash_report(run, "sub-01_dwi", f"in {argument}")
    finish_run(run, [])
    assert read_provenance(root, run.name).command == f"shresnet {recorded}"
    assert (run.folder / "crash_sub-01_dwi.txt").read_text() == f"in {recorded}"


def test_parallel_runs_share_no_file(root: Path) -> None:
    before = set(root.rglob("*"))
    with ThreadPoolExecutor(4) as pool:
        names = set(pool.map(write_run, [root] * 4))
    files = [path for path in root.rglob("*") if path.is_file() and path not in before]
    assert len(names) == 4
    assert len(files) == 4 * RUN_FILE_COUNT
