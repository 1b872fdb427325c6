from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bids_shresnet.io.storage import read_json
from bids_shresnet.report.pictures.gallery import (
    Panel,
    gallery_path,
    is_drawn,
    read_gallery,
    write_gallery,
)
from bids_shresnet.report.style import Drawing
from bids_shresnet.scans import Scan
from tests.factories import make_scan

PANEL = Panel(
    "images",
    "FA",
    {
        "before": Drawing("faInput", "Caption.", "FA, before", b"png 1"),
        "after": Drawing("faHarmonized", "Caption.", "FA, after", b"png 2", b"svg"),
    },
)


def scan() -> Scan:
    entities = {"subject": "01", "session": "ge", "suffix": "dwi", "extension": ".nii.gz"}
    stem = Path("/data/sub-01/ses-ge/dwi/sub-01_ses-ge_dwi")
    return make_scan(stem, entities=entities, dataset=Path("/data"))


@pytest.mark.parametrize("target", ["", "ToPrisma"])
def test_files_are_named_by_scan_picture_and_target(tmp_path: Path, target: str) -> None:
    write_gallery(gallery_path(tmp_path, scan(), f"figures{target}"), [PANEL], {})
    assert {path.name for path in (tmp_path / "sub-01/figures").iterdir()} == {
        f"sub-01_ses-ge_desc-faInput{target}_dwi.png",
        f"sub-01_ses-ge_desc-faHarmonized{target}_dwi.png",
        f"sub-01_ses-ge_desc-faHarmonized{target}_dwi.svg",
        f"sub-01_ses-ge_desc-figures{target}_dwi.json",
    }


@pytest.mark.parametrize("target", ["", "ToPrisma"])
def test_a_gallery_is_read_as_it_was_written_without_svg(tmp_path: Path, target: str) -> None:
    record_path = gallery_path(tmp_path, scan(), f"figures{target}")
    write_gallery(record_path, [PANEL], {"MadeFrom": "digest"})
    gallery = read_gallery(record_path)
    pictures = {label: replace(drawing, svg=b"") for label, drawing in PANEL.pictures.items()}
    names = [f"sub-01_ses-ge_desc-{name}{target}_dwi.png" for name in ("faInput", "faHarmonized")]
    assert gallery.record == {"MadeFrom": "digest"}
    assert gallery.panels == (replace(PANEL, pictures=pictures, files=tuple(names)),)


def test_the_record_is_removed_before_any_picture_is_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record_path = gallery_path(tmp_path, scan(), "figures")
    write_gallery(record_path, [PANEL], {})
    assert is_drawn(record_path)

    def refuse(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("bids_shresnet.report.pictures.gallery.write_bytes", refuse)
    with pytest.raises(KeyboardInterrupt):
        write_gallery(record_path, [PANEL], {})
    assert not record_path.exists()


def test_a_changed_picture_is_no_drawing(tmp_path: Path) -> None:
    record_path = gallery_path(tmp_path, scan(), "figures")
    write_gallery(record_path, [PANEL], {})
    next(record_path.parent.glob("*.svg")).write_bytes(b"svf")
    assert not is_drawn(record_path)


def test_the_record_has_the_caption_that_all_pictures_of_a_panel_share(tmp_path: Path) -> None:
    record_path = gallery_path(tmp_path, scan(), "figures")
    write_gallery(record_path, [PANEL], {})
    assert read_json(record_path)["Panels"][0]["Caption"] == PANEL.caption == "Caption."
