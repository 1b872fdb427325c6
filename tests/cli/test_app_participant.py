"""The output of `participant`: its files, images and records."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from bids.layout import BIDSLayout

from bids_shresnet.io.storage import read_json, read_tsv
from tests.cli.phantom_runs import (
    APPLY_ONLY,
    MODEL,
    SUBJECTS,
    TRAVELLING,
    VALIDATOR,
    HarmonizedDataset,
    digests,
    latest_run,
    load_image,
    read_harmonization,
    validator_report,
)

IMAGE = (".nii.gz", ".json")
REGION_TABLES = tuple(product(("input", "harmonized", "harmonizedDenoised"), (".tsv", ".json")))
OUTPUTS = (  # of every source scan
    *(f"desc-harmonized_dwi{extension}" for extension in (".nii.gz", ".bval", ".bvec", ".json")),
    *(f"desc-brain_mask{extension}" for extension in IMAGE),
    *(f"desc-harmonization_qc{extension}" for extension in (".tsv", ".json")),
    *(f"desc-novelty_dwimap{extension}" for extension in IMAGE),
    *(f"desc-tissue_dseg{extension}" for extension in (*IMAGE, ".tsv")),
    *(f"seg-tissue_desc-{desc}_scalarstats{extension}" for desc, extension in REGION_TABLES),
    *(f"model-tensor_param-fa_desc-input_dwimap{extension}" for extension in IMAGE),
    *(f"model-tensor_param-md_desc-input_dwimap{extension}" for extension in IMAGE),
    *(f"model-tensor_param-fa_desc-harmonized_dwimap{extension}" for extension in IMAGE),
    *(f"model-tensor_param-md_desc-harmonized_dwimap{extension}" for extension in IMAGE),
    *(f"model-tensor_param-fa_desc-harmonizedDenoised_dwimap{extension}" for extension in IMAGE),
    *(f"model-tensor_param-md_desc-harmonizedDenoised_dwimap{extension}" for extension in IMAGE),
)
TARGET_OUTPUTS = tuple(  # of every target scan
    name
    for name in OUTPUTS
    if not name.startswith(("desc-harmonized_dwi", "desc-novelty"))
    and "desc-harmonized_" not in name
)
UNCERTAINTIES = ("", "model-tensor_param-fa_", "model-tensor_param-md_")  # of S/S0, FA and MD
FIGURES = (  # of every source scan
    *(f"{name}Input" for name in ("b0", "fa", "md", "dwi", "colourFa")),
    *(f"{name}Harmonized" for name in ("fa", "md", "dwi", "colourFa")),
    *("faHarmonizedMinusInput", "mdHarmonizedMinusInput", "angle", "power", "novelty"),
)
PLOTS = ("jointFa", "jointMd", "differenceFa", "differenceMd")
TARGET_FIGURES = (  # of travelling subjects
    *("b0Target", "faTarget", "mdTarget", "dwiTarget", "colourFaTarget", *PLOTS),
    *(
        "faInputMinusTarget",
        "mdInputMinusTarget",
        "faHarmonizedMinusTarget",
        "mdHarmonizedMinusTarget",
    ),
)


def test_a_run_succeeds(harmonized: HarmonizedDataset) -> None:
    assert harmonized.code == 0


def test_a_run_that_trains_and_harmonizes_reaches_no_network(harmonized: HarmonizedDataset) -> None:
    assert harmonized.network_events == ()


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_scan_has_all_outputs_and_no_others(harmonized: HarmonizedDataset, subject: str) -> None:
    uncertainties = product(UNCERTAINTIES, IMAGE)
    uncertainty = [f"{name}desc-uncertainty_dwimap{extension}" for name, extension in uncertainties]
    names = (*OUTPUTS, *uncertainty)
    folder = harmonized.root / f"sub-{subject}"
    files = {path for path in folder.rglob("*.*") if "figures" not in path.parts}
    expected = {harmonized.output(subject, name) for name in names}
    if subject in TRAVELLING:
        target = f"sub-{subject}/ses-prisma/dwi/sub-{subject}_ses-prisma_"
        expected |= {harmonized.root / f"{target}{name}" for name in TARGET_OUTPUTS}
    assert files == expected


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_scan_has_all_figures_and_no_others(harmonized: HarmonizedDataset, subject: str) -> None:
    is_travelling = subject != APPLY_ONLY
    pictures = (*FIGURES, "uncertainty", *(TARGET_FIGURES if is_travelling else ()))
    drawings = ("power", *(PLOTS if is_travelling else ()))
    files = {f"{name}_dwi.png" for name in pictures} | {f"{name}_dwi.svg" for name in drawings}
    folder = harmonized.root / f"sub-{subject}/figures"
    stem = f"sub-{subject}_ses-ge_desc-"
    names = {path.name.removeprefix(stem) for path in folder.iterdir()}
    assert names == files | {"figures_dwi.json"}


def test_the_root_has_the_model_the_pages_and_the_records(harmonized: HarmonizedDataset) -> None:
    pages = {path.name for path in harmonized.root.glob("*.html")}
    assert pages == {"index.html", *(f"sub-{subject}.html" for subject in SUBJECTS)}
    assert {path.name for path in harmonized.root.glob("group*")} == {
        *("group_qc.tsv", "group_qc.json"),
        *("group_scalars.tsv", "group_scalars.json"),
    }
    files = (harmonized.root / "models" / MODEL).iterdir()
    assert {path.name for path in files if path.suffix != ".lock"} == {
        *("model.json", "target_denoiser.safetensors"),
        *("training.tsv", "training.json", "registration.tsv", "registration.json"),
        *(f"fold-{label}.safetensors" for label in ("01", "02", "03", "all")),
        *(f"novelty-{label}.safetensors" for label in ("01", "02", "03", "all")),
    }
    for name in ("dataset_description.json", ".bidsignore", "descriptions.tsv", "logs", "prov"):
        assert (harmonized.root / name).exists()


def test_no_intermediate_file_is_left(harmonized: HarmonizedDataset) -> None:
    hidden = {path.name for path in harmonized.root.rglob(".*") if path.suffix != ".lock"}
    assert hidden == {".bidsignore"}


def test_the_input_is_unchanged(harmonized: HarmonizedDataset) -> None:
    assert digests(harmonized.bids) == harmonized.input_before


@pytest.mark.parametrize("subject", SUBJECTS)
def test_grid_table_and_b0_volumes_are_the_inputs(
    harmonized: HarmonizedDataset, subject: str
) -> None:
    before = load_image(harmonized.source(subject))
    after = load_image(harmonized.output(subject))
    np.testing.assert_array_equal(after.affine, before.affine)
    assert after.shape == before.shape
    for extension in (".bval", ".bvec"):
        measured = np.loadtxt(harmonized.source(subject, extension))
        written = np.loadtxt(harmonized.output(subject, f"desc-harmonized_dwi{extension}"))
        np.testing.assert_allclose(written, measured, atol=1e-5)
    b0s = np.loadtxt(harmonized.source(subject, ".bval")) < 50
    np.testing.assert_array_equal(after.get_fdata()[..., b0s], before.get_fdata()[..., b0s])
    assert not np.array_equal(after.get_fdata()[..., ~b0s], before.get_fdata()[..., ~b0s])


@pytest.mark.parametrize("subject", SUBJECTS)
def test_every_value_is_finite_and_not_negative(
    harmonized: HarmonizedDataset, subject: str
) -> None:
    for name in OUTPUTS:
        if name.endswith(".nii.gz"):
            data = load_image(harmonized.output(subject, name)).get_fdata()
            assert np.isfinite(data).all()
            assert data.min() >= 0


@pytest.mark.parametrize("subject", TRAVELLING)
def test_a_travelling_subject_is_harmonized_by_a_fold_that_held_it_out(
    harmonized: HarmonizedDataset, subject: str
) -> None:
    record = read_harmonization(harmonized.output(subject, "desc-harmonized_dwi.json"))
    card = read_json(harmonized.root / "models" / MODEL / "model.json")
    folds = {fold["Weights"]["File"]: fold for fold in card["Folds"]}
    assert record["SubjectInTraining"]
    fold = folds[record["Network"]]
    assert subject not in (*fold["Training"], *fold["Validation"])
    assert subject in fold["Test"]


def test_a_subject_that_did_not_travel_is_harmonized_by_the_fit_to_all(
    harmonized: HarmonizedDataset,
) -> None:
    record = read_harmonization(harmonized.output(APPLY_ONLY, "desc-harmonized_dwi.json"))
    assert not record["SubjectInTraining"]
    assert record["Network"] == "fold-all.safetensors"


def test_the_table_of_the_run_names_every_scan_of_the_input(harmonized: HarmonizedDataset) -> None:
    sources = {f"sub-{subject}_ses-ge_dwi.nii.gz" for subject in SUBJECTS}
    targets = {f"sub-{subject}_ses-prisma_dwi.nii.gz" for subject in TRAVELLING}
    rows = read_tsv(latest_run(harmonized.root) / "status.tsv")
    assert {row["status"] for row in rows} == {"done"}
    roles = {row["file"]: row["role"] for row in rows}
    assert roles == dict.fromkeys(sources, "harmonized") | dict.fromkeys(targets, "target")


def test_the_analysis_set_has_harmonized_scans_and_those_of_the_target(
    harmonized: HarmonizedDataset,
) -> None:
    rows = read_tsv(harmonized.root / "group_qc.tsv")
    files = [row["file"] for row in rows]
    worked_on = read_tsv(latest_run(harmonized.root) / "status.tsv")
    assert files == sorted(row["file"] for row in worked_on)
    for row in rows:
        assert row["role"] == ("harmonized" if "ses-ge" in row["file"] else "target")
        assert 0 < float(row["gm_fa_denoised"]) < 1
        assert 0 < float(row["wm_md"]) < 3e-3


def test_pybids_finds_the_harmonized_dwi_with_their_tables(harmonized: HarmonizedDataset) -> None:
    layout = BIDSLayout(harmonized.root, validate=False, is_derivative=True)
    files = layout.get(suffix="dwi", desc="harmonized", extension=".nii.gz")
    assert [file.entities["subject"] for file in files] == list(SUBJECTS)
    for file in files:
        volume_count = file.get_image().shape[3]
        assert file.entities["session"] == "ge"
        assert np.loadtxt(layout.get_bval(file.path)).shape == (volume_count,)
        assert np.loadtxt(layout.get_bvec(file.path)).shape == (3, volume_count)
        assert file.get_metadata()["Harmonization"]["Model"] == MODEL


@pytest.mark.skipif(not VALIDATOR.exists(), reason="bids-validator-deno is not installed")
def test_the_validator_finds_no_error_in_the_output(harmonized: HarmonizedDataset) -> None:
    report = validator_report(harmonized.root)
    assert [issue for issue in report["issues"]["issues"] if issue["severity"] == "error"] == []
    assert sorted(report["summary"]["subjects"]) == list(SUBJECTS)


def test_the_log_of_a_run_is_complete_and_ends_with_one_line_per_subject(
    harmonized: HarmonizedDataset,
) -> None:
    log = (latest_run(harmonized.root) / "run.log").read_text()
    assert "scans before any work" in log  # logged before the file existed
    assert "DEBUG bids_shresnet.training.train_fold: shresnet fold 3, epoch 1:" in log
    for subject in SUBJECTS:
        (line,) = [line for line in log.splitlines() if f": sub-{subject}: " in line]
        assert f"sub-{subject}_ses-ge_dwi.nii.gz done" in line
        assert ("prisma_dwi.nii.gz done" in line) == (subject in TRAVELLING)


def test_a_model_that_was_never_cross_validated_causes_a_warning(
    harmonized: HarmonizedDataset,
) -> None:
    log = (latest_run(harmonized.root) / "run.log").read_text()
    assert f"{MODEL}: it was never cross-validated" in log
    record = read_harmonization(harmonized.output("01", "desc-harmonized_dwi.json"))
    assert record["Validation"] == {}
