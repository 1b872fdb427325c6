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

from bids_shresnet.outputs.runs.past_runs import RunRecord
from bids_shresnet.outputs.runs.provenance import Provenance
from bids_shresnet.report.page import MINUS
from bids_shresnet.report.pictures.gallery import Gallery, Panel
from bids_shresnet.report.style import Drawing, render_voxel_figure
from bids_shresnet.report.subject_page import (
    MAX_EMBEDDED_PNG_BYTES,
    SUBJECT_PAGE_TEMPLATE,
    PairingRow,
    map_label,
    pairing_rows,
    render_subject_report,
    validation_statement,
)
from bids_shresnet.report.subject_report import ScanReport, SubjectReport
from tests.report.test_group_page import ODD, Page

SECTIONS = (
    *("summary", "pairing", "images", "metrics", "trust"),
    *("rating", "about", "methods", "errors"),
)
FILE = "sub-01_ses-ge_dwi.nii.gz"
TARGET_FILE = "sub-01_ses-prisma_dwi.nii.gz"
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
        "BetterThan": {"no_harmonization": VALIDATED, "denoised": VALIDATED},
    },
    "HeldOutErrors": {
        "no_harmonization": {
            "WhiteMatterFA": {"NMSE": 0.04, "Bias": 0.1},
            "GreyMatterFA": {"NMSE": 0.01, "Bias": 0.1},
        },
        "shresnet": {
            "WhiteMatterFA": {"NMSE": 0.01, "Bias": 0.02},
            "GreyMatterFA": {"NMSE": 0.02, "Bias": 0.1},
        },
    },
    "Network": "fold-01.safetensors",
    "Novelty": {"MarkedFraction": 0.012, "LeftUnharmonized": False},
    "ClippedSignal": 0.0,
    "ProtocolDifferences": [],
}
NUMBERS: dict[str, Any] = {
    "Regions": {"From": "As segmented."},
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
        "Registration": {
            "RotationDegrees": 3.2,
            "ShiftMillimetres": 5.1,
            "MeasuredShare": 0.98,
            "WhiteMatterDice": 0.81,
        },
    },
    "Acquisition": [{"Property": "Volumes", "Scan": "33", "Target": "31"}],
}
QC = tuple(
    {
        "dwi": dwi,
        "brain_volume": "1500",
        "fa_mean": fa,
        "fa_median": "0.2",
        "md_mean": "0.0009",
        "md_median": "0.0008",
        "implausible_md": "3",
        "wm_fa": wm_fa,
        "wm_md": "0.0008",
        "gm_fa": "0.2",
        "gm_md": "n/a",
    }
    for dwi, fa, wm_fa in (("input", "0.25", "0.4"), ("harmonized", "0.26", "0.5"))
)
RUN = RunRecord(
    name="20260101-000000_x",
    provenance=Provenance(
        command="bids-shresnet /data /out participant",
        start_time="2026-01-01T00:00:00+00:00",
        software={"bids_shresnet": "0.1.0", "numpy": "2.3"},
    ),
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
    figure = Figure(figsize=(2, 1))
    return render_voxel_figure(figure, name, f"Caption of {name}.", f"Alt of {name}")


def gallery() -> Gallery:
    """One panel per section; the first one can be flickered."""
    states = {state: drawing(f"fa{state}") for state in ("before", "after")}
    panels = (
        Panel("images", "FA", states, ("fabefore.png", "faafter.png")),
        Panel("metrics", "Power", {"figure": drawing("power")}, ("power.png",)),
        Panel("trust", "Novelty", {"novelty": drawing("novelty")}, ("novelty.png",)),
    )
    return Gallery(NUMBERS, panels)


def scan_report(**changes: Any) -> ScanReport:
    """A harmonized scan; changes are those of its sidecar."""
    return ScanReport(FILE, {**RECORD, **changes}, QC, gallery())


def subject_report(*scans: ScanReport, **changes: Any) -> SubjectReport:
    report = SubjectReport(
        subject="01",
        scans=scans or (scan_report(),),
        run=RUN,
        methods_text="# Methods\n\nIt was harmonized.",
        has_group_report=True,
    )
    return replace(report, **changes)


def section_texts(page: str) -> dict[str, str]:
    """Text of each section by its id, in order."""
    sections = re.findall(r'<section id="([^"]+)">(.*?)</section>', page, re.DOTALL)
    return {
        name: " ".join(unescape(re.sub("<[^>]+>", " ", html)).split()) for name, html in sections
    }


def image_attributes(page: str) -> list[dict[str, str]]:
    images = [attributes for tag, attributes in Page(page).elements if tag == "img"]
    return [{name: str(value) for name, value in image.items()} for image in images]


def test_sections_come_in_order_and_every_link_leads_to_one() -> None:
    text = render_subject_report(subject_report())
    page = Page(text)
    assert page.open == []
    assert tuple(section_texts(text)) == SECTIONS
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    links = [str(attributes["href"]) for tag, attributes in page.elements if tag == "a"]
    assert len(ids) == len(set(ids))
    assert {link for link in links if link.startswith("#")} == {
        f"#{name}" for name in (*SECTIONS, "main", "top")
    }
    assert [link for link in links if not link.startswith("#")] == ["group.html"]


def test_the_subjects_before_and_after_are_linked() -> None:
    report = subject_report(previous="00", following="02")
    page = Page(render_subject_report(report))
    links = {str(attributes["href"]) for tag, attributes in page.elements if tag == "a"}
    assert {"sub-00.html", "sub-02.html"} <= links


def test_a_tissue_without_a_mean_has_no_row() -> None:
    summary = section_texts(render_subject_report(subject_report()))["summary"]
    assert "MD (10⁻³ mm²/s), grey matter" not in summary


def test_the_group_report_is_linked_only_if_it_exists() -> None:
    assert "group.html" not in render_subject_report(subject_report(has_group_report=False))


@pytest.mark.parametrize(
    ("section", "text"),
    [
        ("summary", "that SHResNet from GE to Prisma is better than no harmonization"),
        ("summary", "FA, white matter 0.400 0.500 +25.0 % +10.0 % +2.0 %"),
        ("summary", "MD (10⁻³ mm²/s), white matter 0.800 0.800 +0.0 % n/a n/a"),
        ("pairing", "Volumes 33 31"),
        ("images", "rotation 3.2°, mean displacement 5.1 mm, 98.0 % of the voxels"),
        ("summary", "Out-of-distribution voxels: 1.2 % of the brain"),
        ("summary", "lower than without harmonization in 1 of 2 comparisons"),
        ("summary", "flipped b-vectors. Look."),
        ("images", f"The same head on the target scanner: {TARGET_FILE}"),
        ("metrics", "before 1500 0.250 0.200 0.900 0.800 3 after 1500 0.260"),
        ("metrics", "FA, white matter 0.0400 0.0100 +75.0 %"),
        ("metrics", f"White matter before {MINUS}0.0800 {MINUS}10.0 % 0.100 0.500"),
        ("about", RUN.provenance.command),
        ("about", "f" * 64),
        ("about", "fold-01.safetensors"),
        ("about", "the fold that held it out"),
        ("about", "0.1.0"),
        ("methods", "It was harmonized."),
        ("errors", "ValueError: odd Traceback (most recent call last)"),
    ],
)
def test_a_section_has_its_text(section: str, text: str) -> None:
    assert text in section_texts(render_subject_report(subject_report()))[section]


def test_every_scan_has_its_role_and_the_reason() -> None:
    model = "model from-GE_to-Prisma"
    assert list(pairing_rows(subject_report())) == [
        PairingRow(TARGET_FILE, "Prisma", "target", "excluded: already the target scanner"),
        PairingRow("sub-01_ses-old_dwi.nii.gz", "Old", "not used", "failed: ValueError: odd"),
        PairingRow(FILE, "GE", "source", f"done; {model}"),
    ]
    assert list(pairing_rows(subject_report(run=None))) == [
        PairingRow(FILE, "GE", "source", f"harmonized by an earlier run; {model}")
    ]


NOT_ENOUGH = {"no_harmonization": {**VALIDATED, "Answer": "not enough subjects"}}


@pytest.mark.parametrize(
    ("validation", "answer", "pattern"),
    [
        ({}, "no", "never cross-validated"),
        (
            {**RECORD["Validation"], "Method": "golkov"},
            "no",
            "not known whether SHResNet helps, because .* was cross-validated",
        ),
        (
            RECORD["Validation"],
            "yes",
            r"is validated .* than no harmonization, on 10 held-out subjects \(largest p = 0.002\)"
            ". It is validated .* than denoising only, on 10",
        ),
        (
            {**RECORD["Validation"], "BetterThan": NOT_ENOUGH},
            "not enough subjects",
            "cannot be validated .* smallest attainable p = 0.002",
        ),
    ],
)
def test_the_statement_is_the_result_of_the_models_validation(
    validation: dict[str, Any], answer: str, pattern: str
) -> None:
    scan = scan_report(Validation=validation)
    scan_answer, sentence = validation_statement(scan)
    assert scan_answer == answer
    assert re.search(pattern, sentence)
    css_class = f'class="answer-box {answer.replace(" ", "-")}"'
    assert css_class in render_subject_report(subject_report(scan))


def test_a_scan_without_figures_has_a_warning() -> None:
    report = subject_report(replace(scan_report(), gallery=None))
    summary = section_texts(render_subject_report(report))["summary"]
    assert "The figures of this scan are missing" in summary


def test_a_subject_without_scans_and_run_has_all_sections() -> None:
    report = SubjectReport("01", (), None, "", has_group_report=False)
    texts = section_texts(render_subject_report(report))
    assert tuple(texts) == SECTIONS
    assert "No scan of this subject is harmonized." in texts["summary"]
    assert texts["errors"] == "Failures None."


def test_pictures_are_part_of_the_page_and_decode() -> None:
    text = render_subject_report(subject_report())
    images = image_attributes(text)
    names = ("fabefore", "faafter", "power", "novelty")
    assert [image["alt"] for image in images] == [f"Alt of {name}" for name in names]
    for attributes in images:
        png = b64decode(attributes["src"].removeprefix("data:image/png;base64,"))
        with Image.open(BytesIO(png)) as image:
            image.load()
    assert not re.search(r"url\(|@import|https?:", text)
    assert text == render_subject_report(subject_report())


def test_pictures_beyond_ten_megabytes_stay_in_their_files() -> None:
    large = Drawing("large", "Caption.", "Alt", bytes(MAX_EMBEDDED_PNG_BYTES // 2))
    panels = tuple(Panel("images", f"Map {n}", {"map": large}, (f"{n}.png",)) for n in range(4))
    scan = replace(scan_report(), gallery=Gallery(NUMBERS, panels))
    text = render_subject_report(subject_report(scan))
    assert len(text) < 10_000_000
    sources = [image["src"] for image in image_attributes(text)]
    assert [source[:10] for source in sources[:2]] == ["data:image"] * 2
    assert sources[2:] == ["sub-01/figures/2.png", "sub-01/figures/3.png"]


def test_each_of_several_scans_has_its_part_in_every_section() -> None:
    second_scan = replace(
        scan_report(TargetScanner={"Label": "Skyra"}, Model="from-GE_to-Skyra"),
        scan_file="sub-01_ses-b_dwi.nii.gz",
    )
    texts = section_texts(render_subject_report(subject_report(scan_report(), second_scan)))
    for name in ("summary", "images", "metrics", "trust"):
        assert f"{FILE}, GE → Prisma" in texts[name]
        assert "sub-01_ses-b_dwi.nii.gz, GE → Skyra" in texts[name]
    assert "model, sub-01_ses-b_dwi.nii.gz to Skyra" in texts["about"]


def test_names_are_text_and_never_markup() -> None:
    scan = replace(scan_report(Model=ODD), scan_file=ODD)
    page = Page(render_subject_report(subject_report(scan, methods_text=ODD, subject=ODD)))
    assert [tag for tag, _ in page.elements].count("script") == 1  # the page's own
    assert page.text.count(ODD) >= 8


def test_the_template_is_part_of_the_package() -> None:
    assert (files("bids_shresnet") / "report/templates" / SUBJECT_PAGE_TEMPLATE).is_file()


@pytest.mark.parametrize(
    ("desc", "label"),
    [
        ("input", "before"),
        ("harmonized", "after"),
        ("harmonizedToB", "after"),
        ("harmonizedToBDenoised", "after, without noise"),
        ("uncertaintyToB", "uncertainty"),
    ],
)
def test_maps_are_named_by_the_words_of_the_pictures(desc: str, label: str) -> None:
    assert map_label(desc) == label
