from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_shresnet.errors import BadInput
from bids_shresnet.outputs.layout import (
    ScanOutputs,
    find_harmonized_sidecars,
    output_path,
    output_root,
)
from bids_shresnet.scans import Scan
from tests.factories import make_scan

SHORT_NAMES = {
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
OPTIONAL_ENTITIES = [name for name in SHORT_NAMES if name != "subject"]
ENTITIES = st.fixed_dictionaries(
    {"subject": LABELS}, optional=dict.fromkeys(OPTIONAL_ENTITIES, LABELS)
)


def scan_with(entities: Mapping[str, str], dataset: Path = Path("/data")) -> Scan:
    stem = dataset / f"sub-{entities['subject']}" / "dwi" / f"{file_stem(entities)}_dwi"
    return make_scan(stem, entities=entities, dataset=dataset)


def file_stem(entities: Mapping[str, str]) -> str:
    parts = [f"{short}-{entities[name]}" for name, short in SHORT_NAMES.items() if name in entities]
    return "_".join(parts)


@pytest.mark.parametrize(
    ("output_dir", "root"),
    [
        ("/out", "/out/derivatives/shresnet"),
        ("/out/shresnet", "/out/shresnet/derivatives/shresnet"),
        ("/data/derivatives", "/data/derivatives/shresnet"),
        ("/data/derivatives/shresnet", "/data/derivatives/shresnet"),
        ("out", "out/derivatives/shresnet"),
    ],
)
def test_the_output_always_ends_in_derivatives_shresnet(output_dir: str, root: str) -> None:
    assert output_root(Path(output_dir)) == Path(root)
    assert output_root(Path(root)) == Path(root)


def test_a_relative_output_is_completed_by_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "derivatives").mkdir()
    monkeypatch.chdir(tmp_path / "derivatives")
    assert output_root(Path()) == Path("shresnet")


@given(entities=ENTITIES)
def test_all_entities_of_the_input_keep_their_spelling(entities: dict[str, str]) -> None:
    path = output_path(
        Path("/out"), scan_with(entities), desc="harmonized", suffix="dwi", extension=".nii.gz"
    )
    session = [f"ses-{entities['session']}"] if "session" in entities else []
    folder = Path("/out", f"sub-{entities['subject']}", *session, "dwi")
    assert path == folder / f"{file_stem(entities)}_desc-harmonized_dwi.nii.gz"


def test_names_of_maps_have_the_order_of_bids_and_no_desc_of_the_input() -> None:
    entities = {"subject": "01", "session": "ge", "run": "007", "space": "ACPC", "desc": "preproc"}
    path = ScanOutputs(scan_with(entities), Path("/out")).tensor_map("fa", "input")
    name = "sub-01_ses-ge_run-007_space-ACPC_model-tensor_param-fa_desc-input_dwimap.nii.gz"
    assert path == Path("/out/sub-01/ses-ge/dwi") / name


def test_a_scan_with_an_entity_that_names_have_no_field_for_is_refused() -> None:
    scan = scan_with({"subject": "01", "resolution": "2"})
    with pytest.raises(BadInput, match="resolution"):
        output_path(Path("/out"), scan, desc="harmonized", suffix="dwi", extension=".bval")


@pytest.mark.parametrize("desc", ["harmonized", "harmonizedToPrisma"])
def test_harmonized_scans_are_found_for_one_or_several_targets(desc: str, tmp_path: Path) -> None:
    scan = scan_with({"subject": "01", "session": "ge"})
    outputs = ScanOutputs(scan, tmp_path, desc)
    sidecar = outputs.dwi(".json")
    sidecar.parent.mkdir(parents=True)
    sidecar.touch()
    outputs.mask.with_suffix("").with_suffix(".json").touch()
    assert find_harmonized_sidecars(tmp_path) == [sidecar]
    assert find_harmonized_sidecars(tmp_path, "01") == [sidecar]
    assert find_harmonized_sidecars(tmp_path, "02") == []
