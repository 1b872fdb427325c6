"""Figures of a pair that an earlier run has drawn from the same results.

To draw them takes many seconds, and each `participant` run writes group.html again for new links.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from bids_shresnet.io.storage import hash_file, hash_record, remove_file, write_bytes, write_json
from bids_shresnet.outputs.model.folder import Model
from bids_shresnet.outputs.sidecars import package_versions
from bids_shresnet.outputs.stamps import is_intact, read_stamp, stamp_files
from bids_shresnet.report.style import Drawing
from bids_shresnet.version import __version__

Figures = Mapping[str, Sequence[Drawing]]  # by section of the page


def digest_results(model: Model) -> str:
    """Digest of the model's folder, which holds its validation, and of versions.

    Locks and temporary files of other jobs, whose names begin with a dot, are no part of it.
    """
    files = sorted(path for path in model.folder.glob("[!.]*") if path.is_file())
    hashes = {path.name: hash_file(path) for path in files}
    return hash_record([__version__, package_versions(), hashes])


def reuse_figures(root: Path, owner: str, digest: str, draw: Callable[[], Figures]) -> Figures:
    """Read figures that were drawn from results with this digest, or draw and write them.

    Parameters
    ----------
    root
        The output dataset. The figures and their record lie in its folder `figures`.
    owner
        Beginning of the names of their files.
    """
    record_path = root / "figures" / f"{owner}_figures.json"
    record = read_stamp(record_path)
    if record.get("MadeFrom") == digest and is_intact(record, root):
        return _read_figures(record_path.parent, owner, record["Sections"])
    figures = draw()
    remove_file(record_path)
    files: list[Path] = []
    for drawing in chain.from_iterable(figures.values()):
        files += write_figure(root, owner, drawing)
    sections = {name: list(map(_describe, section)) for name, section in figures.items()}
    stamp = stamp_files(files, root)
    write_json(record_path, {"MadeFrom": digest, "Sections": sections, **stamp})
    return figures


def write_figure(root: Path, owner: str, drawing: Drawing) -> list[Path]:
    """Write a figure as PNG and, but for those of voxels, SVG; return the paths."""
    paths = []
    for extension, content in drawing.encodings.items():
        paths.append(_figure_path(root / "figures", owner, drawing.name, extension))
        write_bytes(paths[-1], content)
    return paths


def _describe(drawing: Drawing) -> dict[str, str]:
    return {"Name": drawing.name, "Caption": drawing.caption, "Alt": drawing.alt}


def _read_figures(folder: Path, owner: str, sections: Mapping[str, Any]) -> Figures:
    read = partial(_read_drawing, folder, owner)
    return {section: list(map(read, records)) for section, records in sections.items()}


def _read_drawing(folder: Path, owner: str, record: Mapping[str, str]) -> Drawing:
    name = record["Name"]
    svg = _figure_path(folder, owner, name, ".svg")
    return Drawing(
        name=name,
        caption=record["Caption"],
        alt=record["Alt"],
        png=_figure_path(folder, owner, name, ".png").read_bytes(),
        svg=svg.read_bytes() if svg.exists() else b"",
    )


def _figure_path(folder: Path, owner: str, name: str, extension: str) -> Path:
    return folder / f"{owner}_{name}{extension}"
