from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_shresnet.errors import BadInput, OutputError
from bids_shresnet.io.description import read_pipelines
from bids_shresnet.io.nifti import read_volume, write_dwi, write_volume
from bids_shresnet.io.storage import read_json, write_json, write_text, write_tsv
from bids_shresnet.outputs.layout import output_path, output_root, prepare_root
from bids_shresnet.outputs.run_log import ScanStatus, finish_run, start_run
from bids_shresnet.outputs.sidecars import bids_uri, make_sidecar
from bids_shresnet.scans import Dwi, Scan
from bids_shresnet.version import __version__

VALIDATOR = Path(sys.executable).with_name("bids-validator-deno")
SHORT = {
    "subject": "sub",
    "session": "ses",
    "acquisition": "acq",
    "reconstruction": "rec",
    "direction": "dir",
    "run": "run",
    "part": "part",
    "chunk": "chunk",
    "space": "space",
}
LABELS = st.text("abcXYZ0189", min_size=1, max_size=4)
ENTITIES = st.fixed_dictionaries({"subject": LABELS}, optional=dict.fromkeys([*SHORT][1:], LABELS))


def scan_of(entities: Mapping[str, str], dataset: Path = Path("/data"), extra: str = "") -> Scan:
    name = (
        "_".join(f"{SHORT[key]}-{entities[key]}" for key in SHORT if key in entities)
        + extra
        + "_dwi"
    )
    stem = dataset / f"sub-{entities['subject']}" / "dwi" / name
    files = [stem.with_name(name + extension) for extension in (".nii.gz", ".bval", ".bvec")]
    return Scan(files[0], files[1], files[2], entities, {}, None, (), dataset)


def content(folder: Path) -> dict[Path, tuple[int, bytes]]:
    return {
        path: (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize(
    ("given_folder", "root"),
    [
        ("/out", "/out/derivatives/shresnet"),
        ("/out/shresnet", "/out/shresnet/derivatives/shresnet"),
        ("/data/derivatives", "/data/derivatives/shresnet"),
        ("/data/derivatives/shresnet", "/data/derivatives/shresnet"),
        ("out", "out/derivatives/shresnet"),
    ],
)
def test_the_output_always_ends_in_derivatives_shresnet(given_folder: str, root: str) -> None:
    assert output_root(Path(given_folder)) == Path(root)
    assert output_root(Path(root)) == Path(root)


def test_a_relative_output_is_judged_by_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "derivatives").mkdir()
    monkeypatch.chdir(tmp_path / "derivatives")
    assert output_root(Path()) == Path("shresnet")


@given(entities=ENTITIES)
def test_all_entities_of_the_input_stay_as_they_are_spelled(entities: dict[str, str]) -> None:
    path = output_path(
        Path("/out"), scan_of(entities), desc="harmonized", suffix="dwi", extension=".nii.gz"
    )
    stem = "_".join(f"{SHORT[name]}-{entities[name]}" for name in SHORT if name in entities)
    folders = [
        f"{SHORT[name]}-{entities[name]}" for name in ("subject", "session") if name in entities
    ]
    assert path == Path("/out", *folders, "dwi", f"{stem}_desc-harmonized_dwi.nii.gz")


def test_names_of_maps_are_in_the_order_of_bids_and_drop_the_description_of_the_input() -> None:
    scan = scan_of(
        {"subject": "01", "session": "ge", "run": "007", "space": "ACPC", "desc": "preproc"}
    )
    path = output_path(
        Path("/out"),
        scan,
        desc="input",
        suffix="dwimap",
        extension=".json",
        model="tensor",
        param="fa",
    )
    name = "sub-01_ses-ge_run-007_space-ACPC_model-tensor_param-fa_desc-input_dwimap.json"
    assert path == Path("/out/sub-01/ses-ge/dwi") / name


def test_two_scans_never_get_one_name_because_an_entity_was_dropped() -> None:
    scan = scan_of({"subject": "01", "resolution": "2"})
    with pytest.raises(BadInput, match="resolution"):
        output_path(Path("/out"), scan, desc="harmonized", suffix="dwi", extension=".bval")


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
    entities = {"subject": "01", "session": "ge", "acquisition": "b1200", "run": "01"}
    scan = scan_of(
        entities | ({"space": space} if space else {}), tmp_path, "_desc-preproc" if space else ""
    )
    root = output_root(tmp_path)
    write_every_output(root, scan)
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
    images = [output_path(root, scan, desc="harmonized", suffix="dwi", extension=".nii.gz")]
    write_dwi(images[0].with_name(images[0].name.removesuffix(".nii.gz")), dwi, scan.image)
    images.append(output_path(root, scan, desc="brain", suffix="mask", extension=".nii.gz"))
    write_volume(images[1], dwi.data[..., 0] > 0, affine, scan.image)
    for param in ("fa", "md"):
        for desc in ("input", "harmonized"):
            path = output_path(
                root,
                scan,
                desc=desc,
                suffix="dwimap",
                extension=".nii.gz",
                model="tensor",
                param=param,
            )
            write_volume(path, dwi.data[..., 0], affine, scan.image)
            images.append(path)
    for image in images:
        record = make_sidecar(
            image,
            description="Generated.",
            sources=[bids_uri(scan.image, scan.dataset, "raw")],
            is_skull_stripped=False,
            scan_metadata={"EchoTime": 0.1},
            record={"Harmonization": {"Method": "SHResNet"}},
        )
        write_json(image.with_name(image.name.replace(".nii.gz", ".json")), record)
    write_tsv(
        output_path(root, scan, desc="harmonization", suffix="qc", extension=".tsv"),
        [{"metric": "nmse"}],
    )
    write_json(
        output_path(root, scan, desc="harmonization", suffix="qc", extension=".json"),
        {"metric": {}},
    )
    for name in ("model.json", "fold-01.safetensors", "training.tsv"):
        write_text(root / "models" / "from-A_to-B" / name, "{}")
    for name in (
        "sub-01.html",
        "group.html",
        "group_harmonization.tsv",
        "sub-01/figures/sub-01_desc-fa_dwi.svg",
    ):
        write_text(root / name, "x")
    finish_run(run, [ScanStatus("01", "ge", scan.image.name, "done")], images)
