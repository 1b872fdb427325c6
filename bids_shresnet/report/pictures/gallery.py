"""Pictures of one scan on disk: PNG and SVG files in `sub-<label>/figures`, and their record.

The record is written last, so that it exists only together with all its pictures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bids_shresnet.io.storage import read_json, remove_file, write_bytes, write_json
from bids_shresnet.outputs.layout import output_path
from bids_shresnet.outputs.stamps import (
    OUTPUT_FILES_KEY,
    VERSION_KEY,
    is_intact,
    read_stamp,
    stamp_files,
)
from bids_shresnet.report.style import Drawing
from bids_shresnet.scans import Scan

Section = Literal["images", "metrics", "trust"]  # of the subject's report
RECORD_DESC = "figures"


@dataclass(frozen=True)
class Panel:
    """One or more pictures that share their position in the page, such as "before" and "after".

    Attributes
    ----------
    pictures
        Pictures by label.
    files
        Names of their PNG files in `sub-<label>/figures`, in the same order.
    """

    section: Section
    title: str
    pictures: Mapping[str, Drawing]
    files: tuple[str, ...] = ()

    @property
    def caption(self) -> str:
        """The caption, which all pictures share."""
        return next(iter(self.pictures.values())).caption


@dataclass(frozen=True)
class Gallery:
    """All pictures of a scan, and the rest of their record."""

    record: Mapping[str, Any]
    panels: tuple[Panel, ...]


def gallery_path(root: Path, scan: Scan, desc: str, extension: str = ".json") -> Path:
    """Name the record, or one picture.

    Parameters
    ----------
    desc
        Name of the picture; if there are several targets, it ends in the target.
    """
    path = output_path(root, scan, desc=desc, suffix="dwi", extension=extension)
    return root / f"sub-{scan.subject}" / "figures" / path.name


def write_gallery(record_path: Path, panels: Sequence[Panel], record: Mapping[str, Any]) -> None:
    """Write all pictures, then the record; pictures are named like it, with their own `desc`.

    The record is the stamp of the pictures, and is therefore removed first.
    """
    remove_file(record_path)
    panel_records = [
        {
            "Section": panel.section,
            "Title": panel.title,
            "Caption": panel.caption,
            "Pictures": _write_panel(record_path, panel),
        }
        for panel in panels
    ]
    stamp = stamp_files(_list_pictures(record_path, panels), record_path.parents[2])
    write_json(record_path, {**record, "Panels": panel_records, **stamp})


def is_drawn(record_path: Path) -> bool:
    """Return whether there is a record, and all its pictures are as they were written."""
    return is_intact(read_stamp(record_path), record_path.parents[2])


def _list_pictures(record_path: Path, panels: Sequence[Panel]) -> list[Path]:
    files = []
    for panel in panels:
        for drawing in panel.pictures.values():
            path = _picture_path(record_path, drawing.name)
            files += [path.with_suffix(extension) for extension in drawing.encodings]
    return files


def read_gallery(record_path: Path) -> Gallery:
    """Read what `write_gallery` wrote, without the SVG."""
    record = read_json(record_path)
    for key in (OUTPUT_FILES_KEY, VERSION_KEY):
        record.pop(key)
    panels = tuple(_read_panel(record_path, panel) for panel in record.pop("Panels"))
    return Gallery(record, panels)


def _write_panel(record_path: Path, panel: Panel) -> list[dict[str, str]]:
    records = []
    for label, drawing in panel.pictures.items():
        path = _picture_path(record_path, drawing.name)
        for extension, content in drawing.encodings.items():
            write_bytes(path.with_suffix(extension), content)
        records.append(
            {"Label": label, "File": path.name, "Name": drawing.name, "Alt": drawing.alt}
        )
    return records


def _read_panel(record_path: Path, panel: Mapping[str, Any]) -> Panel:
    pictures = {
        picture["Label"]: Drawing(
            name=picture["Name"],
            caption=panel["Caption"],
            alt=picture["Alt"],
            png=record_path.with_name(picture["File"]).read_bytes(),
        )
        for picture in panel["Pictures"]
    }
    files = tuple(picture["File"] for picture in panel["Pictures"])
    return Panel(panel["Section"], panel["Title"], pictures, files)


def _picture_path(record_path: Path, name: str) -> Path:
    """Name a picture: `_desc-figuresToB_dwi.json` becomes `_desc-<name>ToB_dwi.png`."""
    stem = record_path.stem.replace(f"_desc-{RECORD_DESC}", f"_desc-{name}")
    return record_path.with_name(f"{stem}.png")
