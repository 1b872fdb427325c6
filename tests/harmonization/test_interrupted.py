from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bids_shresnet.harmonization.harmonize import write_harmonized_scan
from bids_shresnet.harmonization.jobs import HarmonizeJob
from bids_shresnet.outputs.model.folder import Model
from bids_shresnet.scans import Scan
from tests.harmonization.harmonizing import make_model, write_job


class PowerCutError(BaseException):
    """The end of a process in the middle of its work; nothing may catch it."""


def cut_after(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """End the work when it has written some files."""
    written = []
    rename = Path.replace

    def replace_until(self: Path, target: Any) -> Path:
        written.append(target)
        if len(written) > count:
            raise PowerCutError
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", replace_until)


def read_outputs(job: HarmonizeJob) -> dict[str, bytes]:
    folder = job.outputs.dwi().parent
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("count", [0, 1, 12])
def test_after_an_interrupted_change_of_settings_either_setting_gives_its_own_files(
    count: int,
    scans: dict[str, Scan],
    model: Model,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = write_job(scans["04"], model, tmp_path / "out")
    expected = read_outputs(job)
    other = replace(job, options=replace(job.options, should_abstain=True, noise="target"))
    with monkeypatch.context() as patch:
        cut_after(patch, count)
        with pytest.raises(PowerCutError):
            write_harmonized_scan(other)
    assert not job.outputs.dwi(".json").exists()  # the stamp
    assert write_harmonized_scan(job)
    assert read_outputs(job) == expected
    assert not write_harmonized_scan(job)


def test_a_map_that_the_new_settings_do_not_make_is_removed(
    scans: dict[str, Scan], model: Model, tmp_path: Path
) -> None:
    """One model knows its error, the other does not."""
    other = make_model(tmp_path / "other", scans["01"], error=0.02)
    job = write_job(scans["01"], other, tmp_path / "out")
    assert job.outputs.uncertainty.exists()
    assert write_harmonized_scan(replace(job, model_folder=model.folder))
    assert not list(job.outputs.uncertainty.parent.glob("*uncertainty*"))
