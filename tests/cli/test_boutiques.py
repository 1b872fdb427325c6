from __future__ import annotations

import json
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

import pytest
from boutiques.validator import DescriptorValidationError, validate_descriptor

from bids_shresnet.cli.app import main
from bids_shresnet.cli.boutiques import make_descriptor
from bids_shresnet.cli.config_file import flatten_settings
from bids_shresnet.cli.parser import parse
from bids_shresnet.config import Config
from tests.configs import make_config

FILE = Path(__file__).parents[2] / "boutiques/descriptor.json"
INPUTS = make_descriptor()["inputs"]
VALUES = {"mem": "8G", "device": "auto", "scanner_from": "x", "pair": "A:B", "alias": "A=B"}

CONTEXT = {"json": ["--dry-run"], "fold": ["--stage", "train"]}  # flags that others need


def values_by_flag(config: Config) -> dict[str, Any]:
    """Settings by the names of their flags."""
    settings: dict[str, Any] = {}
    for name, value in flatten_settings(config).items():
        is_section = is_dataclass(value)
        keys = {f"{name}.{key}": item for key, item in vars(value).items()} if is_section else {}
        settings |= keys or {name: value}
    return settings


def test_every_setting_is_an_input_with_a_text() -> None:
    assert {entry["name"] for entry in INPUTS} == set(values_by_flag(make_config()))
    assert all(entry["description"] for entry in INPUTS)


def test_the_positionals_come_first_and_in_order() -> None:
    positionals = [entry["name"] for entry in INPUTS if not entry["optional"]]
    assert positionals == ["bids_dir", "output_dir", "analysis_level"]
    command = make_descriptor()["command-line"]
    assert command.startswith("bids-shresnet [BIDS_DIR] [OUTPUT_DIR] [ANALYSIS_LEVEL] ")
    assert all(command.count(entry["value-key"]) == 1 for entry in INPUTS)
    assert len({entry["id"] for entry in INPUTS}) == len(INPUTS)


@pytest.mark.parametrize(
    "entry", [entry for entry in INPUTS if entry["optional"]], ids=lambda entry: entry["id"]
)
def test_a_flag_of_the_descriptor_is_one_of_the_command_line_and_sets_its_setting(
    entry: dict[str, Any],
) -> None:
    name = entry["name"]
    value = possible_value(entry)
    level = "group" if name in ("stage", "fold") else "participant"
    arguments = ["data", "out", level, *CONTEXT.get(name, [])]
    before = values_by_flag(parse(arguments))[name]
    values = [] if entry["type"] == "Flag" else [value]
    after = values_by_flag(parse([*arguments, entry["command-line-flag"], *values]))[name]
    if entry["type"] == "Flag" or str(before) != value:
        assert after != before
    if "default-value" in entry:
        assert before == entry["default-value"]


def possible_value(entry: dict[str, Any]) -> str:
    """A value that differs from the default where one is possible."""
    if entry["type"] == "Number":
        return "4" if entry.get("integer") else "0.5"
    return str(VALUES.get(entry["name"], entry.get("value-choices", ["x"])[-1]))


def test_the_file_is_what_the_app_prints(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--bids-exec-spec"]) == 0
    remedy = "run.py --bids-exec-spec > boutiques/descriptor.json"
    assert capsys.readouterr().out == FILE.read_text(encoding="utf-8"), remedy


def test_boutiques_accepts_the_file_but_not_without_a_type() -> None:
    content = json.loads(FILE.read_text(encoding="utf-8"))
    validate_descriptor(content)
    del content["inputs"][0]["type"]
    with pytest.raises(DescriptorValidationError):
        validate_descriptor(content)
