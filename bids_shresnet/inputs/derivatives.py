"""Files that derivatives add to raw images: masks, segmentations and preprocessed images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bids_shresnet.inputs.dataset import BidsDataset, BidsFile
from bids_shresnet.inputs.dwi_file import DwiFile
from bids_shresnet.inputs.qsiprep import QSIPREP
from bids_shresnet.inputs.segmentation import read_label_tissues
from bids_shresnet.scans import LabelImage, ProbabilityMaps, Segmentation, Tissue

# Entities that a pipeline adds to the name of its source
PROCESSING_ENTITIES = ("space", "res", "den", "desc", "label")
# Entities that describe the content of a segmentation, not the image it is of
CONTENT_ENTITIES = ("desc", "label", "atlas", "segmentation")
# By `label-` (BIDS, "Common image-derived labels")
TISSUES_BY_LABEL = {tissue.name: tissue for tissue in Tissue}
REQUIRED_TISSUES = {Tissue.GM, Tissue.WM}


@dataclass(frozen=True)
class DerivativeFile:
    """A mask or segmentation and the dataset that it is from."""

    file: BidsFile
    dataset: BidsDataset

    @property
    def folder(self) -> Path:
        """The folder that holds it."""
        return self.file.path.parent


def matching_derivatives(
    image: BidsFile, derivatives: Iterable[DerivativeFile]
) -> list[DerivativeFile]:
    """Return the files whose entities are all in an image's name.

    Those that share most entities come first, and those in a dwi folder before others.
    """
    matching = [
        derivative
        for derivative in derivatives
        if _without(derivative.file, CONTENT_ENTITIES).items() <= image.entities.items()
    ]

    def distance(derivative: DerivativeFile) -> tuple[int, bool]:
        shared = derivative.file.entities.items() & image.entities.items()
        return -len(shared), derivative.folder.name != "dwi"

    return sorted(matching, key=distance)


def brain_mask_paths(derivatives: Iterable[DerivativeFile]) -> tuple[Path, ...]:
    """Return the `desc-brain_mask` files, in the given order."""
    files = (derivative.file for derivative in derivatives)
    masks = (file for file in files if file.suffix == "mask")
    return tuple(file.path for file in masks if file.entities.get("desc") == "brain")


def read_segmentations(derivatives: Sequence[DerivativeFile]) -> tuple[Segmentation, ...]:
    """Return the usable `dseg` and `probseg` files, in the given order.

    Files with a `desc`, `atlas` or `seg` show something else than tissue. Grey and white matter
    must be known by name; see `segmentation`. A set of probability maps comes at the position of
    its grey matter.
    """
    unspecific = [derived for derived in derivatives if not _is_specific(derived.file)]
    segmentations: list[Segmentation | None] = []
    for derivative in unspecific:
        if derivative.file.suffix == "dseg":
            segmentations.append(read_label_image(derivative))
        elif derivative.file.suffix == "probseg":
            segmentations.append(_group_probability_maps(derivative, unspecific))
    return tuple(segmentation for segmentation in segmentations if segmentation)


def is_in_space(image: BidsFile, dataset: BidsDataset, derivative: DerivativeFile) -> bool:
    """Return whether a mask or segmentation is in the space of an image by their names.

    Their grids may then differ. QSIPrep rotates its spaces to the anterior and posterior
    commissure, even the one that it once called T1w: they equal no other pipeline's space.
    """
    pipelines = (dataset.pipeline, derivative.dataset.pipeline)
    if derivative.dataset is not dataset and QSIPREP in pipelines:
        return False
    return _space(image) == _space(derivative.file)


def prefer_preprocessed(raw: Iterable[DwiFile], preprocessed: Iterable[DwiFile]) -> list[DwiFile]:
    """Mark raw images that a preprocessed image replaces.

    A preprocessed image gets the metadata that its raw images agree on, as pipelines drop them.
    """
    raw_files = {file.image: file for file in raw}
    files = []
    for file in preprocessed:
        sources = _find_sources(file, raw_files.values())
        for source in sources:
            raw_files[source.image] = replace(source, preprocessed_image=file.image)
        metadata = _shared_metadata(sources) | dict(file.metadata)
        raw_images = tuple(source.image for source in sources)
        files.append(replace(file, metadata=metadata, raw_images=raw_images))
    return [*raw_files.values(), *files]


def _find_sources(file: DwiFile, raw_files: Iterable[DwiFile]) -> list[DwiFile]:
    """Find the raw DWI whose names have all entities of a preprocessed file's source."""
    entities = _without(file, PROCESSING_ENTITIES).items()
    raw_dwi = (raw for raw in raw_files if raw.suffix == "dwi")
    return [raw for raw in raw_dwi if entities <= raw.entities.items()]


def _without(file: BidsFile | DwiFile, names: Sequence[str]) -> dict[str, str]:
    """Return the entities of a file but for some."""
    return {name: value for name, value in file.entities.items() if name not in names}


def _is_specific(file: BidsFile) -> bool:
    """Return whether a file shows something else than all tissues."""
    return not {"desc", "atlas", "segmentation"}.isdisjoint(file.entities)


def read_label_image(derivative: DerivativeFile) -> LabelImage | None:
    """Return a dseg if the names of its labels are known."""
    tables = derivative.dataset.applicable_files(derivative.file, ".tsv")
    labels = read_label_tissues(tables, derivative.dataset.pipeline)
    if not set(labels.values()) >= REQUIRED_TISSUES:
        return None
    return LabelImage(derivative.file.path, labels)


def _group_probability_maps(
    grey_matter: DerivativeFile, derivatives: Sequence[DerivativeFile]
) -> ProbabilityMaps | None:
    """Return the probability maps beside that of grey matter; None for a map of anything else."""
    if grey_matter.file.entities.get("label") != Tissue.GM.name:
        return None
    neighbours = (other for other in derivatives if other.folder == grey_matter.folder)
    siblings = (other.file for other in neighbours if _is_sibling(other.file, grey_matter.file))
    paths = {TISSUES_BY_LABEL[file.entities["label"]]: file.path for file in siblings}
    return ProbabilityMaps(paths) if set(paths) >= REQUIRED_TISSUES else None


def _is_sibling(other: BidsFile, file: BidsFile) -> bool:
    """Return whether a file differs from a probability map at most in its tissue."""
    is_tissue = other.entities.get("label") in TISSUES_BY_LABEL
    has_same_name = _without(other, ("label",)) == _without(file, ("label",))
    return is_tissue and has_same_name and other.suffix == file.suffix


def _space(file: BidsFile) -> str | None:
    """Return the space in a name; files of the anat folder are in T1w if they name none."""
    return file.entities.get("space", "T1w" if file.path.parent.name == "anat" else None)


def _shared_metadata(files: Sequence[DwiFile]) -> dict[str, Any]:
    """Return the fields that have the same value in all files."""
    if not files:
        return {}
    shared = dict(files[0].metadata)
    for file in files[1:]:
        shared = {key: value for key, value in shared.items() if file.metadata.get(key) == value}
    return shared
