from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bids_shresnet.io.storage import read_json
from bids_shresnet.report.pictures.gallery import Panel, gallery_path, read_gallery, write_gallery
from bids_shresnet.report.style import Drawing
from bids_shresnet.scans import Scan
from tests.factories import make_scan


def scan() -> Scan:
    entities = {"subject": "01", "session": "ge", "suffix": "dwi", "extension": ".nii.gz"}
    stem = Path("/data/sub-01/ses-ge/dwi/sub-01_ses-ge_dwi")
    return make_scan(stem, entities=entities, dataset=Path("/data"))


@pytest.mark.parametrize("goal", ["", "ToPrisma"])
def test_what_is_written_is_read_again_from_names_that_tell_scan_picture_and_target(
    tmp_path: Path, goal: str
) -> None:
    made = Panel(
        "images",
        "FA",
        {
            "before": Drawing("faBefore", "Caption.", "FA, before", b"png 1"),
            "after": Drawing("faAfter", "Caption.", "FA, after", b"png 2", b"svg"),
        },
    )
    record = gallery_path(tmp_path, scan(), f"figures{goal}")
    write_gallery(record, [made], {"MadeFrom": "digest"})
    found = read_gallery(record)
    names = tuple(f"sub-01_ses-ge_desc-{name}{goal}_dwi.png" for name in ("faBefore", "faAfter"))
    without_svg = {label: replace(one, svg=b"") for label, one in made.pictures.items()}
    assert found.record == {"MadeFrom": "digest"}
    assert found.panels == (replace(made, pictures=without_svg, files=names),)
    assert {path.name for path in (tmp_path / "sub-01/figures").iterdir()} == {
        *names,
        names[1].replace(".png", ".svg"),
        f"sub-01_ses-ge_desc-figures{goal}_dwi.json",
    }
    assert read_json(record)["Panels"][0]["Caption"] == made.caption == "Caption."
