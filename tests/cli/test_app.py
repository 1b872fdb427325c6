"""The command `bids-shresnet`: exit codes, and what it loads."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from bids_shresnet.cli import app
from bids_shresnet.config import Config
from bids_shresnet.errors import (
    BadInput,
    Finding,
    InputMissing,
    Interrupted,
    NothingSelected,
    OutputError,
    UnknownLevel,
    UsageError,
)
from bids_shresnet.runtime.workers import Workers
from bids_shresnet.version import __version__
from tests.configs import make_config

REQUIRED = ["data", "out", "participant"]
CODE = """
import sys
from bids_shresnet.cli.app import main
try:
    code = main(sys.argv[1:])
except SystemExit as stop:
    code = stop.code
heavy = [name for name in ("torch", "bids", "nibabel", "ants") if name in sys.modules]
sys.exit(99 if heavy else code)
"""


@pytest.mark.parametrize("flag", ["-h", "--help", "--version"])
def test_help_and_version_load_nothing_heavy(flag: str) -> None:
    command = [sys.executable, "-c", CODE, flag]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    assert ("bids_shresnet" if flag == "--version" else "--participant-label") in process.stdout


def test_each_level_is_run_and_the_worst_exit_code_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    levels: list[str] = []

    def run_level(config: Config, arguments: Sequence[str]) -> int:
        levels.append(config.run.analysis_level)
        return len(arguments) if config.run.analysis_level == "group" else 0

    monkeypatch.setattr(app, "run_level", run_level)
    assert app.main([*REQUIRED, "group"]) == len([*REQUIRED, "group"])
    assert levels == ["group", "participant"]


@pytest.mark.parametrize(
    ("pages", "exit_code", "ending"),
    [
        ([], 0, "finished in 2 min; open {}"),
        (["sub-02.html", "sub-01.html"], 0, "finished in 2 min; open {}/sub-01.html"),
        (["sub-01.html", "group.html"], 0, "finished in 2 min; open {}/group.html"),
        (["group.html"], 1, "failed after 2 min: see status.tsv of the last run in {}/logs"),
    ],
)
def test_the_last_line_says_how_long_a_run_took_and_what_to_open(
    pages: list[str], exit_code: int, ending: str, tmp_path: Path
) -> None:
    root = tmp_path / "derivatives/shresnet"
    root.mkdir(parents=True)
    for page in pages:
        (root / page).touch()
    config = make_config(output_dir=tmp_path)
    assert app.describe_end(config, exit_code, 125.0) == ending.format(root)


def test_the_first_line_says_what_runs_where_with_what() -> None:
    config = make_config(bids_dir=Path("/data"), output_dir=Path("/out"))
    line = app.describe_start(config, Workers(3, 2, 2**30))
    assert line == (
        f"bids_shresnet {__version__}, participant: /data -> /out/derivatives/shresnet "
        f"(processes: 3, threads: 2, memory: 1.0 GB, device: cpu)"
    )


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BadInput([Finding("error", "file", "value", "remedy")]), 65),
        (InputMissing("x"), 66),
        (NothingSelected("x"), 18),
        (OutputError("x"), 73),
        (UsageError("x"), 64),
        (UnknownLevel("x"), 17),
        (OSError("x"), 74),
        (Interrupted("SIGTERM"), 75),
    ],
)
def test_every_error_has_the_exit_code_of_the_execution_specification(
    error: BaseException,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object) -> int:
        raise error

    monkeypatch.setattr(app, "run_level", fail)
    assert app.main(REQUIRED) == code
    assert str(error) in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["data", "out", "everyone"], 17),
        (["data", "data", "participant"], 64),
        ([*REQUIRED, "--work-dir", "data/work"], 64),
        ([*REQUIRED, "--device", "tpu"], 64),
        ([*REQUIRED, "--nprocs", "0"], 64),
        ([*REQUIRED, "--mem", "8 apples"], 64),
        ([*REQUIRED, "--mem", "8G", "--mem-gb", "8"], 64),
        ([*REQUIRED, "--config-file", "nowhere.json"], 66),
        (["nowhere", "out", "participant"], 66),
        (["--bids-exec-spec"], 0),
        (["--version"], 0),
    ],
)
def test_flags_decide_the_exit_code_and_nothing_is_written(
    arguments: list[str], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert app.main(arguments) == code
    assert list(tmp_path.iterdir()) == []
