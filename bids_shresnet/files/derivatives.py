"""What derivatives add to the raw images: brain masks, tissue segmentations, and preprocessed images in their place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from bids_shresnet.files.dataset import File
from bids_shresnet.files.segmentation import label_names
from bids_shresnet.files.series import DwiFile
from bids_shresnet.scans import Tissue

PROCESSING = ("space", "res", "den", "desc", "label")  # entities a pipeline adds to the name of its source


def brain_masks(image: File, segmentations: Iterable[File]) -> tuple[Path, ...]:
    """`desc-brain_mask` of an image's subject and session, the closest name first."""
    return _fitting(image, [s for s in segmentations if s.suffix == "mask" and s.entities.get("desc") == "brain"])


def tissue_segmentations(image: File, segmentations: Iterable[File]) -> tuple[Path, ...]:
    """`dseg` of an image's subject and session, the closest name first; a `desc` says that it is of something else.

    Only those count whose labels are named; see `segmentation`.
    """
    fitting = _fitting(image, [s for s in segmentations if s.suffix == "dseg" and "desc" not in s.entities])
    return tuple(path for path in fitting if {Tissue.GM, Tissue.WM} <= set(label_names(path).values()))


def prefer_preprocessed(raw: Iterable[DwiFile], preprocessed: Iterable[DwiFile]) -> list[DwiFile]:
    """Raw images marked as replaced, and preprocessed ones with the metadata that pipelines leave behind."""
    originals = {file.image: file for file in raw}
    files = []
    for file in preprocessed:
        kept = {key: value for key, value in file.entities.items() if key not in PROCESSING}.items()
        sources = [r for r in originals.values() if r.suffix == "dwi" and kept <= r.entities.items()]
        originals |= {source.image: replace(source, replaced_by=file.image) for source in sources}
        metadata = _agreed(sources) | dict(file.metadata)
        files.append(replace(file, metadata=metadata, made_from=tuple(source.image for source in sources)))
    return [*originals.values(), *files]


def _fitting(image: File, segmentations: Iterable[File]) -> tuple[Path, ...]:
    """Segmentations whose entities are all the image's, most in common first, those from a dwi folder before others."""
    own = image.entities.items()
    fitting = [s for s in segmentations if {k: v for k, v in s.entities.items() if k != "desc"}.items() <= own]
    ranked = sorted(fitting, key=lambda s: (-len(s.entities.items() & own), s.path.parent.name != "dwi"))
    return tuple(s.path for s in ranked)


def _agreed(files: list[DwiFile]) -> dict[str, Any]:
    """Fields with the same value in all files."""
    first = files[0].metadata if files else {}
    return {key: value for key, value in first.items() if all(f.metadata.get(key) == value for f in files)}
