"""Settings for tests, by the names of their flags."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from bids_shresnet.cli.resolve import resolve_config
from bids_shresnet.config import (
    Config,
    HarmonizationSettings,
    InputSettings,
    ModelSettings,
    OutputSettings,
    ResourceSettings,
    RunSettings,
    ScannerSettings,
)

GROUPS: Mapping[str, Any] = {
    "input": InputSettings,
    "output": OutputSettings,
    "run": RunSettings,
    "scanner": ScannerSettings,
    "model": ModelSettings,
    "harmonization": HarmonizationSettings,
    "resource": ResourceSettings,
}


def make_config(
    bids_dir: Path = Path("data"),
    output_dir: Path = Path("out"),
    analysis_level: str = "participant",
    **flags: Any,
) -> Config:
    """Settings of a command line with these flags; `network` and `training` are whole groups."""
    flags |= {"bids_dir": bids_dir, "output_dir": output_dir, "analysis_level": analysis_level}
    groups = {name: kind(**_take_fields(kind, flags)) for name, kind in GROUPS.items()}
    return resolve_config(Config(**groups, **flags))


def _take_fields(kind: type, flags: dict[str, Any]) -> dict[str, Any]:
    """Remove the settings of a group from the flags."""
    names = [field.name for field in fields(kind) if field.name in flags]
    return {name: flags.pop(name) for name in names}
