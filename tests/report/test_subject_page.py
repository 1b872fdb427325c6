from __future__ import annotations

import re
from base64 import b64decode
from dataclasses import replace
from html import unescape
from importlib.resources import files
from io import BytesIO
from typing import Any

import pytest
from matplotlib.figure import Figure
from PIL import Image

from bids_shresnet.outputs.past_runs import RunRecord
from bids_shresnet.report.page import MINUS
from bids_shresnet.report.pictures.gallery import Gallery, Panel
from bids_shresnet.report.style import Drawing, render_voxel_figure
from bids_shresnet.report.subject_page import (
    MAX_EMBEDDED_PNG_BYTES,
    SUBJECT_PAGE_TEMPLATE,
    ScanReport,
    SubjectReport,
    pairing_rows,
    render_subject_report,
    scan_warnings,
    validation_statement,
)
from tests.report.test_group_page import ODD, Page

SECTIONS = ("summary", "pairing", "images", "metrics", "trust", "about", "methods", "errors")
FILE, TARGET_FILE = "sub-01_ses-ge_dwi.nii.gz", "sub-01_ses-prisma_dwi.nii.gz"
VALIDATED = {"Answer": "yes", "LargestP": 0.002, "SmallestPossibleP": 0.002}
RECORD: dict[str, Any] = {
    "Method": "shresnet",
    "Model": "from-GE_to-Prisma",
    "ModelSHA256": "f" * 64,
    "SourceScanner": {"Label": "GE"},
    "TargetScanner": {"Label": "Prisma"},
    "SubjectInTraining": True,
    "Validation": {
        "Method": "shresnet",
        "Subjects": 10,
        "BetterThan": {"no_harmonization": VALIDATED},
    },
    "HeldOutErrors": {
        "no_harmonization": {
            "WM FA": {"NMSE": 0.04, "Bias": 0.1},
            "GM FA": {"NMSE": 0.01, "Bias": 0.1},
        },
        "shresnet": {"WM FA": {"NMSE": 0.01, "Bias": 0.1}, "GM FA": {"NMSE": 0.02, "Bias": 0.1}},
    },
    "Networks": ["fold-01.safetensors"],
    "Novelty": {"MarkedFraction": 0.012, "LeftAsMeasured": False},
    "ClippedSignal": 0.0,
}
NUMBERS: dict[str, Any] = {
    "Regions": {
        "From": "As segmented.",
        "Means": [
            {
                "Region": "White matter",
                "FA": {"before": 0.4, "after": 0.5},
                "MD": {"before": 8e-4, "after": 7e-4},
            }
        ],
    },
    "Angles": {"Median": 3.21, "Voxels": 500},
    "Target": {
        "File": TARGET_FILE,
        "Missing": "",
        "Agreement": [
            {
                "Quantity": "MD",
                "Region": "White matter",
                "Time": "before",
                "TargetMean": 8e-4,
                "bias": -8e-5,
                "spread": 1e-4,
                "correlation": 0.5,
            }
        ],
    },
}
QC = tuple(
    {
        "dwi": dwi,
        "brain_volume": "1500",
        "fa_mean": fa,
        "fa_median": "0.2",
        "md_mean": "0.0009",
        "md_median": "0.0008",
    }
    for dwi, fa in (("input", "0.25"), ("harmonized", "0.26"))
)
RUN = RunRecord(
    name="20260101-000000_x",
    command="bids-shresnet /data /out participant",
    start_time="2026-01-01T00:00:00+00:00",
    software={"bids_shresnet": "0.1.0", "numpy": "2.3"},
    rows=(
        {
            "file": TARGET_FILE,
            "status": "excluded",
            "reason": "already the target scanner",
            "scanner": "Prisma",
        },
        {
            "file": "sub-01_ses-old_dwi.nii.gz",
            "status": "failed",
            "reason": "ValueError: odd",
            "scanner": "Old",
        },
        {"file": FILE, "status": "done", "reason": "n/a", "scanner": "GE"},
    ),
    findings=({"file": FILE, "value": "flipped b-vectors", "remedy": "Look."},),
    crashes={"sub-01_ses-old_dwi.nii.gz": "Traceback (most recent call last)"},
)


