"""The project's Markdown pages taken apart: what in them is code, a command of the app, a link or a heading."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parent.parent
FENCED = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)\n(?P<code>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)
INDENTED = re.compile(r"(?:(?<=\n\n)|\A)(?:(?: {4,}.*)?\n)+(?=\n|\S|\Z)")
APP = re.compile(r"(?:^|[\s/])(bids-shresnet|python run\.py|bids/shresnet|shresnet\.sif)\s+(.+)")
PHANTOM = re.compile(r"(?:^|[\s/])bids-shresnet-phantom\s+(.+)")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Page:
    """One Markdown file."""

    path: Path

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def prose(self) -> str:
        """All but code."""
        return re.sub(r"`[^`\n]*`", "", INDENTED.sub("\n", FENCED.sub("", self.text)))

    def blocks(self, language: str) -> list[str]:
        """Fenced code of one language."""
        return [
            dedent(found["code"])
            for found in FENCED.finditer(self.text)
            if found["language"] == language
        ]

    def lines_of_shell(self) -> Iterator[str]:
        """Of fenced and of indented code; lines that go on are one."""
        indented = INDENTED.findall(FENCED.sub("", self.text))
        for block in (*self.blocks("sh"), *map(dedent, indented)):
            yield from re.sub(r"\\\n\s*", " ", block).splitlines()
        for block in self.blocks("console"):
            yield from (
                line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ ")
            )

    def commands(self, program: re.Pattern[str]) -> list[list[str]]:
        """Arguments of every call of a program."""
        inline = re.findall(r"`([^`\n]* /data /out [^`\n]*)`", self.text)
        found = (
            program.search(line)
            for line in (*self.lines_of_shell(), *inline)
            if not re.search(" build |-slurm ", line)
        )
        return [shlex.split(match[match.lastindex or 0], comments=True) for match in found if match]

    def links(self) -> list[str]:
        """Targets of all links in the prose."""
        return LINK.findall(self.prose)

    @cached_property
    def anchors(self) -> set[str]:
        """What a link to a heading of this page ends in."""
        headings = re.findall(r"^#+ (.+)$", FENCED.sub("", self.text), re.MULTILINE)
        plain = [re.sub(r"[^\w\s-]", "", heading.lower()).strip() for heading in headings]
        return {re.sub(r"[\s-]+", "-", heading) for heading in plain}


def all_pages() -> list[Page]:
    """Every page of the project."""
    folders = (ROOT.glob("*.md"), (ROOT / "docs").rglob("*.md"), (ROOT / "examples").rglob("*.md"))
    return [Page(path) for folder in folders for path in sorted(folder)]
