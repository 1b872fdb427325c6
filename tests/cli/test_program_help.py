from __future__ import annotations

import re

import pytest

from bids_shresnet.cli.app import main
from bids_shresnet.cli.boutiques import iter_settings
from bids_shresnet.cli.config_file import POSITIONALS
from bids_shresnet.cli.program_help import (
    COMMON_SETTINGS,
    GROUP_TITLES,
    iter_groups,
    render_help,
)
from bids_shresnet.config import Config

SCREEN_COLUMNS = 80
SCREEN_LINES = 40
SETTINGS = [item for item in iter_settings(Config) if item.name not in POSITIONALS]


@pytest.fixture(autouse=True)
def _screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(SCREEN_COLUMNS))


def shown_flags(text: str) -> set[str]:
    """The flags that a help lists, of settings only."""
    flags = set(re.findall(r"^  (?:-\w, )?(--[\w.-]+)", text, re.MULTILINE))
    return flags & {flag for item in SETTINGS for flag in (item.flag, item.negative_flag)}


def test_the_common_flags_fit_on_two_screens() -> None:
    text = render_help(is_complete=False)
    assert len(text.splitlines()) <= 2 * SCREEN_LINES
    assert len(shown_flags(text)) == len(COMMON_SETTINGS) == 15


def test_the_whole_help_has_every_flag_once_by_its_own_name_and_with_its_whole_text() -> None:
    text = render_help(is_complete=True)
    assert len(shown_flags(text)) == len(SETTINGS)
    words = " ".join(text.split())
    for item in SETTINGS:
        assert item.text in words
        longer = [alias for alias in item.aliases if alias.startswith("--")]
        assert not any(f"{alias} " in words for alias in longer)
    assert "None" not in text


@pytest.mark.parametrize("is_complete", [False, True])
def test_no_line_is_wider_than_the_terminal(is_complete: bool) -> None:
    lines = render_help(is_complete=is_complete).splitlines()
    assert max(map(len, lines)) <= SCREEN_COLUMNS


def test_every_setting_is_in_one_titled_group() -> None:
    groups = list(iter_groups())
    assert [title for title, _ in groups] == list(GROUP_TITLES.values())
    names = [item.name for _, settings in groups for item in settings]
    assert names == [item.name for item in iter_settings(Config)]


@pytest.mark.parametrize(
    ("flag", "is_complete"), [("-h", False), ("--help", False), ("--help-all", True)]
)
def test_help_is_printed_wherever_it_is_asked_for(
    flag: str, is_complete: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "out", flag]) == 0
    assert capsys.readouterr().out == render_help(is_complete=is_complete)
