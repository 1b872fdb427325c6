from __future__ import annotations

import pytest

from bids_shresnet.cli.boutiques import iter_settings
from bids_shresnet.cli.config_file import POSITIONALS
from bids_shresnet.cli.spellings import canonicalize_flags
from bids_shresnet.config import Config
from bids_shresnet.errors import UsageError

FLAGS = [setting for setting in iter_settings(Config) if setting.name not in POSITIONALS]


@pytest.mark.parametrize("setting", FLAGS, ids=lambda setting: setting.name)
def test_every_spelling_of_a_flag_becomes_the_flag(setting) -> None:  # type: ignore[no-untyped-def]
    for spelling in (setting.flag, *setting.aliases):
        assert canonicalize_flags([spelling]) == [setting.flag]
        assert canonicalize_flags([f"{spelling}=a_b=c"])[0].startswith(setting.flag)
        if spelling.startswith("--"):
            assert canonicalize_flags([spelling.replace("-", "_").replace("__", "--")]) == [
                setting.flag
            ]


@pytest.mark.parametrize(
    ("arguments", "canonical"),
    [
        (["data_a", "o", "group"], ["data_a", "o", "group"]),
        (["--participant_label=sub_1"], ["--participant-label=sub_1"]),
        (["--random_seed", "-5"], ["--random-seed", "-5"]),
        (["-w/scratch"], ["--work-dir", "/scratch"]),
        (["-dqsiprep=/a"], ["--derivatives", "qsiprep=/a"]),
        (["-vvv"], ["--verbose"] * 3),
        (["--n_cpus", "3", "--", "--whatever"], ["--nprocs", "3", "--", "--whatever"]),
        (["--network.no_skip"], ["--network.no-skip"]),
    ],
)
def test_values_and_what_follows_two_dashes_stay(
    arguments: list[str], canonical: list[str]
) -> None:
    assert canonicalize_flags(arguments) == canonical
    assert canonicalize_flags(canonical) == canonical


@pytest.mark.parametrize(
    ("option", "advice"),
    [
        ("--nprcs", "--nprocs"),
        ("--verson", "--version"),
        ("-dry-run", "--dry-run"),
        ("-nprocs", "--nprocs"),
        ("--partcipant_label=1", "--participant-label"),
        ("-V", "--help-all"),
        ("--qqq", "--help-all"),
    ],
)
def test_an_unknown_option_is_named_with_what_it_resembles(option: str, advice: str) -> None:
    with pytest.raises(UsageError) as error:
        canonicalize_flags(["data", "out", "group", option])
    assert f"unknown option {option.partition('=')[0]};" in str(error.value)
    assert advice in str(error.value)
