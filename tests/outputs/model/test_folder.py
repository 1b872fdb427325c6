from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bids_shresnet.errors import BadInput, InputMissing
from bids_shresnet.io.storage import hash_file, write_tsv
from bids_shresnet.outputs.model.card import DatasetRecord
from bids_shresnet.outputs.model.endpoint_errors import EndpointError
from bids_shresnet.outputs.model.folder import (
    find_models,
    has_model,
    read_dataset_record,
    read_model,
)
from bids_shresnet.outputs.model.validation import Validation
from bids_shresnet.scans import Shell
from tests.datasets import DESCRIPTION, spiral, write_tree
from tests.models import SUBJECTS, change_card, constant_model

HELD_OUT_COLUMNS = ("subject", "fold", "method", "tissue", "quantity", "places", "nmse", "bias")


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "bids", {})


@pytest.fixture
def folder(dataset: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "models" / "from-GE_to-Prisma"
    constant_model(folder, dataset, target_bvalue=1200.0)
    return folder


def test_a_model_describes_its_scanners_and_shells(folder: Path) -> None:
    model = read_model(folder)
    assert (model.name, model.source, model.target) == ("from-GE_to-Prisma", "GE", "Prisma")
    assert model.source_shells == (Shell(1000.0, 2, 8),)
    assert model.target_bvalues == (1200.0,)
    np.testing.assert_allclose(model.target_directions[0], spiral(8))
    assert model.digest == hash_file(folder / "model.json")


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_travelling_subject_gets_the_fold_that_held_it_out(folder: Path, subject: str) -> None:
    fit = read_model(folder).fit_for(subject)
    assert fit.test == (subject,)
    assert subject not in (*fit.training, *fit.validation)


@pytest.mark.parametrize("subject", ["04", None])
def test_every_other_subject_gets_the_fit_to_all(folder: Path, subject: str | None) -> None:
    fit = read_model(folder).fit_for(subject)
    assert fit.weights.file == "fold-all.safetensors"
    assert fit.training == SUBJECTS


@pytest.mark.parametrize(
    ("changes", "is_known"),
    [({}, True), ({"License": "CC0"}, True), ({"Name": "b"}, False)],
    ids=["moved", "edited", "other"],
)
def test_a_travelling_subject_is_recognized_by_its_label_and_the_name_of_the_dataset(
    folder: Path, tmp_path: Path, changes: dict[str, str], is_known: bool
) -> None:
    model = read_model(folder)
    description = {"dataset_description.json": DESCRIPTION | changes}
    record = read_dataset_record(write_tree(tmp_path / "again", description))
    assert model.is_travelling_subject("01", record, tmp_path / "out") == is_known
    assert not model.is_travelling_subject("04", record, tmp_path / "out")


def test_a_travelling_subject_of_this_output_stays_one_if_the_dataset_is_renamed(
    folder: Path, tmp_path: Path
) -> None:
    renamed = DatasetRecord(name="renamed", sha256="")
    model = read_model(folder)
    assert model.is_travelling_subject("01", renamed, tmp_path)
    assert not model.is_travelling_subject("01", renamed, tmp_path / "out")


def change_last_byte(file: Path, _: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def remove(file: Path, _: Path) -> None:
    file.unlink()


def replace_by(file: Path, other: Path) -> None:
    shutil.copy(other, file)


@pytest.mark.parametrize("damage", [change_last_byte, remove, replace_by])
@pytest.mark.parametrize("name", ["fold-01.safetensors", "novelty-02.safetensors"])
def test_a_file_that_is_not_the_one_of_the_card_is_named(
    folder: Path, name: str, damage: Callable[[Path, Path], None]
) -> None:
    damage(folder / name, folder / "fold-03.safetensors")
    with pytest.raises(BadInput) as caught:
        read_model(folder)
    assert [finding.file for finding in caught.value.findings] == [str(folder / name)]


def test_a_model_has_its_validation_result_if_there_is_one(folder: Path) -> None:
    model = read_model(folder)
    assert model.card.validation is None
    validation = Validation(method="shresnet", subjects=3, better_than={})
    assert change_card(model, validation=validation).card.validation == validation


def test_errors_of_a_held_out_subject_are_read_from_the_models_table(folder: Path) -> None:
    rows = [
        ("01", 1, "no_harmonization", "WM", "FA", "all", 0.25, -0.5),
        ("01", 1, "shresnet", "WM", "FA", "all", 0.125, 0.0),
        ("01", 1, "shresnet", "WM", "FA", "interior", 9.0, 9.0),
        ("01", 1, "shresnet", "GM", "MD", "all", 0.5, 0.25),
        ("02", 2, "shresnet", "WM", "FA", "all", 9.0, 9.0),
    ]
    table = [dict(zip(HELD_OUT_COLUMNS, row, strict=True)) for row in rows]
    write_tsv(folder / "heldout.tsv", table)
    errors = read_model(folder).held_out_errors("01")
    assert errors["no_harmonization"] == {"WhiteMatterFA": EndpointError(nmse=0.25, bias=-0.5)}
    assert errors["shresnet"] == {
        "WhiteMatterFA": EndpointError(nmse=0.125, bias=0.0),
        "GreyMatterMD": EndpointError(nmse=0.5, bias=0.25),
    }


def test_without_a_table_there_are_no_held_out_errors(folder: Path) -> None:
    assert read_model(folder).held_out_errors("01") == {}


def test_a_folder_without_a_card_is_no_model(folder: Path) -> None:
    assert has_model(folder)
    (folder / "model.json").unlink()
    assert not has_model(folder)
    with pytest.raises(InputMissing, match=str(folder)):
        read_model(folder)
    for searched in (folder, folder.parent):
        with pytest.raises(InputMissing, match=str(searched)):
            find_models(searched)


def test_models_are_found_by_their_folder_or_its_parent(folder: Path, dataset: Path) -> None:
    constant_model(folder.parent / "from-Achieva_to-Prisma", dataset, source="Achieva")
    assert [model.source for model in find_models(folder)] == ["GE"]
    assert [model.source for model in find_models(folder.parent)] == ["Achieva", "GE"]


def test_the_digest_changes_with_the_card(folder: Path) -> None:
    model = read_model(folder)
    assert change_card(model, seed=1).digest != model.digest
