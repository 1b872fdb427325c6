from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from importlib.resources import files
from itertools import product
from typing import Any

import numpy as np
import pytest

from bids_shresnet.errors import Finding
from bids_shresnet.evaluation.agreement import Agreement
from bids_shresnet.evaluation.comparison import compare_methods, summarize_bias
from bids_shresnet.evaluation.group_means.equivalence import assess_equivalence
from bids_shresnet.evaluation.group_means.excess_error import summarize_excess
from bids_shresnet.evaluation.group_means.paired_means import pair_tissue_means
from bids_shresnet.evaluation.group_means.preservation import assess_preservation
from bids_shresnet.evaluation.results import QUANTITIES, TISSUES, HeldOutResult
from bids_shresnet.outputs.model.validation import EffectRecovery, MissingShellError
from bids_shresnet.outputs.runs.history import NovelFraction, ScanRow
from bids_shresnet.outputs.runs.run_log import ScanStatus
from bids_shresnet.pairs import Split
from bids_shresnet.report.figures.resblocks import SweepRow
from bids_shresnet.report.group_content import DatasetReport, PairReport
from bids_shresnet.report.group_page import (
    GROUP_PAGE_TEMPLATE,
    MAX_EMBEDDED_BYTES,
    render_group_report,
)
from bids_shresnet.report.page import (
    format_interval,
    format_number,
    format_p_value,
    format_percent,
    format_signed,
)
from bids_shresnet.report.style import Drawing

SECTIONS = [
    "summary",
    "inputs",
    "before-after",
    "metrics",
    "uncertainty",
    "about",
    "methods",
    "errors",
]
PAGE_IDS = 5  # top, main, and three forms of the methods text
VOID = {"meta", "link", "img", "br", "hr", "input"}
LOADING = {
    "src",
    "srcset",
    "href",
    "data",
    "poster",
    "action",
    "background",
}  # attributes that fetch
BASELINES = ("combat_mean", "denoised", "no_harmonization")
APPLIED = ("no_harmonization", "shresnet")
ERRORS = {"no_harmonization": 0.04, "denoised": 0.038, "scan_rescan": 0.02, "combat_mean": 0.03}
ODD = "<script>alert(1)</script>&\"'"


