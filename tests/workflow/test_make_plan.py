from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bids_shresnet.cli.app import main
from bids_shresnet.outputs.layout import output_root
from bids_shresnet.outputs.model.folder import models_folder
from bids_shresnet.outputs.model.validation import Validation
from bids_shresnet.workflow.make_plan import inspect_dataset
from tests.configs import make_config
from tests.datasets import write_tree
from tests.inventories import GE_LABEL, PRISMA_LABEL, write_heads
from tests.models import change_card, constant_model

IMAGE = "sub-01/ses-siemens/dwi/sub-01_ses-siemens_dwi.nii.gz"
FLAGS = ("--participant-label", "04", "--target", "Prisma", "--nprocs", "1")


@pytest.fixture
def bids(tmp_path: Path) -> Path:
    """Three travelling subjects and one of the source, without the content of a target's scan."""
    root = write_heads(tmp_path / "bids", ["01", "02", "03"], ["04"])
    (root / IMAGE).unlink()
    return write_tree(root, {IMAGE: None})


def write_model(bids: Path, out: Path) -> Any:
    folder = models_folder(output_root(out)) / f"from-{GE_LABEL}_to-{PRISMA_LABEL}"
    return constant_model(folder, bids, source=GE_LABEL, target=PRISMA_LABEL)


def severity_of_image(bids: Path, out: Path, level: str = "participant", **flags: Any) -> str:
    """Severity of the finding about the image that is not here."""
    asked = {"participant_label": ("04",)} if level == "participant" else {}
    config = make_config(bids, out, level, target="Prisma", **asked, **flags)
    plan = inspect_dataset(config, (), output_root(out))
    (finding,) = [item for item in plan.findings if item.file == str(bids / IMAGE)]
    return finding.severity


def test_travelling_scans_are_demanded_until_their_model_is_finished(
    bids: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert severity_of_image(bids, out) == "error"
    model = write_model(bids, out)
    assert severity_of_image(bids, out) == "note"
    assert severity_of_image(bids, out, retrain=True) == "error"
    assert severity_of_image(bids, out, "group") == "error"
    assert severity_of_image(bids, out, "group", validation=False) == "note"
    change_card(model, validation=Validation(method="shresnet", subjects=3, better_than={}))
    assert severity_of_image(bids, out, "group") == "note"
    assert severity_of_image(bids, out, "group", stage="prepare") == "error"


@pytest.mark.parametrize("session", [(), ("--session-label", "ge")], ids=["all", "source"])
@pytest.mark.parametrize("has_model", [False, True])
def test_a_dry_run_for_one_subject_opens_no_image_of_another(
    bids: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    has_model: bool,
    session: tuple[str, ...],
) -> None:
    if has_model:
        write_model(bids, tmp_path / "out")
    command = [str(bids), str(tmp_path / "out"), "participant", "--dry-run", *FLAGS]
    assert main([*command, *session]) == 0
    assert "sub-04_ses-ge" in capsys.readouterr().out


def test_a_dry_run_demands_nothing_that_a_finished_model_was_trained_on(
    bids: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [str(bids), str(tmp_path / "out"), "participant", "--dry-run", "--target", "Prisma"]
    sources = ("--session-label", "ge", "--nprocs", "1")
    assert main([*command, *sources]) == 65
    write_model(bids, tmp_path / "out")
    assert main([*command, *sources]) == 0
    assert "Nothing reads it" in capsys.readouterr().out
