from __future__ import annotations

import hashlib
import json
import logging
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import pytest

from bids_shresnet.errors import Finding
from bids_shresnet.io.storage import read_json, read_tsv
from bids_shresnet.outputs.dataset import prepare_root
from bids_shresnet.outputs.run_log import ScanStatus, finish_run, start_run, write_findings
from bids_shresnet.outputs.sidecars import Sidecar, bids_uri, package_versions

SOURCES = ["bids:raw:sub-01/dwi/sub-01_dwi.nii.gz", "bids::models/from-A_to-B/fold-01.safetensors"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    prepare_root(tmp_path, {"raw": Path("/data"), "qsiprep": Path("/q")})
    return tmp_path


def image_at(path: Path, content: bytes = b"image") -> Path:
    path.write_bytes(content)
    return path


def test_a_bids_uri_names_the_dataset_and_the_path_in_it() -> None:
    assert (
        bids_uri(Path("/data/sub-01/dwi/x.nii.gz"), Path("/data"), "raw")
        == "bids:raw:sub-01/dwi/x.nii.gz"
    )
    assert bids_uri(Path("/out/models/m"), Path("/out")) == "bids::models/m"
    with pytest.raises(ValueError, match="/elsewhere/x"):
        bids_uri(Path("/elsewhere/x"), Path("/data"), "raw")


def test_a_bids_uri_of_annexed_content_names_the_link(tmp_path: Path) -> None:
    (tmp_path / "x").symlink_to("/gone")
    assert bids_uri(tmp_path / "x", tmp_path, "raw") == "bids:raw:x"


def test_software_is_what_is_installed_and_importing_none_of_it() -> None:
    versions = package_versions()
    assert versions["dipy"] == version("dipy")
    assert versions["python"] == ".".join(map(str, sys.version_info[:3]))
    code = (
        "import sys; from bids_shresnet.outputs.sidecars import package_versions; package_versions();"
        "print(*{'torch', 'dipy', 'ants', 'bids', 'scipy', 'nibabel'} & sys.modules.keys())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""


def test_a_sidecar_says_what_the_image_is_and_what_stays_true_of_it(tmp_path: Path) -> None:
    image = image_at(tmp_path / "sub-01_desc-harmonized_dwi.nii.gz")
    acquisition = {
        "EchoTime": 0.09,
        "Manufacturer": "GE",
        "PatientName": "Jane",
        "SliceTiming": [0, 1],
    }
    sidecar = Sidecar(
        description="Harmonized.",
        sources=SOURCES,
        is_skull_stripped=False,
        scan_metadata=acquisition,
        fields={"Harmonization": {"Fold": 1}},
    )
    assert sidecar.to_json(image) == {
        "Description": "Harmonized.",
        "Sources": SOURCES,
        "SkullStripped": False,
        "EchoTime": 0.09,
        "Manufacturer": "GE",
        "Harmonization": {"Fold": 1},
        "Digest": {"SHA-256": hashlib.sha256(b"image").hexdigest()},
    }


@pytest.mark.parametrize(
    ("name", "reference"),
    [("sub-01_space-ACPC_dwi.nii.gz", SOURCES[0]), ("sub-01_dwi.nii.gz", None)],
)
def test_only_an_image_in_a_space_has_a_reference_and_it_is_its_scan(
    name: str, reference: str | None, tmp_path: Path
) -> None:
    image = image_at(tmp_path / name)
    sidecar = Sidecar(description="", sources=SOURCES, is_skull_stripped=True)
    assert sidecar.to_json(image).get("SpatialReference") == reference


def test_a_run_keeps_its_settings_its_log_and_the_fate_of_every_scan(root: Path) -> None:
    run = start_run(root, {"bids_dir": "/data", "training": {"folds": 3}}, ["shresnet", "/data"])
    logger = logging.getLogger("bids_shresnet.training.train_fold")
    logger.warning("inside %s", "ä")
    finish_run(run, [ScanStatus("01", "ge", "sub-01/dwi/x.nii.gz", "excluded", "only\nb0", "GE")])
    logger.warning("after")
    assert re.fullmatch(r"\d{8}-\d{6}_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", run.name)
    assert read_json(root / "logs" / run.name / "config.json") == {
        "bids_dir": "/data",
        "training": {"folds": 3},
    }
    log = (root / "logs" / run.name / "run.log").read_text(encoding="utf-8")
    assert "WARNING bids_shresnet.training.train_fold: inside ä" in log
    assert "after" not in log
    table = (root / "logs" / run.name / "status.tsv").read_text().splitlines()
    assert [line.split("\t") for line in table] == [
        ["subject", "session", "file", "status", "reason", "scanner"],
        ["01", "ge", "sub-01/dwi/x.nii.gz", "excluded", "only b0", "GE"],
    ]


def test_a_run_keeps_what_was_found_about_the_dataset(root: Path) -> None:
    run = start_run(root, {}, ["shresnet"])
    write_findings(run, [Finding("warning", "a.bvec, b.bvec", "flip x", "Look.")])
    finish_run(run, [])
    found = {"severity": "warning", "file": "a.bvec, b.bvec", "value": "flip x", "remedy": "Look."}
    assert read_tsv(run.folder / "findings.tsv") == [found]


def test_ids_used_in_prov_are_defined_in_prov(root: Path) -> None:
    run = start_run(root, {}, ["shresnet"])
    output = image_at(root / "x.nii.gz")
    finish_run(run, [], [output])
    parts = {path.stem.rsplit("_", 1)[1]: read_json(path) for path in (root / "prov").iterdir()}
    assert set(parts) == {"act", "ent", "env", "soft"}
    (activity,) = parts["act"]["Activities"]
    defined = {item["Id"] for part in parts.values() for items in part.values() for item in items}
    assert {
        *activity["AssociatedWith"],
        *activity["Used"],
        *parts["ent"]["Files"][0]["GeneratedBy"],
    } <= defined
    assert {"bids:raw:", "bids:qsiprep:"} <= set(activity["Used"])
    assert activity["StartedAtTime"] <= activity["EndedAtTime"]
    (entity,) = parts["ent"]["Files"]
    assert (root / entity["AtLocation"]).read_bytes() == b"image"
    assert entity["Digest"] == {"SHA-256": hashlib.sha256(b"image").hexdigest()}


@pytest.mark.parametrize(
    ("home", "argument", "recorded"),
    [
        ("/home/jane", "qsiprep=/home/jane/q", "qsiprep=~/q"),
        ("/home/jane", "/home/jane", "~"),
        ("/home/jane", "/home/janet/q", "/home/janet/q"),
        ("/", "/data", "/data"),
        ("", "/data", "/data"),
    ],
)
def test_prov_does_not_tell_the_users_name(
    home: str, argument: str, recorded: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", home)
    run = start_run(root, {}, ["shresnet", argument])
    finish_run(run, [])
    (act,) = (root / "prov").glob("*_act.json")
    assert json.loads(act.read_text())["Activities"][0]["Command"] == f"shresnet {recorded}"


def test_parallel_runs_share_no_file(root: Path) -> None:
    before = set(root.rglob("*"))

    def whole_run(_: int) -> str:
        run = start_run(root, {}, ["shresnet"])
        finish_run(run, [])
        return run.name

    with ThreadPoolExecutor(4) as pool:
        names = set(pool.map(whole_run, range(4)))
    files = [path for path in set(root.rglob("*")) - before if path.is_file()]
    assert len(names) == 4
    assert len(files) == 4 * (3 + 4)
