"""The help of the command lines: texts as long as the terminal is wide.

tyro wraps the texts of flags, but keeps the line breaks that they have in the code. It does not
wrap the description of a program at all.
"""

from __future__ import annotations

import inspect
import shutil
import textwrap
from functools import cache
from types import MappingProxyType

from bids_shresnet.cli.boutiques import iter_settings

MAX_WIDTH = 100  # characters, for texts that are easy to read


@cache
def join_help_lines(kind: type) -> None:
    """Give tyro the text of each flag of a dataclass without the line breaks of the code."""
    for setting in iter_settings(kind):
        setting.field.metadata = MappingProxyType({"help": setting.text})


def wrap_description(kind: type) -> str:
    """Wrap the docstring of a dataclass to the width of the terminal.

    tyro keeps line breaks before indented lines only.
    """
    width = min(shutil.get_terminal_size().columns, MAX_WIDTH)
    paragraphs = inspect.cleandoc(kind.__doc__ or "").split("\n\n")
    wrapper = textwrap.TextWrapper(width, subsequent_indent="  ", break_on_hyphens=False)
    return "\n\n".join(map(wrapper.fill, paragraphs))
