"""The methods text as pages show it: rendered with its references, as Markdown and as BibTeX."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from bids_shresnet.report.methods_text import (
    BIBTEX_ENTRY_PATTERN,
    CITATION_PATTERN,
    select_references,
)

FIELD_PATTERN = re.compile(r"(\w+) = \{((?:[^{}]|\{[^{}]*\})*)\}")
BRACKETS_PATTERN = re.compile(r"\[([^\]]*@[^\]]*)\]")
IDENTIFIERS = {"doi": "doi", "eprint": "arXiv"}
BOLD_PATTERN = re.compile(r"\*\*(.+?)\*\*")
BOLD = r"<strong>\1</strong>"
MANY_AUTHORS = 3  # from which a citation names the first one only

Entry = Mapping[str, str]


@dataclass(frozen=True)
class MethodsPanels:
    """The text in three forms; `html` is markup, the others are plain."""

    markdown: str
    bibtex: str
    html: str


def make_methods_panels(text: str) -> MethodsPanels:
    """Render headings, paragraphs and tables, which cite keys of `references.bib`."""
    bibtex = select_references(text)
    return MethodsPanels(markdown=text, bibtex=bibtex, html=_render(text, _read_entries(bibtex)))


def _render(text: str, entries: Mapping[str, Entry]) -> str:
    parts = [_render_paragraph(part, entries) for part in text.split("\n\n") if part.strip()]
    if entries:
        items = "".join(f"<li>{escape(_describe(entry))}</li>" for entry in entries.values())
        parts.append(f"<h3>References</h3>\n<ul>{items}</ul>")
    return "\n".join(parts)


def _render_paragraph(part: str, entries: Mapping[str, Entry]) -> str:
    """Render one heading, paragraph or table; everything in it is text and never markup."""
    if part.lstrip().startswith("|"):
        return _render_table(part)
    content = " ".join(part.split())
    if content.startswith("#"):
        return f"<h3>{escape(content.lstrip('# '))}</h3>"
    bracketed = BRACKETS_PATTERN.sub(r"(\1)", content)
    cited = CITATION_PATTERN.sub(lambda match: _cite(match, entries), bracketed)
    if cited.startswith("> "):
        return f'<p class="quiet">{escape(cited[2:])}</p>'
    return f"<p>{BOLD_PATTERN.sub(BOLD, escape(cited))}</p>"


def _render_table(part: str) -> str:
    """Render a table whose first row has the headings, and whose first column names the rows."""
    rows = [_split_row(line) for line in part.strip().splitlines()]
    titles = "".join(f'<th scope="col">{title}</th>' for title in rows[0])
    body = "".join(f"<tr>{_render_row(row)}</tr>" for row in rows[2:])
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>"


def _split_row(line: str) -> list[str]:
    return [escape(cell.strip()) for cell in line.strip("| ").split("|")]


def _render_row(cells: Sequence[str]) -> str:
    values = "".join(f"<td>{cell}</td>" for cell in cells[1:])
    return f'<th scope="row">{cells[0]}</th>{values}'


def _cite(match: re.Match[str], entries: Mapping[str, Entry]) -> str:
    """Name authors and year of a reference; an unknown key stays as it is."""
    entry = entries.get(match[1])
    if entry is None:
        return match[0]
    surnames = [author.split(",")[0] for author in entry["author"].split(" and ")]
    names = " and ".join(surnames)
    if len(surnames) >= MANY_AUTHORS or "others" in surnames:
        names = f"{surnames[0]} et al."
    return f"{names} {entry.get('year', '')}".strip()


def _describe(entry: Entry) -> str:
    """Write a reference on one line."""
    authors = entry["author"].replace(" and others", " et al.").replace(" and ", "; ")
    place = entry.get("journal", entry.get("booktitle", ""))
    source = f"{place} {entry.get('year', '')}".strip()
    identifiers = [f"{name}:{entry[key]}" for key, name in IDENTIFIERS.items() if key in entry]
    parts = [authors, entry["title"], source, *identifiers]
    return ". ".join(part.rstrip(".") for part in parts if part)


def _read_entries(bibtex: str) -> dict[str, Entry]:
    """Read the fields of each entry by its key, without braces."""
    entries = BIBTEX_ENTRY_PATTERN.findall(bibtex)
    return {key: _read_fields(text) for text, key in entries}


def _read_fields(text: str) -> dict[str, str]:
    return {name: re.sub("[{}]", "", value) for name, value in FIELD_PATTERN.findall(text)}
