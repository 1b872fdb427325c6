from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_shresnet.config import Config
from bids_shresnet.errors import UsageError

LABELS = st.lists(st.text("abXY019+", min_size=1, max_size=4), max_size=4)


def config(**settings: Any) -> Config:
    return Config(Path("data"), Path("out"), "participant", **settings)


@given(labels=LABELS, data=st.data())
def test_prefixes_make_no_difference_and_a_label_counts_once(labels: list[str], data: st.DataObject) -> None:
    for field, prefix in (("participant_label", "sub-"), ("session_label", "ses-")):
        typed = tuple(data.draw(st.sampled_from(["", prefix])) + label for label in labels)
        assert getattr(config(**{field: typed}), field) == tuple(dict.fromkeys(labels))


@pytest.mark.parametrize("label", ["0 1", "", "sub-", "ses-01", "\u2013nprocs", "01_02", "ä"])
def test_what_is_no_bids_label_is_refused_and_shown(label: str) -> None:
    with pytest.raises(UsageError, match=f"not BIDS labels: {label.removeprefix('sub-')}"):
        config(participant_label=("01", label))


@pytest.mark.parametrize("order", [-2, 0, 1, 3, 5])
def test_only_even_orders_from_2_describe_a_signal(order: int) -> None:
    with pytest.raises(UsageError, match=f"--sh-order {order}"):
        config(sh_order=order)
    assert config(sh_order=2 * abs(order) + 2).sh_order == 2 * abs(order) + 2


@pytest.mark.parametrize("output", ["data", "./data", "data/../data", "link"])
def test_the_output_is_never_the_dataset_itself(output: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    Path("link").symlink_to("data")
    with pytest.raises(UsageError, match="is the dataset itself"):
        Config(Path("data"), Path(output), "group")
    assert Config(Path("data"), Path("data/derivatives"), "group").output_dir == Path("data/derivatives")
