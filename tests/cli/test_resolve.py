from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_shresnet.cli.resolve import memory_limit
from bids_shresnet.errors import UsageError
from bids_shresnet.settings import (
    APPLIED_METHODS,
    METHODS,
    SH_ORDERS,
    NetworkConfig,
    TrainingConfig,
)
from tests.configs import make_config

LABELS = st.lists(st.text("abXY019+", min_size=1, max_size=4), max_size=4)


@given(labels=LABELS, data=st.data())
def test_prefixes_make_no_difference_and_a_label_counts_once(
    labels: list[str], data: st.DataObject
) -> None:
    for field, prefix in (("participant_label", "sub-"), ("session_label", "ses-")):
        typed = tuple(data.draw(st.sampled_from(["", prefix])) + label for label in labels)
        flags: dict[str, Any] = {field: typed}
        assert getattr(make_config(**flags).input, field) == tuple(dict.fromkeys(labels))


@pytest.mark.parametrize("label", ["0 1", "", "sub-", "ses-01", "\u2013nprocs", "01_02", "ä"])
def test_text_that_is_no_bids_label_is_refused_and_shown(label: str) -> None:
    with pytest.raises(UsageError, match=f"not BIDS labels: {label.removeprefix('sub-')}"):
        make_config(participant_label=("01", label))


@pytest.mark.parametrize("order", [-2, 0, 1, 3, 5, 10])
def test_only_even_orders_from_2_to_8_are_accepted(order: int) -> None:
    with pytest.raises(UsageError, match=f"--sh-order {order}"):
        make_config(sh_order=order)


@pytest.mark.parametrize("order", SH_ORDERS)
def test_every_supported_order_is_accepted(order: int) -> None:
    assert make_config(sh_order=order).model.sh_order == order


@pytest.mark.parametrize("output", ["data", "./data", "data/../data", "link"])
def test_the_output_is_never_the_dataset_itself(
    output: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    Path("link").symlink_to("data")
    with pytest.raises(UsageError, match="is the dataset itself"):
        make_config(Path("data"), Path(output), "group")
    with pytest.raises(UsageError, match="is inside the dataset, which is only read"):
        make_config(Path("data"), Path("link/out"), "group")
    allowed = Path("data/derivatives")
    assert make_config(Path("data"), allowed).output.output_dir == allowed


@pytest.mark.parametrize("folder", ["data", "data/db", "data/../data/code/db"])
def test_a_database_is_never_in_the_dataset(folder: str) -> None:
    with pytest.raises(UsageError, match="only read"):
        make_config(bids_database_dir=Path(folder))
    database = Path("database")
    assert make_config(bids_database_dir=database).input.bids_database_dir == database


@pytest.mark.parametrize("pair", ["a", "a:", ":b", "a:b:c"])
def test_a_pair_is_two_names_with_a_colon_and_needs_no_target(pair: str) -> None:
    with pytest.raises(UsageError, match="SOURCE:TARGET"):
        make_config(pair=(pair,))
    with pytest.raises(UsageError, match="--target"):
        make_config(pair=("a:b",), target="b")
    assert make_config(pair=("a:b",)).scanner.pair == ("a:b",)


def test_json_is_a_form_of_the_dry_run() -> None:
    with pytest.raises(UsageError, match="--dry-run"):
        make_config(json=True)
    assert make_config(json=True, dry_run=True).run.json


def test_the_paper_sets_network_schedule_and_projection() -> None:
    """Koppers et al. 2018: Adam for 5 epochs, then SGD with decay 0.9 and patience 5."""
    config = make_config(paper=True)
    assert config.network == NetworkConfig(
        resblocks=2, hidden=None, contrast=False, skip=False, calibrate=False
    )
    assert config.training == TrainingConfig(
        folds=10,
        schedule="two-stage",
        voxels_per_epoch=0,
        max_epochs=200,
        adam_epochs=5,
        adam_learning_rate=1e-3,
        adam_batch=256,
        sgd_learning_rate=1e-3,
        sgd_momentum=0.9,
        sgd_batch=128,
        decay=0.9,
        decay_patience=5,
        stop_patience=11,
    )
    assert config.model.method == "shresnet_projected"
    assert config.model.methods == METHODS


def test_the_paper_leaves_only_folds_and_blocks_to_the_user() -> None:
    changed = make_config(
        paper=True,
        network=NetworkConfig(resblocks=4, hidden=99),
        training=TrainingConfig(folds=3, max_epochs=7, adam_batch=1),
        method="golkov",
    )
    plain = make_config(paper=True)
    assert (changed.network.resblocks, changed.training.folds) == (4, 3)
    assert changed.network.hidden is None
    assert (changed.training.max_epochs, changed.training.adam_batch) == (200, 256)
    assert changed.model == plain.model


@pytest.mark.parametrize("method", APPLIED_METHODS)
def test_the_method_to_apply_is_always_compared(method: str) -> None:
    assert make_config(method=method).model.methods == METHODS
    methods = make_config(method=method, methods=("order_gain",)).model.methods
    assert set(methods) == {method, "order_gain"}
    assert len(methods) == len(set(methods))


def test_voxels_cannot_stay_unharmonized_in_the_directions_of_the_target() -> None:
    with pytest.raises(UsageError, match="--abstain"):
        make_config(abstain=True, output_directions="target")
    assert make_config(abstain=True).harmonization.abstain


@pytest.mark.parametrize("alias", ["Prisma", "=B", "Prisma=", "Prisma=B-1", "Prisma=B=C"])
def test_an_alias_is_a_label_and_a_name_of_letters_and_digits(alias: str) -> None:
    with pytest.raises(UsageError, match="LABEL=NAME"):
        make_config(alias=(alias,))
    assert make_config(alias=("Prisma 66=B1",)).scanner.alias == ("Prisma 66=B1",)
    with pytest.raises(UsageError, match="different names"):
        make_config(alias=("a=B", "c=B"))


def test_retraining_is_for_all_models_of_the_output_at_once() -> None:
    for flags in ({"models": Path("m")}, {"stage": "train", "analysis_level": "group"}):
        with pytest.raises(UsageError, match="--retrain"):
            make_config(retrain=True, **flags)
    assert make_config(retrain=True).model.retrain


@pytest.mark.parametrize(
    ("label", "advice"),
    [
        ("01,02", "separate several by spaces"),
        ("*", "are not expanded"),
        ("01-03", "ranges"),
        ("\N{EM DASH}dry", "long dash"),
    ],
)
def test_what_is_no_label_is_refused_with_advice(label: str, advice: str) -> None:
    with pytest.raises(UsageError, match=advice):
        make_config(participant_label=(label,))


def test_an_amount_of_memory_without_its_unit_is_refused() -> None:
    with pytest.raises(UsageError, match="write 8G"):
        make_config(mem="8")
    assert make_config(mem="8000").resource.mem == "8000"


@pytest.mark.parametrize(
    ("amount", "mib"),
    [("8000", 8000), ("8000M", 8000), ("8g", 8 * 2**10), ("1.5GiB", 1536), ("2TB", 2**21)],
)
def test_memory_is_in_mib_unless_its_unit_says_otherwise(amount: str, mib: int) -> None:
    """As in Slurm, whose units are powers of 1024."""
    assert memory_limit(make_config(mem=amount).resource) == mib * 2**20
