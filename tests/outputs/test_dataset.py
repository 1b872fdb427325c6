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
from bids_shresnet.io.images.nifti import read_volume
from bids_shresnet.io.storage import read_json, write_json, write_text, write_tsv
from bids_shresnet.outputs.dataset import prepare_root
from bids_shresnet.outputs.images import Volume, write_output
from bids_shresnet.outputs.layout import TENSOR_PARAMETERS, ScanOutputs, output_root
from bids_shresnet.outputs.runs.run_log import ScanStatus, finish_run, start_run
from bids_shresnet.outputs.sidecars import Sidecar, scan_uri
from bids_shresnet.scans import Dwi, Scan
from bids_shresnet.version import __version__
from tests.factories import make_scan

PAGES = (
    "sub-01.html",
    "group.html",
    "group_harmonization.tsv",
    "sub-01/figures/sub-01_desc-fa_dwi.svg",
)
VALIDATOR = Path(sys.executable).with_name("bids-validator-deno")


def scan_in_space(space: str | None, dataset: Path) -> Scan:
    entities = {"subject": "01", "session": "ge", "acquisition": "b1200", "run": "01"}
    name = "sub-01_ses-ge_acq-b1200_run-01"
    if space:
        entities["space"] = space
        name += f"_space-{space}_desc-preproc"
    stem = dataset / "sub-01" / "dwi" / f"{name}_dwi"
    return make_scan(stem, entities=entities, dataset=dataset)


