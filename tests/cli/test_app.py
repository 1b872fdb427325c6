"""Whole runs on a phantom of 8 mm: one full run serves most laws, others start from a copy of what it left."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from bids.layout import BIDSLayout

from bids_shresnet.cli.app import main
from bids_shresnet.io.storage import hash_file, read_json, read_tsv, write_json
from bids_shresnet.version import __version__

VALIDATOR = Path(sys.executable).parent / "bids-validator-deno"
TRAINING = (
    "--training.max-epochs",
    "2",
    "--training.adam-epochs",
    "1",
    "--training.voxels-per-epoch",
    "1000",
)
ONE_CORE = ("--nprocs", "1", "--omp-nthreads", "1")
MODEL = "from-SIGNAEXCITE000000PHANTMR1_to-Prisma99001"
TRAVELLING, APPLY_ONLY = ("01", "02", "03"), "04"
SUBJECTS = (*TRAVELLING, APPLY_ONLY)
OUTPUTS = (  # of every source scan
    *(f"desc-harmonized_dwi{extension}" for extension in (".nii.gz", ".bval", ".bvec", ".json")),
    *(f"desc-brain_mask{extension}" for extension in (".nii.gz", ".json")),
    *(f"desc-harmonization_qc{extension}" for extension in (".tsv", ".json")),
    *(f"desc-novelty_dwimap{extension}" for extension in (".nii.gz", ".json")),
    *(
        f"model-tensor_param-{param}_desc-{desc}_dwimap{extension}"
        for param in ("fa", "md")
        for desc in ("input", "harmonized")
        for extension in (".nii.gz", ".json")
    ),
)
UNCERTAINTY = tuple(
    f"desc-uncertainty_dwimap{extension}" for extension in (".nii.gz", ".json")
)  # of several folds
COMPARED = ("sh_projection", "order_gain", "linear_rish", "shresnet_uncalibrated", "shresnet")
FIGURES = (  # of every source scan
    *(f"{name}{time}" for name in ("fa", "md", "dwi", "colourFa") for time in ("Before", "After")),
    *("faAfterMinusBefore", "mdAfterMinusBefore", "angle", "power", "novelty"),
)
PLOTS = ("jointFa", "jointMd", "differenceFa", "differenceMd")
BESIDE = (  # of those that the target scanner measured too
    *("faTarget", "mdTarget", "dwiTarget", "colourFaTarget", *PLOTS),
    *(f"{name}{time}MinusTarget" for name in ("fa", "md") for time in ("Before", "After")),
)
GROUP = ("group.html", "group_harmonization.json", "group_harmonization.tsv")


@dataclass(frozen=True)
class Finished:
    """A dataset that was harmonized."""

    bids: Path
    root: Path
    code: int
    input_before: dict[str, str]

    def output(self, subject: str, name: str = "desc-harmonized_dwi.nii.gz") -> Path:
        return self.root / f"sub-{subject}/ses-ge/dwi/sub-{subject}_ses-ge_{name}"

    def source(self, subject: str, extension: str = ".nii.gz") -> Path:
        return self.bids / f"sub-{subject}/ses-ge/dwi/sub-{subject}_ses-ge_dwi{extension}"


def run(bids: Path, out: Path, *arguments: str, level: str = "participant") -> int:
    return main([str(bids), str(out), level, *ONE_CORE, *TRAINING, *arguments])


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file by its place."""
    return {
        str(path.relative_to(folder)): hash_file(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def results(root: Path) -> dict[str, str]:
    """Digests of scans, figures and models: what a run is for, without its records of when and how."""
    every = digests(root).items()
    return {
        n: v for n, v in every if n.startswith(("sub-", "models/from-")) and not n.endswith(".html")
    }


def latest(root: Path) -> Path:
    """Folder of the latest run."""
    return runs_of(root)[-1]


def runs_of(root: Path) -> list[Path]:
    """Folders of all runs, the latest last; beside them is the methods text."""
    folders = (path for path in (root / "logs").iterdir() if path.is_dir())
    return sorted(folders, key=lambda folder: folder.stat().st_mtime_ns)


def status(root: Path) -> dict[str, str]:
    """What became of each scan in the latest run."""
    with (latest(root) / "status.tsv").open(newline="") as file:
        return {row["file"]: row["status"] for row in csv.DictReader(file, delimiter="\t")}


@pytest.fixture(scope="module")
def finished(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    bids, out = phantom / "bids", tmp_path_factory.mktemp("out")
    before = digests(bids)
    return Finished(bids, out / "derivatives/shresnet", run(bids, out), before)


@pytest.fixture
def copied(finished: Finished, tmp_path: Path) -> Path:
    """Output folder of its own with all that the full run left."""
    shutil.copytree(finished.root, tmp_path / "out/derivatives/shresnet")
    return tmp_path / "out"


# --- what a full run leaves -------------------------------------------------------------------------------------


def test_a_run_succeeds_and_writes_all_that_is_promised_and_no_more(finished: Finished) -> None:
    assert finished.code == 0
    expected = {
        str(finished.output(subject, name).relative_to(finished.root))
        for subject in SUBJECTS
        for name in OUTPUTS
    } | {str(finished.output(APPLY_ONLY, name).relative_to(finished.root)) for name in UNCERTAINTY}
    figures = {name for name in digests(finished.root) if "/figures/" in name}
    assert {
        name for name in results(finished.root) if name.startswith("sub-")
    } - figures == expected
    for subject in SUBJECTS:
        names = (*FIGURES, *(["uncertainty"] if subject == APPLY_ONLY else BESIDE))
        stem = f"sub-{subject}/figures/sub-{subject}_ses-ge_desc-"
        drawn = ("power", *(() if subject == APPLY_ONLY else PLOTS))
        files = {f"{stem}{name}_dwi.png" for name in names} | {
            f"{stem}{name}_dwi.svg" for name in drawn
        }
        files.add(f"{stem}figures_dwi.json")
        assert {name for name in figures if name.startswith(f"sub-{subject}/")} == files
    assert {path.name for path in finished.root.glob("*.html")} == {
        f"sub-{subject}.html" for subject in SUBJECTS
    }
    folds = {
        f"models/{MODEL}/{name}-0{number}.safetensors"
        for name in ("fold", "novelty")
        for number in (1, 2, 3)
    }
    models = {f"models/{MODEL}/{name}" for name in ("model.json", "training.tsv")} | folds
    there = {name for name in digests(finished.root) if name.startswith("models/from-")}
    assert {name for name in there if not name.endswith(".lock")} == models
    for name in ("dataset_description.json", ".bidsignore", "descriptions.tsv", "logs", "prov"):
        assert (finished.root / name).exists()


def test_nothing_of_the_work_is_left_behind(finished: Finished) -> None:
    hidden = {path.name for path in finished.root.rglob(".*") if not path.name.endswith(".lock")}
    assert hidden == {".bidsignore"}


def test_the_input_is_as_it_was(finished: Finished) -> None:
    assert digests(finished.bids) == finished.input_before


@pytest.mark.parametrize("subject", SUBJECTS)
def test_grid_table_and_b0_volumes_are_the_inputs(finished: Finished, subject: str) -> None:
    before, after = nib.load(finished.source(subject)), nib.load(finished.output(subject))
    np.testing.assert_array_equal(after.affine, before.affine)
    assert after.shape == before.shape
    for extension in (".bval", ".bvec"):
        written = np.loadtxt(finished.output(subject, f"desc-harmonized_dwi{extension}"))
        np.testing.assert_allclose(
            written, np.loadtxt(finished.source(subject, extension)), atol=1e-5
        )
    b0s = np.loadtxt(finished.source(subject, ".bval")) < 50
    np.testing.assert_array_equal(after.get_fdata()[..., b0s], before.get_fdata()[..., b0s])
    assert not np.array_equal(after.get_fdata()[..., ~b0s], before.get_fdata()[..., ~b0s])


@pytest.mark.parametrize("subject", SUBJECTS)
def test_no_value_is_negative_or_no_number(finished: Finished, subject: str) -> None:
    for name in OUTPUTS:
        if name.endswith(".nii.gz"):
            data = nib.load(finished.output(subject, name)).get_fdata()
            assert np.isfinite(data).all()
            assert data.min() >= 0


@pytest.mark.parametrize("subject", TRAVELLING)
def test_a_travelling_subject_is_harmonized_by_a_fold_that_held_it_out(
    finished: Finished, subject: str
) -> None:
    used = read_json(finished.output(subject, "desc-harmonized_dwi.json"))["Harmonization"]
    folds = {
        fold["Weights"]["File"]: fold
        for fold in read_json(finished.root / "models" / MODEL / "model.json")["Folds"]
    }
    assert used["SubjectInTraining"]
    assert used["Networks"]
    for name in used["Networks"]:
        assert subject not in (*folds[name]["Training"], *folds[name]["Validation"])
        assert subject in folds[name]["Test"]


def test_a_subject_that_did_not_travel_is_harmonized_by_all_folds(finished: Finished) -> None:
    used = read_json(finished.output(APPLY_ONLY, "desc-harmonized_dwi.json"))["Harmonization"]
    assert not used["SubjectInTraining"]
    assert used["Networks"] == [f"fold-0{number}.safetensors" for number in (1, 2, 3)]


def test_the_table_of_the_run_names_every_scan_of_the_input(finished: Finished) -> None:
    sources = {f"sub-{subject}_ses-ge_dwi.nii.gz" for subject in SUBJECTS}
    targets = {f"sub-{subject}_ses-prisma_dwi.nii.gz" for subject in TRAVELLING}
    (first, *_) = runs_of(finished.root)
    with (first / "status.tsv").open(newline="") as file:
        rows = {row["file"]: row["status"] for row in csv.DictReader(file, delimiter="\t")}
    assert rows == dict.fromkeys(sources, "done") | dict.fromkeys(targets, "excluded")


def test_pybids_finds_the_harmonized_dwi_with_their_tables(finished: Finished) -> None:
    layout = BIDSLayout(finished.root, validate=False, is_derivative=True)
    found = layout.get(suffix="dwi", desc="harmonized", extension=".nii.gz")
    assert [(file.entities["subject"], file.entities["session"]) for file in found] == [
        (s, "ge") for s in SUBJECTS
    ]
    for file in found:
        assert np.loadtxt(layout.get_bval(file.path)).shape == (file.get_image().shape[3],)
        assert np.loadtxt(layout.get_bvec(file.path)).shape == (3, file.get_image().shape[3])
        assert file.get_metadata()["Harmonization"]["Model"] == MODEL


def validated(root: Path) -> dict[str, Any]:
    """What the validator says of an output."""
    command = [VALIDATOR, root, "--format", "json"]
    return dict(
        json.loads(subprocess.run(command, capture_output=True, text=True, check=False).stdout)
    )


@pytest.mark.skipif(not VALIDATOR.exists(), reason="bids-validator-deno is not installed")
def test_the_validator_finds_no_error_in_the_output(finished: Finished) -> None:
    report = validated(finished.root)
    assert [issue for issue in report["issues"]["issues"] if issue["severity"] == "error"] == []
    assert sorted(report["summary"]["subjects"]) == list(SUBJECTS)


def test_the_log_of_a_run_has_all_that_was_said_and_ends_with_a_line_a_subject(
    finished: Finished,
) -> None:
    log = (latest(finished.root) / "run.log").read_text()
    assert "scans are read through before any work" in log  # said before there was a log
    assert (
        "DEBUG bids_shresnet.training.train_fold: shresnet fold 3, epoch 1:" in log
    )  # in detail, though not on the screen
    for subject in SUBJECTS:
        (line,) = [line for line in log.splitlines() if f": sub-{subject}: " in line]
        assert f"sub-{subject}_ses-ge_dwi.nii.gz done" in line
        assert ("prisma_dwi.nii.gz excluded (already the target scanner" in line) == (
            subject in TRAVELLING
        )


def test_a_model_that_was_never_cross_validated_is_warned_of(finished: Finished) -> None:
    assert (
        f"{MODEL}: it was never cross-validated" in (latest(finished.root) / "run.log").read_text()
    )
    assert (
        read_json(finished.output("01", "desc-harmonized_dwi.json"))["Harmonization"]["Validation"]
        == {}
    )


# --- runs after it ----------------------------------------------------------------------------------------------


def test_a_second_run_does_nothing_and_says_so(
    finished: Finished, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = copied / "derivatives/shresnet"
    written = {
        path: path.stat().st_mtime_ns
        for path in (*map(root.joinpath, results(root)), *root.glob("sub-*.html"))
    }
    assert run(finished.bids, copied) == 0
    assert {path: path.stat().st_mtime_ns for path in written} == written
    assert {root / name for name in results(root)} < set(written)
    assert "nothing to do" in capsys.readouterr().err
    assert set(status(root).values()) == {"up to date", "excluded"}


def test_the_record_of_a_run_repeats_it(finished: Finished, copied: Path) -> None:
    (config,) = sorted((copied / "derivatives/shresnet/logs").glob("*/config.json"))
    record = read_json(config)
    assert (record["bids_dir"], record["training"]["max_epochs"]) == (str(finished.bids), 2)
    elsewhere = copied.parent / "again"
    assert (
        main(
            [
                str(finished.bids),
                str(elsewhere),
                "participant",
                "--config-file",
                str(config),
                "--dry-run",
            ]
        )
        == 0
    )


def damage(root: Path, *names: str) -> None:
    for name in names:
        (root / name).unlink()


@pytest.mark.parametrize(
    ("lost", "scans_done"),
    [
        ((f"models/{MODEL}/model.json", f"models/{MODEL}/fold-02.safetensors"), 0),
        (("sub-02/ses-ge/dwi/sub-02_ses-ge_desc-harmonized_dwi.json",), 1),
        (("sub-04/ses-ge/dwi/sub-04_ses-ge_desc-harmonization_qc.json",), 1),
    ],
)
def test_a_run_that_was_killed_goes_on_and_ends_with_the_same_result(
    lost: tuple[str, ...], scans_done: int, finished: Finished, copied: Path
) -> None:
    root = copied / "derivatives/shresnet"
    damage(root, *lost)
    assert run(finished.bids, copied) == 0
    assert results(root) == results(finished.root)
    assert sum(value == "done" for value in status(root).values()) == scans_done


def test_models_of_another_run_harmonize_the_same(finished: Finished, tmp_path: Path) -> None:
    models, flags = str(finished.root / "models"), ("--participant-label", "04", "02")
    assert run(finished.bids, tmp_path / "out", "--models", models, *flags) == 0
    root = tmp_path / "out/derivatives/shresnet"
    assert not (root / "models").exists()
    images = {name: value for name, value in results(root).items() if not name.endswith(".json")}
    assert images == {k: v for k, v in results(finished.root).items() if k in images}
    assert {name.split("/")[0] for name in images} == {"sub-02", "sub-04"}
    used = read_json(next(root.rglob("sub-02*_desc-harmonized_dwi.json")))["Harmonization"]
    assert used["Networks"] == ["fold-02.safetensors"]


def test_saving_memory_changes_nothing_and_leaves_nothing(
    finished: Finished, tmp_path: Path
) -> None:
    assert run(finished.bids, tmp_path / "out", "--low-mem") == 0
    root = tmp_path / "out/derivatives/shresnet"
    assert results(root) == results(finished.root)
    assert {path.name for path in root.iterdir()} == {path.name for path in finished.root.iterdir()}


def test_group_trains_and_participant_then_loads(
    finished: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Together they leave what `participant` alone does; the work folder given by the user is kept."""
    out, root, work = tmp_path / "out", tmp_path / "out/derivatives/shresnet", tmp_path / "work"
    assert run(finished.bids, out, "--no-validation", "--work-dir", str(work), level="group") == 0
    assert not list(root.glob("sub-*"))
    assert not list(root.glob("group*"))
    assert (work / MODEL).is_dir()
    models = {
        name: value for name, value in results(finished.root).items() if name.startswith("models")
    }
    assert results(root) == models
    shutil.rmtree(work)
    capsys.readouterr()
    assert run(finished.bids, out, "--participant-label", "sub-03") == 0
    assert "trained before" in capsys.readouterr().err
    scans = {
        name: value for name, value in results(finished.root).items() if name.startswith("sub-03")
    }
    assert results(root) == models | scans


def test_a_method_without_epochs_is_fitted_and_applied_like_the_network(
    finished: Finished, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert run(finished.bids, out, "--method", "order_gain", "--participant-label", "03") == 0
    card = read_json(out / "derivatives/shresnet/models" / MODEL / "model.json")
    assert (card["Method"], card["FittedAs"]) == ("order_gain", "order_gain")
    used = read_json(next(out.rglob("sub-03*_desc-harmonized_dwi.json")))["Harmonization"]
    assert (used["Method"], used["Networks"]) == ("order_gain", ["fold-03.safetensors"])


def test_a_dry_run_shows_pairs_and_scans_and_writes_nothing(
    finished: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(finished.bids, tmp_path / "out", "--dry-run") == 0
    assert not (tmp_path / "out").exists()
    shown = capsys.readouterr().out
    assert MODEL in shown
    assert all(f"sub-{subject}_ses-ge" in shown for subject in SUBJECTS)


def test_a_dry_run_for_programs_prints_one_document_and_nothing_else(
    finished: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(finished.bids, tmp_path / "out", "--dry-run", "--json", "--target", "all") == 0
    said = json.loads(capsys.readouterr().out)
    assert set(said) == {"scanners", "scans", "pairs", "findings"}
    source, target = MODEL.removeprefix("from-").split("_to-")
    assert {pair["name"] for pair in said["pairs"]} == {MODEL, f"from-{target}_to-{source}"}
    roles = [scan["roles"] for scan in said["scans"] if scan["subject"] == APPLY_ONLY]
    assert roles
    assert all(role == ["to harmonize"] for role in roles)


# --- what a group validates ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def validated_group(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Root that a group run left, with some of the methods and a small sweep."""
    out = tmp_path_factory.mktemp("group")
    assert (
        run(phantom / "bids", out, "--methods", *COMPARED, "--resblocks", "0", level="group") == 0
    )
    return out / "derivatives/shresnet"


@pytest.fixture
def validated_copy(validated_group: Path, tmp_path: Path) -> Path:
    """Output folder of its own with all that the group run left."""
    shutil.copytree(validated_group, tmp_path / "validated/derivatives/shresnet")
    return tmp_path / "validated"


def held_out(root: Path) -> list[dict[str, str]]:
    return read_tsv(root / "models" / MODEL / "heldout.tsv")


def test_a_group_leaves_models_their_tables_a_report_with_figures_and_nothing_else(
    validated_group: Path,
) -> None:
    files = {
        name
        for name in digests(validated_group)
        if not name.startswith(("logs/", "prov/")) and "/." not in name
    }
    fold_files = {
        f"{name}-0{number}.safetensors" for name in ("fold", "novelty") for number in (1, 2, 3)
    }
    tables = {"model.json", "training.tsv", "heldout.tsv", "orientation.tsv", "resblocks.tsv"}
    tables |= {"agreement.tsv", "agreement.safetensors", "rish.tsv"}
    models = {f"models/{MODEL}/{name}" for name in fold_files | tables}
    figures = {name for name in files if name.startswith("figures/")}
    assert models | set(GROUP) <= files
    rest = {
        name for name in files - models - figures - set(GROUP) if not name.startswith("models/.")
    }
    assert rest == {
        "dataset_description.json",
        "descriptions.tsv",
        "descriptions.json",
        ".bidsignore",
        "README.md",
    }
    assert {name.rsplit(".", 1)[1] for name in figures} == {"png", "svg"}
    assert not (validated_group / ".work").exists()


@pytest.mark.skipif(not VALIDATOR.exists(), reason="bids-validator-deno is not installed")
def test_the_validator_finds_no_error_in_what_a_group_leaves(validated_group: Path) -> None:
    issues = validated(validated_group)["issues"]["issues"]
    assert [issue for issue in issues if issue["severity"] == "error"] == []


def test_validating_trains_the_same_networks(validated_group: Path, finished: Finished) -> None:
    for number in (1, 2, 3):
        for name in (f"fold-0{number}.safetensors", f"novelty-0{number}.safetensors"):
            assert hash_file(validated_group / "models" / MODEL / name) == hash_file(
                finished.root / "models" / MODEL / name
            )


def test_every_travelling_subject_is_evaluated_once_by_the_fold_that_held_it_out(
    validated_group: Path,
) -> None:
    rows = held_out(validated_group)
    folds = read_json(validated_group / "models" / MODEL / "model.json")["Folds"]
    assert {(row["subject"], row["fold"]) for row in rows} == {
        (subject, str(number)) for number, fold in enumerate(folds, 1) for subject in fold["Test"]
    }
    places = [(row["subject"], row["method"], row["tissue"], row["quantity"]) for row in rows]
    assert len(places) == len(set(places))
    methods = {row["method"] for row in rows}
    assert methods == {
        "no_harmonization",
        *COMPARED,
    }  # ComBat needs two subjects to learn from, and here is one


def test_three_subjects_cannot_validate_a_model_and_everything_says_so(
    validated_group: Path,
) -> None:
    validation = read_json(validated_group / "models" / MODEL / "model.json")["Validation"]
    assert validation["Subjects"] == 3
    answers = {name: found["Answer"] for name, found in validation["BetterThan"].items()}
    assert answers == dict.fromkeys(("no_harmonization", "linear_rish"), "not enough subjects")
    assert validation["BetterThan"]["no_harmonization"]["SmallestPossibleP"] == 0.25
    said = "It cannot be validated that harmonizing with"
    assert said in (latest(validated_group) / "run.log").read_text()
    assert said in (validated_group / "group.html").read_text()


def test_the_groups_table_is_that_of_its_models(validated_group: Path) -> None:
    rows = [{"pair": MODEL, **row} for row in held_out(validated_group)]
    assert read_tsv(validated_group / "group_harmonization.tsv") == rows


def test_a_second_group_run_does_nothing_heavy(
    finished: Finished,
    validated_copy: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = validated_copy / "derivatives/shresnet"
    before = {path: path.stat().st_mtime_ns for path in (root / "models").rglob("*.*")}
    tables = [hash_file(root / name) for name in GROUP[1:]]
    monkeypatch.setattr("bids_shresnet.runtime.workers.Workers.run", None)  # no job is needed
    assert run(finished.bids, validated_copy, "--methods", *COMPARED, level="group") == 0
    said = capsys.readouterr().err
    assert "trained before" in said
    assert "It cannot be validated" in said
    assert {path: path.stat().st_mtime_ns for path in (root / "models").rglob("*.*")} == before
    assert [hash_file(root / name) for name in GROUP[1:]] == tables


def test_a_cross_validation_that_was_interrupted_is_finished_with_the_same_result(
    finished: Finished,
    validated_group: Path,
    validated_copy: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A model without its validation is validated now, and not trained again."""
    model = validated_copy / "derivatives/shresnet/models" / MODEL
    card = read_json(model / "model.json")
    write_json(
        model / "model.json", {key: value for key, value in card.items() if key != "Validation"}
    )
    (model / "heldout.tsv").unlink()
    assert (
        run(
            finished.bids, validated_copy, "--methods", *COMPARED, "--resblocks", "0", level="group"
        )
        == 0
    )
    said = capsys.readouterr().err
    assert "is evaluated" in said
    assert "is trained" not in said
    assert results(validated_copy / "derivatives/shresnet") == results(validated_group)


def test_participant_repeats_the_validation_and_what_was_found_on_the_subject(
    finished: Finished, validated_copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(finished.bids, validated_copy, "--participant-label", "03", "04") == 0
    assert (
        "not validated to be better than no harmonization (not enough subjects"
        in capsys.readouterr().err
    )
    root = validated_copy / "derivatives/shresnet"
    images = {name: value for name, value in results(root).items() if name.endswith("_dwi.nii.gz")}
    assert images == {
        name: value for name, value in results(finished.root).items() if name in images
    }
    records = [
        read_json(next(root.rglob(f"sub-{name}*_desc-harmonized_dwi.json")))["Harmonization"]
        for name in ("03", "04")
    ]
    assert [
        record["Validation"]["BetterThan"]["no_harmonization"]["Answer"] for record in records
    ] == ["not enough subjects"] * 2
    expected = {
        (row["method"], f"{row['tissue']} {row['quantity']}"): float(row["nmse"])
        for row in held_out(root)
        if row["subject"] == "03" and row["method"] in ("no_harmonization", "shresnet")
    }
    found = {
        (method, place): errors["NMSE"]
        for method, places in records[0]["HeldOutErrors"].items()
        for place, errors in places.items()
    }
    assert found == expected
    assert "HeldOutErrors" not in records[1]


def test_what_is_not_validated_is_refused_where_validation_is_required(
    finished: Finished, copied: Path, validated_copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for out, reason in ((copied, "never cross-validated"), (validated_copy, "not enough subjects")):
        shutil.rmtree(out / "derivatives/shresnet/sub-01", ignore_errors=True)
        assert run(finished.bids, out, "--require-validation", "--participant-label", "01") == 65
        assert reason in capsys.readouterr().err
        assert not list((out / "derivatives/shresnet").glob("sub-01"))


def test_reports_are_written_again_from_what_is_there(
    finished: Finished, copied: Path, validated_copy: Path
) -> None:
    root = validated_copy / "derivatives/shresnet"
    before = {
        name: value
        for name, value in digests(root).items()
        if name.startswith(("group", "figures", "models"))
    }
    for name in (*GROUP, next(name for name in before if name.startswith("figures"))):
        (root / name).unlink()
    assert run(finished.bids, validated_copy, "--reports-only", level="group") == 0
    after = {
        name: value
        for name, value in digests(root).items()
        if name.startswith(("group", "figures", "models"))
    }
    assert {k: v for k, v in after.items() if k != "group.html"} == {
        k: v
        for k, v in before.items()
        if k != "group.html"  # it names the command
    }
    (card,) = (copied / "derivatives/shresnet/models").glob("*/model.json")
    shutil.rmtree(copied / "derivatives/shresnet/sub-01")
    for folder in (copied / "derivatives/shresnet").glob("sub-*/ses-*"):
        shutil.rmtree(folder)
    assert "Validation" not in read_json(card)
    assert run(finished.bids, copied, "--reports-only", level="group") == 18


def test_pages_of_subjects_are_written_again_from_what_is_there(
    finished: Finished, copied: Path
) -> None:
    root = copied / "derivatives/shresnet"
    before = {path.name: path.read_text(encoding="utf-8") for path in root.glob("sub-*.html")}
    for name in before:
        (root / name).unlink()
    assert run(finished.bids, copied, "--reports-only", "--participant-label", "02") == 0
    assert {path.name for path in root.glob("sub-*.html")} == {"sub-02.html"}
    assert run(finished.bids, copied, "--reports-only") == 0
    assert {
        path.name: path.read_text(encoding="utf-8") for path in root.glob("sub-*.html")
    } == before


def test_a_scan_that_fails_is_in_the_page_of_its_subject_with_its_traceback(
    finished: Finished, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = copied / "derivatives/shresnet"
    (root / "sub-02/ses-ge/dwi/sub-02_ses-ge_desc-harmonization_qc.json").unlink()

    def broken(job: object) -> bool:
        msg = "this scan is odd"
        raise ValueError(msg)

    monkeypatch.setattr("bids_shresnet.workflow.harmonize_scans.write_tensor_maps", broken)
    assert run(finished.bids, copied, "--participant-label", "02") == 1
    page = (root / "sub-02.html").read_text(encoding="utf-8")
    assert "ValueError: this scan is odd" in page
    assert "Traceback (most recent call last)" in page


def test_the_methods_text_says_what_was_done_and_cites_only_what_it_lists(
    finished: Finished, copied: Path
) -> None:
    logs = copied / "derivatives/shresnet/logs"
    first = (logs / "CITATION.md").read_text()
    for name in ("CITATION.md", "CITATION.bib"):
        (logs / name).unlink()
    assert run(finished.bids, copied, "--boilerplate-only") == 0
    assert (logs / "CITATION.md").read_text() == first
    for said in (
        "GE SIGNA EXCITE",
        "Siemens Prisma",
        "3 subjects",
        "2 epochs",
        "not cross-validated",
        "CC0",
        __version__,
    ):
        assert said in first
    listed = re.findall(r"@\w+\{(\w+),", (logs / "CITATION.bib").read_text())
    assert set(re.findall(r"(?<!\w)@(\w+)", first)) == set(listed)


def test_memory_and_device_are_checked_before_work(
    bids: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(bids, "--device", "cuda:99") == 64
    assert "torch" in capsys.readouterr().err
    assert refused(bids, "--mem", "much") == 64


# --- what cannot be done ----------------------------------------------------------------------------------------


@pytest.fixture
def bids(phantom: Path, tmp_path: Path) -> Path:
    """A copy of the dataset that a test may spoil."""
    return shutil.copytree(phantom / "bids", tmp_path / "bids")


def refused(bids: Path, *arguments: str, out: Path | None = None) -> int:
    """Exit code of a run that must not leave anything."""
    out = out or bids.parent / "out"
    code = run(bids, out, *arguments)
    assert not out.is_dir()
    return code


def test_all_that_is_wrong_is_named_at_once(bids: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (bids / "sub-01/ses-ge/dwi/sub-01_ses-ge_dwi.bvec").unlink()
    bval = bids / "sub-02/ses-prisma/dwi/sub-02_ses-prisma_dwi.bval"
    bval.write_text(bval.read_text().rstrip() + " 1000\n")
    assert refused(bids) == 65
    said = capsys.readouterr().err
    assert "sub-01_ses-ge_dwi" in said
    assert "sub-02_ses-prisma_dwi.bval" in said


def test_a_dataset_without_a_pair_is_refused(
    bids: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(bids / "sub-03/ses-prisma")
    assert refused(bids) == 65
    assert "no scanner shares 3 subjects" in capsys.readouterr().err


def test_a_participant_that_is_not_there_is_named(
    bids: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(bids, "--participant-label", "01", "99") == 66
    assert "--participant-label 99" in capsys.readouterr().err


def test_a_missing_dataset_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(tmp_path / "nowhere") == 66
    assert str(tmp_path / "nowhere") in capsys.readouterr().err


def test_models_that_are_not_there_are_named(
    bids: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(bids, "--models", str(bids)) == 66
    assert str(bids) in capsys.readouterr().err


def test_a_filter_that_leaves_no_scan_says_why(
    bids: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(bids, "--participant-label", "01", "--session-label", "prisma") == 18
    assert "already the target scanner" in capsys.readouterr().err


def test_an_output_below_a_file_cannot_be_created(
    bids: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert refused(bids, out=tmp_path / "file" / "out") == 73
    assert str(tmp_path / "file") in capsys.readouterr().err


def test_the_dataset_is_no_output_folder(bids: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = digests(bids)
    assert run(bids, bids) == 64
    assert "is the dataset itself" in capsys.readouterr().err
    assert digests(bids) == before
