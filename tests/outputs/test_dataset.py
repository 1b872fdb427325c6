from __future__ import annotations

import json
import logging
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from bids_shresnet.errors import OutputError
from bids_shresnet.io.description import read_pipelines
from bids_shresnet.io.nifti import read_volume
from bids_shresnet.io.storage import read_json, write_json, write_text, write_tsv
from bids_shresnet.outputs.dataset import prepare_root
from bids_shresnet.outputs.images import Volume, write_output
from bids_shresnet.outputs.layout import TENSOR_PARAMETERS, ScanOutputs, output_root
from bids_shresnet.outputs.run_log import ScanStatus, finish_run, start_run
from bids_shresnet.outputs.sidecars import Sidecar, scan_uri
from bids_shresnet.scans import Dwi, Scan
from bids_shresnet.version import __version__
from tests.factories import make_scan

VALIDATOR = Path(sys.executable).with_name("bids-validator-deno")


def scan_in_space(space: str | None, dataset: Path) -> Scan:
    entities = {"subject": "01", "session": "ge", "acquisition": "b1200", "run": "01"}
    name = "sub-01_ses-ge_acq-b1200_run-01"
    if space:
        entities["space"] = space
        name += f"_space-{space}_desc-preproc"
    stem = dataset / "sub-01" / "dwi" / f"{name}_dwi"
    return make_scan(stem, entities=entities, dataset=dataset)


def content(folder: Path) -> dict[Path, tuple[int, bytes]]:
    return {
        path: (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_prepared_root_is_not_touched_again(tmp_path: Path) -> None:
    root, datasets = tmp_path / "derivatives" / "shresnet", {"raw": tmp_path}
    prepare_root(root, datasets)
    (root / "README.md").write_text("mine")
    before = content(root)
    prepare_root(root, datasets)
    assert content(root) == before


def test_many_jobs_may_prepare_one_root_at_once(tmp_path: Path) -> None:
    root, alone = tmp_path / "derivatives/shresnet", tmp_path / "other" / "shresnet"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: prepare_root(root, {"raw": Path("/data")}), range(16)))
    prepare_root(alone, {"raw": Path("/data")})
    assert {path.name: path.read_bytes() for path in root.iterdir()} == {
        path.name: path.read_bytes() for path in alone.iterdir()
    }


def test_a_folder_that_cannot_be_made_is_an_output_error_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"file/shresnet") as error:
        prepare_root(tmp_path / "file" / "shresnet", {"raw": tmp_path})
    assert error.value.exit_code == 73


