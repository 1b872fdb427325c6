"""List flags that are given more than once: their values are joined.

The parser itself would take the last of them, as of a flag with one value, where a later one is
meant to replace the one before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise
from typing import get_origin

from bids_shresnet.cli.boutiques import Setting, iter_settings
from bids_shresnet.config import Config

APPENDED_FLAGS = ("pair", "alias")  # one value each time; the parser joins them


def join_repeated_flags(words: Sequence[str]) -> list[str]:
    """Give each list flag once, where it first stands, with all of its values in their order.

    Parameters
    ----------
    words
        A command line with one spelling for each flag, up to `--`.
    """
    joined: list[list[str]] = []
    first: dict[str, list[str]] = {}
    for group in _split_at_flags(words):
        flag, separator, value = group[0].partition("=")
        if flag in first:
            first[flag] += [value, *group[1:]] if separator else group[1:]
            continue
        joined.append(group)
        if flag in list_flags():
            first[flag] = group
    return [word for group in joined for word in group]


def _split_at_flags(words: Sequence[str]) -> Iterator[list[str]]:
    """Yield the words before all flags, then each flag with the words that follow it."""
    starts = [position for position, word in enumerate(words) if word.startswith("--")]
    for start, end in pairwise(sorted({0, *starts, len(words)})):
        yield list(words[start:end])


@cache
def list_flags() -> frozenset[str]:
    """Return the flags that several values may follow."""
    return frozenset(setting.flag for setting in iter_settings(Config) if is_list(setting))


def is_list(setting: Setting) -> bool:
    """Return whether several values may follow a flag."""
    return get_origin(setting.hint) is tuple and setting.name not in APPENDED_FLAGS
