from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from bids_shresnet.outputs.json_records import from_json, json_key, to_json


@dataclass(frozen=True)
class Inner:
    bvalue: float
    sh_order: int | None = None


@dataclass(frozen=True)
class Outer:
    inner: Inner
    many: tuple[Inner, ...]
    by_name: Mapping[str, Inner]
    matrix: tuple[tuple[float, ...], ...]
    extra: tuple[str, ...] = ()
    required: tuple[str, ...] = ("default",)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("sha256", "SHA256"),
        ("source_bvalue", "SourceBValue"),
        ("sh_order", "SHOrder"),
        ("smallest_possible_p", "SmallestPossibleP"),
    ],
)
def test_keys_are_spelled_as_bids_spells_its_own(name: str, key: str) -> None:
    assert json_key(name) == key


def test_a_record_comes_back_as_it_was() -> None:
    record = Outer(
        inner=Inner(1000.0, 4),
        many=(Inner(0.5), Inner(2.0, 2)),
        by_name={"any name": Inner(3.0)},
        matrix=((1.0, 0.0), (0.0, 1.0)),
        extra=("a",),
    )
    assert from_json(Outer, to_json(record)) == record


def test_what_is_not_there_has_no_key_but_what_is_required_always_has_one() -> None:
    record = Outer(inner=Inner(1.0), many=(), by_name={}, matrix=(), required=())
    assert to_json(record) == {
        "Inner": {"BValue": 1.0},
        "Many": [],
        "ByName": {},
        "Matrix": [],
        "Required": [],
    }
    assert from_json(Outer, to_json(record)) == record


def test_an_integer_of_json_becomes_the_float_of_the_field() -> None:
    bvalue = from_json(Inner, {"BValue": 1000}).bvalue
    assert isinstance(bvalue, float)
