"""The output of `group`: models, their cross-validation and the report."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from bids_shresnet.io.storage import hash_file, read_json, read_tsv, write_json
from bids_shresnet.outputs.layout import output_root
from bids_shresnet.outputs.model.endpoint_errors import endpoint_key
from tests.cli.phantom_runs import (
    GROUP_FILES,
    GROUP_FLAGS,
    METHODS,
    MODEL,
    VALIDATOR,
    HarmonizedDataset,
    digests,
    held_out_rows,
    latest_run,
    read_harmonization,
    results,
    run_app,
    validator_report,
)

FOLD_FILES = (
    *(f"fold-{label}.safetensors" for label in ("01", "02", "03", "all")),
    *(f"novelty-{label}.safetensors" for label in ("01", "02", "03", "all")),
    "target_denoiser.safetensors",
)


def test_a_group_leaves_models_tables_and_a_report_with_figures_and_nothing_else(
    validated_group: Path,
) -> None:
    files = {name for name in digests(validated_group) if "/." not in name}
    files = {name for name in files if not name.startswith(("logs/", "prov/", "models/."))}
    figures = {name for name in files if name.startswith("figures/")}
    results = ("heldout", "orientation", "resblocks", "rish", "agreement", "effects")
    names = ("registration", "training", *results)
    tables = {f"{name}{ending}" for name in names for ending in (".tsv", ".json")}
    agreement = ("agreement.safetensors", "slices.safetensors")
    others = ("target_denoiser.safetensors", "model.json")
    model = {f"models/{MODEL}/{name}" for name in (*FOLD_FILES, *tables, *agreement, *others)}
    dataset = {"dataset_description.json", "descriptions.tsv", "descriptions.json"}
    assert files - figures == model | set(GROUP_FILES) | dataset | {".bidsignore", "README.md"}
    records = {name for name in figures if name.endswith(".json")}
    assert records == {f"figures/{MODEL}_figures.json"}
    assert {Path(name).suffix for name in figures - records} == {".png", ".svg"}
    assert not (validated_group / ".work").exists()


@pytest.mark.skipif(not VALIDATOR.exists(), reason="bids-validator-deno is not installed")
def test_the_validator_finds_no_error_in_the_output_of_a_group(validated_group: Path) -> None:
    issues = validator_report(validated_group)["issues"]["issues"]
    assert [issue for issue in issues if issue["severity"] == "error"] == []


def test_cross_validation_trains_the_same_networks(
    validated_group: Path, harmonized: HarmonizedDataset
) -> None:
    for name in FOLD_FILES:
        path = f"models/{MODEL}/{name}"
        assert hash_file(validated_group / path) == hash_file(harmonized.root / path)


def test_every_travelling_subject_is_evaluated_once_by_the_fold_that_held_it_out(
    validated_group: Path,
) -> None:
    rows = held_out_rows(validated_group)
    folds = read_json(validated_group / "models" / MODEL / "model.json")["Folds"]
    test_subjects = {
        (subject, str(number)) for number, fold in enumerate(folds, 1) for subject in fold["Test"]
    }
    assert {(row["subject"], row["fold"]) for row in rows} == test_subjects
    keys = ("subject", "method", "tissue", "quantity", "places")
    endpoints = [tuple(row[key] for key in keys) for row in rows]
    assert len(endpoints) == len(set(endpoints))
    # ComBat needs two training subjects, and there is one.
    assert {row["method"] for row in rows} == {"no_harmonization", "noise_floor", *METHODS}


def test_known_effects_are_looked_for_in_every_held_out_subject(validated_group: Path) -> None:
    folder = validated_group / "models" / MODEL
    rows = read_tsv(folder / "effects.tsv")
    subjects = {row["subject"] for row in held_out_rows(validated_group)}
    assert {row["subject"] for row in rows if row["region"] == "changed"} == subjects
    effects = read_json(folder / "model.json")["Validation"]["Effects"]
    recovered = {
        (item["Effect"], item["Quantity"]): item["Recovered"]
        for item in effects
        if item["Tissue"] == "WM" and item["Maps"] == "denoised"
    }
    assert 0.1 < recovered["white_matter", "MD"] < 1.5  # of a network that is hardly trained


def test_three_subjects_cannot_validate_a_model_and_everything_says_so(
    validated_group: Path,
) -> None:
    validation = read_json(validated_group / "models" / MODEL / "model.json")["Validation"]
    assert validation["Subjects"] == 3
    answers = {name: result["Answer"] for name, result in validation["BetterThan"].items()}
    baselines = ("no_harmonization", "denoised", "linear_rish")
    assert answers == dict.fromkeys(baselines, "not enough subjects")
    assert validation["BetterThan"]["no_harmonization"]["SmallestPossibleP"] == 0.125
    sentence = "It cannot be validated that harmonizing with"
    assert sentence in (latest_run(validated_group) / "run.log").read_text()
    assert sentence in (validated_group / "group.html").read_text()


def test_the_table_of_the_group_is_that_of_its_models(validated_group: Path) -> None:
    rows = [{"pair": MODEL, **row} for row in held_out_rows(validated_group)]
    assert read_tsv(validated_group / "group_harmonization.tsv") == rows


def test_a_second_group_run_runs_no_job_and_changes_no_table(
    harmonized: HarmonizedDataset,
    validated_copy: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = output_root(validated_copy)
    before = {path: path.stat().st_mtime_ns for path in (root / "models").rglob("*.*")}
    tables = [hash_file(root / name) for name in GROUP_FILES[1:]]
    monkeypatch.setattr("bids_shresnet.runtime.workers.Workers.run", None)
    flags = ("--methods", *METHODS)
    assert run_app(harmonized.bids, validated_copy, *flags, level="group") == 0
    log = capsys.readouterr().err
    assert "trained before" in log
    assert "It cannot be validated" in log
    assert {path: path.stat().st_mtime_ns for path in (root / "models").rglob("*.*")} == before
    assert [hash_file(root / name) for name in GROUP_FILES[1:]] == tables


def test_an_interrupted_cross_validation_is_finished_with_the_same_result(
    harmonized: HarmonizedDataset,
    validated_group: Path,
    validated_copy: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A model without its validation is validated now, and not trained again."""
    model = output_root(validated_copy) / "models" / MODEL
    card = read_json(model / "model.json")
    del card["Validation"]
    write_json(model / "model.json", card)
    (model / "heldout.tsv").unlink()
    assert run_app(harmonized.bids, validated_copy, *GROUP_FLAGS, level="group") == 0
    log = capsys.readouterr().err
    assert "is evaluated" in log
    assert "is trained" not in log
    assert results(output_root(validated_copy)) == results(validated_group)


