from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bids_shresnet.errors import BadInput
from bids_shresnet.outputs.model.card import ModelCard, ScannerRecord
from bids_shresnet.outputs.model.consistency import check_consistency
from bids_shresnet.outputs.model.folder import Model
from tests.datasets import write_tree
from tests.models import MISSING_SHELL, constant_model

CARD = Path("model.json")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    root = tmp_path_factory.mktemp("root")
    return constant_model(root / "model", write_tree(root / "bids", {}), missing=0.2)


def test_a_written_card_is_consistent(model: Model) -> None:
    check_consistency(model.card, CARD)


def change_shell(card: ModelCard, **changes: Any) -> ModelCard:
    return replace(card, shells=(replace(card.shells[0], **changes),))


@pytest.mark.parametrize(
    ("change", "value"),
    [
        (lambda card: replace(card, name="from-GE_to-Skyra"), "from-GE_to-Prisma"),
        (lambda card: replace(card, source_scanner=ScannerRecord("Z")), "from-Z_to-Prisma"),
        (lambda card: change_shell(card, target_bvalue=7.0), "no b=7"),
        (lambda card: change_shell(card, target_bvalue=3000.0), "no b=3000"),
        (lambda card: change_shell(card, target_directions=((0.5, 0.0, 0.0),)), "unit vectors"),
        (
            lambda card: replace(
                card, missing_shells=(replace(MISSING_SHELL, target_directions=((0.0,) * 3,)),)
            ),
            "unit vectors",
        ),
        (
            lambda card: replace(
                card, shells=(replace(card.shells[0], source_bvalue=1200.0), *card.shells)
            ),
            "ascending",
        ),
        (
            lambda card: replace(card, folds=(replace(card.folds[0], test=("99",)),)),
            "unknown subjects: 99",
        ),
    ],
)
def test_a_contradiction_is_named(change: Any, value: str, model: Model) -> None:
    with pytest.raises(BadInput, match=value) as caught:
        check_consistency(change(model.card), CARD)
    (finding,) = caught.value.findings
    assert finding.file == "model.json"
    assert "train again" in finding.remedy


@pytest.mark.parametrize("target", [800.0, 1000.0, 1300.0])
def test_b_values_that_training_would_match_are_consistent(target: float, model: Model) -> None:
    check_consistency(change_shell(model.card, target_bvalue=target), CARD)
