from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files
from itertools import product

import numpy as np
import pytest

from bids_shresnet.files.drawing import Drawing
from bids_shresnet.files.page import number, p_value, percent, span
from bids_shresnet.files.report import TEMPLATE, PairProof, group_report, sentence
from bids_shresnet.files.sweep import SweepRow
from bids_shresnet.scans import Split
from bids_shresnet.statistics import QUANTITIES, TISSUES, HeldOut, bias_summary, compare

VOID = {"meta", "link", "img", "br", "hr", "input"}
LOADING = {"src", "srcset", "href", "data", "poster", "action", "background"}  # attributes that fetch
ODD = "<script>alert(1)</script>&\"'"


class Page(HTMLParser):
    """Its elements, texts, and whether every tag that opens is closed in turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else, near line {self.getpos()[0]}"

    def handle_data(self, data: str) -> None:
        self.text += data


def proof(n: int = 6, ours: float = 0.01, **changes: object) -> PairProof:
    """A pair whose default method leaves an error of `ours` where nothing leaves 0.04."""
    rng = np.random.default_rng(0)
    rows = tuple(
        HeldOut(f"{k:02d}", k, method, tissue, quantity, error * rng.uniform(0.95, 1.05), error)
        for (method, error), tissue, quantity, k in product(
            {"nothing": 0.04, "combat_mean": 0.03, "shresnet": ours}.items(), TISSUES, QUANTITIES, range(n)
        )
    )
    made = PairProof(
        name="from-A_to-B",
        source="A",
        target="B",
        comparisons=compare(rows, "shresnet", ["combat_mean", "nothing"]),
        biases=bias_summary(rows),
        rows=rows,
        figures=(Drawing("errors", "What it shows.", "Errors", b"\x89PNG", b"<svg/>"),),
        splits=(Split(("02", "03"), ("04",), ("01",)),),
        notes=("One moved.",),
        sweep=(SweepRow(1, 2, 0.4, 0.1), SweepRow(2, 1, 0.3, float("nan"))),
    )
    return replace(made, **changes)


def page(*proofs: PairProof) -> Page:
    return Page(group_report(proofs, {"command": "bids-shresnet /data /out group"}))


@pytest.mark.parametrize("proofs", [(), (proof(),), (proof(), proof(2), proof(8, ours=0.05))])
def test_the_page_is_whole_and_its_tags_are_balanced(proofs: tuple[PairProof, ...]) -> None:
    found = page(*proofs)
    assert found.open == []
    ids = [attributes["id"] for _, attributes in found.elements if "id" in attributes]
    assert len(ids) == len(set(ids)) == 2 + len(proofs)
    assert "bids-shresnet /data /out group" in found.text
    assert "fewer than 6 subjects prove nothing at p ≤ 0.05" in " ".join(found.text.split())


def test_rows_of_a_table_are_as_long_as_its_head() -> None:
    tables = re.findall(r"<table.*?</table>", group_report([proof()], {}), re.DOTALL)
    assert len(tables) == 1 + len(TISSUES) * len(QUANTITIES) + 3  # verdicts, errors; bias, sweep, splits
    for table in tables:
        assert len({len(re.findall(r"<t[hd]\b", row)) for row in re.findall(r"<tr.*?</tr>", table, re.DOTALL)}) == 1


def test_nothing_is_loaded_from_elsewhere() -> None:
    found = page(proof(), proof(3))
    for tag, attributes in found.elements:
        assert tag not in ("link", "iframe", "object", "embed", "base")
        for name in LOADING & attributes.keys():
            assert str(attributes[name]).startswith(("#", "data:image/png;base64,"))
    assert not re.search(r"url\(|@import|https?:", group_report([proof()], {}))


def test_names_are_text_and_never_markup() -> None:
    odd = HeldOut(ODD, 1, ODD, "WM", "FA", 0.1, 0.1)
    rows = (*proof().rows, odd, replace(odd, method="shresnet"))
    made = proof(
        name=ODD,
        source=ODD,
        target=ODD,
        rows=rows,
        comparisons=compare(rows, "shresnet", ["nothing", ODD]),
        biases=bias_summary(rows),
        figures=(Drawing(ODD, ODD, ODD, b"", b""),),
        splits=(Split((ODD,), (ODD,), (ODD,)),),
        notes=(ODD,),
    )
    found = Page(group_report([made], {ODD: ODD}))
    assert [tag for tag, _ in found.elements].count("script") == 1  # the page's own
    assert found.text.count(ODD) >= 12
    assert [a["alt"] for tag, a in found.elements if tag == "img"] == [ODD]


@pytest.mark.parametrize(
    ("made", "answer", "words"),
    [
        (proof(6), "yes", "It is proven that .* 6 held-out subjects .* 6 of 6 comparisons, each with p ≤ 0.031"),
        (
            proof(5),
            "not-enough-subjects",
            r"It cannot be proven .* 5 held-out subjects no p below 0\.06.* 6 are needed",
        ),
        (proof(1), "not-enough-subjects", "It cannot be proven .* 1 held-out subject no p below 1.0"),
        (proof(8, ours=0.05), "no", "It is not proven .* 0 of 6 comparisons; .* higher on average, lower in 0 of 8"),
        (proof(comparisons=()), "no", "Nothing can be said"),
    ],
)
def test_the_summary_says_what_is_proven_on_how_many_subjects_or_why_not(
    made: PairProof, answer: str, words: str
) -> None:
    assert re.search(words, sentence(made))
    found = page(made)
    assert sentence(made) in found.text
    assert ("div", {"class": f"verdict {answer}"}) in found.elements


def test_verdicts_on_others_stand_in_the_summary_once_the_first_is_proven() -> None:
    assert "It is also proven better than: ComBat, tissue means." in sentence(proof(6, ours=0.001))
    assert "It is not proven better than" in sentence(proof(6, ours=0.035))
    assert "ComBat" not in sentence(proof(5, ours=0.001))


def test_a_sweep_and_splits_and_figures_are_shown_only_where_there_are_any() -> None:
    bare = page(proof(sweep=(), splits=(), figures=(), notes=())).text
    for heading in ("Figures", "Splits", "Number of ResBlocks"):
        assert heading in page(proof()).text
        assert heading not in bare


def test_numbers_are_written_for_readers() -> None:
    nan = float("nan")
    minus = "\N{MINUS SIGN}"
    assert (percent(0.1234), percent(-0.5), percent(nan)) == ("+12.3 %", f"{minus}50.0 %", "n/a")
    assert (span((-0.1, 0.2)), span((nan, nan))) == (f"{minus}10.0 to +20.0 %", "n/a")
    assert (number(0.012), number(nan)) == ("0.0120", "n/a")
    assert (p_value(2 / 2**10), p_value(2 / 2**20)) == ("0.0020", "< 0.0001")


@pytest.mark.parametrize("template", [TEMPLATE, "page.html.jinja", "parts.html.jinja"])
def test_the_templates_are_part_of_the_package(template: str) -> None:
    assert (files("bids_shresnet.files") / template).is_file()
