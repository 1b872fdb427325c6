"""The example for BABS, turned into a command line by the rules of BABS 0.5 (`bids_app_args` in its documentation)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from bids_shresnet.cli.parser import parse
from bids_shresnet.config import Config
from bids_shresnet.outputs.layout import output_root
from bids_shresnet.version import __version__

FILE = Path(__file__).parent.parent / "examples" / "babs" / "shresnet.yaml"
PLACEHOLDERS = {"$BABS_TMPDIR": ".git/tmp/wkdir"}
REQUIRED = (
    "input_datasets",
    "zip_foldernames",
    "cluster_resources",
    "script_preamble",
    "job_compute_space",
)


@pytest.fixture
def settings() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return found


def as_babs_calls(settings: dict[str, Any], subject: str) -> Config:
    """Read the command line of one job: positionals, flags with their values as they stand, the subject at the end."""
    flags = dict(settings["bids_app_args"])
    selection = flags.pop("$SUBJECT_SELECTION_FLAG")
    (dataset,) = settings["input_datasets"].values()
    given = [
        word
        for flag, value in flags.items()
        for word in (flag, PLACEHOLDERS.get(value, value))
        if word
    ]
    folder = f"outputs/{next(iter(settings['zip_foldernames']))}"
    return parse([dataset["path_in_babs"], folder, "participant", *given, selection, subject])


def test_a_job_harmonizes_one_subject_whose_label_has_its_prefix(settings: dict[str, Any]) -> None:
    config = as_babs_calls(settings, "sub-01")
    assert (config.analysis_level, config.participant_label) == ("participant", ("01",))
    assert config.bids_dir == Path("inputs/data/BIDS")
    assert config.work_dir == Path(PLACEHOLDERS["$BABS_TMPDIR"])


def test_a_job_trains_nothing_and_what_it_reads_is_bound(settings: dict[str, Any]) -> None:
    config = as_babs_calls(settings, "sub-01")
    assert any(
        argument.endswith(f":{config.models}:ro") for argument in settings["singularity_args"]
    )


def test_all_that_is_written_is_in_the_folder_that_is_zipped(settings: dict[str, Any]) -> None:
    config = as_babs_calls(settings, "sub-01")
    assert settings["all_results_in_one_zip"] is True
    assert settings["zip_foldernames"] == {"shresnet": __version__.replace(".", "-")}
    assert output_root(config.output_dir).is_relative_to("outputs/shresnet")


def test_every_section_that_babs_asks_for_is_there_and_numbers_are_quoted(
    settings: dict[str, Any],
) -> None:
    assert set(REQUIRED) <= set(settings)
    assert all(isinstance(value, str) for value in settings["bids_app_args"].values())


def test_a_job_asks_for_no_more_than_it_is_granted(settings: dict[str, Any]) -> None:
    flags, granted = settings["bids_app_args"], settings["cluster_resources"]
    assert (flags["--nprocs"], flags["--mem"]) == (
        granted["number_of_cpus"],
        granted["hard_memory_limit"],
    )
