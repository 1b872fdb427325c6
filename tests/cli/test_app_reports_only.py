"""Reports and texts that are written again from an output, and the report of a failed scan."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from bids_shresnet.io.storage import read_json
from bids_shresnet.outputs.layout import output_root
from bids_shresnet.version import __version__
from tests.cli.phantom_runs import GROUP_FILES, HarmonizedDataset, digests, run_app


def group_results(root: Path) -> dict[str, str]:
    """Digests of models, tables and figures; group.html names the command of its run."""
    return {
        name: digest
        for name, digest in digests(root).items()
        if name.startswith(("group", "figures", "models")) and name != "group.html"
    }


def page_texts(root: Path) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in root.glob("sub-*.html")}


def test_the_report_of_a_group_is_written_again_from_its_output(
    harmonized: HarmonizedDataset, validated_copy: Path
) -> None:
    root = output_root(validated_copy)
    before = group_results(root)
    figure = next(name for name in before if name.startswith("figures"))
    for name in (*GROUP_FILES, figure):
        (root / name).unlink()
    assert run_app(harmonized.bids, validated_copy, "--reports-only", level="group") == 0
    assert (root / "group.html").exists()
    assert group_results(root) == before


def test_without_validation_and_harmonized_scans_there_is_nothing_to_report(
    harmonized: HarmonizedDataset, harmonized_copy: Path
) -> None:
    root = output_root(harmonized_copy)
    for folder in root.glob("sub-*/ses-*"):
        shutil.rmtree(folder)
    (card,) = (root / "models").glob("*/model.json")
    assert "Validation" not in read_json(card)
    assert run_app(harmonized.bids, harmonized_copy, "--reports-only", level="group") == 18


def test_pages_of_subjects_are_written_again_from_the_output(
    harmonized: HarmonizedDataset, harmonized_copy: Path
) -> None:
    root = output_root(harmonized_copy)
    before = page_texts(root)
    for name in before:
        (root / name).unlink()
    flags = ("--reports-only", "--participant-label", "02")
    assert run_app(harmonized.bids, harmonized_copy, *flags) == 0
    assert set(page_texts(root)) == {"sub-02.html"}
    assert run_app(harmonized.bids, harmonized_copy, "--reports-only") == 0
    assert page_texts(root) == before


def test_the_page_of_a_subject_shows_the_traceback_of_a_failed_scan(
    harmonized: HarmonizedDataset, harmonized_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = output_root(harmonized_copy)
    (root / "sub-02/ses-ge/dwi/sub-02_ses-ge_desc-harmonization_qc.json").unlink()

    def fail(job: object) -> bool:
        msg = "this scan is odd"
        raise ValueError(msg)

    monkeypatch.setattr("bids_shresnet.workflow.harmonize_scans.write_harmonized_scan", fail)
    assert run_app(harmonized.bids, harmonized_copy, "--participant-label", "02") == 1
    page = (root / "sub-02.html").read_text(encoding="utf-8")
    assert "ValueError: this scan is odd" in page
    assert "Traceback (most recent call last)" in page


def test_the_methods_text_names_data_and_training_and_cites_only_listed_references(
    harmonized: HarmonizedDataset, harmonized_copy: Path
) -> None:
    logs = output_root(harmonized_copy) / "logs"
    text = (logs / "CITATION.md").read_text()
    for name in ("CITATION.md", "CITATION.bib"):
        (logs / name).unlink()
    assert run_app(harmonized.bids, harmonized_copy, "--boilerplate-only") == 0
    assert (logs / "CITATION.md").read_text() == text
    data = ("GE SIGNA EXCITE", "Siemens Prisma", "3 subjects")
    for part in (*data, "2 epochs", "not cross-validated", "CC0", __version__):
        assert part in text
    references = re.findall(r"@\w+\{(\w+),", (logs / "CITATION.bib").read_text())
    assert set(re.findall(r"(?<!\w)@(\w+)", text)) == set(references)
