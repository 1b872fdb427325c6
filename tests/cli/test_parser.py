from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bids_shresnet.cli import app
from bids_shresnet.cli.config_file import flatten_settings, to_record
from bids_shresnet.cli.parser import parse, parse_levels
from bids_shresnet.config import Config
from bids_shresnet.errors import (
    BadInput,
    Finding,
    InputMissing,
    NothingSelected,
    OutputError,
    UnknownLevel,
    UsageError,
)
from bids_shresnet.settings import SLOPPY_TRAINING, TrainingConfig
from tests.configs import make_config

REQUIRED = ["data", "out", "participant"]
CODE_AND_TORCH = """
import sys
from bids_shresnet.cli.app import main
try:
    code = main(sys.argv[1:])
except SystemExit as stop:
    code = stop.code
heavy = [name for name in ("torch", "bids", "nibabel", "ants") if name in sys.modules]
sys.exit(99 if heavy else code)
"""


@pytest.mark.parametrize(
    ("arguments", "field", "value"),
    [
        (["--participant-label", "01", "02"], "participant_label", ("01", "02")),
        (["--participant_label", "01", "sub-02"], "participant_label", ("01", "02")),
        (["--participant-labels", "01"], "participant_label", ("01",)),
        (["--participant_labels", "01"], "participant_label", ("01",)),
        (["--subject-label", "01"], "participant_label", ("01",)),
        (["--session-id", "ge"], "session_label", ("ge",)),
        (["--session_id", "ge"], "session_label", ("ge",)),
        (["--datasets", "qsiprep=/a"], "derivatives", ("qsiprep=/a",)),
        (["--clean-workdir"], "clean_workdir", True),
        (["--clean_workdir"], "clean_workdir", True),
        (["--n-cpus", "3"], "nprocs", 3),
        (["--n_procs", "3"], "nprocs", 3),
        (["--mem", "8G"], "mem", "8G"),
        (["--mem-mb", "8000"], "mem", "8000"),
        (["--mem_mb", "8000"], "mem", "8000"),
        (["--mem-gb", "8"], "mem_gb", 8.0),
        (["--mem_gb", "8"], "mem_gb", 8.0),
        (["--device", "auto"], "device", "auto"),
        (["--device", "cuda:1"], "device", "cuda:1"),
        (["--reports-only"], "reports_only", True),
        (["--reports_only"], "reports_only", True),
        (["--boilerplate-only"], "boilerplate_only", True),
        (["--boilerplate_only"], "boilerplate_only", True),
        (["--boilerplate"], "boilerplate_only", True),
        (["--stop-on-first-crash"], "stop_on_first_crash", True),
        (["--stop_on_first_crash"], "stop_on_first_crash", True),
        (["--skip-bids-validator"], "skip_bids_validation", True),
        (["--skip_bids_validator"], "skip_bids_validation", True),
        (["--models", "/m"], "models", Path("/m")),
        (["--model-dir", "/m"], "models", Path("/m")),
        (["--lmax", "6"], "sh_order", 6),
        (["--session-label", "ge"], "session_label", ("ge",)),
        (["--session_label", "ses-ge"], "session_label", ("ge",)),
        (["-d", "qsiprep=/a", "b=/c"], "derivatives", ("qsiprep=/a", "b=/c")),
        (["--derivatives", "qsiprep=/a"], "derivatives", ("qsiprep=/a",)),
        (["--exclude-participant-label", "sub-B"], "exclude_participant_label", ("B",)),
        (["--exclude_participant_label", "B"], "exclude_participant_label", ("B",)),
        (["--bids-filter-file", "f.json"], "bids_filter_file", Path("f.json")),
        (["--bids_filter_file", "f.json"], "bids_filter_file", Path("f.json")),
        (["--split-by", "EchoTime", "X"], "split_by", ("EchoTime", "X")),
        (["--split_by", "EchoTime"], "split_by", ("EchoTime",)),
        (["--pair", "a:b", "--pair", "c:d"], "pair", ("a:b", "c:d")),
        (["--bids-database-dir", "/db"], "bids_database_dir", Path("/db")),
        (["--bids_database_dir", "/db"], "bids_database_dir", Path("/db")),
        (["-w", "/scratch"], "work_dir", Path("/scratch")),
        (["--work-dir", "/scratch"], "work_dir", Path("/scratch")),
        (["--work_dir", "/scratch"], "work_dir", Path("/scratch")),
        (["--nprocs", "3"], "nprocs", 3),
        (["--n_cpus", "3"], "nprocs", 3),
        (["--nthreads", "3"], "nprocs", 3),
        (["--omp-nthreads", "2"], "omp_nthreads", 2),
        (["--omp_nthreads", "2"], "omp_nthreads", 2),
        (["--random-seed", "7"], "random_seed", 7),
        (["--random_seed", "7"], "random_seed", 7),
        (["--skip-bids-validation"], "skip_bids_validation", True),
        (["--skip_bids_validation"], "skip_bids_validation", True),
        (["--method", "shresnet_projected"], "method", "shresnet_projected"),
        (["--methods", "shresnet", "golkov"], "methods", ("shresnet", "golkov")),
        (["--resblocks", "1", "2", "4"], "resblocks", (1, 2, 4)),
        (["--no-validation"], "validation", False),
        (["--require-validation"], "require_validation", True),
        (["--abstain"], "abstain", True),
        (["--output-directions", "target"], "output_directions", "target"),
        (["--sh-order", "6"], "sh_order", 6),
        (["--dry-run"], "dry_run", True),
        (["-v", "-v"], "verbose", 2),
        (["-vv"], "verbose", 2),
    ],
)
def test_a_flag_sets_its_field_and_no_other(
    arguments: list[str], field: str, value: object
) -> None:
    plain = make_config()
    assert flatten_settings(parse([*REQUIRED, *arguments])) == flatten_settings(plain) | {
        field: value
    }


