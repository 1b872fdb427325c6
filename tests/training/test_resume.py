from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bids_shresnet.training.resume import read_state, write_state

TENSORS = {
    0: torch.tensor(3.5),
    7: torch.arange(4, dtype=torch.uint8),
    "weights": torch.ones(2, 3).double(),
}
VALUES = {
    "groups": [{"betas": (0.9, 0.1 + 0.2), "params": [0, 1]}],
    "best": float("inf"),
    "number": None,
}


def write_example(folder: Path) -> Path:
    path = folder / ".fold-01.state"
    write_state(path, {"tensors": TENSORS, "values": VALUES}, "digest")
    return path


def test_a_state_comes_back_with_its_keys_dtypes_and_numbers(tmp_path: Path) -> None:
    state = read_state(write_example(tmp_path), "digest")
    assert state is not None
    assert state["values"] == VALUES
    assert list(state["tensors"]) == list(TENSORS)
    for key, tensor in TENSORS.items():
        assert state["tensors"][key].dtype == tensor.dtype
        assert torch.equal(state["tensors"][key], tensor)


def test_there_is_no_state_of_other_inputs_or_without_a_file(tmp_path: Path) -> None:
    assert read_state(write_example(tmp_path), "other digest") is None
    assert read_state(tmp_path / "missing.state", "digest") is None


@pytest.mark.parametrize("share", [0.0, 0.1, 0.9, 0.999])
def test_a_damaged_state_is_ignored_with_a_warning_that_names_it(
    share: float, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_example(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert read_state(path, "digest") is None
    assert f"{path} is damaged" in caplog.text


def test_a_file_that_is_no_state_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "other.state"
    path.write_bytes(b"not a state")
    assert read_state(path, "digest") is None
