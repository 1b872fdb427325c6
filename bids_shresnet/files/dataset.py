"""The files of a BIDS dataset, through pybids, and which of them apply to an image.

pybids lists the files and names the entities. Inheritance is resolved here, because pybids reads every sidecar while it
indexes, and one annexed sidecar that was not fetched would end the run. Links are never followed to a file's name.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from bids.layout import BIDSLayout, BIDSLayoutIndexer

from bids_shresnet.errors import InputMissing
from bids_shresnet.files.description import pipeline_of

IMAGE = (".nii.gz", ".nii")
MAPS = ("ADC", "FA", "S0map", "TRACEW", "colFA", "expADC", "trace")  # BIDS 1.11.1: suffixes of maps a scanner computed
SEGMENTATIONS = ("mask", "dseg", "probseg")
IGNORED = (
    re.compile(r"^/(code|derivatives|models|sourcedata|stimuli|phenotype|logs?)(/|$)"),
    re.compile(r"/(func|fmap|perf|pet|meg|eeg|ieeg|nirs|beh|micr|motion|mrs|figures|xfm|logs?)(/|$)"),
    # a file name has a dot; of the files only DWI, their maps, gradient tables, sidecars and segmentations are listed
    re.compile(
        rf"/(?!([^/]*_)?({'|'.join(('dwi', *MAPS, *SEGMENTATIONS))})\.(nii|nii\.gz|json|bval|bvec|b|tsv)$)[^/]*\.[^/]*$"
    ),
)


@dataclass(frozen=True)
class File:
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
class Dataset:
    """The listed files of a dataset, also by folder, suffix and extension, and the pipeline that made it (or "")."""

    root: Path
    files: tuple[File, ...]
    shelves: Mapping[tuple[Path, str, str], list[File]]
    pipeline: str = ""

    @classmethod
    def index(cls, root: Path) -> Dataset:
        """List a dataset with pybids, in memory; no file is opened.

        Raises
        ------
        InputMissing
            If the folder does not exist or is no BIDS dataset.
        """
        _must_be_dataset(root)
        indexer = BIDSLayoutIndexer(validate=False, index_metadata=False, ignore=list(IGNORED))
        layout = BIDSLayout(root, validate=False, config=["bids", "derivatives"], indexer=indexer)
        patterns = {name: entity.regex for name, entity in layout.get_entities().items() if entity.regex}
        # pybids makes the root absolute; the paths stay below the root as it was given
        paths = [root / Path(path).relative_to(layout.root) for path in layout.get_files()]
        files = tuple(_take_apart(path, patterns) for path in sorted(paths))
        shelves = defaultdict(list)
        for file in files:
            shelves[file.path.parent, file.suffix, file.extension].append(file)
        return cls(root, files, dict(shelves), pipeline_of(root))

    def images(self, suffixes: Collection[str]) -> list[File]:
        """Images with one of these suffixes, by path."""
        return [file for file in self.files if file.extension in IMAGE and file.suffix in suffixes]

    def inherited(self, image: File, extension: str) -> list[Path]:
        """Files that apply to an image, the closest last (BIDS, "The Inheritance Principle")."""
        folders = [folder for folder in image.path.parents if folder == self.root or self.root in folder.parents]
        return [
            file.path
            for folder in reversed(folders)
            for file in sorted(self.shelves.get((folder, image.suffix, extension), []), key=lambda f: len(f.entities))
            if file.entities.items() <= image.entities.items()
        ]


def _must_be_dataset(root: Path) -> None:
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


def _take_apart(path: Path, patterns: Mapping[str, re.Pattern[str]]) -> File:
    """Split a file name, not the folders above it; entities that pybids does not know keep their short name."""
    stem, _, extension = path.name.partition(".")
    *pairs, suffix = stem.split("_")
    entities = {}
    for pair in pairs:
        short, _, value = pair.partition("-")
        matches = ((name, pattern.search(f"/{pair}")) for name, pattern in patterns.items())
        long = next((name for name, match in matches if match and match.group(1) == value), short)
        entities[long] = value
    return File(path, suffix, f".{extension}", entities)
