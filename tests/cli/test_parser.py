from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from bids_shresnet.cli.config_file import flatten_settings
from bids_shresnet.cli.parser import parse, parse_levels
from bids_shresnet.errors import (
    UsageError,
)
from bids_shresnet.settings import SLOPPY_TRAINING, TrainingConfig
from tests.configs import make_config

REQUIRED = ["data", "out", "participant"]


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
    config = parse(arguments)
    expected = make_config(participant_label=("01", "02"), nprocs=config.resource.nprocs)
    assert config == expected


@pytest.mark.parametrize(
    ("arguments", "culprit"),
    [
        ([], "BIDS_DIR"),
        (["data", "out"], "participant"),
        ([*REQUIRED, "--nprocs", "many"], "many"),
        ([*REQUIRED, "more"], "more"),
        ([*REQUIRED, "--method", "magic"], "invalid choice 'magic' for argument '--method'"),
    ],
)
def test_nonsense_is_named_in_a_line_of_words(arguments: list[str], culprit: str) -> None:
    with pytest.raises(UsageError) as error:
        parse(arguments)
    message = str(error.value)
    assert culprit in message
    assert re.search(r"[\u2500-\u257f]|--- |  |\n", message) is None  # no box, no lines


@pytest.mark.parametrize(
    ("level", "our_name"),
    [
        ("participant", "participant"),
        ("subject", "participant"),
        ("group", "group"),
        ("dataset", "group"),
    ],
)
def test_a_level_may_have_its_name_in_the_execution_specification(
    level: str, our_name: str
) -> None:
    assert parse(["data", "out", level]).run.analysis_level == our_name


@pytest.mark.parametrize("levels", ["participant group", "group participant", "subject dataset"])
def test_several_levels_are_run_with_the_same_flags_and_the_group_first(levels: str) -> None:
    configs = parse_levels(["data", "out", *levels.split(), "--nprocs", "2"])
    group = parse(["data", "out", "group", "--nprocs", "2"])
    participant = parse(["data", "out", "participant", "--nprocs", "2"])
    assert configs == [group, participant]


def test_only_the_first_of_several_levels_trains_again() -> None:
    group, participant = parse_levels([*REQUIRED, "group", "--retrain"])
    assert group.model.retrain
    assert participant == parse(REQUIRED)


def test_one_level_gives_one_config_and_an_unknown_second_one_is_refused() -> None:
    assert parse_levels(REQUIRED) == [parse(REQUIRED)]
    assert parse_levels(["data", "out", "group", "dataset"]) == [parse(["data", "out", "group"])]
    with pytest.raises(UsageError, match="everyone"):
        parse_levels([*REQUIRED, "everyone"])
    with pytest.raises(UsageError, match="one document"):
        parse_levels(["data", "out", "participant", "group", "--dry-run", "--json"])


def test_debug_is_vv_and_sloppy_is_a_training_too_short_to_use() -> None:
    assert parse([*REQUIRED, "--debug"]).run.verbose == 2
    training = parse([*REQUIRED, "--sloppy", "--training.folds", "4"]).training
    assert training == replace(SLOPPY_TRAINING, folds=4)
    assert training.voxels_per_epoch * training.max_epochs < TrainingConfig().voxels_per_epoch
