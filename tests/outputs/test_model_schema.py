from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import jsonschema
import pytest

from bids_shresnet.diffusion.harmonics import SH_BASIS_NAME
from bids_shresnet.errors import BadInput
from bids_shresnet.evaluation.results import MAP_QUANTITIES
from bids_shresnet.io.storage import read_json
from bids_shresnet.outputs.json_records import json_key
from bids_shresnet.outputs.model.card import ModelCard
from bids_shresnet.outputs.model.folder import Model, read_model
from bids_shresnet.outputs.model.validation import Answer
from bids_shresnet.outputs.model_schema import check_card, read_schema
from bids_shresnet.settings import METHODS, NO_HARMONIZATION, SH_ORDERS, Method
from tests.datasets import write_tree
from tests.models import change_card, constant_model

CARD = Path("model.json")
Change = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    root = tmp_path_factory.mktemp("root")
    return constant_model(root / "model", write_tree(root / "bids", {}), missing=0.2)


def test_the_schema_is_valid_and_a_written_card_satisfies_it(model: Model) -> None:
    jsonschema.Draft202012Validator.check_schema(read_schema())
    record = read_json(model.folder / "model.json")
    check_card(record, CARD)
    assert ModelCard.from_json(record) == model.card


def test_the_schema_has_the_keys_of_the_records_and_no_others() -> None:
    schema = read_schema()
    assert dict(iter_objects(schema, schema)) == dict(iter_records(ModelCard))


def iter_objects(
    part: Mapping[str, Any], schema: Mapping[str, Any], path: str = ""
) -> Iterator[tuple[str, tuple[set[str], set[str]]]]:
    """All objects of fixed form: their path, keys and required keys."""
    definition = schema["$defs"].get(part.get("$ref", "").removeprefix("#/$defs/"), part)
    if "properties" in definition:
        yield path, (set(definition["properties"]), set(definition["required"]))
        assert definition["additionalProperties"] is False
    for key, value in definition.get("properties", {}).items():
        yield from iter_objects(value, schema, f"{path}/{key}")
    for key in ("items", "additionalProperties"):
        if isinstance(definition.get(key), dict):
            yield from iter_objects(definition[key], schema, path)


def iter_records(hint: Any, path: str = "") -> Iterator[tuple[str, tuple[set[str], set[str]]]]:
    """All dataclasses inside a type: their path, keys and required keys."""
    for argument in get_args(hint):
        yield from iter_records(argument, path)
    if is_dataclass(hint):
        hints = get_type_hints(hint)
        required = {json_key(item.name) for item in fields(hint) if is_required(item)}
        yield path, ({json_key(name) for name in hints}, required)
        for name, inner in hints.items():
            yield from iter_records(inner, f"{path}/{json_key(name)}")


def is_required(item: Any) -> bool:
    """Return whether a field always has a key: its default is not None or an empty tuple."""
    is_optional = item.default is None or item.default == ()
    return item.default is MISSING or not is_optional


def test_names_in_the_schema_are_those_of_the_code() -> None:
    definitions = read_schema()["$defs"]
    properties = read_schema()["properties"]
    validation = properties["Validation"]["properties"]["BetterThan"]
    assert tuple(definitions["method"]["enum"]) == METHODS
    assert tuple(definitions["sh_order"]["enum"]) == SH_ORDERS
    assert validation["propertyNames"]["enum"] == [NO_HARMONIZATION, *get_args(Method)]
    assert tuple(definitions["answer"]["enum"]) == get_args(Answer)
    for name in ("Equivalence", "Preservation"):
        quantity = properties["Validation"]["properties"][name]["items"]["properties"]["Quantity"]
        assert tuple(quantity["enum"]) == MAP_QUANTITIES
    assert properties["SHBasis"]["const"] == SH_BASIS_NAME


CHANGES: dict[str, tuple[str, Change]] = {
    "unknown key": ("$: Additional properties", lambda card: card.update(Unheard=1)),
    "missing key": ("$: 'Seed' is a required property", lambda card: card.pop("Seed")),
    "number as text": ("$.Seed: '1'", lambda card: card.update(Seed="1")),
    "boolean": ("$.Seed: True", lambda card: card.update(Seed=True)),
    "method": ("$.Method: 'magic'", lambda card: card.update(Method="magic")),
    "basis": ("$.SHBasis", lambda card: card.update(SHBasis="tournier07")),
    "order": ("$.Shells[0].SHOrder: 3", lambda card: card["Shells"][0].update(SHOrder=3)),
    "not a number": (
        "$.Shells[0].TargetBValue: nan",
        lambda card: card["Shells"][0].update(TargetBValue=float("nan")),
    ),
    "infinite": (
        "$.Shells[0].SourceBValue: inf",
        lambda card: card["Shells"][0].update(SourceBValue=float("inf")),
    ),
    "smoothing": ("$.SHSmoothing: 0.006", lambda card: card.update(SHSmoothing=1e9)),
    "path": (
        "$.Folds[1].Weights.File",
        lambda card: card["Folds"][1]["Weights"].update(File="../fold.safetensors"),
    ),
    "digest": (
        "$.Folds[0].Novelty.SHA256",
        lambda card: card["Folds"][0]["Novelty"].update(SHA256="abc"),
    ),
    "label": ("$.TargetScanner.Label", lambda card: card["TargetScanner"].update(Label="GE/1")),
    "directions": (
        "$.Shells[0].TargetDirections[0]",
        lambda card: card["Shells"][0].update(TargetDirections=[[1.0, 0.0]]),
    ),
    "fold without missing shells": (
        "$.Folds[2]: 'MissingShells' is a required property",
        lambda card: card["Folds"][2].pop("MissingShells"),
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_violation_is_named_with_file_path_and_remedy(change: str, model: Model) -> None:
    expected, apply = CHANGES[change]
    record = deepcopy(model.card.to_json())
    apply(record)
    with pytest.raises(BadInput) as caught:
        check_card(record, CARD)
    (finding,) = caught.value.findings
    assert finding.file == "model.json"
    assert finding.value.startswith(expected)
    assert "train again" in finding.remedy


def test_all_violations_are_named_at_once(model: Model) -> None:
    with pytest.raises(BadInput) as caught:
        check_card(model.card.to_json() | {"Seed": "1", "Method": "magic"}, CARD)
    assert [finding.value.split(":")[0] for finding in caught.value.findings] == [
        "$.Method",
        "$.Seed",
    ]


@pytest.mark.parametrize(
    ("content", "value"),
    [
        ("{", "not valid JSON"),
        ("[1]", "$: [1] is not of type 'object'"),
        ("\xff", "not valid JSON"),
    ],
)
def test_a_file_that_is_no_card_is_refused(content: str, value: str, tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text(content, encoding="latin-1")
    with pytest.raises(BadInput) as caught:
        read_model(tmp_path)
    assert caught.value.findings[0].value.startswith(value)


def test_nan_in_a_file_is_refused_though_python_reads_it(model: Model, tmp_path: Path) -> None:
    record = json.dumps(model.card.to_json() | {"SHSmoothing": float("nan")})
    (tmp_path / "model.json").write_text(record)
    with pytest.raises(BadInput, match="SHSmoothing"):
        read_model(tmp_path)


def test_a_wrong_card_is_not_written(model: Model) -> None:
    before = (model.folder / "model.json").read_bytes()
    with pytest.raises(BadInput, match="from-A"):
        change_card(model, name="from-A")
    assert (model.folder / "model.json").read_bytes() == before
