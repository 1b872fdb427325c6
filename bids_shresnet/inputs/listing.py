"""Where the DWI of a dataset lie, and what may belong to them: by walking its folders, or from a pybids database.

Walking is the default: pybids puts every file of a dataset into its database before it answers, which takes ten times
as long. A database spares the walk where asking for a folder is slow, as on network disks.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from bids_shresnet.errors import UsageError

COMPUTED_MAP_SUFFIXES = (
    "ADC",
    "FA",
    "S0map",
    "TRACEW",
    "colFA",
    "expADC",
    "trace",
)  # BIDS 1.11.1: suffixes of maps a scanner computed
SEGMENTATION_SUFFIXES = ("mask", "dseg", "probseg")
LISTED_NAME_PATTERN = re.compile(
    rf"(.*_)?({'|'.join(('dwi', *COMPUTED_MAP_SUFFIXES, *SEGMENTATION_SUFFIXES))})\.(nii|nii\.gz|json|bval|bvec|b|tsv)"
)
UNLISTED_PATH_PATTERN = re.compile(
    rf"/(?!{LISTED_NAME_PATTERN.pattern}$)[^/]*\.[^/]*$"
)  # a file name has a dot, unlike a folder's
DATABASE_FILE_NAME = "layout_index.sqlite"  # as pybids calls it


def list_files(
    root: Path, subjects: Collection[str] = (), database: Path | None = None
) -> list[Path]:
    """Images of DWI, their maps, masks and segmentations, sidecars and gradient tables; no file is opened.

    Parameters
    ----------
    root
        Of the dataset; the paths lie below it as it was given, and links are not followed to a file's name.
    subjects
        Labels of those that are needed; all by default.
    database
        Folder of a pybids database to ask instead of the disk; it is made where there is none.

    Raises
    ------
    UsageError
        If the database is of another dataset.
    """
    folders = re.compile(f"sub-({'|'.join(map(re.escape, subjects)) or '.*'})|ses-.*|dwi|anat")
    if database is None:
        return sorted(Path(path) for path in _iterate_files(os.fspath(root), folders))
    listed = ((path, path.relative_to(root).parts) for path in _list_database_files(root, database))
    return sorted(
        path
        for path, (*above, name) in listed
        if LISTED_NAME_PATTERN.fullmatch(name) and all(map(folders.fullmatch, above))
    )


def _iterate_files(folder: str, folders: re.Pattern[str]) -> Iterator[str]:
    """List the files whose names promise something, in the folders that may hold such."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if LISTED_NAME_PATTERN.fullmatch(entry.name):
                yield entry.path
            elif folders.fullmatch(entry.name) and entry.is_dir():
                yield from _iterate_files(entry.path, folders)


def _list_database_files(root: Path, folder: Path) -> list[Path]:
    """All files that a pybids database knows; it is made aside and then renamed, so that a killed job leaves none."""
    from bids.layout import BIDSLayout, BIDSLayoutIndexer  # takes a second to import

    if not (folder / DATABASE_FILE_NAME).exists():
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder) as unfinished:
            indexer = BIDSLayoutIndexer(
                validate=False, index_metadata=False, ignore=[UNLISTED_PATH_PATTERN]
            )
            BIDSLayout(root, validate=False, indexer=indexer, database_path=unfinished)
            (Path(unfinished) / DATABASE_FILE_NAME).replace(folder / DATABASE_FILE_NAME)
    layout = BIDSLayout(root, validate=False, database_path=folder)
    if Path(layout.root) != root.absolute():
        msg = f"--bids-database-dir {folder} holds the files of {layout.root}, not of {root}; name another folder"
        raise UsageError(msg)
    return [root / Path(path).relative_to(layout.root) for path in layout.get_files()]
