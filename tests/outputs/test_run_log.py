from __future__ import annotations

import json
import logging
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bids_shresnet.errors import Finding
from bids_shresnet.io.storage import read_json, read_tsv
from bids_shresnet.outputs.dataset import prepare_root
from bids_shresnet.outputs.run_log import ScanStatus, finish_run, start_run, write_findings


@pytest.fixture
def root(tmp_path: Path) -> Path:
    prepare_root(tmp_path, {"raw": Path("/data"), "qsiprep": Path("/q")})
    return tmp_path


def test_a_run_keeps_its_settings_its_log_and_the_fate_of_every_scan(root: Path) -> None:
    run = start_run(root, {"bids_dir": "/data", "training": {"folds": 3}}, ["shresnet", "/data"])
    logger = logging.getLogger("bids_shresnet.training.train_fold")
    logger.warning("inside %s", "ä")
    finish_run(run, [ScanStatus("01", "ge", "sub-01/dwi/x.nii.gz", "excluded", "only\nb0", "GE")])
    logger.warning("after")
    assert re.fullmatch(r"\d{8}-\d{6}_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", run.name)
    assert read_json(root / "logs" / run.name / "config.json") == {
        "bids_dir": "/data",
        "training": {"folds": 3},
    }
    log = (root / "logs" / run.name / "run.log").read_text(encoding="utf-8")
    assert "WARNING bids_shresnet.training.train_fold: inside ä" in log
    assert "after" not in log
    table = (root / "logs" / run.name / "status.tsv").read_text().splitlines()
    assert [line.split("\t") for line in table] == [
        ["subject", "session", "file", "status", "reason", "scanner"],
        ["01", "ge", "sub-01/dwi/x.nii.gz", "excluded", "only b0", "GE"],
    ]


def test_a_run_keeps_what_was_found_about_the_dataset(root: Path) -> None:
    run = start_run(root, {}, ["shresnet"])
    write_findings(run, [Finding("warning", "a.bvec, b.bvec", "flip x", "Look.")])
    finish_run(run, [])
    found = {"severity": "warning", "file": "a.bvec, b.bvec", "value": "flip x", "remedy": "Look."}
    assert read_tsv(run.folder / "findings.tsv") == [found]


@pytest.mark.parametrize(
    ("home", "argument", "recorded"),
    [
        ("/home/jane", "qsiprep=/home/jane/q", "qsiprep=~/q"),
        ("/home/jane", "/home/jane", "~"),
        ("/home/jane", "/home/janet/q", "/home/janet/q"),
        ("/", "/data", "/data"),
        ("", "/data", "/data"),
    ],
)
def test_prov_does_not_tell_the_users_name(
    home: str, argument: str, recorded: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", home)
    run = start_run(root, {}, ["shresnet", argument])
    finish_run(run, [])
    (act,) = (root / "prov").glob("*_act.json")
    assert json.loads(act.read_text())["Activities"][0]["Command"] == f"shresnet {recorded}"


def test_parallel_runs_share_no_file(root: Path) -> None:
    before = set(root.rglob("*"))

    def whole_run(_: int) -> str:
        run = start_run(root, {}, ["shresnet"])
        finish_run(run, [])
        return run.name

    with ThreadPoolExecutor(4) as pool:
        names = set(pool.map(whole_run, range(4)))
    files = [path for path in set(root.rglob("*")) - before if path.is_file()]
    assert len(names) == 4
    assert len(files) == 4 * (3 + 4)
