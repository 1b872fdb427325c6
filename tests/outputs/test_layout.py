from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_shresnet.errors import BadInput
from bids_shresnet.outputs.layout import output_path, output_root
from bids_shresnet.scans import Scan
from tests.factories import make_scan

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
    return make_scan(stem, entities=entities, dataset=dataset)


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
