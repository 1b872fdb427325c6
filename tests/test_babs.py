"""The example for BABS, as a command line by the rules of BABS 0.5.

Source: `bids_app_args` in the documentation of BABS.
"""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any, cast

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
    return cast(dict[str, Any], yaml.safe_load(FILE.read_text(encoding="utf-8")))


def parse_job(settings: dict[str, Any], subject: str) -> Config:
    """Parse the command line of one job: positionals, flags with their values, the subject."""
    flags = dict(settings["bids_app_args"])
    selection = flags.pop("$SUBJECT_SELECTION_FLAG")
    (dataset,) = settings["input_datasets"].values()
    words = chain.from_iterable(flags.items())
    given = [PLACEHOLDERS.get(word, word) for word in words if word]
    folder = f"outputs/{next(iter(settings['zip_foldernames']))}"
    return parse([dataset["path_in_babs"], folder, "participant", *given, selection, subject])


def test_a_job_harmonizes_one_subject_whose_label_has_its_prefix(settings: dict[str, Any]) -> None:
    config = parse_job(settings, "sub-01")
    assert (config.run.analysis_level, config.input.participant_label) == ("participant", ("01",))
    assert config.input.bids_dir == Path("inputs/data/BIDS")
    assert config.output.work_dir == Path(PLACEHOLDERS["$BABS_TMPDIR"])


def test_a_job_uses_models_whose_folder_is_mounted(settings: dict[str, Any]) -> None:
    config = parse_job(settings, "sub-01")
    assert any(
        argument.endswith(f":{config.model.models}:ro") for argument in settings["singularity_args"]
    )


def test_all_outputs_are_in_the_folder_that_is_zipped(settings: dict[str, Any]) -> None:
    config = parse_job(settings, "sub-01")
    assert settings["all_results_in_one_zip"] is True
    assert settings["zip_foldernames"] == {"shresnet": __version__.replace(".", "-")}
    assert output_root(config.output.output_dir).is_relative_to("outputs/shresnet")


def test_every_section_that_babs_requires_exists_and_numbers_are_quoted(
    settings: dict[str, Any],
) -> None:
    assert set(REQUIRED) <= set(settings)
    assert all(isinstance(value, str) for value in settings["bids_app_args"].values())


def test_a_job_uses_no_more_than_it_is_granted(settings: dict[str, Any]) -> None:
    flags = settings["bids_app_args"]
    granted = settings["cluster_resources"]
    assert (flags["--nprocs"], flags["--mem"]) == (
        granted["number_of_cpus"],
        granted["hard_memory_limit"],
    )
