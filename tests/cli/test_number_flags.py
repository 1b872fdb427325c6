from __future__ import annotations

import pytest

from bids_shresnet.cli.number_flags import check_numbers, number_settings
from bids_shresnet.errors import UsageError


@pytest.mark.parametrize("flag", list(number_settings()))
def test_a_flag_that_takes_a_number_names_it_and_says_what_it_means(flag: str) -> None:
    check_numbers([flag, "4", "data"])
    for words in ([flag, "all"], [f"{flag}=all"]):
        with pytest.raises(UsageError) as error:
            check_numbers(["data", *words, "out"])
        setting = number_settings()[flag]
        assert str(error.value).startswith(f"{flag} all: give a ")
        assert str(error.value).endswith(f"number. {setting.text}")


def test_the_number_of_processes_says_what_is_used_without_it() -> None:
    with pytest.raises(UsageError, match="by default one per core that this job may use"):
        check_numbers(["--nprocs", "all"])


def test_a_fraction_is_no_whole_number() -> None:
    check_numbers(["--mem-gb", "1.5", "--random-seed", "-5"])
    with pytest.raises(UsageError, match="give a whole number"):
        check_numbers(["--nprocs", "1.5"])


@pytest.mark.parametrize("words", [["--method", "all"], ["data", "--", "--nprocs", "all"], []])
def test_other_values_are_not_looked_at(words: list[str]) -> None:
    check_numbers(words)


def test_a_flag_at_the_end_lacks_its_number() -> None:
    with pytest.raises(UsageError, match="--nprocs : give a whole number"):
        check_numbers(["data", "--nprocs"])