def test_participant_repeats_the_validation_and_the_errors_of_the_subject(
    harmonized: HarmonizedDataset, validated_copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_app(harmonized.bids, validated_copy, "--participant-label", "03", "04") == 0
    warning = "not validated to be better than no harmonization (not enough subjects"
    assert warning in capsys.readouterr().err
    root = output_root(validated_copy)
    images = {name: digest for name, digest in results(root).items() if "_dwi.nii.gz" in name}
    assert images.items() <= results(harmonized.root).items()
    travelling = read_harmonization(next(root.rglob("sub-03*_desc-harmonized_dwi.json")))
    other = read_harmonization(next(root.rglob("sub-04*_desc-harmonized_dwi.json")))
    for record in (travelling, other):
        answer = record["Validation"]["BetterThan"]["no_harmonization"]["Answer"]
        assert answer == "not enough subjects"
    assert "HeldOutErrors" not in other
    assert nmse_by_endpoint(travelling) == nmse_of_rows(held_out_rows(root), "03")


def nmse_by_endpoint(record: dict[str, Any]) -> dict[str, float]:
    """NMSE of a sidecar by method, tissue and quantity."""
    return {
        f"{method} {endpoint}": errors["NMSE"]
        for method, endpoints in record["HeldOutErrors"].items()
        for endpoint, errors in endpoints.items()
    }


def nmse_of_rows(rows: list[dict[str, str]], subject: str) -> dict[str, float]:
    """NMSE of a subject with and without harmonization by method, tissue and quantity."""
    methods = ("no_harmonization", "shresnet")
    return {
        f"{row['method']} {endpoint_key(row['tissue'], row['quantity'])}": float(row["nmse"])
        for row in rows
        if (row["subject"], row["places"]) == (subject, "all") and row["method"] in methods
    }


def test_a_model_without_validation_is_refused_where_validation_is_required(
    harmonized: HarmonizedDataset,
    harmonized_copy: Path,
    validated_copy: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    flags = ("--require-validation", "--participant-label", "01")
    for out, reason in (
        (harmonized_copy, "never cross-validated"),
        (validated_copy, "not enough subjects"),
    ):
        shutil.rmtree(output_root(out) / "sub-01", ignore_errors=True)
        assert run_app(harmonized.bids, out, *flags) == 65
        assert reason in capsys.readouterr().err
        assert not (output_root(out) / "sub-01").exists()