def drawing(name: str) -> Drawing:
    return render_voxel_figure(
        Figure(figsize=(2, 1)), name, f"Caption of {name}.", f"Alt of {name}"
    )


def gallery() -> Gallery:
    """A panel a section; the first one can be flickered."""
    both = {name: drawing(f"fa{name}") for name in ("before", "after")}
    panels = (
        Panel("images", "FA", both, ("fabefore.png", "faafter.png")),
        Panel("metrics", "Power", {"figure": drawing("power")}, ("power.png",)),
        Panel("trust", "Novelty", {"novelty": drawing("novelty")}, ("novelty.png",)),
    )
    return Gallery(NUMBERS, panels)


def scan(**changes: Any) -> ScanReport:
    """A harmonized scan; changes are of its record."""
    return ScanReport(FILE, {**RECORD, **changes}, QC, gallery())


def report(*scans: ScanReport, **changes: Any) -> SubjectReport:
    made = SubjectReport(
        "01", scans or (scan(),), RUN, "# Methods\n\nIt was harmonized.", has_group_report=True
    )
    return replace(made, **changes)


def sections(page: str) -> dict[str, str]:
    """Texts of the page by the id of the section, in their order."""
    found = re.findall(r'<section id="([^"]+)">(.*?)</section>', page, re.DOTALL)
    return {name: " ".join(unescape(re.sub("<[^>]+>", " ", text)).split()) for name, text in found}


def test_sections_come_in_the_order_of_the_field_and_every_link_has_its_place() -> None:
    page = Page(render_subject_report(report()))
    assert page.open == []
    assert tuple(sections(render_subject_report(report()))) == SECTIONS
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    links = [str(attributes["href"]) for tag, attributes in page.elements if tag == "a"]
    assert len(ids) == len(set(ids))
    assert {link for link in links if link.startswith("#")} == {f"#{name}" for name in SECTIONS}
    assert [link for link in links if not link.startswith("#")] == ["group.html"]
    assert "group.html" not in render_subject_report(report(has_group_report=False))


def test_what_is_known_stands_where_it_belongs() -> None:
    found = sections(render_subject_report(report()))
    assert (
        "It is validated that SHResNet from GE to Prisma is better than no harmonization"
        in found["summary"]
    )
    assert "White matter FA 0.400 0.500 +25.0 %" in found["summary"]
    assert "1.2 % of the brain" in found["summary"]
    assert "lower than without harmonization in 1 of 2 comparisons" in found["summary"]
    assert "flipped b-vectors. Look." in found["summary"]
    assert f"The same head on the target scanner: {TARGET_FILE}" in found["images"]
    assert "WM FA 0.0400 0.0100 +75.0 %" in found["metrics"]
    assert f"White matter before {MINUS}0.0800 {MINUS}10.0 % 0.100 0.500" in found["metrics"]
    for said in (
        RUN.command,
        "f" * 64,
        "fold-01.safetensors",
        "the fold that held it out",
        "0.1.0",
    ):
        assert said in found["about"]
    assert "It was harmonized." in found["methods"]
    assert "ValueError: odd Traceback (most recent call last)" in found["errors"]


def test_every_scan_has_its_role_and_the_reason() -> None:
    model = "model from-GE_to-Prisma"
    assert list(pairing_rows(report())) == [
        (TARGET_FILE, "Prisma", "target", "excluded: already the target scanner"),
        ("sub-01_ses-old_dwi.nii.gz", "Old", "not used", "failed: ValueError: odd"),
        (FILE, "GE", "source", f"done; {model}"),
    ]
    assert list(pairing_rows(report(run=None))) == [
        (FILE, "GE", "source", f"harmonized by an earlier run; {model}")
    ]


