from __future__ import annotations

import platform

import pytest

from bids_shresnet.cli.app import main
from bids_shresnet.outputs.sidecars import package_versions
from bids_shresnet.runtime import resources
from bids_shresnet.version import __version__


def test_a_verbose_version_has_what_a_bug_report_needs_and_no_paths(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("APPTAINER_CONTAINER", "/home/jane/app.sif")
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "1")
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "1024")
    assert main(["--version", "-v"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"bids_shresnet {__version__}\n")
    assert all(f"{name} {number}" in text for name, number in package_versions().items())
    assert "granted: 1 cores, 1.0 GB of memory" in text
    assert "SLURM_CPUS_PER_TASK=1" in text
    assert platform.machine() in text
    assert "container: app.sif" in text
    assert "jane" not in text
    assert "SLURM_JOB_ID" not in text


def test_a_version_alone_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert resources.available_cores() >= 1
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"bids_shresnet {__version__}\n"
