"""The project's Markdown pages: their code, commands of the app, links and headings."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parent.parent
FENCED_CODE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)\n(?P<code>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)
INDENTED_CODE = re.compile(r"(?:(?<=\n\n)|\A)(?:(?: {4,}.*)?\n)+(?=\n|\S|\Z)")
INLINE_CODE = re.compile(r"`[^`\n]*`")
INLINE_COMMAND = re.compile(r"`([^`\n]* /data /out [^`\n]*)`")
CONTINUED_LINE = re.compile(r"\\\n\s*")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
ANCHOR = re.compile(r'<a id="([^"]+)"></a>')
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
APP = re.compile(r"(?:^|[\s/])(bids-shresnet|python run\.py|bids/shresnet|shresnet\.sif)\s+(.+)")
PHANTOM = re.compile(r"(?:^|[\s/])bids-shresnet-phantom\s+(.+)")
OTHER_COMMAND = re.compile(r" build |-slurm ")  # mentions the app and does not run it
PROMPT = "$ "


@dataclass(frozen=True)
class Page:
    """One Markdown file."""

    path: Path

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def text_without_fenced_code(self) -> str:
        return FENCED_CODE.sub("", self.text)

    @cached_property
    def prose(self) -> str:
        """The text without code."""
        return INLINE_CODE.sub("", INDENTED_CODE.sub("\n", self.text_without_fenced_code))

    @property
    def links(self) -> list[str]:
        """Targets of all links in the prose."""
        return LINK.findall(self.prose)

    @cached_property
    def anchors(self) -> set[str]:
        """Fragments of links to the headings and flags of this page."""
        headings = HEADING.findall(self.text_without_fenced_code)
        words = [re.sub(r"[^\w\s-]", "", heading.lower()).strip() for heading in headings]
        flags = ANCHOR.findall(self.text_without_fenced_code)
        return {*flags, *(re.sub(r"[\s-]+", "-", heading) for heading in words)}

    def blocks(self, language: str) -> list[str]:
        """Fenced code of one language."""
        blocks = FENCED_CODE.finditer(self.text)
        return [dedent(block["code"]) for block in blocks if block["language"] == language]

    def shell_lines(self) -> Iterator[str]:
        """Lines of shell code; those that end in a backslash are joined with the next."""
        indented = INDENTED_CODE.findall(self.text_without_fenced_code)
        for block in [*self.blocks("sh"), *indented]:
            yield from CONTINUED_LINE.sub(" ", dedent(block)).splitlines()
        for block in self.blocks("console"):
            for line in block.splitlines():
                if line.startswith(PROMPT):
                    yield line.removeprefix(PROMPT)

    def commands(self, program: re.Pattern[str]) -> list[list[str]]:
        """Arguments of every call of a program, whose pattern's last group they are."""
        lines = [*self.shell_lines(), *INLINE_COMMAND.findall(self.text)]
        matches = [program.search(line) for line in lines if not OTHER_COMMAND.search(line)]
        return [shlex.split(match.groups()[-1], comments=True) for match in matches if match]


def all_pages() -> list[Page]:
    """Every page of the project."""
    paths = [
        *sorted(ROOT.glob("*.md")),
        *sorted((ROOT / "docs").rglob("*.md")),
        *sorted((ROOT / "examples").rglob("*.md")),
    ]
    return [Page(path) for path in paths]