@pytest.mark.parametrize(
    ("validation", "answer", "words"),
    [
        ({}, "no", "never cross-validated"),
        (
            {**RECORD["Validation"], "Method": "golkov"},
            "no",
            "not known whether SHResNet helps: .* was cross-validated",
        ),
        (
            RECORD["Validation"],
            "yes",
            r"is validated .* on 10 held-out subjects \(largest p = 0.002\)",
        ),
        (
            {
                **RECORD["Validation"],
                "BetterThan": {"no_harmonization": {**VALIDATED, "Answer": "not enough subjects"}},
            },
            "not enough subjects",
            "cannot be validated .* below 0.002 no p is possible",
        ),
    ],
)
def test_the_answer_is_that_of_the_models_validation(
    validation: dict[str, Any], answer: str, words: str
) -> None:
    found, sentence = validation_statement(scan(Validation=validation))
    assert found == answer
    assert re.search(words, sentence)
    assert f'class="answer-box {answer.replace(" ", "-")}"' in render_subject_report(
        report(scan(Validation=validation))
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"Novelty": {"MarkedFraction": 0.2, "LeftAsMeasured": True}},
            "20.0 % of the brain .* left as measured",
        ),
        ({"ClippedSignal": 0.05}, "5.0 % of S/S0 was outside"),
        ({"PredictedShells": [{"BValue": 2500.0}]}, "b = 2500 s/mm² were never measured"),
        ({}, "the error became larger in GM FA"),
    ],
)
def test_what_a_reader_must_know_is_a_warning_in_words(changes: dict[str, Any], words: str) -> None:
    assert any(re.search(words, one) for one in scan_warnings(scan(**changes)))


def test_a_good_scan_has_no_warning() -> None:
    assert scan_warnings(scan(HeldOutErrors={})) == []


def test_without_figures_or_run_or_scans_the_page_says_so() -> None:
    bare = replace(scan(), gallery=None)
    assert (
        "The figures of this scan are missing"
        in sections(render_subject_report(report(bare)))["summary"]
    )
    none = sections(
        render_subject_report(SubjectReport("01", (), None, "", has_group_report=False))
    )
    assert tuple(none) == SECTIONS
    assert "No scan of this subject is harmonized." in none["summary"]
    assert none["errors"] == "Errors None."


def test_pictures_stand_in_the_page_and_decode() -> None:
    text = render_subject_report(report())
    pictures = [dict(a) for tag, a in Page(text).elements if tag == "img"]
    assert [one["alt"] for one in pictures] == [
        "Alt of fabefore",
        "Alt of faafter",
        "Alt of power",
        "Alt of novelty",
    ]
    for one in pictures:
        with Image.open(
            BytesIO(b64decode(str(one["src"]).removeprefix("data:image/png;base64,")))
        ) as image:
            image.load()
    assert not re.search(r"url\(|@import|https?:", text)
    assert text == render_subject_report(report())


def test_pictures_beyond_ten_megabytes_stay_in_their_files() -> None:
    large = Drawing("large", "Caption.", "Alt", bytes(MAX_EMBEDDED_PNG_BYTES // 2))
    panels = tuple(Panel("images", f"Map {n}", {"map": large}, (f"{n}.png",)) for n in range(4))
    text = render_subject_report(report(replace(scan(), gallery=Gallery(NUMBERS, panels))))
    assert len(text) < 10_000_000
    sources = [str(a["src"]) for tag, a in Page(text).elements if tag == "img"]
    assert [source[:10] for source in sources[:2]] == ["data:image"] * 2
    assert sources[2:] == ["sub-01/figures/2.png", "sub-01/figures/3.png"]


def test_several_scans_have_a_part_each_in_every_section() -> None:
    other = replace(
        scan(TargetScanner={"Label": "Skyra"}, Model="from-GE_to-Skyra"),
        scan_file="sub-01_ses-b_dwi.nii.gz",
    )
    found = sections(render_subject_report(report(scan(), other)))
    for name in ("summary", "images", "metrics", "trust"):
        assert f"{FILE}, GE → Prisma" in found[name]
        assert "sub-01_ses-b_dwi.nii.gz, GE → Skyra" in found[name]
    assert "model, sub-01_ses-b_dwi.nii.gz to Skyra" in found["about"]


def test_names_are_text_and_never_markup() -> None:
    odd = replace(scan(Model=ODD), scan_file=ODD)
    page = Page(render_subject_report(report(odd, methods_text=ODD, subject=ODD)))
    assert [tag for tag, _ in page.elements].count("script") == 1  # the page's own
    assert page.text.count(ODD) >= 8


def test_the_template_is_part_of_the_package() -> None:
    assert (files("bids_shresnet") / "report/templates" / SUBJECT_PAGE_TEMPLATE).is_file()