def folder_content(folder: Path) -> dict[Path, tuple[int, bytes]]:
    """Time of change and content of every file."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def test_license_and_authors_are_those_of_the_data(tmp_path: Path) -> None:
    rights = {"License": "CC0", "Authors": ["Jane Doe"]}
    write_json(tmp_path / "data/dataset_description.json", {"Name": "a", **rights})
    write_json(tmp_path / "prep/dataset_description.json", {"License": "PD", "Authors": 3})
    root = tmp_path / "out"
    prepare_root(root, {"raw": tmp_path / "data", "prep": tmp_path / "prep"})
    description = read_json(root / "dataset_description.json")
    assert {key: description[key] for key in rights} == rights
    assert any("1808.01595" in link for link in description["ReferencesAndLinks"])
    prepare_root(root, {"prep": tmp_path / "prep"})
    description = read_json(root / "dataset_description.json")
    assert description["License"] == "PD"
    assert description["Authors"] == rights["Authors"]


def test_inputs_of_earlier_runs_stay_named_if_a_run_does_not_use_them(tmp_path: Path) -> None:
    chain = [{"Name": "qsiprep", "Version": "1.0.0"}, {"Name": "heudiconv"}]
    doi = "doi:10.18112/openneuro.ds000001.v1.0.0"
    write_json(tmp_path / "prep/dataset_description.json", {"GeneratedBy": chain})
    write_json(tmp_path / "raw/dataset_description.json", {"License": "CC0", "DatasetDOI": doi})
    root = tmp_path / "out"
    raw = {"raw": tmp_path / "raw"}
    prepare_root(root, {**raw, "qsiprep": tmp_path / "prep"}, chain)
    before = read_json(root / "dataset_description.json")
    for datasets in (raw, {}):  # a run without -d, and one that rewrites reports
        prepare_root(root, datasets)
        assert read_json(root / "dataset_description.json") == before
    newer = [{"Name": "qsiprep", "Version": "2.0.0"}]
    prepare_root(root, {"raw": tmp_path / "moved", "newer": tmp_path / "n"}, newer)
    after = read_json(root / "dataset_description.json")
    assert after["GeneratedBy"] == [before["GeneratedBy"][0], *newer, *chain]
    assert list(after["DatasetLinks"]) == ["raw", "qsiprep", "newer"]
    links = [after["DatasetLinks"][name] for name in ("raw", "newer")]
    assert links == [f"file://{tmp_path}/moved", f"file://{tmp_path}/n"]
    sources = [{"URL": links[0]}, before["SourceDatasets"][1], {"URL": links[1]}]
    assert after["SourceDatasets"] == sources


def test_a_prepared_root_is_not_changed_again(tmp_path: Path) -> None:
    root = tmp_path / "derivatives" / "shresnet"
    prepare_root(root, {"raw": tmp_path})
    (root / "README.md").write_text("mine")
    before = folder_content(root)
    prepare_root(root, {"raw": tmp_path})
    assert folder_content(root) == before


def test_many_jobs_may_prepare_one_root_at_once(tmp_path: Path) -> None:
    shared = tmp_path / "derivatives/shresnet"
    single = tmp_path / "other/shresnet"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: prepare_root(shared, {"raw": Path("/data")}), range(16)))
    prepare_root(single, {"raw": Path("/data")})
    names = {path.name for path in single.iterdir()}
    assert {path.name for path in shared.iterdir()} == names
    assert all((shared / name).read_bytes() == (single / name).read_bytes() for name in names)


def test_a_folder_that_cannot_be_made_is_an_output_error_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"file/shresnet") as error:
        prepare_root(tmp_path / "file" / "shresnet", {"raw": tmp_path})
    assert error.value.exit_code == 73


def test_a_prepared_folder_that_became_read_only_is_an_output_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare_root(tmp_path / "shresnet", {"raw": tmp_path})

    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    # The tests may run as root, who may write everywhere; chmod would have no effect.
    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
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


def test_the_pipelines_of_the_input_follow_the_app(tmp_path: Path) -> None:
    chain = [{"Name": "qsiprep", "Version": "1.0.0"}, {"Name": "heudiconv"}]
    qsiprep = tmp_path / "qsiprep"
    write_json(qsiprep / "dataset_description.json", {"Name": "q", "GeneratedBy": chain})
    datasets = {"raw": tmp_path / "raw", "qsiprep": qsiprep}
    prepare_root(tmp_path / "out", datasets, read_pipelines(qsiprep))
    app, *others = read_pipelines(tmp_path / "out")
    assert (app["Name"], app["Version"]) == ("bids_shresnet", __version__)
    assert others == chain


def test_raw_data_have_no_pipelines(tmp_path: Path) -> None:
    assert read_pipelines(tmp_path) == []


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


def test_a_source_with_a_doi_is_named_by_it_and_another_by_its_url(tmp_path: Path) -> None:
    doi = "doi:10.18112/openneuro.ds000001.v1.0.0"
    write_json(tmp_path / "raw" / "dataset_description.json", {"Name": "raw", "DatasetDOI": doi})
    prepare_root(tmp_path / "out", {"raw": tmp_path / "raw", "other": Path("/q")})
    sources = read_json(tmp_path / "out" / "dataset_description.json")["SourceDatasets"]
    assert sources == [{"DOI": doi}, {"URL": "file:///q"}]


@pytest.mark.slow
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
def test_the_validator_finds_an_error_if_there_is_one(tmp_path: Path) -> None:
    root = tmp_path / "shresnet"
    prepare_root(root, {"raw": tmp_path})
    name = "sub-01_desc-harmonized_space-ACPC_dwi.json"  # entities in the wrong order
    write_text(root / "sub-01" / "dwi" / name, "{}")
    issues = validate(root)["issues"]["issues"]
    assert [issue for issue in issues if issue["severity"] == "error"] != []


def validate(root: Path) -> Any:
    """Report of the BIDS validator on a dataset."""
    run = subprocess.run(
        [VALIDATOR, root, "--format", "json", "--ignoreWarnings"],
        capture_output=True,
        text=True,
        check=False,
    )
    return json.loads(run.stdout)


def write_every_output(root: Path, scan: Scan) -> None:
    """Write an example of each output with the functions that the app uses."""
    scan.image.parent.mkdir(parents=True)
    image = nib.Nifti1Image(np.ones((4, 4, 4, 2), np.float32), np.diag([-2.0, 2, 2, 1]))
    nib.save(image, scan.image)
    prepare_root(root, {"raw": scan.dataset})
    run = start_run(root, {"bids_dir": "/data"}, ["shresnet", "/data"])
    write_images(ScanOutputs(scan, root))
    for name in ("model.json", "fold-01.safetensors", "training.tsv"):
        write_text(root / "models" / "from-A_to-B" / name, "{}")
    for name in PAGES:
        write_text(root / name, "x")
    finish_run(run, [ScanStatus("01", "ge", scan.image.name, "done")])


def write_images(outputs: ScanOutputs) -> None:
    """Write all images of a scan, and its table."""
    scan = outputs.scan
    data, affine = read_volume(scan.image)
    dwi = Dwi(data, affine, np.array([0.0, 1000.0]), np.array([[0.0, 0, 0], [1, 0, 0]]))
    volume = Volume(data[..., 0], affine)
    contents: dict[Path, Dwi | Volume] = {
        outputs.dwi(): dwi,
        outputs.mask: Volume(data[..., 0] > 0, affine),
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
    for path, content in contents.items():
        write_output(path, content, scan=scan, sidecar=sidecar)
    write_tsv(outputs.qc_table(), [{"metric": "nmse"}])
    write_json(outputs.qc_table(".json"), {"metric": {}})
