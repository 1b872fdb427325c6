from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.gpu import REAL_VOXELS, write_seconds

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_on_the_cpu_the_program_finds_no_difference_and_measures_all_parts(tmp_path: Path) -> None:
    file = tmp_path / "gpu.json"
    run = subprocess.run(
        [ROOT / "benchmarks/gpu.sh", "--device", "cpu", "--small", "--json", file],
        env=os.environ | {"PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    record = json.loads(file.read_text())
    differences = {check["name"]: check["difference"] for check in record["checks"]}
    assert differences.pop("losses of stacked networks") < 1e-5
    assert set(differences.values()) == {0}
    for seconds in record["seconds"].values():
        assert set(seconds) == {*REAL_VOXELS, "whole fold"}
        assert min(seconds.values()) > 0


def test_ratios_are_those_to_the_last_column(capsys: pytest.CaptureFixture[str]) -> None:
    write_seconds({"1 CPU thread": {"training": 6.0}, "cuda": {"training": 1.5}})
    titles, numbers = capsys.readouterr().out.strip().splitlines()
    assert titles.split()[-1] == "thread/cuda"
    assert numbers.split() == ["training", "6", "1.5", "4"]
