from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_shresnet.inputs.scanner_labels import (
    normalize_model,
    normalize_serial,
    sanitize_label,
)


@pytest.mark.parametrize(
    "spellings",
    [
        ("DISCOVERY MR750", "DISCOVERY_MR750", "MR750"),
        ("Prisma_fit", "MAGNETOM Prisma Fit", "Prisma Fit", "MAGNETOM_Prisma_fit"),
        ("Avanto", "Avanto ", " Avanto"),
    ],
)
def test_spellings_of_one_model_are_one(spellings: tuple[str, ...]) -> None:
    assert len({normalize_model(spelling) for spelling in spellings}) == 1


def test_different_models_stay_apart() -> None:
    models = (
        "Prisma",
        "Prisma_fit",
        "Skyra",
        "SIGNA Premier",
        "DISCOVERY MR750",
        "DISCOVERY MR750w",
        "Achieva dStream",
    )
    assert len({sanitize_label(normalize_model(model)) for model in models}) == len(models)


@given(st.integers(1, 10**9))
def test_a_serial_number_is_the_same_as_text_number_or_decimal(serial: int) -> None:
    spellings = (serial, float(serial), f"{serial}", f" {serial}.0 ")
    assert {normalize_serial(spelling) for spelling in spellings} == {str(serial)}


ANONYMIZED = ["Anonymized", "anonymous", "n/a", "000000000000GEHC", "0000000000orange"]


@pytest.mark.parametrize("serial", [None, "", " ", 0, True, [], *ANONYMIZED])
def test_an_anonymized_serial_number_is_empty(serial: object) -> None:
    assert normalize_serial(serial) == ""
