"""The version: of the installed package, or of a clone that is not installed."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

try:
    __version__ = version("bids-shresnet")
except PackageNotFoundError:  # run.py in a clone
    __version__ = (
        (Path(__file__).resolve().parent.parent / "version").read_text(encoding="utf-8").strip()
    )
