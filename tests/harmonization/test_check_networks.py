from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bids_shresnet.errors import BadInput
from bids_shresnet.harmonization.check_networks import check_networks
from bids_shresnet.io.safetensors import read_arrays, read_record, serialize_arrays
from bids_shresnet.io.storage import hash_file
from bids_shresnet.outputs.model.card import ModelFile
from bids_shresnet.outputs.model.folder import Model, read_model
from tests.datasets import write_tree
from tests.models import change_card, constant_model

Arrays = dict[str, Any]


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return constant_model(tmp_path / "model", write_tree(tmp_path / "bids", {}), missing=0.2)


def change_file(model: Model, name: str, change: Callable[[Arrays, Arrays], Any]) -> Model:
    """Change a file of the first fold, and make its digest in model.json right."""
    file = model.folder / name
    arrays = {key: np.array(value) for key, value in read_arrays(file).items()}
    record = read_record(file)
    change(arrays, record)
    file.write_bytes(serialize_arrays(arrays, record))
    fold = model.card.folds[0]
    item = ModelFile(name, hash_file(file))
    fields = {
        "weights": fold.weights,
        "novelty": fold.novelty,
        "missing_shells": fold.missing_shells,
    }
    key = next(key for key, old in fields.items() if old is not None and old.file == name)
    changes: dict[str, Any] = {key: item}
    changed = replace(fold, **changes)
    return change_card(model, folds=(changed, *model.card.folds[1:]))


def test_a_model_as_it_was_written_passes(model: Model) -> None:
    check_networks(model)


def fill(name: str, value: Any, data_type: Any = np.float32) -> Callable[[Arrays, Arrays], Any]:
    def change(arrays: Arrays, _: Arrays) -> None:
        arrays[name] = np.full(arrays[name].shape, value, data_type)

    return change


def overflow(arrays: Arrays, _: Arrays) -> None:
    """Weights that are finite and give no finite signal."""
    for name in ("network.post.bias", "network.final.weight"):
        arrays[name] = np.full_like(arrays[name], 3e38)


def reshape(name: str) -> Callable[[Arrays, Arrays], Any]:
    return lambda arrays, _: arrays.update({name: np.ones((7, 7), np.float32)})


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("fold-01.safetensors", fill("network.final.bias", np.nan)),
        ("fold-01.safetensors", fill("network.pre.weight", np.inf)),
        ("fold-01.safetensors", fill("network.pre.weight", 1, np.int32)),
        ("fold-01.safetensors", fill("network.pre.weight", 1, np.float64)),
        ("fold-01.safetensors", overflow),
        ("fold-01.safetensors", reshape("network.final.bias")),
        ("fold-01.safetensors", lambda arrays, _: arrays.clear()),
        ("fold-01.safetensors", lambda _, record: record.clear()),
        ("fold-01.safetensors", lambda _, record: record.update(harmonizer=[])),
        (
            "fold-01.safetensors",
            lambda _, record: record["harmonizer"]["architecture"].update(hidden=10**7),
        ),
        ("missing-01.safetensors", fill("network.final.bias", np.nan)),
        ("missing-01.safetensors", reshape("network.final.weight")),
        ("novelty-01.safetensors", fill("threshold", 0.0)),
        ("novelty-01.safetensors", fill("means", np.nan)),
        ("novelty-01.safetensors", reshape("means")),
        ("novelty-01.safetensors", lambda arrays, _: arrays.pop("covariances")),
    ],
)
def test_a_file_with_a_right_digest_and_wrong_content_is_named_before_any_scan_is_read(
    name: str, change: Callable[[Arrays, Arrays], Any], model: Model
) -> None:
    with pytest.raises(BadInput) as caught:
        check_networks(change_file(model, name, change))
    (finding,) = caught.value.findings
    assert finding.file == str(model.folder / name)
    assert "train again" in finding.remedy


def test_networks_of_other_shells_than_the_card_says_are_named(model: Model) -> None:
    shell = replace(model.card.shells[0], sh_order=4)
    with pytest.raises(BadInput, match="fold-01"):
        check_networks(change_card(model, shells=(shell,)))


@pytest.mark.parametrize("link", ["/dev/zero", "/dev/null"])
@pytest.mark.parametrize("name", ["model.json", "fold-01.safetensors"])
def test_a_device_is_never_read(link: str, name: str, model: Model) -> None:
    (model.folder / name).unlink()
    (model.folder / name).symlink_to(link)
    with pytest.raises(BadInput, match=name):
        read_model(model.folder)