class Page(HTMLParser):
    """Elements and text of a page; every tag must be closed in turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.text += " " if tag in ("td", "th") else ""
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, (
            f"</{tag}> closes something else, near line {self.getpos()[0]}"
        )

    def handle_data(self, data: str) -> None:
        self.text += data


def pair_report(n: int = 6, method_error: float = 0.01, **changes: Any) -> PairReport:
    """Pair with an error and a bias of `method_error`; those of others are `ERRORS`."""
    return replace(_plain_pair(n, method_error), **changes)


@cache  # of its bootstraps
def _plain_pair(n: int, method_error: float) -> PairReport:
    rng = np.random.default_rng(0)
    rows = tuple(
        HeldOutResult(
            subject=f"{k:02d}",
            fold=k,
            method=method,
            tissue=tissue,
            quantity=quantity,
            places="all",
            nmse=error * rng.uniform(0.95, 1.05),
            bias=error,
            mean=(1 + error) * (1 + k / 100),
            target_mean=1 + k / 100,
        )
        for (method, error), tissue, quantity, k in product(
            (ERRORS | {"shresnet": method_error}).items(),
            TISSUES,
            QUANTITIES,
            range(n),
        )
    )
    means = [item for item in pair_tissue_means(rows) if item.region.method in APPLIED]
    return PairReport(
        name="from-A_to-B",
        source="A",
        target="B",
        comparisons=compare_methods(rows, "shresnet", BASELINES),
        biases=summarize_bias(rows),
        rows=rows,
        answers={"no_harmonization": "yes"},
        figures={
            "metrics": (Drawing("errors", "What it shows.", "Errors", b"\x89PNG", b"<svg/>"),)
        },
        agreements=agreements(),
        equivalences=assess_equivalence(means),
        preservations=assess_preservation(means),
        excess_errors=summarize_excess(rows, "shresnet"),
        regional_equivalences=tuple(
            replace(test, region="body of the fornix") for test in assess_equivalence(means)[::2]
        ),
        splits=(Split(("02", "03"), ("04",), ("01",)),),
        notes={"before-after": ("One moved.",)},
        missing_shell_errors=(
            MissingShellError(bvalue=2500.0, method="shresnet", tissue="WM", nmse=0.0321),
        ),
        recoveries=(
            EffectRecovery(
                effect="tract",
                maps="comparable",
                tissue="WM",
                quantity="FA",
                n=n,
                put_in=-0.05,
                recovered=0.93,
                interval=(0.88, 0.97),
                false_positives=0.013,
            ),
            EffectRecovery("age", "denoised", "GM", "MD", n=n, put_in=0.025, recovered=1.02),
        ),
        sweep=(SweepRow(1, 2, 0.4, 0.1), SweepRow(2, 1, 0.3, float("nan"))),
    )


def agreements() -> tuple[Agreement, ...]:
    """Agreements of MD: 0.2e-3 mm2/s too high before, exact after."""
    return tuple(
        Agreement("01", 1, method, "WM", "MD", 100, mean, 0.0001)
        for method, mean in (("no_harmonization", 0.0002), ("shresnet", 0.0))
    )


DATASET = DatasetReport(
    scans=(
        ScanRow(
            file="/data/sub-01_dwi.nii.gz",
            subject="01",
            session="ge",
            scanner="GE",
            shells="30 x 1200",
            roles=("travelling source",),
        ),
        ScanRow(
            file="/data/sub-09_dwi.nii.gz",
            subject="09",
            session="",
            scanner="",
            shells="",
            reason="b0 images only",
        ),
        ScanRow(
            file="/data/sub-10_dwi.nii.gz",
            subject="10",
            session="",
            scanner="GE",
            shells="30 x 1200",
            reason="not scanned on the other scanner",
        ),
    ),
    figures=(Drawing("pairing", "Who was scanned.", "Matrix", b"\x89PNG", b"<svg/>"),),
    novel_fractions=(NovelFraction("sub-01_desc-harmonized_dwi", "01", "from-A_to-B", 0.123),),
    findings=(Finding("warning", "sub-09", "no b0", "Scan again."),),
    failures=(ScanStatus("09", "", "sub-09_dwi.nii.gz", "failed", "it broke"),),
    subject_pages=frozenset({"sub-01.html"}),
    methods_text="# Methods of all this",
)


def report(*pairs: PairReport, dataset: DatasetReport = DATASET) -> str:
    return render_group_report(pairs, {"command": "bids-shresnet /data /out group"}, dataset)


def page(*pairs: PairReport, dataset: DatasetReport = DATASET) -> Page:
    return Page(report(*pairs, dataset=dataset))


@pytest.mark.slow
@pytest.mark.parametrize("pairs", [(), ((6, 0.01),), ((6, 0.01), (2, 0.01), (8, 0.05))])
def test_the_page_is_complete_and_its_tags_are_balanced(
    pairs: tuple[tuple[int, float], ...],
) -> None:
    parsed = page(*(pair_report(n, method_error) for n, method_error in pairs))
    assert parsed.open == []
    ids = [attributes["id"] for _, attributes in parsed.elements if "id" in attributes]
    assert len(ids) == len(set(ids)) == len(SECTIONS) + 4 * len(pairs) + PAGE_IDS
    assert [name for name in ids if name in SECTIONS] == SECTIONS
    links = {str(a["href"]) for tag, a in parsed.elements if tag == "a"}
    assert {link[1:] for link in links if link.startswith("#")} <= set(ids)
    assert "bids-shresnet /data /out group" in parsed.text
    assert "fewer than 5 subjects cannot reach p ≤ 0.05" in " ".join(parsed.text.split())


@pytest.mark.slow
def test_rows_of_a_table_are_as_long_as_its_head() -> None:
    tables = re.findall(r"<table.*?</table>", report(pair_report()), re.DOTALL)
    # size of the effect, verdict, splits, differences, validation, places, bias, tissue means,
    # regions, scan-rescan, effects, missing shells, sweep; errors
    of_pair = 13 + len(TISSUES) * len(QUANTITIES)
    assert len(tables) == of_pair + 5  # answers, scans, marked, failures, findings
    for table in tables:
        assert (
            len(
                {
                    len(re.findall(r"<t[hd]\b", row))
                    for row in re.findall(r"<tr.*?</tr>", table, re.DOTALL)
                }
            )
            == 1
        )


@pytest.mark.slow
def test_nothing_is_loaded_from_elsewhere() -> None:
    parsed = page(pair_report(), pair_report(3))
    for tag, attributes in parsed.elements:
        assert tag not in ("link", "iframe", "object", "embed", "base")
        for name in LOADING & attributes.keys():
            assert str(attributes[name]).startswith(("#", "data:image/png;base64,", "sub-01.html"))
    assert not re.search(r"url\(|@import|https?:", report(pair_report()))


@pytest.mark.slow
def test_names_are_text_and_never_markup() -> None:
    odd = HeldOutResult(ODD, 1, ODD, "WM", "FA", "all", 0.1, 0.1, 1.1, 1.0)
    rows = (*pair_report().rows, odd, replace(odd, method="shresnet"))
    pair = pair_report(
        name=ODD,
        source=ODD,
        target=ODD,
        rows=rows,
        comparisons=compare_methods(rows, "shresnet", ["no_harmonization", ODD]),
        biases=summarize_bias(rows),
        figures={"metrics": (Drawing(ODD, ODD, ODD, b"", b""),)},
        splits=(Split((ODD,), (ODD,), (ODD,)),),
        notes={"before-after": (ODD,)},
    )
    dataset = DatasetReport(
        scans=(ScanRow(file=ODD, subject=ODD, session=ODD, scanner=ODD, shells=ODD, reason=ODD),),
        novel_fractions=(NovelFraction(ODD, ODD, ODD, 0.1),),
        findings=(Finding("warning", ODD, ODD, ODD),),
        failures=(ScanStatus(ODD, ODD, ODD, "failed", ODD),),
        methods_text=ODD,
    )
    parsed = Page(render_group_report([pair], {ODD: ODD}, dataset))
    assert [tag for tag, _ in parsed.elements].count("script") == 1  # the page's own
    assert parsed.text.count(ODD) >= 22
    assert [a["alt"] for tag, a in parsed.elements if tag == "img"] == [ODD]


@pytest.mark.slow
def test_sections_without_content_are_not_shown() -> None:
    bare = page(
        pair_report(
            sweep=(),
            splits=(),
            figures={},
            notes={},
            missing_shell_errors=(),
            agreements=(),
            equivalences=(),
            preservations=(),
            excess_errors=(),
            regional_equivalences=(),
            recoveries=(),
        ),
        dataset=DatasetReport(),
    ).text
    full = page(pair_report()).text
    for heading in (
        "Splits",
        "Number of ResBlocks",
        "Shells that the source lacks",
        "Known effects",
        "Limits before",
        "Equivalence and differences between subjects",
        "Compared with a second scan on the target",
        "Site bias of regions",
        "Used as",
    ):
        assert heading in full
        assert heading not in bare
    assert "No scan failed" in bare
    assert "No scan was harmonized yet" in bare
    assert "Nothing is known of the dataset" in bare


@pytest.mark.slow
def test_numbers_on_the_page_are_those_of_the_tables() -> None:
    text = " ".join(page(pair_report()).text.split())
    limits = "+0.200 +0.00400 to +0.396 +0.00 \N{MINUS SIGN}0.196 to +0.196"  # 1.96 x 0.1
    assert f"MD, white matter (10\N{MINUS SIGN}3 mm²/s) {limits}" in text
    (comparison,) = (
        item
        for item in pair_report().method_comparisons
        if (item.baseline, item.tissue, item.quantity) == ("no_harmonization", "GM", "FA")
    )
    baseline_error = format_number(comparison.baseline_error)
    error = format_number(comparison.error)
    assert f"{baseline_error} {error} {format_percent(comparison.decrease)}" in text
    assert "12.3 %" in text  # marked
    assert "SHResNet 2500 white matter 0.0321" in text
    effect = "FA 5 % lower in a tract FA, white matter comparable"
    numbers = "\N{MINUS SIGN}5.0 % 93 % 88 to 97 % 1.3 %"
    assert f"{effect} {numbers}" in text
    assert "grey matter denoised +2.5 % 102 % n/a n/a" in text
    assert "sub-09_dwi.nii.gz sub-09 n/a n/a excluded b0 images only" in text
    assert "1200 not used not scanned on the other scanner" in text
    for words in ("it broke", "no b0", "# Methods of all this"):
        assert words in text


@pytest.mark.slow
def test_subjects_are_links_only_where_their_report_is_there() -> None:
    links = [
        str(a["href"])
        for tag, a in page(pair_report()).elements
        if tag == "a" and not str(a["href"]).startswith("#")
    ]
    assert links == ["sub-01.html"] * 3  # in the list, its scan, and what is marked of it


@pytest.mark.slow
def test_tables_can_be_sorted_by_keyboard() -> None:
    text = report(pair_report())
    assert 'createElement("button")' in text
    assert "aria-sort" in text
    assert text.count('<table class="sortable">') >= 10


@pytest.mark.slow
def test_figures_that_would_make_the_page_too_large_are_links_to_their_files() -> None:
    large = [
        Drawing(
            f"f{k}", "What it shows.", f"Alt {k}", bytes(int(MAX_EMBEDDED_BYTES / 4)), b"<svg/>"
        )
        for k in range(4)
    ]
    pair = pair_report(figures={"metrics": large})
    text = report(pair)
    assert len(text.encode()) < 10e6
    assert [f'href="figures/from-A_to-B_f{k}.svg"' in text for k in range(4)] == [
        False,
        False,
        True,
        True,
    ]


@pytest.mark.slow
def test_a_figure_of_voxels_that_is_too_large_is_a_link_to_its_png() -> None:
    large = Drawing("f", "What it shows.", "Alt", bytes(int(MAX_EMBEDDED_BYTES)))
    text = report(pair_report(figures={"metrics": [large]}))
    assert 'href="figures/from-A_to-B_f.png"' in text
    assert ".svg" not in text


@pytest.mark.slow
def test_a_figure_with_links_stands_in_the_page_as_svg() -> None:
    svg = (
        b'<?xml version="1.0"?><svg width="1" height="2">'
        b'<a xlink:href="../sub-01.html"><g id="g"/></a></svg>'
    )
    text = report(
        pair_report(
            figures={
                "metrics": (Drawing("s", "What it shows.", "Subjects", b"", svg, has_links=True),)
            }
        )
    )
    assert '<a xlink:href="sub-01.html"><g id="from-A_to-B-g"/></a></svg>' in text


def test_numbers_are_written_for_readers() -> None:
    nan, inf = float("nan"), float("inf")
    minus = "\N{MINUS SIGN}"
    assert format_percent(-0.0001) == "+0.0 %"
    assert (format_percent(41.0), format_percent(-7752.5)) == ("> +1000 %", f"< {minus}1000 %")
    assert (format_percent(0.1234), format_percent(-0.5), format_percent(nan)) == (
        "+12.3 %",
        f"{minus}50.0 %",
        "n/a",
    )
    assert (format_signed(-0.0123), format_signed(0.2), format_signed(nan)) == (
        f"{minus}0.0123",
        "+0.200",
        "n/a",
    )
    assert (format_interval((-0.1, 0.2)), format_interval((nan, nan))) == (
        f"{minus}10.0 to +20.0 %",
        "n/a",
    )
    assert format_interval((-0.1, inf)) == f"{minus}10.0 to +\N{INFINITY}"
    assert format_interval((-inf, 0.2)) == f"{minus}\N{INFINITY} to +20.0 %"
    assert (format_number(0.012), format_number(nan)) == ("0.0120", "n/a")
    assert format_number(144.2) == "144"
    assert (format_p_value(2 / 2**10), format_p_value(2 / 2**20)) == ("0.0020", "< 0.0001")


@pytest.mark.parametrize("template", [GROUP_PAGE_TEMPLATE, "page.html.jinja", "parts.html.jinja"])
def test_the_templates_are_part_of_the_package(template: str) -> None:
    assert (files("bids_shresnet") / "report/templates" / template).is_file()


@pytest.mark.slow
def test_errors_of_the_interior_stand_beside_those_of_all_places() -> None:
    pair = pair_report(2)
    rows = pair.rows
    interior = [replace(row, places="interior", nmse=row.nmse / 2) for row in rows]
    floor = [replace(row, method="noise_floor", nmse=0.007) for row in rows[:1]]
    both = replace(pair, rows=(*rows, *interior, *floor))
    errors = both.place_errors
    assert {"no_harmonization", "noise_floor", "shresnet"} <= set(errors)
    for method in ("no_harmonization", "shresnet"):
        for everywhere, inside in errors[method]:
            assert everywhere is not None
            assert inside == pytest.approx(everywhere / 2)
    assert sum(error != [None, None] for error in errors["noise_floor"]) == 1
    text = report(both)
    assert "Errors with and without the edge of the brain" in text
    assert "noise floor" in text
