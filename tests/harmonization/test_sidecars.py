from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bids_shresnet.harmonization.sidecars import predicted_shells
from bids_shresnet.io.storage import write_tsv
from bids_shresnet.outputs.json_records import to_json
from bids_shresnet.outputs.model.card import MissingShellRecord
from bids_shresnet.outputs.model.folder import Model
from bids_shresnet.outputs.model.validation import (
    BaselineAnswer,
    Coverage,
    Uncertainty,
    Validation,
)
from bids_shresnet.scans import Scan
from tests.datasets import write_tree
from tests.harmonization.harmonizing import (
    harmonization_record,
    make_model,
    write_job,
)
from tests.models import constant_model, directions

COVERAGE = Coverage(
    "WM", "FA", 3, 1.5, coverage_factor_95=1.96, within_68=0.7, within_95=0.95, rank_correlation=0.1
)


def test_the_sidecar_names_the_network_and_whether_the_subject_was_trained_on(
    scans: dict[str, Scan], model: Model, tmp_path: Path
) -> None:
    records = {}
    for subject in ("02", "04"):
        job = write_job(scans[subject], model, tmp_path / "out")
        records[subject] = harmonization_record(job)
    assert records["02"]["Network"] == "fold-02.safetensors"
    assert records["04"]["Network"] == "fold-all.safetensors"
    assert records["02"]["SubjectInTraining"]
    assert not records["04"]["SubjectInTraining"]
    assert {record["ModelSHA256"] for record in records.values()} == {model.digest}


def test_the_sidecar_repeats_the_method_and_its_validation(
    scans: dict[str, Scan], tmp_path: Path
) -> None:
    answer = BaselineAnswer(answer="no", largest_p=0.5, smallest_possible_p=0.25)
    calibration = Uncertainty((COVERAGE,))
    validation = Validation(
        method="shresnet",
        subjects=3,
        better_than={"no_harmonization": answer},
        uncertainty=calibration,
    )
    model = make_model(tmp_path / "model", scans["01"], validation=validation)
    record = harmonization_record(write_job(scans["04"], model, tmp_path / "out"))
    assert record["Method"] == "shresnet"
    assert record["MethodName"] == "SHResNet"
    assert record["Validation"] == to_json(replace(validation, uncertainty=None))


def test_the_sidecar_of_a_travelling_subject_has_its_held_out_errors(
    scans: dict[str, Scan], model: Model, tmp_path: Path
) -> None:
    row = {"subject": "01", "tissue": "WM", "quantity": "FA", "places": "all"}
    rows = [
        {**row, "method": method, "nmse": 0.5, "bias": 0.25}
        for method in ("no_harmonization", "shresnet", "golkov")
    ]
    write_tsv(model.folder / "heldout.tsv", rows)
    travelling = harmonization_record(write_job(scans["01"], model, tmp_path / "out"))
    other = harmonization_record(write_job(scans["04"], model, tmp_path / "out"))
    errors = {"WhiteMatterFA": {"NMSE": 0.5, "Bias": 0.25}}
    assert travelling["HeldOutErrors"] == {"no_harmonization": errors, "shresnet": errors}
    assert "HeldOutErrors" not in other


def test_volumes_of_predicted_shells_follow_each_other(tmp_path: Path) -> None:
    model = constant_model(tmp_path / "model", write_tree(tmp_path / "bids", {}), missing=0.2)
    shells = (
        MissingShellRecord(2000.0, 2, directions(7)),
        MissingShellRecord(3000.0, 4, directions(16)),
    )
    model = replace(model, card=replace(model.card, missing_shells=shells))
    records = predicted_shells(model, 10)
    assert [record["BValue"] for record in records] == [2000, 3000]
    assert [record["Volumes"] for record in records] == [[*range(10, 17)], [*range(17, 33)]]
