"""Model folders that somebody edited, digests made right: used, or bad input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_shresnet.errors import ShresnetError
from bids_shresnet.harmonization.check_networks import check_networks
from bids_shresnet.io.safetensors import read_arrays, read_record, serialize_arrays
from bids_shresnet.io.storage import hash_file, read_json
from bids_shresnet.outputs.layout import ScanOutputs
from bids_shresnet.outputs.model.folder import Model, read_model
from tests.datasets import write_tree
from tests.factories import make_scan
from tests.fuzz.strategies import ODD_NUMBERS, damaged, edited, fuzz_settings, limits
from tests.models import constant_model

FILES = ("fold-01.safetensors", "novelty-01.safetensors", "missing-01.safetensors")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    root = tmp_path_factory.mktemp("root")
    return constant_model(root / "model", write_tree(root / "bids", {}), missing=0.2)


def is_refused(folder: Path) -> bool:
    """Read and try a model within limits; True if it is refused with an error for users.

    A model that is not refused names outputs inside the output.
    """
    with limits():
        try:
            model = read_model(folder)
            check_networks(model)
        except ShresnetError:
            return True
    root = Path("/out")
    outputs = ScanOutputs(make_scan(), root, f"harmonizedTo{model.target}")
    assert outputs.dwi().parent == root / "sub-01/dwi"
    return False


def write_card(model: Model, record: Any) -> None:
    text = json.dumps(record)
    model.card_file.write_bytes(text.encode("utf-8", errors="surrogatepass"))


def test_an_edited_card_is_used_or_refused(model: Model) -> None:
    record = read_json(model.card_file)

    @fuzz_settings(40)
    @given(edited(record))
    def check(changed: Any) -> None:
        write_card(model, changed)
        is_refused(model.folder)

    try:
        check()
    finally:
        write_card(model, record)
    assert not is_refused(model.folder)


def test_a_damaged_card_is_used_or_refused(model: Model) -> None:
    content = model.card_file.read_bytes()

    @fuzz_settings(40)
    @given(damaged(content))
    def check(changed: bytes) -> None:
        model.card_file.write_bytes(changed)
        is_refused(model.folder)

    try:
        check()
    finally:
        model.card_file.write_bytes(content)


@st.composite
def changed_arrays(draw: Any, arrays: dict[str, Any], record: dict[str, Any]) -> bytes:
    """Change type, shape or values of an array, or the record, of a file of arrays."""
    name = draw(st.sampled_from(sorted(arrays)))
    array = np.array(arrays[name])
    kind = draw(st.sampled_from(["value", "type", "shape", "missing", "record"]))
    changed = dict(arrays)
    if kind == "value":
        array.flat[draw(st.integers(0, array.size - 1))] = draw(st.sampled_from(ODD_NUMBERS))
        changed[name] = array
    elif kind == "type":
        changed[name] = array.astype(draw(st.sampled_from(["f2", "f8", "i4", "u1"])))
    elif kind == "shape":
        changed[name] = np.resize(array, draw(st.tuples(st.integers(0, 4), st.integers(1, 4))))
    elif kind == "missing":
        del changed[name]
    else:
        odd = draw(edited(record))
        record = odd if isinstance(odd, dict) else {"harmonizer": odd}
    return serialize_arrays(changed, record)


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
def test_changed_weights_with_a_right_digest_are_used_or_refused(name: str, model: Model) -> None:
    file = model.folder / name
    content = file.read_bytes()
    card = read_json(model.card_file)
    arrays = {key: np.array(value) for key, value in read_arrays(file).items()}
    digest = hash_file(file)

    @fuzz_settings(30)
    @given(changed_arrays(arrays, read_record(file)) | damaged(content))
    def check(changed: bytes) -> None:
        file.write_bytes(changed)
        text = json.dumps(card).replace(digest, hash_file(file))
        model.card_file.write_text(text)
        is_refused(model.folder)

    try:
        check()
    finally:
        file.write_bytes(content)
        write_card(model, card)
    assert not is_refused(model.folder)
