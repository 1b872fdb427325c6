from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import sys
import bids_shresnet.workflow.run
print(*{"ants", "matplotlib", "sklearn", "torch"} & sys.modules.keys())
"""


@pytest.mark.slow
def test_a_plan_is_made_without_what_computes_draws_or_registers() -> None:
    """These look for a folder for their caches while they load: only a scratch folder has one."""
    command = [sys.executable, "-c", CODE]
    process = subprocess.run(command, capture_output=True, text=True, check=True)
    assert process.stdout.split() == []
