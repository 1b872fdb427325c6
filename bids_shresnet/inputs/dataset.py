"""The files of a BIDS dataset, as pybids finds and names them, and which of them apply to an image.

pybids reads no sidecar here: with `index_metadata=True` it ends at the first one that cannot be
read, such as a link to annexed content that was not fetched. So sidecars are inherited by
`BidsDataset.applicable_files`, and one that cannot be read becomes a finding.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from bids_shresnet.errors import InputMissing, UsageError, join_some
from bids_shresnet.io.description import (
    DESCRIPTION_FILE_NAME,
    DESCRIPTION_REMEDY,
    read_pipeline_name,
)
from bids_shresnet.io.file_errors import raise_if_unreadable

if TYPE_CHECKING:  # pybids takes a second to import; workers and --help do not need it
    from bids.layout import BIDSLayout

# Suffixes of maps that a scanner computed (BIDS 1.11.1)
COMPUTED_MAP_SUFFIXES = ("ADC", "FA", "S0map", "TRACEW", "colFA", "expADC", "trace")
SEGMENTATION_SUFFIXES = ("mask", "dseg", "probseg")
LISTED_SUFFIXES = ("dwi", *COMPUTED_MAP_SUFFIXES, *SEGMENTATION_SUFFIXES)
LISTED_EXTENSIONS = (".nii", ".nii.gz", ".json", ".bval", ".bvec", ".b", ".tsv")
ANY_LABEL = "[^/.]+"  # without a dot, unlike file names
FOLDER_PATTERNS = ("sub-*", "sub-*/*", "sub-*/ses-*/*")
IMAGE_EXTENSIONS = (".nii.gz", ".nii")
PYBIDS_CONFIGS = ("bids", "derivatives")
# Entities of pybids that are no key-value pairs of a file name
NOT_IN_NAME = ("suffix", "extension", "datatype", "scans", "fmap")
DATABASE_FILE_NAME = "layout_index.sqlite"  # pybids' name
MAX_LISTED_NAMES = 8  # names in an error


@dataclass(frozen=True)
class BidsFile:
    """A file with the parts of its name.

    Attributes
    ----------
    path
        Below the root as it was given; links are not followed.
    suffix, extension
        E.g. "dwi" and ".nii.gz".
    entities
        The key-value pairs of the name: pybids' names of the keys, values as text with their zeros.
    """

    path: Path
    suffix: str
    extension: str
    entities: Mapping[str, str]


@dataclass(frozen=True)
class BidsDataset:
    """The DWI, segmentations, sidecars and tables of a dataset.

    Attributes
    ----------
    files
        Sorted by path.
    files_by_kind
        The same files by folder, suffix and extension.
    pipeline
        Name of the pipeline that made the dataset, in small letters; empty for raw data.
    """

    root: Path
    files: tuple[BidsFile, ...]
    files_by_kind: Mapping[tuple[Path, str, str], list[BidsFile]]
    pipeline: str = ""

    @classmethod
    def from_folder(
        cls, root: Path, subjects: Collection[str] = (), database: Path | None = None
    ) -> BidsDataset:
        """List a dataset without opening its files.

        Parameters
        ----------
        root
            Folder with dataset_description.json.
        subjects
            Labels of the subjects to list; all by default.
        database
            Folder of the dataset's pybids database. It is made where there is none.

        Raises
        ------
        InputMissing
            If the folder does not exist or is no BIDS dataset, or if folders in it cannot be read.
        UsageError
            If the database is of another dataset.
        BadInput
            If dataset_description.json or the database is damaged.
        """
        _check_is_dataset(root)
        _check_is_readable(root)
        pipeline = read_pipeline_name(root)
        paths = list_files(root, subjects, database)
        files = tuple(parse_file_name(path) for path in paths)
        files_by_kind = defaultdict(list)
        for file in files:
            files_by_kind[file.path.parent, file.suffix, file.extension].append(file)
        return cls(root, files, dict(files_by_kind), pipeline)

    def images(self, suffixes: Collection[str]) -> list[BidsFile]:
        """Images with one of these suffixes, sorted by path."""
        images = (file for file in self.files if file.extension in IMAGE_EXTENSIONS)
        return [image for image in images if image.suffix in suffixes]

    def applicable_files(self, image: BidsFile, extension: str) -> list[Path]:
        """Files that apply to an image, the closest last (BIDS, "The Inheritance Principle")."""
        depth = len(image.path.relative_to(self.root).parts)
        paths: list[Path] = []
        for folder in reversed(image.path.parents[:depth]):
            candidates = self.files_by_kind.get((folder, image.suffix, extension), [])
            inherited = [f for f in candidates if f.entities.items() <= image.entities.items()]
            inherited.sort(key=lambda file: len(file.entities))
            paths += [file.path for file in inherited]
        return paths

    def closest_file(self, image: BidsFile, extension: str) -> Path | None:
        """Return the file that applies to an image, the closest if there are several."""
        paths = self.applicable_files(image, extension)
        return paths[-1] if paths else None


def list_files(
    root: Path, subjects: Collection[str] = (), database: Path | None = None
) -> list[Path]:
    """List what may belong to a DWI, sorted; see `BidsDataset.from_folder`."""
    ignored = _ignored_paths(subjects)
    layout = _open_database(root, database) if database else _index(root, ignored)
    names = (os.path.relpath(path, layout.root) for path in layout.get_files())
    # a database holds all subjects, and that of another app everything
    listed = (name for name in names if not ignored.search(f"/{name}"))
    return sorted(root / name for name in listed if name.endswith(LISTED_EXTENSIONS))


def parse_file_name(path: Path) -> BidsFile:
    """Read entities from a file's name alone.

    A layout reads them from the absolute path, so that of a dataset in /data/sub-x/ every file
    would be of the subject x.
    """
    from bids.layout import parse_file_entities

    entities = parse_file_entities(f"/{path.name}", entities=_pybids_entities())
    in_name = {key: str(value) for key, value in entities.items() if key not in NOT_IN_NAME}
    return BidsFile(path, entities["suffix"], entities["extension"], in_name)


def entity_names() -> tuple[str, ...]:
    """Names that pybids gives to entities."""
    return tuple(entity.name for entity in _pybids_entities() if entity.name not in NOT_IN_NAME)


@cache
def _pybids_entities() -> tuple[Any, ...]:
    """Entities of raw data and derivatives."""
    from bids.layout import Config

    configs = [Config.load(name) for name in PYBIDS_CONFIGS]
    return tuple(entity for config in configs for entity in config.entities.values())


def _ignored_paths(subjects: Collection[str]) -> re.Pattern[str]:
    """Match all files and folders that cannot matter, as paths from the root that begin with /."""
    labels = "|".join(map(re.escape, subjects)) or ANY_LABEL
    suffixes = "|".join(LISTED_SUFFIXES)
    extensions = "|".join(map(re.escape, LISTED_EXTENSIONS))
    folders = rf"(/(sub-({labels})|ses-{ANY_LABEL}|dwi|anat))*"
    name = rf"([^/]*_)?({suffixes})({extensions})"
    return re.compile(rf"^(?!{folders}(/{name})?$)")


def _index(root: Path, ignored: re.Pattern[str], database: Path | None = None) -> BIDSLayout:
    """Let pybids list a dataset, in memory or in the folder of a database."""
    from bids.layout import BIDSLayout, BIDSLayoutIndexer

    indexer = BIDSLayoutIndexer(validate=False, index_metadata=False, ignore=[ignored])
    description = root / DESCRIPTION_FILE_NAME
    with raise_if_unreadable(description, "pybids does not accept it", DESCRIPTION_REMEDY):
        configs = list(PYBIDS_CONFIGS)
        return BIDSLayout(
            root, validate=False, config=configs, database_path=database, indexer=indexer
        )


def _open_database(root: Path, folder: Path) -> BIDSLayout:
    """Open a pybids database; one that does not exist is made.

    Raises
    ------
    UsageError
        If the database is of another dataset.
    """
    from bids.layout import BIDSLayout

    if not has_database(folder):
        _make_database(root, folder)
    file = folder / DATABASE_FILE_NAME
    with raise_if_unreadable(file, "no database of pybids", "Remove it; it is then made again."):
        layout = BIDSLayout(root, validate=False, database_path=folder)
    if Path(layout.root) != root.absolute():
        files = f"--bids-database-dir {folder} holds the files of {layout.root}, not of {root}"
        msg = f"{files}; name another folder"
        raise UsageError(msg)
    return layout


def _make_database(root: Path, folder: Path) -> None:
    """Make a pybids database aside, and rename it when it is whole."""
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder) as unfinished:
        _index(root, _ignored_paths(()), Path(unfinished))
        (Path(unfinished) / DATABASE_FILE_NAME).replace(folder / DATABASE_FILE_NAME)


def has_database(folder: Path) -> bool:
    """Return whether a folder holds a pybids database."""
    return (folder / DATABASE_FILE_NAME).exists()


def _check_is_readable(root: Path) -> None:
    """Raise InputMissing for folders that cannot be read: pybids would leave them out silently."""
    folders = (folder for pattern in FOLDER_PATTERNS for folder in root.glob(pattern))
    closed = [folder for folder in folders if not os.access(folder, os.R_OK | os.X_OK)]
    closed = [folder for folder in closed if folder.is_dir()]
    if closed:
        listed = join_some(sorted(map(str, closed)), MAX_LISTED_NAMES)
        msg = f"folders that cannot be read: {listed}. Ask for the right to read them."
        raise InputMissing(msg)


def _check_is_dataset(root: Path) -> None:
    """Raise InputMissing if a folder is no BIDS dataset, and name what exists instead."""
    if not root.is_dir():
        nearest = next(folder for folder in root.absolute().parents if folder.is_dir())
        msg = f"{root} is not a folder; the nearest one that exists is {nearest}"
        raise InputMissing(msg)
    if not (root / DESCRIPTION_FILE_NAME).exists():
        names = sorted(path.name for path in root.iterdir())
        listed = f"only {join_some(names, MAX_LISTED_NAMES)}" if names else "nothing at all"
        problem = f"{root} is no BIDS dataset: instead of {DESCRIPTION_FILE_NAME} it has {listed}"
        msg = f"{problem}. Give the folder that has one."
        raise InputMissing(msg)
