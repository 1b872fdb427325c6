"""Flags that take a number: another word is refused with what the flag means."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import zip_longest
from typing import Any

from bids_shresnet.cli.boutiques import COUNTER_FLAGS, Setting, iter_settings
from bids_shresnet.config import Config
from bids_shresnet.errors import UsageError

Convert = Callable[[str], Any]
NUMBER_HINTS: Mapping[Any, Convert] = {int: int, int | None: int, float: float, float | None: float}


def check_numbers(words: Sequence[str]) -> None:
    """Check the values of flags that take one number.

    Parameters
    ----------
    words
        A command line with one spelling for each flag.

    Raises
    ------
    UsageError
        If a value is no number, with the help of its flag, which says what it does without one.
    """
    end = words.index("--") if "--" in words else len(words)
    for word, next_word in zip_longest(words[:end], words[1:end], fillvalue=""):
        flag, separator, value = word.partition("=")
        setting = number_settings().get(flag)
        if setting:
            _check_number(setting, value if separator else next_word)


@cache
def number_settings() -> Mapping[str, Setting]:
    """Return the settings that are one number, by their flags."""
    settings = iter_settings(Config)
    return {
        setting.flag: setting
        for setting in settings
        if setting.hint in NUMBER_HINTS and setting.name not in COUNTER_FLAGS
    }


def _check_number(setting: Setting, value: str) -> None:
    convert = NUMBER_HINTS[setting.hint]
    try:
        convert(value)
    except ValueError:
        kind = "a whole number" if convert is int else "a number"
        msg = f"{setting.flag} {value}: give {kind}. {setting.text}"
        raise UsageError(msg) from None
