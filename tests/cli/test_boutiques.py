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

FILE = (
    Path(__file__).parent.parent.parent / "boutiques" / "descriptor.json"
)  # for those who look before they install
POSITIONALS = ["data", "out"]
INPUTS = make_descriptor()["inputs"]
VALUES = {"mem": "8G", "device": "auto", "scanner_from": "x", "pair": "A:B"}


CONTEXT = {"json": ["--dry-run"], "fold": ["--stage", "train"]}  # what a flag says more of


def flat(config: Config) -> dict[str, Any]:
    """Settings by the names of their flags."""
    settings: dict[str, Any] = {}
    for name, value in flatten_settings(config).items():
        is_section = is_dataclass(value)
        keys = {f"{name}.{key}": item for key, item in vars(value).items()} if is_section else {}
        settings |= keys or {name: value}
    return settings


def test_every_setting_is_an_input_with_a_text() -> None:
    assert {one["name"] for one in INPUTS} == set(flat(make_config()))
    assert all(one["description"] for one in INPUTS)


def test_the_positionals_come_first_and_in_order() -> None:
    assert [one["name"] for one in INPUTS if not one["optional"]] == [
        "bids_dir",
        "output_dir",
        "analysis_level",
    ]
    command = make_descriptor()["command-line"]
    assert command.startswith("bids-shresnet [BIDS_DIR] [OUTPUT_DIR] [ANALYSIS_LEVEL] ")
    assert all(command.count(one["value-key"]) == 1 for one in INPUTS)
    assert len({one["id"] for one in INPUTS}) == len(INPUTS)


@pytest.mark.parametrize(
    "one", [one for one in INPUTS if one["optional"]], ids=lambda one: one["id"]
)
def test_a_flag_of_the_descriptor_is_one_of_the_command_line_and_sets_its_setting(
    one: dict[str, Any],
) -> None:
    numbers = "4" if one.get("integer") else "0.5"
    value = VALUES.get(
        one["name"], one.get("value-choices", ["x"])[-1] if one["type"] != "Number" else numbers
    )
    given = [] if one["type"] == "Flag" else [value]
    context = CONTEXT.get(one["name"], [])
    flags = [one["command-line-flag"], *given]
    level = "group" if one["name"] in ("stage", "fold") else "participant"
    before, after = (flat(parse([*POSITIONALS, level, *context, *more])) for more in ([], flags))
    if one["type"] == "Flag" or str(before[one["name"]]) != value:
        assert after[one["name"]] != before[one["name"]]
    if "default-value" in one:
        assert before[one["name"]] == one["default-value"]


def test_the_file_is_what_the_app_prints(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--bids-exec-spec"]) == 0
    assert capsys.readouterr().out == FILE.read_text(encoding="utf-8"), (
        "run.py --bids-exec-spec > descriptor.json"
    )


def test_boutiques_accepts_the_file_and_would_not_accept_any() -> None:
    content = json.loads(FILE.read_text(encoding="utf-8"))
    validate_descriptor(content)
    del content["inputs"][0]["type"]
    with pytest.raises(DescriptorValidationError):
        validate_descriptor(content)
