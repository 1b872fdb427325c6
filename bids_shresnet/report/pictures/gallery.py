"""Pictures of one scan on disk: PNG and SVG below `sub-<label>/figures`, and a record that says what they show.

The record is written last: where it is, all pictures are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bids_shresnet.io.storage import read_json, write_bytes, write_json
from bids_shresnet.outputs.layout import output_path
from bids_shresnet.report.style import Drawing
from bids_shresnet.scans import Scan

Section = Literal["images", "metrics", "trust"]  # of the subject's report


@dataclass(frozen=True)
class Panel:
    """Pictures of the same thing in the same place, by what they are of ("Before", "After"); often a single one.

    Attributes
    ----------
    files
        Of the PNG, one a picture, in `sub-<label>/figures`.
    """

    section: Section
    title: str
    pictures: Mapping[str, Drawing]
    files: tuple[str, ...] = ()

    @property
    def caption(self) -> str:
        """Of all pictures together."""
        return next(iter(self.pictures.values())).caption


@dataclass(frozen=True)
class Gallery:
    """All pictures of a scan, and the record they were written with."""

    record: Mapping[str, Any]
    panels: tuple[Panel, ...]


def gallery_path(root: Path, scan: Scan, desc: str, extension: str = ".json") -> Path:
    """Name of the record, or of one picture; `desc` names the picture and, of several targets, the target."""
    named = output_path(root, scan, desc=desc, suffix="dwi", extension=extension)
    return root / f"sub-{scan.subject}" / "figures" / named.name


def write_gallery(record_path: Path, panels: Sequence[Panel], record: Mapping[str, Any]) -> None:
    """Write all pictures, then their record; the pictures' names are the record's with their own `desc`."""
    described = []
    for panel in panels:
        pictures = []
        for label, drawing in panel.pictures.items():
            image = _picture_path(record_path, drawing.name)
            write_bytes(image, drawing.png)
            if drawing.svg:
                write_bytes(image.with_suffix(".svg"), drawing.svg)
            pictures.append(
                {"Label": label, "File": image.name, "Name": drawing.name, "Alt": drawing.alt}
            )
        described.append(
            {
                "Section": panel.section,
                "Title": panel.title,
                "Caption": panel.caption,
                "Pictures": pictures,
            }
        )
    write_json(record_path, {**record, "Panels": described})


def is_drawn(record_path: Path) -> bool:
    """Whether the record and all its pictures are there."""
    if not record_path.exists():
        return False
    panels = read_json(record_path)["Panels"]
    return all(
        record_path.with_name(one["File"]).exists() for panel in panels for one in panel["Pictures"]
    )


def read_gallery(record_path: Path) -> Gallery:
    """What `write_gallery` left; its SVG are not read."""
    record = read_json(record_path)
    panels = []
    for panel in record.pop("Panels"):
        pictures = {
            one["Label"]: Drawing(
                one["Name"],
                panel["Caption"],
                one["Alt"],
                record_path.with_name(one["File"]).read_bytes(),
            )
            for one in panel["Pictures"]
        }
        files = tuple(one["File"] for one in panel["Pictures"])
        panels.append(Panel(panel["Section"], panel["Title"], pictures, files))
    return Gallery(record, tuple(panels))


def _picture_path(record_path: Path, name: str) -> Path:
    """`.._desc-figures_dwi.json` -> `.._desc-<name>_dwi.png`; what follows `figures` in the label (a target) stays."""
    return record_path.with_name(
        record_path.name.replace("_desc-figures", f"_desc-{name}").replace(".json", ".png")
    )
