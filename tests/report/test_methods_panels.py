from __future__ import annotations

import re
from importlib import resources

from bids_shresnet.report.methods_panels import make_methods_panels
from tests.report.test_group_page import ODD, Page

TEXT = "# Methods\n\nIt was harmonized [SHResNet, @koppers2018]\nwith @unknown1.\n\nSecond."


def test_headings_paragraphs_and_citations_are_rendered() -> None:
    html = make_methods_panels(TEXT).html
    assert "<h3>Methods</h3>" in html
    assert "<p>It was harmonized (SHResNet, Koppers et al. 2018) with @unknown1.</p>" in html
    assert "<p>Second.</p>" in html


def test_bold_words_and_quotes_are_rendered() -> None:
    html = make_methods_panels("> Paste it.\n\n**GE to <i>Prisma.** It was").html
    assert '<p class="quiet">Paste it.</p>' in html
    assert "<p><strong>GE to &lt;i&gt;Prisma.</strong> It was</p>" in html


def test_a_table_keeps_its_rows_and_columns() -> None:
    html = make_methods_panels("| error | before |\n| --- | --- |\n| FA & MD | 0.1 |").html
    assert '<th scope="col">before</th>' in html
    assert '<tr><th scope="row">FA &amp; MD</th><td>0.1</td></tr>' in html
    assert html.count("<tr>") == 2


def test_every_reference_of_the_library_can_be_cited() -> None:
    library = resources.files("bids_shresnet") / "report/templates/references.bib"
    keys = re.findall(r"^@\w+\{(\w+),", library.read_text(), re.MULTILINE)
    html = make_methods_panels(" ".join(f"[@{key}]" for key in keys)).html
    assert html.count("<li>") == len(keys)
    assert "@" not in html
    assert "(Brett et al.)" in html  # it has no year


def test_only_what_is_cited_is_a_reference() -> None:
    panels = make_methods_panels(TEXT)
    assert panels.bibtex.startswith("@inproceedings{koppers2018")
    assert "Spherical Harmonic Residual Network" in panels.html
    assert panels.html.count("<li>") == panels.bibtex.count("\n@") + 1 == 1
    assert "References" not in make_methods_panels("# Methods").html


def test_what_the_text_holds_is_never_markup() -> None:
    page = Page(make_methods_panels(f"# {ODD}\n\n{ODD}").html)
    assert {tag for tag, _ in page.elements} == {"h3", "p"}
    assert page.text.count(ODD) == 2
