from __future__ import annotations

import pytest

from bids_shresnet.cli.boutiques import iter_settings
from bids_shresnet.cli.parser import parse
from bids_shresnet.cli.repeated_flags import APPENDED_FLAGS, is_list
from bids_shresnet.cli.spellings import canonicalize_flags
from bids_shresnet.config import Config
from tests.configs import make_config

REQUIRED = ["data", "out", "participant"]
LISTS = [setting for setting in iter_settings(Config) if is_list(setting)]


@pytest.mark.parametrize("setting", LISTS, ids=lambda setting: setting.name)
def test_values_of_a_repeated_list_flag_are_joined_in_their_order(setting) -> None:  # type: ignore[no-untyped-def]
    once = [setting.flag, "a", "b", "c"]
    assert canonicalize_flags([setting.flag, "a", setting.flag, "b", "c"]) == once
    assert canonicalize_flags([setting.flag, "a", "b", f"{setting.flag}=c"]) == once
    for spelling in setting.aliases:
        assert canonicalize_flags([spelling, "a", setting.flag, "b", spelling, "c"]) == once


@pytest.mark.parametrize(
    "arguments",
    [
        [*REQUIRED, "--participant-label", "01", "--nprocs", "1", "--participant-label", "02"],
        [*REQUIRED, "--participant_label=01", "--nprocs", "1", "--participant-label=sub-02"],
        ["--participant-label", "01", "--nprocs", "1", *REQUIRED, "--subject-label", "02"],
        ["--participant-label=01", "--nprocs", "1", "--participant-label", "02", "--", *REQUIRED],
    ],
)
def test_all_participants_are_asked_for_wherever_the_flags_stand(arguments: list[str]) -> None:
    assert parse(arguments) == make_config(participant_label=("01", "02"), nprocs=1)


def test_several_derivatives_may_be_given_one_by_one() -> None:
    config = parse([*REQUIRED, "-d", "qsiprep=/a", "-dsmriprep=/b"])
    assert config.input.derivatives == ("qsiprep=/a", "smriprep=/b")


@pytest.mark.parametrize("name", APPENDED_FLAGS)
def test_flags_that_the_parser_joins_stay_as_they_are(name: str) -> None:
    words = [f"--{name}", "a:b", "--dry-run", f"--{name}=c:d"]
    assert canonicalize_flags(words) == words


def test_a_later_value_replaces_the_one_before_where_a_flag_takes_one() -> None:
    config = parse([*REQUIRED, "--nprocs", "1", "--target", "a", "--nprocs", "2", "--target=b"])
    assert config == make_config(nprocs=2, target="b")
