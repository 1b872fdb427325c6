from __future__ import annotations

from collections.abc import Callable
from itertools import takewhile
from typing import Any

import pytest

from bids_shresnet.cli import slurm
from bids_shresnet.cli.boutiques import iter_settings
from bids_shresnet.cli.help_texts import MAX_WIDTH

Command = Callable[[list[str]], Any]
COMMANDS: list[tuple[Command, type]] = [(slurm.main, slurm.SlurmCommand)]
WIDE = 1000  # columns of a terminal that is wider than all texts


def print_help(command: Command, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Lines of the help."""
    with pytest.raises(SystemExit):
        command(["--help"])
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(("command", "kind"), COMMANDS)
def test_the_text_of_a_flag_is_broken_only_where_the_terminal_ends(
    command: Command,
    kind: type,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("COLUMNS", str(WIDE))
    lines = print_help(command, capsys)
    texts = [setting.text for setting in iter_settings(kind)]
    assert [text for text in texts if not any(text in line for line in lines)] == []


@pytest.mark.parametrize(("columns", "width"), [(80, 80), (WIDE, MAX_WIDTH)])
@pytest.mark.parametrize("command", [command for command, _ in COMMANDS])
def test_the_description_is_as_wide_as_the_terminal_or_as_is_easy_to_read(
    command: Command,
    columns: int,
    width: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    _usage, *lines = print_help(command, capsys)
    description = takewhile(lambda line: "positional arguments" not in line, lines)
    assert width - 20 < max(map(len, description)) <= width