@pytest.mark.parametrize(
    ("arguments", "section", "field", "value"),
    [
        (["--training.max-epochs", "3"], "training", "max_epochs", 3),
        (["--training.max_epochs", "3"], "training", "max_epochs", 3),
        (["--training.adam-learning-rate", "0.01"], "training", "adam_learning_rate", 0.01),
        (["--network.resblocks", "3"], "network", "resblocks", 3),
        (["--network.hidden", "20"], "network", "hidden", 20),
        (["--network.no-contrast"], "network", "contrast", False),
        (["--network.no-skip"], "network", "skip", False),
        (["--network.no-calibrate"], "network", "calibrate", False),
        (["--training.schedule", "two-stage"], "training", "schedule", "two-stage"),
    ],
)
def test_settings_of_network_and_training_are_flags_too(
    arguments: list[str], section: str, field: str, value: object
) -> None:
    assert getattr(getattr(parse([*REQUIRED, *arguments]), section), field) == value


@pytest.mark.parametrize(
    "arguments",
    [
        ["--participant-label", "01", "02", "--", *REQUIRED],
        ["data", "out", "--participant-label", "01", "02", "--", "participant"],
        ["--participant-label", "01", "02", "--nprocs", "1", *REQUIRED],
        ["data", "--participant-label", "01", "02", "--nprocs", "1", "out", "participant"],
    ],
)
def test_flags_may_stand_before_and_between_the_three_positionals(arguments: list[str]) -> None:
    found = parse(arguments)
    expected = make_config(participant_label=("01", "02"), nprocs=found.resource.nprocs)
    assert found == expected


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "BIDS_DIR"),
        (["data", "out"], "participant"),
        ([*REQUIRED, "--nonsense"], "nonsense"),
        ([*REQUIRED, "--nprocs", "many"], "many"),
        ([*REQUIRED, "more"], "more"),
    ],
)
def test_nonsense_ends_with_64_and_is_named(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        parse(arguments)
    assert stop.value.code == 64
    shown = capsys.readouterr()
    assert said in shown.err


@pytest.mark.parametrize("flag", ["-h", "--help", "--version"])
def test_help_and_version_load_nothing_heavy(flag: str) -> None:
    found = subprocess.run(
        [sys.executable, "-c", CODE_AND_TORCH, flag], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
    assert ("bids_shresnet" if flag == "--version" else "--participant-label") in found.stdout


def test_a_recorded_configuration_runs_again_as_it_was(tmp_path: Path) -> None:
    arguments = [
        "--participant-label",
        "01",
        "--nprocs",
        "2",
        "--no-validation",
        "--method",
        "golkov",
        "--training.folds",
        "4",
        "-d",
        "a=/b",
    ]
    first = parse([*REQUIRED, *arguments])
    file = tmp_path / "config.json"
    file.write_text(json.dumps(to_record(first)))
    for flag in (
        ["--config-file", str(file)],
        [f"--config-file={file}"],
        ["--config_file", str(file)],
    ):
        assert parse(flag) == first


def test_a_recorded_run_as_in_the_paper_runs_again_as_it_was(tmp_path: Path) -> None:
    first = parse([*REQUIRED, "--paper", "--network.resblocks", "3", "--methods", "order_gain"])
    file = tmp_path / "config.json"
    file.write_text(json.dumps(to_record(first)))
    assert parse(["--config-file", str(file)]) == first


def test_what_is_given_beside_a_recorded_configuration_wins(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(
        json.dumps(to_record(parse([*REQUIRED, "--nprocs", "2", "--training.folds", "4"])))
    )
    found = parse(["--config-file", str(file), "--nprocs", "5"])
    assert found == make_config(nprocs=5, training=TrainingConfig(folds=4))
    moved = parse(["other", "elsewhere", "group", "--config-file", str(file)])
    assert moved == make_config(
        Path("other"),
        Path("elsewhere"),
        "group",
        nprocs=2,
        training=TrainingConfig(folds=4),
    )


def test_a_configuration_file_that_is_missing_or_not_named_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--config-file needs"):
        parse([*REQUIRED, "--config-file"])
    with pytest.raises(UsageError, match="not a JSON file"):
        parse([*REQUIRED, "--config-file", __file__])
    with pytest.raises(InputMissing, match=str(tmp_path / "none.json")):
        parse(["--config-file", str(tmp_path / "none.json")])


@pytest.mark.parametrize(
    ("level", "is_"),
    [
        ("participant", "participant"),
        ("subject", "participant"),
        ("group", "group"),
        ("dataset", "group"),
    ],
)
def test_a_level_may_be_called_as_the_execution_specification_calls_it(
    level: str, is_: str
) -> None:
    assert parse(["data", "out", level]).run.analysis_level == is_


@pytest.mark.parametrize("levels", ["participant group", "group participant", "subject dataset"])
def test_several_levels_are_run_with_the_same_flags_and_the_group_first(levels: str) -> None:
    found = parse_levels(["data", "out", *levels.split(), "--nprocs", "2"])
    assert found == [
        parse(["data", "out", level, "--nprocs", "2"]) for level in ("group", "participant")
    ]


def test_each_level_is_run_and_the_worst_exit_code_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    def run_level(config: Config, arguments: Sequence[str]) -> int:
        ran.append(config.run.analysis_level)
        return len(arguments) if config.run.analysis_level == "group" else 0

    monkeypatch.setattr(app, "run_level", run_level)
    assert app.main([*REQUIRED, "group"]) == len([*REQUIRED, "group"])
    assert ran == ["group", "participant"]


def test_one_level_is_one_and_a_second_that_is_none_is_refused() -> None:
    assert parse_levels(REQUIRED) == [parse(REQUIRED)]
    assert parse_levels(["data", "out", "group", "dataset"]) == [parse(["data", "out", "group"])]
    with pytest.raises(SystemExit) as stop:
        parse_levels([*REQUIRED, "everyone"])
    assert stop.value.code == 64
    with pytest.raises(UsageError, match="one document"):
        parse_levels(["data", "out", "participant", "group", "--dry-run", "--json"])


def test_debug_is_vv_and_sloppy_is_a_training_too_short_to_use() -> None:
    assert parse([*REQUIRED, "--debug"]).run.verbose == 2
    found = parse([*REQUIRED, "--sloppy", "--training.folds", "4"]).training
    assert found == replace(SLOPPY_TRAINING, folds=4)
    assert found.voxels_per_epoch * found.max_epochs < TrainingConfig().voxels_per_epoch


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
    ],
)
def test_every_error_has_the_exit_code_of_the_execution_specification(
    error: Exception, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object) -> int:
        raise error

    monkeypatch.setattr(app, "run_level", fails)
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
def test_what_is_asked_for_decides_the_exit_code(
    arguments: list[str], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert app.main(arguments) == code
    assert list(tmp_path.iterdir()) == []