def test_a_folder_that_turned_read_only_is_an_output_error_though_nothing_is_left_to_prepare(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare_root(tmp_path / "shresnet", {"raw": tmp_path})

    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(
        "tempfile.TemporaryFile", refuse
    )  # root may write everywhere, so chmod would show nothing
    with pytest.raises(OutputError, match="Permission denied"):
        prepare_root(tmp_path / "shresnet", {"raw": tmp_path})


def test_outputs_of_another_version_are_warned_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old = {"Name": "x", "GeneratedBy": [{"Name": "shresnet", "Version": "0.0.0"}]}
    write_json(tmp_path / "dataset_description.json", old)
    with caplog.at_level(logging.WARNING):
        prepare_root(tmp_path, {"raw": Path("/data")})
        prepare_root(tmp_path, {"raw": Path("/data")})
    (message,) = caplog.messages
    assert "0.0.0" in message
    assert __version__ in message


def test_the_pipelines_of_the_input_follow_our_own(tmp_path: Path) -> None:
    chain = [{"Name": "qsiprep", "Version": "1.0.0"}, {"Name": "heudiconv"}]
    write_json(
        tmp_path / "qsiprep" / "dataset_description.json", {"Name": "q", "GeneratedBy": chain}
    )
    pipelines = read_pipelines(tmp_path / "qsiprep")
    prepare_root(
        tmp_path / "out", {"raw": tmp_path / "raw", "qsiprep": tmp_path / "qsiprep"}, pipelines
    )
    own, *others = read_pipelines(tmp_path / "out")
    assert (own["Name"], own["Version"]) == ("shresnet", __version__)
    assert others == chain
    assert read_pipelines(tmp_path / "raw") == []


def test_a_dataset_around_the_output_is_linked_so_that_both_can_move(tmp_path: Path) -> None:
    root = tmp_path / "data" / "derivatives" / "shresnet"
    prepare_root(root, {"raw": tmp_path / "data", "other": tmp_path / "q s"})
    links = read_json(root / "dataset_description.json")["DatasetLinks"]
    assert (root / links["raw"]).resolve() == (tmp_path / "data").resolve()
    assert links["raw"] == "../.."
    assert links["other"] == f"file://{tmp_path}/q%20s"


@pytest.mark.parametrize(
    ("environment", "container"),
    [
        ({}, None),
        ({"SHRESNET_DOCKER_TAG": "bids/shresnet:1"}, {"Type": "docker", "Tag": "bids/shresnet:1"}),
        ({"APPTAINER_CONTAINER": "/home/jane/s.sif"}, {"Type": "apptainer", "Tag": "s.sif"}),
        (
            {"SINGULARITY_NAME": "s.sif", "SHRESNET_DOCKER_TAG": "a:1"},
            {"Type": "apptainer", "Tag": "a:1"},
        ),
    ],
)
def test_the_container_is_recorded_without_its_users_name(
    environment: dict[str, str],
    container: dict[str, str] | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("SHRESNET_DOCKER_TAG", "APPTAINER_CONTAINER", "SINGULARITY_NAME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    prepare_root(tmp_path, {"raw": Path("/data")})
    assert read_pipelines(tmp_path)[0].get("Container") == container


def test_a_source_with_a_doi_is_named_by_it_and_another_by_its_place(tmp_path: Path) -> None:
    doi = "doi:10.18112/openneuro.ds000001.v1.0.0"
    write_json(tmp_path / "raw" / "dataset_description.json", {"Name": "raw", "DatasetDOI": doi})
    prepare_root(tmp_path / "out", {"raw": tmp_path / "raw", "other": Path("/q")})
    sources = read_json(tmp_path / "out" / "dataset_description.json")["SourceDatasets"]
    assert sources == [{"DOI": doi}, {"URL": "file:///q"}]


@pytest.mark.skipif(not VALIDATOR.exists(), reason="bids-validator-deno is not installed")
@pytest.mark.parametrize("space", [None, "ACPC"])
def test_the_validator_finds_no_error_in_a_root_that_holds_every_output(
    space: str | None, tmp_path: Path
) -> None:
    root = output_root(tmp_path)
    write_every_output(root, scan_in_space(space, tmp_path))
    report = validate(root)
    issues = report["issues"]["issues"]
    assert [issue for issue in issues if issue["severity"] == "error"] == []
    assert report["summary"]["totalFiles"] > 5


@pytest.mark.skipif(not VALIDATOR.exists(), reason="bids-validator-deno is not installed")
def test_the_validator_does_find_an_error_where_there_is_one(tmp_path: Path) -> None:
    prepare_root(tmp_path / "shresnet", {"raw": tmp_path})
    write_text(
        tmp_path / "shresnet" / "sub-01" / "dwi" / "sub-01_desc-harmonized_space-ACPC_dwi.json",
        "{}",
    )
    issues = validate(tmp_path / "shresnet")["issues"]["issues"]
    assert [issue for issue in issues if issue["severity"] == "error"] != []


def validate(root: Path) -> Any:
    run = subprocess.run(
        [VALIDATOR, root, "--format", "json", "--ignoreWarnings"],
        capture_output=True,
        text=True,
        check=False,
    )
    return json.loads(run.stdout)


def write_every_output(root: Path, scan: Scan) -> None:
    """Fill a root with an example of each output, through the functions that the app uses."""
    scan.image.parent.mkdir(parents=True)
    nib.save(
        nib.Nifti1Image(np.ones((4, 4, 4, 2), np.float32), np.diag([-2.0, 2, 2, 1])), scan.image
    )
    data, affine = read_volume(scan.image)
    dwi = Dwi(data, affine, np.array([0.0, 1000.0]), np.array([[0.0, 0, 0], [1, 0, 0]]))
    prepare_root(root, {"raw": scan.dataset})
    run = start_run(root, {"bids_dir": "/data"}, ["shresnet", "/data"])
    outputs = ScanOutputs(scan, root)
    volume = Volume(dwi.data[..., 0], affine)
    contents: dict[Path, Dwi | Volume] = {
        outputs.dwi(): dwi,
        outputs.mask: Volume(dwi.data[..., 0] > 0, affine),
        outputs.uncertainty: volume,
        outputs.novelty: volume,
    }
    for parameter in TENSOR_PARAMETERS:
        contents[outputs.tensor_map(parameter, "input")] = volume
        contents[outputs.tensor_map(parameter, "harmonized")] = volume
    sidecar = Sidecar(
        description="Generated.",
        sources=[scan_uri(scan)],
        is_skull_stripped=False,
        scan_metadata={"EchoTime": 0.1},
        fields={"Harmonization": {"Method": "SHResNet"}},
    )
    for image, image_content in contents.items():
        write_output(image, image_content, scan=scan, sidecar=sidecar)
    write_tsv(outputs.qc_table(), [{"metric": "nmse"}])
    write_json(outputs.qc_table(".json"), {"metric": {}})
    for name in ("model.json", "fold-01.safetensors", "training.tsv"):
        write_text(root / "models" / "from-A_to-B" / name, "{}")
    for name in (
        "sub-01.html",
        "group.html",
        "group_harmonization.tsv",
        "sub-01/figures/sub-01_desc-fa_dwi.svg",
    ):
        write_text(root / name, "x")
    finish_run(run, [ScanStatus("01", "ge", scan.image.name, "done")])
