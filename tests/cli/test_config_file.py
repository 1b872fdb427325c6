from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_shresnet.cli.config_file import from_record, to_record
from bids_shresnet.cli.parser import parse
from bids_shresnet.cli.resolve import resolve_config
from bids_shresnet.config import Config
from bids_shresnet.errors import InputMissing, UnknownLevel, UsageError
from bids_shresnet.settings import APPLIED_METHODS, METHODS, NetworkConfig, TrainingConfig
from tests.configs import make_config

NUMBERS = st.integers(1, 10**6)
RATES = st.floats(1e-6, 1)
LABELS = st.lists(st.text("ab0+", min_size=1, max_size=3), max_size=3).map(tuple)
PATHS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8
).map(Path)
SETTINGS = st.fixed_dictionaries(
    {
        "bids_dir": PATHS.map(Path("/data").joinpath),
        "output_dir": st.just(Path("out")),
        "analysis_level": st.sampled_from(["participant", "group"]),
        "participant_label": LABELS,
        "session_label": LABELS,
        "derivatives": st.lists(st.text(max_size=5), max_size=2).map(tuple),
        "target": st.none() | st.text(),
        "scanner_map": st.none() | PATHS,
        "work_dir": st.none() | PATHS,
        "sh_order": st.none() | st.sampled_from([2, 4, 6, 8]),
        "nprocs": st.none() | NUMBERS,
        "method": st.sampled_from(APPLIED_METHODS),
        "methods": st.lists(st.sampled_from(METHODS), unique=True).map(tuple),
        "paper": st.booleans(),
        "validation": st.booleans(),
        "resblocks": st.lists(st.integers(0, 9), max_size=3).map(tuple),
        "output_directions": st.sampled_from(["source", "target"]),
        "verbose": st.integers(0, 3),
    }
)
NETWORK = st.fixed_dictionaries(
    {"resblocks": NUMBERS, "hidden": st.none() | NUMBERS, "skip": st.booleans()}
)
TRAINING = st.fixed_dictionaries(
    {
        "folds": NUMBERS,
        "schedule": st.sampled_from(["annealed", "two-stage"]),
        "adam_learning_rate": RATES,
        "decay": RATES,
    }
)
REQUIRED = ["data", "out", "participant"]
MINIMAL = {"bids_dir": "/data", "output_dir": "/out", "analysis_level": "group"}


@pytest.mark.slow
@given(setting=SETTINGS, network=NETWORK, training=TRAINING)
@settings(max_examples=50)
def test_a_record_rebuilds_its_configuration(
    setting: dict[str, Any], network: dict[str, Any], training: dict[str, Any]
) -> None:
    config = make_config(
        **setting, network=NetworkConfig(**network), training=TrainingConfig(**training)
    )
    assert from_record(to_record(config)) == config
    assert from_record(json.loads(json.dumps(to_record(config), allow_nan=False))) == config


def test_a_record_names_every_setting_and_defaults_fill_what_one_leaves_out() -> None:
    config = make_config(Path("/data"), Path("/out"), "group")
    assert from_record(MINIMAL) == config
    assert set(to_record(config)["training"]) == set(vars(TrainingConfig()))


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"targte": "A"}, "targte"),
        ({"training": {"fold": 3}}, r"training\.fold"),
        ({"training": 3}, "training"),
        ({"training": {"folds": "many"}}, r"training\.folds: 'many'"),
        ({"training": {"folds": True}}, r"training\.folds: True"),
        ({"training": {"decay": "0.9"}}, r"training\.decay"),
        ({"participant_label": "01"}, "participant_label"),
        ({"participant_label": [1]}, "participant_label: 1"),
        ({"bids_dir": None}, "bids_dir"),
    ],
)
def test_a_record_that_fits_no_configuration_is_refused_by_the_name_of_the_setting(
    change: dict[str, Any], name: str
) -> None:
    with pytest.raises(UsageError, match=name):
        from_record({**MINIMAL, **change})


def test_a_record_is_checked_as_the_command_line_is() -> None:
    with pytest.raises(UnknownLevel, match="session"):
        resolve_config(from_record({**MINIMAL, "analysis_level": "session"}))
    with pytest.raises(UsageError, match="sh-order 3"):
        resolve_config(from_record({**MINIMAL, "sh_order": 3}))


def test_a_record_without_a_dataset_is_incomplete() -> None:
    with pytest.raises(UsageError, match="bids_dir"):
        from_record({"output_dir": "/out", "analysis_level": "group"})


def write_record(folder: Path, config: Config) -> Path:
    """Write config.json as a run does."""
    path = folder / "config.json"
    path.write_text(json.dumps(to_record(config)))
    return path


def test_a_recorded_configuration_runs_again_as_it_was(tmp_path: Path) -> None:
    labels = ("--participant-label", "01", "-d", "a=/b")
    settings = ("--nprocs=2", "--no-validation", "--method", "golkov", "--training.folds", "4")
    config = parse([*REQUIRED, *labels, *settings])
    file = write_record(tmp_path, config)
    assert parse(["--config-file", str(file)]) == config
    assert parse([f"--config-file={file}"]) == config
    assert parse(["--config_file", str(file)]) == config


def test_a_recorded_run_as_in_the_paper_runs_again_as_it_was(tmp_path: Path) -> None:
    config = parse([*REQUIRED, "--paper", "--network.resblocks", "3", "--methods", "order_gain"])
    file = write_record(tmp_path, config)
    assert parse(["--config-file", str(file)]) == config


def test_other_flags_take_precedence_over_a_recorded_configuration(tmp_path: Path) -> None:
    recorded = parse([*REQUIRED, "--nprocs", "2", "--training.folds", "4"])
    file = write_record(tmp_path, recorded)
    config = parse(["--config-file", str(file), "--nprocs", "5"])
    assert config == make_config(nprocs=5, training=TrainingConfig(folds=4))
    moved = parse(["other", "elsewhere", "group", "--config-file", str(file)])
    assert moved == make_config(
        Path("other"),
        Path("elsewhere"),
        "group",
        nprocs=2,
        training=TrainingConfig(folds=4),
    )


def test_an_unusable_configuration_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--config-file needs"):
        parse([*REQUIRED, "--config-file"])
    with pytest.raises(UsageError, match="not a JSON file"):
        parse([*REQUIRED, "--config-file", __file__])
    with pytest.raises(InputMissing, match=str(tmp_path / "none.json")):
        parse(["--config-file", str(tmp_path / "none.json")])


def test_a_toml_file_has_the_names_of_flags_and_needs_no_positionals(tmp_path: Path) -> None:
    file = tmp_path / "study.toml"
    file.write_text(
        """# of our study
        participant-label = ["01", "02"]
        target = "Prisma"
        work_dir = "/scratch"
        [training]
        max-epochs = 3
        """,
        encoding="utf-8",
    )
    flags = ["--participant-label", "01", "02", "--target", "Prisma", "-w", "/scratch"]
    expected = parse([*REQUIRED, *flags, "--training.max-epochs", "3"])
    assert parse([*REQUIRED, "--config-file", str(file)]) == expected
    assert parse([*REQUIRED, "--config-file", str(file), "--target", "Skyra"]) != expected


@pytest.mark.parametrize(
    ("text", "message"),
    [("target = ", "not a TOML file"), ("targets = 1", "unknown settings: targets")],
)
def test_a_toml_file_that_is_wrong_is_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "study.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=message):
        parse([*REQUIRED, "--config-file", str(file)])
