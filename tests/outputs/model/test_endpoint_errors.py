from __future__ import annotations

from itertools import product

import pytest

from bids_shresnet.evaluation.results import QUANTITIES, TISSUES
from bids_shresnet.outputs.model.endpoint_errors import endpoint_key


@pytest.mark.parametrize(
    ("tissue", "quantity", "key"),
    [("WM", "FA", "WhiteMatterFA"), ("GM", "signal", "GreyMatterSignal")],
)
def test_a_tissue_and_a_quantity_are_one_key_in_words(tissue: str, quantity: str, key: str) -> None:
    assert endpoint_key(tissue, quantity) == key


def test_keys_of_all_endpoints_differ_and_have_letters_only() -> None:
    keys = [endpoint_key(tissue, quantity) for tissue, quantity in product(TISSUES, QUANTITIES)]
    assert len(set(keys)) == len(TISSUES) * len(QUANTITIES)
    assert all(key.isalpha() and key[0].isupper() for key in keys)
