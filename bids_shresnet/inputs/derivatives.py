"""What derivatives add to the raw images: brain masks, tissue segmentations, and preprocessed images in their place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bids_shresnet.inputs.dataset import BidsDataset, BidsFile
from bids_shresnet.inputs.dwi_file import DwiFile
from bids_shresnet.inputs.qsiprep import QSIPREP
from bids_shresnet.inputs.segmentation import read_label_tissues
from bids_shresnet.scans import LabelImage, ProbabilityMaps, Segmentation, Tissue

PROCESSING_ENTITIES = (
    "space",
    "res",
    "den",
    "desc",
    "label",
)  # entities a pipeline adds to the name of its source
CONTENT_ENTITIES = (
    "desc",
    "label",
)  # entities that say what a segmentation shows, not of which image
TISSUES_BY_LABEL = {
    tissue.name: tissue for tissue in Tissue
}  # by `label-` (BIDS, "Common image-derived labels")
REQUIRED_TISSUES = {Tissue.GM, Tissue.WM}


@dataclass(frozen=True)
class DerivativeFile:
    """A mask or segmentation and the dataset that it is from."""

    file: BidsFile
    dataset: BidsDataset


def matching_derivatives(
    image: BidsFile, derivatives: Iterable[DerivativeFile]
) -> list[DerivativeFile]:
    """Those of an image's subject and session, the closest name first, those from a dwi folder before others."""
    own = image.entities.items()
    found = [
        one
        for one in derivatives
        if {k: v for k, v in one.file.entities.items() if k not in CONTENT_ENTITIES}.items() <= own
    ]
    return sorted(
        found,
        key=lambda one: (-len(one.file.entities.items() & own), one.file.path.parent.name != "dwi"),
    )


def brain_mask_paths(derivatives: Iterable[DerivativeFile]) -> tuple[Path, ...]:
    """`desc-brain_mask`, in the order offered."""
    files = (one.file for one in derivatives)
    return tuple(
        file.path
        for file in files
        if file.suffix == "mask" and file.entities.get("desc") == "brain"
    )


def read_segmentations(derivatives: Sequence[DerivativeFile]) -> tuple[Segmentation, ...]:
    """`dseg` and `probseg` in the order offered; a `desc` says that it is of something else.

    Only those count of which grey and white matter are known by name; see `segmentation`.
    """
    return tuple(
        _read_named_segmentations([one for one in derivatives if "desc" not in one.file.entities])
    )


def is_in_space(image: BidsFile, dataset: BidsDataset, derivative: DerivativeFile) -> bool:
    """Whether names say that a mask or segmentation is in the space of an image, so that grids may differ.

    QSIPrep turns its spaces to the anterior and posterior commissure, also the one that it once called T1w: they are
    no other pipeline's.
    """
    foreign = derivative.dataset is not dataset and QSIPREP in (
        dataset.pipeline,
        derivative.dataset.pipeline,
    )
    return not foreign and _space(image) == _space(derivative.file)


def prefer_preprocessed(raw: Iterable[DwiFile], preprocessed: Iterable[DwiFile]) -> list[DwiFile]:
    """Raw images marked as replaced, and preprocessed ones with the metadata that pipelines leave behind."""
    originals = {file.image: file for file in raw}
    files = []
    for file in preprocessed:
        kept = {
            key: value for key, value in file.entities.items() if key not in PROCESSING_ENTITIES
        }.items()
        sources = [
            r for r in originals.values() if r.suffix == "dwi" and kept <= r.entities.items()
        ]
        originals |= {
            source.image: replace(source, preprocessed_image=file.image) for source in sources
        }
        metadata = _shared_metadata(sources) | dict(file.metadata)
        files.append(
            replace(file, metadata=metadata, raw_images=tuple(source.image for source in sources))
        )
    return [*originals.values(), *files]


def _read_named_segmentations(derivatives: Sequence[DerivativeFile]) -> Iterator[Segmentation]:
    """Label images with their names; a probabilistic segmentation stands where its grey matter does."""
    for one in derivatives:
        file = one.file
        if file.suffix == "dseg":
            labels = read_label_tissues(
                one.dataset.applicable_files(file, ".tsv"), one.dataset.pipeline
            )
            if set(labels.values()) >= REQUIRED_TISSUES:
                yield LabelImage(file.path, labels)
        elif file.suffix == "probseg" and file.entities.get("label") == Tissue.GM.name:
            others = [
                other.file for other in derivatives if other.file.path.parent == file.path.parent
            ]
            paths = {
                TISSUES_BY_LABEL[o.entities["label"]]: o.path
                for o in others
                if _is_sibling_map(o, file)
            }
            if set(paths) >= REQUIRED_TISSUES:
                yield ProbabilityMaps(paths)


def _is_sibling_map(other: BidsFile, file: BidsFile) -> bool:
    """Whether a file differs from a probability map at most in its tissue."""
    same = {**other.entities, "label": ""} == {**file.entities, "label": ""}
    return same and other.suffix == file.suffix and other.entities.get("label") in TISSUES_BY_LABEL


def _space(file: BidsFile) -> str | None:
    """The space of a file; what is derived from anatomical images is in theirs where nothing else is said."""
    return file.entities.get("space", "T1w" if file.path.parent.name == "anat" else None)


def _shared_metadata(files: list[DwiFile]) -> dict[str, Any]:
    """Fields with the same value in all files."""
    first = files[0].metadata if files else {}
    return {
        key: value
        for key, value in first.items()
        if all(f.metadata.get(key) == value for f in files)
    }
