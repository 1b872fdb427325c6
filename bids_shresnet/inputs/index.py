"""The files of a BIDS dataset, their names taken apart, and which of them apply to an image.

Inheritance is resolved here, because pybids reads every sidecar while it indexes, and one annexed sidecar that was not
fetched would end the run. Links are never followed to a file's name.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from bids_shresnet.errors import InputMissing
from bids_shresnet.inputs.listing import list_files
from bids_shresnet.io.description import read_pipeline_name

IMAGE_EXTENSIONS = (".nii.gz", ".nii")
LONG_ENTITY_NAMES = {  # as pybids calls them; what is not here keeps its short name
    "sub": "subject",
    "ses": "session",
    "acq": "acquisition",
    "rec": "reconstruction",
    "dir": "direction",
    "run": "run",
    "part": "part",
    "chunk": "chunk",
    "space": "space",
    "res": "res",
    "den": "den",
    "desc": "desc",
    "label": "label",
}


@dataclass(frozen=True)
class BidsFile:
    """A listed file: its name taken apart.

    Attributes
    ----------
    path
        Below the root as it was given.
    suffix, extension
        E.g. "dwi" and ".nii.gz".
    entities
        By long name, values as text with their zeros, in the order of the name.
    """

    path: Path
    suffix: str
    extension: str
    entities: Mapping[str, str]


@dataclass(frozen=True)
class BidsDataset:
    """The listed files of a dataset, also by folder, suffix and extension, and the pipeline that made it (or "")."""

    root: Path
    files: tuple[BidsFile, ...]
    by_location: Mapping[tuple[Path, str, str], list[BidsFile]]
    pipeline: str = ""

    @classmethod
    def from_folder(
        cls, root: Path, subjects: Collection[str] = (), database: Path | None = None
    ) -> BidsDataset:
        """List a dataset, or only these subjects of it; no file is opened.

        Raises
        ------
        InputMissing
            If the folder does not exist or is no BIDS dataset.
        UsageError
            If the pybids database is of another dataset.
        """
        _check_is_dataset(root)
        files = tuple(parse_file_name(path) for path in list_files(root, subjects, database))
        shelves = defaultdict(list)
        for file in files:
            shelves[file.path.parent, file.suffix, file.extension].append(file)
        return cls(root, files, dict(shelves), read_pipeline_name(root))

    def images(self, suffixes: Collection[str]) -> list[BidsFile]:
        """Images with one of these suffixes, by path."""
        return [
            file
            for file in self.files
            if file.extension in IMAGE_EXTENSIONS and file.suffix in suffixes
        ]

    def applicable_files(self, image: BidsFile, extension: str) -> list[Path]:
        """Files that apply to an image, the closest last (BIDS, "The Inheritance Principle")."""
        folders = [
            folder
            for folder in image.path.parents
            if folder == self.root or self.root in folder.parents
        ]
        return [
            file.path
            for folder in reversed(folders)
            for file in sorted(
                self.by_location.get((folder, image.suffix, extension), []),
                key=lambda f: len(f.entities),
            )
            if file.entities.items() <= image.entities.items()
        ]


def _check_is_dataset(root: Path) -> None:
    """Say what is there instead of a dataset."""
    if not root.is_dir():
        nearest = next(folder for folder in root.absolute().parents if folder.is_dir())
        msg = f"{root} is not a folder; the nearest one that exists is {nearest}"
        raise InputMissing(msg)
    if not (root / "dataset_description.json").exists():
        names = sorted(path.name for path in root.iterdir())
        there = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
        msg = (
            f"{root} is no BIDS dataset: it has no dataset_description.json, but {there or 'nothing'}. "
            "Give the folder that has one."
        )
        raise InputMissing(msg)


def parse_file_name(path: Path) -> BidsFile:
    """Split a file name, not the folders above it."""
    stem, _, extension = path.name.partition(".")
    *pairs, suffix = stem.split("_")
    parts = (pair.partition("-") for pair in pairs)
    return BidsFile(
        path,
        suffix,
        f".{extension}",
        {LONG_ENTITY_NAMES.get(short, short): value for short, _, value in parts},
    )
