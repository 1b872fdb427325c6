"""Runs that follow another run, or change how one is done."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from bids_shresnet.cli.app import main
from bids_shresnet.io.storage import read_json
from bids_shresnet.outputs.layout import output_root
from tests.cli.phantom_runs import (
    APPLY_ONLY,
    MODEL,
    SUBJECTS,
    HarmonizedDataset,
    latest_run,
    read_harmonization,
    results,
    run_app,
    status_by_file,
)


def modification_times(files: list[Path]) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in files}


def results_of(prefix: str, root: Path) -> dict[str, str]:
    """Digests of the results whose path begins with a prefix."""
    return {name: digest for name, digest in results(root).items() if name.startswith(prefix)}


def test_a_second_run_does_nothing_and_says_so(
    harmonized: HarmonizedDataset, harmonized_copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = output_root(harmonized_copy)
    files = [*map(root.joinpath, results(root)), *root.glob("sub-*.html")]
    before = modification_times(files)
    assert run_app(harmonized.bids, harmonized_copy) == 0
    assert modification_times(files) == before
    assert {root / name for name in results(root)} < set(files)
    assert "nothing to do" in capsys.readouterr().err
    assert set(status_by_file(latest_run(root)).values()) == {"up to date"}


def test_the_record_of_a_run_repeats_it(harmonized: HarmonizedDataset, tmp_path: Path) -> None:
    config_file = latest_run(harmonized.root) / "config.json"
    record = read_json(config_file)
    assert (record["bids_dir"], record["training"]["max_epochs"]) == (str(harmonized.bids), 2)
    arguments = [str(harmonized.bids), str(tmp_path / "again"), "participant"]
    assert main([*arguments, "--config-file", str(config_file), "--dry-run"]) == 0


@pytest.mark.parametrize(
    ("lost_files", "done_count"),
    [
        ((f"models/{MODEL}/model.json", f"models/{MODEL}/fold-02.safetensors"), 0),
        (("sub-02/ses-ge/dwi/sub-02_ses-ge_desc-harmonized_dwi.json",), 1),
        (("sub-04/ses-ge/dwi/sub-04_ses-ge_desc-harmonization_qc.json",), 1),
    ],
)
def test_a_killed_run_continues_and_ends_with_the_same_result(
    lost_files: tuple[str, ...],
    done_count: int,
    harmonized: HarmonizedDataset,
    harmonized_copy: Path,
) -> None:
    root = output_root(harmonized_copy)
    for name in lost_files:
        (root / name).unlink()
    assert run_app(harmonized.bids, harmonized_copy) == 0
    assert results(root) == results(harmonized.root)
    assert list(status_by_file(latest_run(root)).values()).count("done") == done_count


def test_models_of_another_run_harmonize_the_same(
    harmonized: HarmonizedDataset, tmp_path: Path
) -> None:
    models = str(harmonized.root / "models")
    flags = ("--models", models, "--participant-label", "04", "02")
    assert run_app(harmonized.bids, tmp_path / "out", *flags) == 0
    root = output_root(tmp_path / "out")
    assert not (root / "models").exists()
    images = {name: digest for name, digest in results(root).items() if not name.endswith(".json")}
    assert images.items() <= results(harmonized.root).items()
    assert {name.split("/")[0] for name in images} == {"sub-02", "sub-04"}
    record = read_harmonization(next(root.rglob("sub-02*_desc-harmonized_dwi.json")))
    assert record["Network"] == "fold-02.safetensors"


def test_saving_memory_changes_no_result_and_leaves_no_file(
    harmonized: HarmonizedDataset, tmp_path: Path
) -> None:
    assert run_app(harmonized.bids, tmp_path / "out", "--low-mem") == 0
    root = output_root(tmp_path / "out")
    assert results(root) == results(harmonized.root)
    names = {path.name for path in root.iterdir()}
    assert names == {path.name for path in harmonized.root.iterdir()}


def test_group_trains_and_participant_then_loads(
    harmonized: HarmonizedDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Together they leave what `participant` alone does. A work folder of the user is kept."""
    out = tmp_path / "out"
    root = output_root(out)
    work = tmp_path / "work"
    flags = ("--no-validation", "--work-dir", str(work))
    assert run_app(harmonized.bids, out, *flags, level="group") == 0
    assert not list(root.glob("sub-*"))
    assert not list(root.glob("group*"))
    assert len(list(work.glob(f"shresnet-*/{MODEL}"))) == 1
    models = results_of("models", harmonized.root)
    assert results(root) == models
    shutil.rmtree(work)
    capsys.readouterr()
    assert run_app(harmonized.bids, out, "--participant-label", "sub-03") == 0
    assert "trained before" in capsys.readouterr().err
    assert results(root) == models | results_of("sub-03", harmonized.root)


def test_retraining_replaces_a_model_that_was_trained_with_other_settings(
    harmonized: HarmonizedDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    flags = ("--no-validation", "--method", "order_gain")
    assert run_app(harmonized.bids, out, *flags, level="group") == 0
    first = results(output_root(out))
    other = (*flags, "--random-seed", "3", "--sh-order", "2")
    assert run_app(harmonized.bids, out, *other, level="group") == 0
    assert "--retrain trains it again" in capsys.readouterr().err
    assert results(output_root(out)) == first
    assert run_app(harmonized.bids, out, *other, "--retrain", level="group") == 0
    assert "trained before" not in capsys.readouterr().err
    retrained = results(output_root(out))
    assert retrained.keys() == first.keys()
    assert retrained != first


def test_a_method_without_epochs_is_fitted_and_applied_like_the_network(
    harmonized: HarmonizedDataset, tmp_path: Path
) -> None:
    flags = ("--method", "order_gain", "--participant-label", "03")
    assert run_app(harmonized.bids, tmp_path / "out", *flags) == 0
    root = output_root(tmp_path / "out")
    card = read_json(root / "models" / MODEL / "model.json")
    assert (card["Method"], card["FittedAs"]) == ("order_gain", "order_gain")
    record = read_harmonization(next(root.rglob("sub-03*_desc-harmonized_dwi.json")))
    assert (record["Method"], record["Network"]) == ("order_gain", "fold-03.safetensors")


def test_a_dry_run_shows_pairs_and_scans_and_writes_nothing(
    harmonized: HarmonizedDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_app(harmonized.bids, tmp_path / "out", "--dry-run") == 0
    assert not (tmp_path / "out").exists()
    text = capsys.readouterr().out
    assert MODEL in text
    assert all(f"sub-{subject}_ses-ge" in text for subject in SUBJECTS)


def test_a_dry_run_for_programs_prints_one_document_and_nothing_else(
    harmonized: HarmonizedDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ("--dry-run", "--json", "--target", "all")
    assert run_app(harmonized.bids, tmp_path / "out", *flags) == 0
    document = json.loads(capsys.readouterr().out)
    assert set(document) == {"scanners", "scans", "pairs", "findings"}
    source, target = MODEL.removeprefix("from-").split("_to-")
    pairs = {pair["name"] for pair in document["pairs"]}
    assert pairs == {MODEL, f"from-{target}_to-{source}"}
    roles = [scan["roles"] for scan in document["scans"] if scan["subject"] == APPLY_ONLY]
    assert roles == [["to harmonize"]]
