"""Data of real heads, in the folder that the environment variable SHRESNET_TEST_DATA names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

VARIABLE = "SHRESNET_TEST_DATA"
TEST_DATA = Path(os.environ.get(VARIABLE, "/nonexistent"))


def needs_test_data(*names: str) -> pytest.MarkDecorator:
    """Skip a test unless the folder has these files."""
    missing = [name for name in names if not (TEST_DATA / name).exists()]
    reason = f"{VARIABLE} names no folder with {', '.join(missing)}"
    return pytest.mark.skipif(bool(missing), reason=reason)
