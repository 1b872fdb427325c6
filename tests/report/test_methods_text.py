from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from bids_shresnet.io.storage import write_json, write_tsv
from bids_shresnet.outputs.model_folder import HELD_OUT_TSV, Model, read_model
from bids_shresnet.report.methods_text import (
    CITATION_PATTERN,
    compose_methods_text,
    select_references,
)
from bids_shresnet.settings import PAPER_NETWORK, PAPER_TRAINING, NetworkConfig, TrainingConfig
from bids_shresnet.version import __version__
from tests.models import SUBJECTS, constant_model

NUMBER = re.compile(
    r"(?<![\w.@-])\d+(?:\.\d+)*(?:e-\d+)?"
)  # p-values and versions too; not those inside of a word
SOFTWARE = {
    "python": "3.11.7",
    "numpy": "2.3.5",
    "scipy": "1.15.3",
    "nibabel": "5.4.2",
    "dipy": "1.12.1",
    "pybids": "0.22.0",
    "antspyx": "0.6.3",
    "torch": "2.13.0",
}
ANSWER = {"Answer": "yes", "LargestP": 0.0123, "SmallestPossibleP": 0.00195}
METHODS = {"nothing": 0.0414, "shresnet": 0.0228}


@pytest.fixture
def model(tmp_path: Path) -> Model:
    """A model whose card is full and whose numbers all differ."""
    dataset = tmp_path / "bids"
    dataset.mkdir()
    write_json(dataset / "dataset_description.json", {"Name": "x"})
    made = constant_model(tmp_path / "model", dataset, target_bvalue=1234.0, missing=0.2)
    rows = [
        {
            "subject": subject,
            "fold": n,
            "method": method,
            "tissue": tissue,
            "quantity": quantity,
            "bias": 0.0,
        }
        | {"nmse": error * (1 + n / 7) * (1 + i / 13)}
        for n, subject in enumerate(SUBJECTS, 1)
        for method, error in METHODS.items()
        for i, (tissue, quantity) in enumerate(product(("WM", "GM"), ("signal", "FA", "MD")))
    ]
    write_tsv(made.folder / HELD_OUT_TSV, rows)
    for fold in made.card["Folds"]:
        fold["ValidationLoss"] = 0.1
    more = {
        "SourceScanner": {"Label": "A", "Manufacturer": "GE", "ManufacturersModelName": "SIGNA"},
        "TargetScanner": {
            "Label": "B",
            "Manufacturer": "Siemens",
            "ManufacturersModelName": "Prisma",
        },
        "SHSmoothing": 0.006,
        "Network": asdict(NetworkConfig(resblocks=5)),
        "Harmonizer": {"architecture": {"hidden": 17}},
        "Training": asdict(
            TrainingConfig(max_epochs=11, voxels_per_epoch=70123, adam_batch=77, stop_patience=9)
        ),
        "Seed": 2019,
        "Software": SOFTWARE,
        "Proof": {
            "Method": "shresnet",
            "Subjects": 3,
            "BetterThan": {"nothing": ANSWER, "linear_rish": ANSWER},
        },
    }
    return changed(made, **more)


def changed(model: Model, **more: Any) -> Model:
    write_json(model.folder / "model.json", {**model.card, **more})
    return read_model(model.folder)


def leaves(value: Any) -> Iterator[Any]:
    """All values of a record, and how many there are in each list."""
    if isinstance(value, Mapping):
        yield len(value)
        for part in value.values():
            yield from leaves(part)
    elif isinstance(value, list):
        yield len(value)
        for part in value:
            yield from leaves(part)
    else:
        yield value


def written(value: Any) -> set[str]:
    return {f"{value:g}", f"{value:.3g}"} if isinstance(value, float) else {str(value)}


def numbers_of(model: Model) -> set[str]:
    """Every number of the card and the mean errors of its table, in the forms that a text may give them."""
    known = {form for leaf in leaves(json.loads(json.dumps(model.card))) for form in written(leaf)}
    errors = [model.held_out_errors(subject) for subject in SUBJECTS]
    for method, place in product(METHODS, errors[0]["nothing"] if errors[0] else ()):
        known |= written(sum(one[method][place]["NMSE"] for one in errors) / len(errors))
    return known | {__version__}


@pytest.mark.parametrize("kind", ["default", "paper", "linear", "unproven"])
def test_each_number_of_the_text_is_one_of_the_model(model: Model, kind: str) -> None:
    if kind == "paper":
        model = changed(
            model,
            Network=asdict(PAPER_NETWORK),
            Training=asdict(PAPER_TRAINING),
            Method="shresnet_projected",
        )
    if kind == "linear":
        folds = [
            {key: value for key, value in fold.items() if key != "ValidationLoss"}
            for fold in model.card["Folds"]
        ]
        model = changed(model, FittedAs="patch_linear", MethodName="linear on patches", Folds=folds)
    if kind == "unproven":
        (model.folder / HELD_OUT_TSV).unlink()
        model = changed(model, Proof={})
    said = NUMBER.findall(
        compose_methods_text([model], [])
        .partition("# Methods")[2]
        .replace("b = 0 image", "S0 image")
    )
    assert set(said) <= numbers_of(model)
    assert len(said) > 15


def test_what_a_reviewer_asks_is_answered(model: Model) -> None:
    text = compose_methods_text([model], [{"Name": "QSIPrep", "Version": "1.0.1"}])
    for said in (
        *(
            "QSIPrep 1.0.1",
            "GE SIGNA (A) to Siemens Prisma (B)",
            "3 subjects scanned on both",
            "b = 1000 s/mm2",
        ),
        *(
            "1234 s/mm2 with 8 directions",
            "order 2",
            "5 ResBlocks",
            "17 channels",
            "70123 voxels",
            "batches of 77",
        ),
        *(
            "at most 11 epochs",
            "fitted 3 times",
            "learned from 1, chose its epoch by 1 and was tested on 1",
            "seed 2019",
        ),
        *(
            "b = 2500 s/mm2, which the source lacks",
            "was proven (largest p = 0.0123",
            "linear RISH",
            "PyTorch 2.13.0",
        ),
        "0.0532 to 0.0293 (signal, WM)",
    ):
        assert said in text


def test_exactly_what_is_cited_is_listed(model: Model) -> None:
    for shown in (model, changed(model, FittedAs="golkov", MethodName="q-space network (Golkov)")):
        text = compose_methods_text([shown], [])
        listed = re.findall(r"@\w+\{(\w+),", select_references(text))
        assert sorted(listed) == sorted(set(re.findall(CITATION_PATTERN, text)))
