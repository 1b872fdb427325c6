from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from bids_shresnet.errors import BadInput, InputMissing
from bids_shresnet.io.storage import hash_file, write_tsv
from bids_shresnet.outputs.model_card import Validation
from bids_shresnet.outputs.model_folder import (
    EndpointError,
    find_models,
    read_dataset_record,
    read_model,
)
from bids_shresnet.scans import Shell
from tests.datasets import DESCRIPTION, spiral, write_tree
from tests.models import SUBJECTS, change_card, constant_model


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "bids", {})


@pytest.fixture
def folder(dataset: Path, tmp_path: Path) -> Path:
    constant_model(tmp_path / "models" / "from-GE_to-Prisma", dataset, target_bvalue=1200.0)
    return tmp_path / "models" / "from-GE_to-Prisma"


def test_a_model_says_what_it_turns_into_what(folder: Path) -> None:
    model = read_model(folder)
    assert (model.name, model.source, model.target) == ("from-GE_to-Prisma", "GE", "Prisma")
    assert model.source_shells == (Shell(1000.0, 2),)
    assert model.target_bvalues == (1200.0,)
    np.testing.assert_allclose(model.target_directions[0], spiral(8))
    assert model.digest == hash_file(folder / "model.json")


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_travelling_subject_gets_only_folds_that_held_it_out(folder: Path, subject: str) -> None:
    folds = read_model(folder).folds_for(subject)
    assert len(folds) == 1
    assert all(subject not in (*fold.training, *fold.validation) for fold in folds)


@pytest.mark.parametrize("subject", ["04", None])
def test_anybody_else_gets_all_folds(folder: Path, subject: str | None) -> None:
    assert [fold.weights.file for fold in read_model(folder).folds_for(subject)] == [
        f"fold-0{number}.safetensors" for number in (1, 2, 3)
    ]


def test_a_subject_travels_by_its_dataset_not_by_its_label_alone(
    folder: Path, dataset: Path, tmp_path: Path
) -> None:
    model, other = (
        read_model(folder),
        write_tree(tmp_path / "other", {"dataset_description.json": DESCRIPTION | {"Name": "b"}}),
    )
    copy = shutil.copytree(dataset, tmp_path / "moved")
    assert model.is_travelling_subject("01", dataset)
    assert model.is_travelling_subject("01", copy)
    assert not model.is_travelling_subject("04", dataset)
    assert not model.is_travelling_subject("01", other)
    assert read_dataset_record(other) != read_dataset_record(dataset)


@pytest.mark.parametrize("damage", ["changed", "missing", "swapped"])
def test_networks_other_than_the_card_names_are_refused_by_file(folder: Path, damage: str) -> None:
    first, second = (folder / f"fold-0{number}.safetensors" for number in (1, 2))
    content = bytearray(first.read_bytes())
    if damage == "changed":
        content[-1] ^= 1
        first.write_bytes(content)
    elif damage == "missing":
        first.unlink()
    else:
        first.write_bytes(second.read_bytes())
        second.write_bytes(content)
    with pytest.raises(BadInput) as caught:
        read_model(folder)
    bad = [first, second] if damage == "swapped" else [first]
    assert [finding.file for finding in caught.value.findings] == [str(path) for path in bad]


def test_a_guard_other_than_the_card_names_is_refused_too(folder: Path) -> None:
    guard = folder / "novelty-02.safetensors"
    guard.write_bytes(guard.read_bytes() + b"\0")
    with pytest.raises(BadInput) as caught:
        read_model(folder)
    assert [finding.file for finding in caught.value.findings] == [str(guard)]


def test_a_model_has_its_validation_result_if_there_is_one(folder: Path) -> None:
    model = read_model(folder)
    assert model.card.validation is None
    validation = Validation(method="shresnet", subjects=3, better_than={})
    assert change_card(model, validation=validation).card.validation == validation


def test_errors_of_a_held_out_subject_are_read_from_the_models_table(folder: Path) -> None:
    assert read_model(folder).held_out_errors("01") == {}
    names = ("subject", "fold", "method", "tissue", "quantity", "nmse", "bias")
    rows = [
        ("01", 1, "no_harmonization", "WM", "FA", 0.25, -0.5),
        ("01", 1, "shresnet", "WM", "FA", 0.125, 0.0),
        ("01", 1, "shresnet", "GM", "MD", 0.5, 0.25),
        ("02", 2, "shresnet", "WM", "FA", 9.0, 9.0),
    ]
    write_tsv(folder / "heldout.tsv", [dict(zip(names, row, strict=True)) for row in rows])
    assert read_model(folder).held_out_errors("01") == {
        "no_harmonization": {"WM FA": EndpointError(nmse=0.25, bias=-0.5)},
        "shresnet": {
            "WM FA": EndpointError(nmse=0.125, bias=0.0),
            "GM MD": EndpointError(nmse=0.5, bias=0.25),
        },
    }


def test_a_folder_without_a_card_is_no_model(folder: Path) -> None:
    (folder / "model.json").unlink()
    for reader, place in (
        (read_model, folder),
        (find_models, folder),
        (find_models, folder.parent),
    ):
        with pytest.raises(InputMissing, match=str(place)):
            reader(place)


def test_models_are_found_by_their_folder_or_by_the_one_around_them(
    folder: Path, dataset: Path
) -> None:
    constant_model(folder.parent / "from-Achieva_to-Prisma", dataset, source="Achieva")
    assert [model.source for model in find_models(folder)] == ["GE"]
    assert [model.source for model in find_models(folder.parent)] == ["Achieva", "GE"]


def test_the_digest_changes_with_the_card(folder: Path) -> None:
    model = read_model(folder)
    assert change_card(model, seed=1).digest != model.digest
