"""What the user gave and nothing uses, and files that look like DWI but are not named so.

None of it is an error by itself. But who gives a derivative or a map wants it to be used, and a
misspelt name must not stay unnoticed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from bids_shresnet.errors import Finding
from bids_shresnet.inputs.dwi_file import DwiFile
from bids_shresnet.inputs.scanners import ScannerNaming, find_unmatched_entries
from bids_shresnet.scans import Scan

DWI_PATH = "sub-<label>[/ses-<label>]/dwi/sub-<label>[_ses-<label>][_..]_dwi.nii.gz"
DWI_SUFFIX = re.compile("(dwi|dti|diff|diffusion)[0-9]*", re.IGNORECASE)
OTHER_SUFFIXES = ("sbref", "epi", "mask", "dseg", "probseg")  # may have gradient tables, too
# Folders of other kinds of data, which are not searched
OTHER_FOLDERS = (
    *("derivatives", "sourcedata", "code", "stimuli", "phenotype"),
    *("anat", "func", "fmap", "perf", "meg", "eeg", "ieeg", "beh", "pet", "micr", "nirs", "motion"),
)


def check_scanner_map(
    path: Path | None, naming: ScannerNaming, files: Sequence[DwiFile]
) -> list[Finding]:
    """Warn about lines of --scanner-map that match no scan."""
    entries = find_unmatched_entries(naming, files)
    remedy = "Correct the name, or remove the line: it names the scanner of nothing."
    value = "matches no DWI of the dataset"
    return [Finding.warning(f"{path}, line {entry}", value, remedy) for entry in entries]


def check_scanner_pattern(
    naming: ScannerNaming, files: Iterable[DwiFile], scans: Iterable[Scan]
) -> list[Finding]:
    """Warn about a --scanner-from that names no scanner."""
    pattern = naming.pattern
    if pattern is None or any(s.scanner and s.scanner.named_by == "regex" for s in scans):
        return []
    matching = sum(bool(pattern.search(file.image.name)) for file in files)
    if matching:
        value = f"it matches {matching} files, but names the scanner of none"
        remedy = "A map, a table or a sidecar with a serial number comes first; see --scanner-map."
    else:
        value = f"it matches no file name: {pattern.pattern}"
        remedy = "Correct the expression."
    return [Finding.warning("--scanner-from", value, remedy)]


def check_derivatives(datasets: Mapping[str, Path], files: Sequence[DwiFile]) -> list[Finding]:
    """Warn about derivatives that give neither a DWI nor a mask or segmentation of one."""
    used = {file.dataset for file in files}
    for file in files:
        segmentations = [path for item in file.segmentations for path in item.files]
        regions = [path for item in file.regions for path in item.files]
        for path in (*file.masks, *segmentations, *regions):
            used |= set(path.parents)
    remedy = (
        "The raw DWI are used as they are. Check its file names (desc-preproc_dwi, "
        "desc-brain_mask, dseg), or leave it out."
    )
    value = "nothing in it belongs to a DWI of the dataset"
    return [
        Finding.warning(f"-d {name}={path}", value, remedy)
        for name, path in datasets.items()
        if path not in used
    ]


def check_presence(root: Path, files: Sequence[DwiFile]) -> list[Finding]:
    """Report a dataset without any DWI, and without maps of one."""
    if files:
        return []
    value = f"it has no DWI, which BIDS names {DWI_PATH}"
    remedy = "Give the root of a BIDS dataset with diffusion MRI; derivatives are given with -d."
    return [Finding.error(root, value, remedy)]


def check_misnamed(root: Path, files: Iterable[DwiFile]) -> list[Finding]:
    """Warn about files that look like DWI, but have other names or lie elsewhere."""
    known = {file.image for file in files}
    value = f"looks like a DWI, but is not named as BIDS has it: {DWI_PATH}"
    remedy = "It is not used: rename it, its folders and its other files, or leave it."
    misnamed = (path for path in _find_images(root) if path not in known)
    return [Finding.warning(path, value, remedy) for path in misnamed]


def check_folder(file: DwiFile) -> list[Finding]:
    """Find a file of one subject in the folder of another."""
    folder = file.image.relative_to(file.dataset).parts[0]
    subject = f"sub-{file.entities.get('subject', '')}"
    if folder == subject or not folder.startswith("sub-"):
        return []
    value = f"the file is of {subject}, its folder of {folder}"
    return [Finding.error(file.image, value, "Find out whose scan it is, and rename one of them.")]


def _find_images(root: Path) -> Iterator[Path]:
    """Find images whose suffix, or the tables beside them, are those of a DWI."""
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = sorted(name for name in subfolders if not _is_other_folder(name))
        stems = {name.removesuffix(".bval") for name in names if name.endswith(".bval")}
        for name in sorted(names):
            if name.endswith((".nii", ".nii.gz")) and _looks_like_dwi(name, stems):
                yield Path(folder) / name


def _is_other_folder(name: str) -> bool:
    return name.startswith(".") or name in OTHER_FOLDERS


def _looks_like_dwi(name: str, table_stems: Collection[str]) -> bool:
    stem = name.removesuffix(".gz").removesuffix(".nii")
    suffix = stem.rpartition("_")[2]
    if suffix in OTHER_SUFFIXES:
        return False
    return bool(DWI_SUFFIX.fullmatch(suffix)) or stem in table_stems
